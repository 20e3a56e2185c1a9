//! What the writer's lock guards: the series map, the log, and the encoder of the record being made.

use super::Head;
use super::append::Target;
use super::report::CommitReport;
use super::series_map::SeriesMap;
use super::slab::{Generation, Slab};
use super::stage::Incoming;
use crate::index::PairId;
use crate::wal::batch::BatchEncoder;
use crate::wal::{GroupCommit, MAX_PAYLOAD_BYTES, RECORD_BATCH, WalError, WalWriter};
use std::sync::Arc;

/// Log bytes between two restarts of the value chains, at least. A lost record costs what follows up to the next
/// restart, a restart costs up to nine bytes per series.
const CHAIN_BYTES_MIN: u64 = 4 << 20;
/// The same per series in memory, so that restarts stay below an eighth of the log.
const CHAIN_BYTES_PER_SERIES: u64 = 64;
/// A log file that is large enough is closed when it holds this many times its own definitions.
const FILE_BYTES_PER_DEFINITION_BYTE: u64 = 6;

/// Entries of a batch are appended in pieces that write so much at most, between which a record may be cut.
const PIECE_BYTES: usize = 16 << 20;
/// Heads of the parts of a record.
const RECORD_HEADS_BYTES: usize = 256;

/// Where the log ends.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LogEnd {
    /// Of the last file.
    pub(crate) sequence: u64,
    /// Bytes of the last file that are in use.
    pub(crate) file_bytes: u64,
    pub(crate) next_lsn: u64,
}

/// State behind the writer's lock.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(super) map: SeriesMap,
    pub(super) slabs: Vec<Arc<Slab>>,
    pub(super) live: Arc<Generation>,
    /// The generation a flush is writing now.
    pub(super) frozen: Option<Arc<Generation>>,
    /// `None` for a database in memory.
    pub(super) log: Option<WalWriter>,
    pub(super) encoder: BatchEncoder,
    /// Sequence of the current log file, cut to 32 bits; 0 without a log.
    pub(super) file: u32,
    /// By pair id: the last file that defines it.
    pub(super) pair_files: Vec<u32>,
    /// Number of the current stretch of value chains.
    pub(super) chain: u32,
    chain_start_bytes: u64,
    definition_bytes: u64,
    closed_bytes: u64,
    /// Last LSN given out.
    pub(super) last_lsn: u64,
    marked_lsn: u64,
    /// Newest timestamp in segments and in the frozen generation.
    pub(super) flushed_max: i64,
    next_id: u32,
    free_ids: Vec<u32>,
    /// Reused from batch to batch.
    pub(super) order: Vec<Target>,
    pub(super) pairs: Vec<PairId>,
    pub(super) labels: Vec<u8>,
    payload: Vec<u8>,
}

impl Writer {
    pub(super) fn new(live: Arc<Generation>) -> Self {
        Self {
            map: SeriesMap::default(),
            slabs: Vec::new(),
            live,
            frozen: None,
            log: None,
            encoder: BatchEncoder::default(),
            file: 0,
            pair_files: Vec::new(),
            chain: 1,
            chain_start_bytes: 0,
            definition_bytes: 0,
            closed_bytes: 0,
            last_lsn: 0,
            marked_lsn: 0,
            flushed_max: i64::MIN,
            next_id: 0,
            free_ids: Vec::new(),
            order: Vec::new(),
            pairs: Vec::new(),
            labels: Vec::new(),
            payload: Vec::new(),
        }
    }

    /// Everything from here on goes to `log`.
    pub(crate) fn attach(&mut self, log: WalWriter) {
        self.last_lsn = log.next_lsn() - 1;
        self.marked_lsn = self.last_lsn;
        self.log = Some(log);
        self.begin_file();
    }

    /// There are segments with samples up to `timestamp`.
    pub(crate) fn note_flushed(&mut self, timestamp: i64) {
        self.flushed_max = self.flushed_max.max(timestamp);
    }

    /// Bytes written to the log by this process, files before the current one included.
    pub(crate) fn written_bytes(&self) -> u64 {
        self.closed_bytes + self.log.as_ref().map_or(0, WalWriter::written_bytes)
    }

    /// Begins a log file for a checkpoint, unless the current one is young and not `taken`, the file with which the last
    /// checkpoint began: every file defines all series anew, which makes the next batches slow, and a checkpoint is
    /// often due when a file has just been closed for its length. Returns sequence and first LSN of the file that is
    /// current then.
    pub(crate) fn begin_young_file(&mut self, taken: u64) -> Result<(u64, u64), WalError> {
        let is_fit = |log: &WalWriter| log.is_young() && log.sequence() != taken;
        if !self.log.as_ref().is_some_and(is_fit) {
            self.rotate()?;
        }
        let log = self.log.as_ref();
        Ok(log.map_or((0, 0), |log| (log.sequence(), log.start_lsn())))
    }

    /// Where the log ends now.
    pub(crate) fn log_end(&self) -> LogEnd {
        let log = self.log.as_ref();
        log.map_or_else(LogEnd::default, |log| LogEnd {
            sequence: log.sequence(),
            file_bytes: log.written_bytes(),
            next_lsn: log.next_lsn(),
        })
    }

    pub(crate) fn live_generation(&self) -> Arc<Generation> {
        self.live.clone()
    }

    /// Whether no sample and no exemplar came since the last freeze.
    pub(crate) fn live_is_empty(&self) -> bool {
        self.live.bounds().is_none()
    }

    /// Writes a mark when everything written is durable and the last record does not say so yet.
    pub(crate) fn mark_if_quiet(&mut self, commit: &GroupCommit) -> Result<(), WalError> {
        let Some(log) = self.log.as_mut() else {
            return Ok(());
        };
        if self.last_lsn > self.marked_lsn && commit.durable_lsn() >= self.last_lsn {
            self.last_lsn = log.mark()?;
            self.marked_lsn = self.last_lsn;
        }
        Ok(())
    }

    /// Gives out the next LSN for what is not in the log; there an empty record stands for it.
    pub(crate) fn skip_record(&mut self) -> Result<u64, WalError> {
        if let Some(log) = self.log.as_mut() {
            self.last_lsn = log.mark()?;
        }
        Ok(self.last_lsn)
    }

    /// Series and pairs must be defined anew, chains restart.
    fn begin_file(&mut self) {
        self.file = self.log.as_ref().map_or(0, |log| log.sequence() as u32);
        self.chain += 1;
        self.chain_start_bytes = 0;
        self.definition_bytes = 0;
    }

    /// Closes the current log file and starts the next.
    pub(crate) fn rotate(&mut self) -> Result<(), WalError> {
        if let Some(log) = self.log.as_mut() {
            let bytes = log.written_bytes();
            log.rotate()?;
            self.closed_bytes += bytes;
            self.begin_file();
        }
        Ok(())
    }

    /// Makes room in the log for a batch, opening a new file or restarting the chains when that is due.
    pub(super) fn reserve(&mut self, bytes_max: u64) -> Result<(), WalError> {
        let Some(log) = self.log.as_mut() else {
            return Ok(());
        };
        if log.needs_rotation()
            && log.written_bytes() > self.definition_bytes * FILE_BYTES_PER_DEFINITION_BYTE
        {
            self.rotate()?;
        }
        let Some(log) = self.log.as_mut() else {
            return Ok(());
        };
        log.reserve_payload(bytes_max)?;
        let chain_bytes_max = CHAIN_BYTES_MIN.max(CHAIN_BYTES_PER_SERIES * self.map.len() as u64);
        if log.written_bytes() > self.chain_start_bytes + chain_bytes_max {
            self.chain_start_bytes = log.written_bytes();
            self.chain += 1;
            self.encoder.restart_chains();
        }
        Ok(())
    }

    /// Writes the record at hand if so many more bytes might not fit it.
    fn cut_record_before(&mut self, bytes: usize) -> Result<(), WalError> {
        if self.encoder.bytes() + bytes + RECORD_HEADS_BYTES > MAX_PAYLOAD_BYTES {
            self.write_record()?;
        }
        Ok(())
    }

    /// Writes the record that the encoder holds, if it holds anything.
    pub(super) fn write_record(&mut self) -> Result<(), WalError> {
        let Some(log) = self.log.as_mut() else {
            self.last_lsn += 1;
            return Ok(());
        };
        self.payload.clear();
        self.definition_bytes += self.encoder.definition_bytes() as u64;
        self.encoder.finish(&mut self.payload);
        if !self.payload.is_empty() {
            self.last_lsn = log.append(RECORD_BATCH, &self.payload)?;
        }
        if self.payload.capacity() > 8 << 20 {
            self.payload = Vec::new();
        }
        Ok(())
    }

    pub(super) fn note_new_pair(&mut self, pair: PairId) {
        if let Some(file) = self.pair_files.get_mut(pair.0 as usize) {
            *file = 0;
        }
    }

    /// An id that no series uses.
    pub(super) fn take_id(&mut self) -> u32 {
        self.free_ids.pop().unwrap_or_else(|| {
            let id = self.next_id;
            self.next_id += 1;
            id
        })
    }

    /// Ids that no series and no cursor uses any more.
    pub(super) fn free_ids(&mut self, ids: impl Iterator<Item = u32>) {
        self.free_ids.extend(ids);
        // Taken from the end: ascending ids keep appends to the postings cheap.
        self.free_ids.sort_unstable_by(|a, b| b.cmp(a));
    }

    /// Bytes held by the writer's own tables.
    pub(super) fn heap_bytes(&self) -> usize {
        self.map.heap_bytes()
            + self.pair_files.capacity() * 4
            + self.free_ids.capacity() * 4
            + self.payload.capacity()
            + self.slabs.capacity() * 8
    }
}

/// A commit that failed.
#[derive(Debug)]
pub(crate) struct CommitError {
    pub(crate) source: WalError,
    /// Whether samples of the batch are in the head; without that, nothing of it was kept.
    pub(crate) is_applied: bool,
}

impl Head {
    /// Admits, logs and applies a batch.
    pub(crate) fn commit(
        &self,
        writer: &mut Writer,
        incoming: Incoming<'_>,
        now: i64,
    ) -> Result<CommitReport, CommitError> {
        let refused = |source| CommitError {
            source,
            is_applied: false,
        };
        let failed = |source| CommitError {
            source,
            is_applied: true,
        };
        let stage = incoming.stage;
        let metadata_bytes = stage.metadata_log_bytes_max();
        if metadata_bytes + RECORD_HEADS_BYTES > MAX_PAYLOAD_BYTES {
            let bytes = metadata_bytes;
            return Err(refused(WalError::TooLarge { bytes }));
        }
        writer.reserve(stage.log_bytes_max()).map_err(refused)?;
        let mut report = stage.report.clone();
        // One record, so that a crash leaves the batch whole or not at all. Only a batch that does not fit is cut.
        for (entries, bytes_max) in stage.pieces(PIECE_BYTES) {
            writer.cut_record_before(bytes_max).map_err(failed)?;
            self.append(writer, incoming, entries, now, &mut report);
        }
        writer.cut_record_before(metadata_bytes).map_err(failed)?;
        self.append_metadata(writer, stage, now, &mut report);
        writer.write_record().map_err(failed)?;
        report.accepted = report.floats + report.histograms + report.duplicates;
        report.lsn = writer.last_lsn;
        Ok(report)
    }
}

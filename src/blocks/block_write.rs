//! Writing a block: in a folder that Prometheus takes for unfinished, which gets the name of a block when everything in it
//! is durable.

use super::BlockError;
use super::chunk_file::ChunkWriter;
use super::index_write::{self, ChunkMeta, encode_chunks};
use super::meta::{BlockMeta, META_NAME, Ulid};
use super::spill::Spill;
use super::tombstones::Tombstones;
use crate::chunk::Encoding;
use crate::io::{Fs, remove_tree};
use crate::model::labels::LabelsRef;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What Prometheus removes when it starts.
const UNFINISHED_SUFFIX: &str = ".tmp-for-creation";

/// A chunk with the times of its first and last sample.
#[derive(Debug)]
pub(crate) struct ChunkBytes<'a> {
    pub(crate) time_min: i64,
    pub(crate) time_max: i64,
    pub(crate) encoding: Encoding,
    pub(crate) bytes: &'a [u8],
}

/// A block that is being written. Dropped before it is finished, it leaves nothing.
#[derive(Debug)]
pub(crate) struct BlockWriter {
    fs: Arc<dyn Fs>,
    out: PathBuf,
    meta: BlockMeta,
    is_finished: bool,
    /// Gone when the block is complete.
    parts: Option<(Spill, ChunkWriter)>,
    metas: Vec<ChunkMeta>,
    scratch: Vec<u8>,
}

fn unfinished(out: &Path, ulid: Ulid) -> PathBuf {
    out.join(format!("{ulid}{UNFINISHED_SUFFIX}"))
}

/// Whether `out` has this block. What has its name was whole when it got it.
pub(crate) fn is_whole(fs: &dyn Fs, out: &Path, ulid: Ulid) -> Result<bool, BlockError> {
    let block = out.join(ulid.to_string());
    if !fs.exists(&block.join(META_NAME))? {
        return Ok(false);
    }
    Ok(BlockMeta::read(fs, &block)?.ulid == ulid)
}

/// Removes what a run that was killed has left of a block.
pub(crate) fn remove_unfinished(fs: &dyn Fs, out: &Path, ulid: Ulid) -> Result<(), BlockError> {
    Ok(remove_tree(fs, &unfinished(out, ulid))?)
}

impl BlockWriter {
    /// Begins a block of the time from `time_min` to before `time_end` in the folder `out`.
    pub(crate) fn create(
        fs: &Arc<dyn Fs>,
        out: &Path,
        ulid: Ulid,
        time: (i64, i64),
    ) -> Result<Self, BlockError> {
        let dir = unfinished(out, ulid);
        fs.create_dir_all(&dir)?;
        let parts = (Spill::create(fs, &dir)?, ChunkWriter::create(fs, &dir)?);
        Ok(Self {
            fs: fs.clone(),
            out: out.to_owned(),
            meta: BlockMeta {
                ulid,
                time_min: time.0,
                time_end: time.1,
                samples: 0,
                series: 0,
                chunks: 0,
                parents: Vec::new(),
                is_out_of_order: false,
            },
            is_finished: false,
            parts: Some(parts),
            metas: Vec::new(),
            scratch: Vec::new(),
        })
    }

    /// Makes it write several files of chunks where one would do.
    #[cfg(test)]
    pub(super) fn with_chunk_file_bytes_max(mut self, bytes: u64) -> Self {
        self.parts = self
            .parts
            .take()
            .map(|(spill, chunks)| (spill, chunks.with_file_bytes_max(bytes)));
        self
    }

    /// Adds a series, behind those before it in the order of labels, with chunks in order of time.
    pub(crate) fn add<'c>(
        &mut self,
        labels: LabelsRef<'_>,
        chunks: impl IntoIterator<Item = ChunkBytes<'c>>,
    ) -> Result<(), BlockError> {
        let (spill, writer) = self.parts.as_mut().expect("BUG: a finished block grows");
        self.metas.clear();
        for chunk in chunks {
            self.meta.samples += chunk
                .bytes
                .first_chunk()
                .map_or(0, |count| u64::from(u16::from_be_bytes(*count)));
            self.metas.push(ChunkMeta {
                time_min: chunk.time_min,
                time_max: chunk.time_max,
                reference: writer.write(chunk.encoding, chunk.bytes)?,
            });
        }
        self.meta.chunks += self.metas.len() as u64;
        self.scratch.clear();
        encode_chunks(&self.metas, &mut self.scratch);
        spill.add(labels, &self.scratch)
    }

    /// Samples so far.
    pub(crate) fn samples(&self) -> u64 {
        self.meta.samples
    }

    /// Writes the index and makes everything durable, in the folder that is returned.
    pub(crate) fn complete(&mut self) -> Result<PathBuf, BlockError> {
        let dir = unfinished(&self.out, self.meta.ulid);
        let (spill, chunks) = self.parts.take().expect("BUG: a block is completed once");
        chunks.finish()?;
        self.meta.series = spill.series();
        let mut spilled = spill.finish(&*self.fs)?;
        index_write::write(&self.fs, &dir, &mut spilled)?;
        spilled.remove(&*self.fs)?;
        Tombstones::write_none(&self.fs, &dir)?;
        self.meta.write(&self.fs, &dir)?;
        self.fs.sync_dir(&dir)?;
        Ok(dir)
    }

    /// Gives a block that is complete its name.
    pub(crate) fn finish(mut self) -> Result<BlockMeta, BlockError> {
        let dir = unfinished(&self.out, self.meta.ulid);
        assert!(
            self.parts.is_none(),
            "BUG: a block is completed before it is finished"
        );
        self.fs.rename(&dir, &self.out.join(self.meta.ulid.to_string()))?;
        self.is_finished = true;
        self.fs.sync_dir(&self.out)?;
        Ok(self.meta.clone())
    }
}

impl Drop for BlockWriter {
    fn drop(&mut self) {
        if !self.is_finished {
            // Files are closed before their folder goes.
            self.parts = None;
            // What cannot be removed now is removed by the next run.
            drop(remove_tree(&*self.fs, &unfinished(&self.out, self.meta.ulid)));
        }
    }
}

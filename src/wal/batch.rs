//! The payload of a batch record: what one commit added, in the order in which replay must apply it.
//!
//! A payload is a run of parts, each a tag byte and a body:
//!
//! | tag | part | body |
//! |---|---|---|
//! | 1 | label pairs | count, then per pair: id, name, value |
//! | 2 | series | count, then per series: id, 128-bit label hash, number of pairs, pair ids |
//! | 3 | float samples | flags (bit 0: value chains restart), count, first timestamp, sample stream |
//! | 4 | histograms | count, then per sample: id, flags, timestamp, start timestamp, histogram |
//! | 5 | exemplars | count, then per exemplar: id, timestamp, value, label set |
//! | 6 | metadata | count, then per entry: metric, time, type, help, unit |
//! | 7 | start of a slab of a checkpoint | slab number, LSN up to which it is complete |
//! | 8 | series state of a checkpoint | id, state (see `head/state`) |
//! | 9 | corrections | count, then per correction, in order of arrival: as in `deletion` |
//! | 10 | deletion | as in `deletion`; its LSN is that of the record |
//! | 11 | undelete | LSN of the deletion that is withdrawn |
//!
//! Integers are LEB128 (timestamps zig-zag), text and bytes stand behind their length. Ids are valid within one file:
//! every file defines each pair and series before it uses it.
//!
//! **Sample stream.** A float is written as the exclusive or with the float before of the same series (its *chain*).
//! Each sample starts with a control byte:
//!
//! | control | meaning |
//! |---|---|
//! | `00nnnnnn` | n + 1 samples: each of the next series, at the same timestamp, with an unchanged value |
//! | `10lllttt` | the next series, same timestamp; the exclusive or has l leading and t trailing zero bytes, the 8 - l - t between follow |
//! | `110skvti` | anything: i = id follows as the distance to the next series; t = distance to the timestamp before follows; kv = form of the value (0 unchanged, 1 exclusive or with the chain, 2 restart of the chain, 3 outside the chain); s = distance from start timestamp to timestamp follows |
//!
//! Forms 1 to 3 carry a byte `00lllttt` and the bytes between; forms 2 and 3 are relative to zero. `01......` and `111.....` are reserved.

use super::{deletion, histogram};
use crate::base::varint;
use crate::model::deletion::Deletion;
use crate::model::exemplar::Exemplar;
use crate::model::histogram::Histogram;
use crate::model::metadata::Metadata;
use crate::model::sample::{Class, Sample};

pub(super) const PART_PAIRS: u8 = 1;
pub(super) const PART_SERIES: u8 = 2;
pub(super) const PART_SAMPLES: u8 = 3;
pub(super) const PART_HISTOGRAMS: u8 = 4;
pub(super) const PART_EXEMPLARS: u8 = 5;
pub(super) const PART_METADATA: u8 = 6;
pub(super) const PART_SLAB: u8 = 7;
pub(super) const PART_STATE: u8 = 8;
pub(super) const PART_CORRECTIONS: u8 = 9;
pub(super) const PART_DELETION: u8 = 10;
pub(super) const PART_UNDELETE: u8 = 11;

pub(super) const FLAG_CHAINS_RESTART: u8 = 1;

pub(super) const RUN_MAX: u8 = 64;
pub(super) const CONTROL_NEXT: u8 = 0x80;
pub(super) const CONTROL_FULL: u8 = 0xc0;
pub(super) const FULL_ID: u8 = 1;
pub(super) const FULL_TIME: u8 = 2;
pub(super) const FULL_FORM_SHIFT: u8 = 2;
pub(super) const FULL_START: u8 = 16;
pub(super) const FULL_RESERVED: u8 = 32;

pub(super) const FORM_SAME: u8 = 0;
pub(super) const FORM_CHAIN: u8 = 1;
pub(super) const FORM_RESTART: u8 = 2;
pub(super) const FORM_OUTSIDE: u8 = 3;

pub(super) const HISTOGRAM_START: u8 = 1;

/// What the value of a float sample is written against.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Chain {
    /// The value before of the series, known since the last restart.
    Follows(u64),
    /// First value of the series since the restart; later values follow it.
    Starts,
    /// A late sample: stands for itself and leaves the chain alone.
    Outside,
}

/// A float sample as it is logged.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LoggedFloat {
    pub(crate) id: u32,
    pub(crate) timestamp: i64,
    pub(crate) bits: u64,
    /// 0 = not known.
    pub(crate) start_timestamp: i64,
}

/// Collects the parts of one batch. Reused from batch to batch.
#[derive(Debug, Default)]
pub(crate) struct BatchEncoder {
    pairs: Part,
    series: Part,
    samples: Part,
    histograms: Part,
    exemplars: Part,
    metadata: Part,
    corrections: Part,
    /// Parts that stand for themselves: slabs and states of a checkpoint, deletions.
    state: Vec<u8>,
    restart_chains: bool,
    first_timestamp: i64,
    next_id: u32,
    last_timestamp: i64,
    /// Unchanged samples not written yet.
    run: u8,
}

#[derive(Debug, Default)]
struct Part {
    count: u64,
    bytes: Vec<u8>,
}

impl Part {
    fn entry(&mut self) -> &mut Vec<u8> {
        self.count += 1;
        &mut self.bytes
    }

    fn write(&mut self, tag: u8, out: &mut Vec<u8>, head: impl FnOnce(&mut Vec<u8>)) {
        if self.count == 0 {
            return;
        }
        out.push(tag);
        head(out);
        out.extend_from_slice(&self.bytes);
        self.bytes.clear();
        self.count = 0;
    }
}

impl BatchEncoder {
    pub(crate) fn define_pair(&mut self, id: u32, name: &str, value: &str) {
        let out = self.pairs.entry();
        varint::write_u64(out, u64::from(id));
        varint::write_bytes(out, name.as_bytes());
        varint::write_bytes(out, value.as_bytes());
    }

    pub(crate) fn define_series(&mut self, id: u32, hash: u128, pairs: impl ExactSizeIterator<Item = u32>) {
        let out = self.series.entry();
        varint::write_u64(out, u64::from(id));
        out.extend_from_slice(&hash.to_le_bytes());
        varint::write_u64(out, pairs.len() as u64);
        for pair in pairs {
            varint::write_u64(out, u64::from(pair));
        }
    }

    /// From here on, replay forgets every chain: the samples of this record and later ones start anew.
    pub(crate) fn restart_chains(&mut self) {
        self.restart_chains = true;
    }

    #[inline]
    pub(crate) fn sample(&mut self, sample: LoggedFloat, chain: Chain) {
        if self.samples.count == 0 {
            self.first_timestamp = sample.timestamp;
            self.last_timestamp = sample.timestamp;
            self.next_id = 0;
        }
        self.samples.count += 1;
        if let Chain::Follows(before) = chain
            && sample.id == self.next_id
            && sample.timestamp == self.last_timestamp
            && sample.start_timestamp == 0
        {
            self.next_id = sample.id.wrapping_add(1);
            let difference = before ^ sample.bits;
            if difference == 0 {
                self.run += 1;
                if self.run == RUN_MAX {
                    self.end_run();
                }
                return;
            }
            self.end_run();
            write_bytes_between_zeros(&mut self.samples.bytes, difference, CONTROL_NEXT);
            return;
        }
        self.full_sample(sample, chain);
    }

    #[inline]
    fn end_run(&mut self) {
        if self.run > 0 {
            self.samples.bytes.push(self.run - 1);
            self.run = 0;
        }
    }

    fn full_sample(&mut self, sample: LoggedFloat, chain: Chain) {
        self.end_run();
        let (form, difference) = match chain {
            Chain::Follows(before) if before == sample.bits => (FORM_SAME, 0),
            Chain::Follows(before) => (FORM_CHAIN, before ^ sample.bits),
            Chain::Starts => (FORM_RESTART, sample.bits),
            Chain::Outside => (FORM_OUTSIDE, sample.bits),
        };
        let out = &mut self.samples.bytes;
        let id_follows = sample.id != self.next_id;
        let time_follows = sample.timestamp != self.last_timestamp;
        let start_follows = sample.start_timestamp != 0;
        out.push(
            CONTROL_FULL
                | (u8::from(id_follows) * FULL_ID)
                | (u8::from(time_follows) * FULL_TIME)
                | (form << FULL_FORM_SHIFT)
                | (u8::from(start_follows) * FULL_START),
        );
        if id_follows {
            varint::write_i64(out, i64::from(sample.id.wrapping_sub(self.next_id) as i32));
        }
        if time_follows {
            varint::write_i64(out, sample.timestamp.wrapping_sub(self.last_timestamp));
        }
        if form != FORM_SAME {
            write_bytes_between_zeros(out, difference, 0);
        }
        if start_follows {
            varint::write_i64(out, sample.timestamp.wrapping_sub(sample.start_timestamp));
        }
        self.next_id = sample.id.wrapping_add(1);
        self.last_timestamp = sample.timestamp;
    }

    pub(crate) fn histogram(&mut self, id: u32, timestamp: i64, start_timestamp: i64, value: &Histogram) {
        let out = self.histograms.entry();
        varint::write_u64(out, u64::from(id));
        out.push(if start_timestamp != 0 { HISTOGRAM_START } else { 0 });
        varint::write_i64(out, timestamp);
        if start_timestamp != 0 {
            varint::write_i64(out, timestamp.wrapping_sub(start_timestamp));
        }
        histogram::write(out, value);
    }

    pub(crate) fn exemplar(&mut self, id: u32, exemplar: &Exemplar) {
        let out = self.exemplars.entry();
        varint::write_u64(out, u64::from(id));
        write_exemplar(out, exemplar);
    }

    pub(crate) fn metadata(&mut self, metric: &str, time: i64, metadata: &Metadata) {
        let out = self.metadata.entry();
        varint::write_bytes(out, metric.as_bytes());
        write_metadata(out, time, metadata);
    }

    /// A sample that is not ordinary.
    pub(crate) fn correction(&mut self, id: u32, class: Class, sample: &Sample) {
        deletion::write_correction(self.corrections.entry(), id, class, sample);
    }

    pub(crate) fn deletion(&mut self, deleted: &Deletion) {
        self.state.push(PART_DELETION);
        deletion::write(&mut self.state, deleted);
    }

    /// Withdraws the deletion with that LSN.
    pub(crate) fn undelete(&mut self, lsn: u64) {
        self.state.push(PART_UNDELETE);
        varint::write_u64(&mut self.state, lsn);
    }

    /// A slab of a checkpoint begins: what follows in this record is complete up to `lsn`.
    pub(crate) fn slab(&mut self, slab: u32, lsn: u64) {
        self.state.push(PART_SLAB);
        varint::write_u64(&mut self.state, u64::from(slab));
        varint::write_u64(&mut self.state, lsn);
    }

    /// The state of a series in a checkpoint.
    pub(crate) fn state(&mut self, id: u32, state: &[u8]) {
        self.state.push(PART_STATE);
        varint::write_u64(&mut self.state, u64::from(id));
        varint::write_bytes(&mut self.state, state);
    }

    /// Bytes of definitions in the payload so far.
    pub(crate) fn definition_bytes(&self) -> usize {
        self.pairs.bytes.len() + self.series.bytes.len()
    }

    /// Bytes of the payload so far, but for some of its heads.
    pub(crate) fn bytes(&self) -> usize {
        let parts = [
            &self.pairs,
            &self.series,
            &self.samples,
            &self.histograms,
            &self.exemplars,
            &self.metadata,
            &self.corrections,
        ];
        self.state.len() + parts.iter().map(|part| part.bytes.len()).sum::<usize>()
    }

    /// Writes the payload to `out` and forgets it, ready for the next batch.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        self.end_run();
        let plain = |count: u64| move |out: &mut Vec<u8>| varint::write_u64(out, count);
        self.pairs.write(PART_PAIRS, out, plain(self.pairs.count));
        self.series.write(PART_SERIES, out, plain(self.series.count));
        let (flags, count) = (
            u8::from(self.restart_chains) * FLAG_CHAINS_RESTART,
            self.samples.count,
        );
        let first_timestamp = self.first_timestamp;
        if self.restart_chains && count == 0 {
            self.samples.count = 1; // A part without samples still carries the restart.
        }
        self.samples.write(PART_SAMPLES, out, |out| {
            out.push(flags);
            varint::write_u64(out, count);
            varint::write_i64(out, first_timestamp);
        });
        self.restart_chains = false;
        self.first_timestamp = 0;
        self.histograms
            .write(PART_HISTOGRAMS, out, plain(self.histograms.count));
        self.exemplars
            .write(PART_EXEMPLARS, out, plain(self.exemplars.count));
        self.metadata
            .write(PART_METADATA, out, plain(self.metadata.count));
        self.corrections
            .write(PART_CORRECTIONS, out, plain(self.corrections.count));
        out.append(&mut self.state);
    }
}

/// Timestamp, value and labels of an exemplar; segments use the same bytes.
pub(crate) fn write_exemplar(out: &mut Vec<u8>, exemplar: &Exemplar) {
    varint::write_i64(out, exemplar.timestamp);
    out.extend_from_slice(&exemplar.value.to_bits().to_le_bytes());
    varint::write_bytes(out, exemplar.labels.as_bytes());
}

/// Time of arrival, type, help and unit; segments use the same bytes.
pub(crate) fn write_metadata(out: &mut Vec<u8>, time: i64, metadata: &Metadata) {
    varint::write_i64(out, time);
    out.push(metadata.metric_type as u8);
    varint::write_bytes(out, metadata.help.as_bytes());
    varint::write_bytes(out, metadata.unit.as_bytes());
}

/// `control | lll << 3 | ttt` and the bytes of `value` between its leading and trailing zero bytes.
#[inline]
fn write_bytes_between_zeros(out: &mut Vec<u8>, value: u64, control: u8) {
    let leading = (value.leading_zeros() / 8).min(7);
    let trailing = if value == 0 { 0 } else { value.trailing_zeros() / 8 };
    out.push(control | ((leading << 3) as u8) | trailing as u8);
    let shifted = (value >> (8 * trailing)).to_le_bytes();
    out.extend_from_slice(&shifted[..(8 - leading - trailing) as usize]);
}

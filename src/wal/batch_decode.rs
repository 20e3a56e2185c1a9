//! Reads a batch payload (layout in `batch`) and hands its parts to a visitor, in the order of the payload.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::batch::{
    CONTROL_FULL, CONTROL_NEXT, FLAG_CHAINS_RESTART, FORM_CHAIN, FORM_OUTSIDE, FORM_RESTART, FORM_SAME,
    FULL_FORM_SHIFT, FULL_ID, FULL_RESERVED, FULL_START, FULL_TIME, HISTOGRAM_START, LoggedFloat,
    PART_CORRECTIONS, PART_DELETION, PART_EXEMPLARS, PART_HISTOGRAMS, PART_METADATA, PART_PAIRS,
    PART_SAMPLES, PART_SERIES, PART_SLAB, PART_STATE, PART_UNDELETE,
};
use super::deletion::{self, LoggedCorrection};
use super::histogram;
use crate::base::bytes::{Corrupt, Cursor};
use crate::model::deletion::Deletion;
use crate::model::exemplar::Exemplar;
use crate::model::histogram::Histogram;
use crate::model::labels::{Labels, LabelsRef};
use crate::model::metadata::{Metadata, MetricType};

/// Receives the parts of a payload. Ids are the ids of the file.
pub(crate) trait BatchVisitor {
    fn pair(&mut self, id: u32, name: &str, value: &str) -> Result<(), Corrupt>;
    fn series(&mut self, id: u32, hash: u128, pairs: &[u32]) -> Result<(), Corrupt>;
    /// `late` samples stand outside the order of their series.
    fn float(&mut self, sample: LoggedFloat, late: bool) -> Result<(), Corrupt>;
    fn histogram(&mut self, sample: LoggedHistogram) -> Result<(), Corrupt>;
    fn exemplar(&mut self, id: u32, exemplar: Exemplar) -> Result<(), Corrupt>;
    fn metadata(&mut self, metric: &str, time: i64, metadata: Metadata) -> Result<(), Corrupt>;
    fn slab(&mut self, slab: u32, lsn: u64) -> Result<(), Corrupt>;
    fn state(&mut self, id: u32, state: &[u8]) -> Result<(), Corrupt>;
    fn correction(&mut self, correction: LoggedCorrection) -> Result<(), Corrupt>;
    fn deletion(&mut self, deletion: Deletion) -> Result<(), Corrupt>;
    /// Withdraws the deletion with that LSN.
    fn undelete(&mut self, lsn: u64) -> Result<(), Corrupt>;
    /// A float whose chain was lost with an earlier record.
    fn lost_float(&mut self, id: u32, timestamp: i64);
}

/// A histogram sample as it was logged.
#[derive(Debug)]
pub(crate) struct LoggedHistogram {
    pub(crate) id: u32,
    pub(crate) timestamp: i64,
    pub(crate) start_timestamp: i64,
    pub(crate) value: Histogram,
}

/// The value before of every series, as far as it is known since the last restart.
#[derive(Debug, Default)]
pub(crate) struct Chains {
    epoch: u32,
    /// (epoch, bits) by id.
    values: Vec<(u32, u64)>,
}

/// Highest id a file may use; bounds the memory a damaged file can ask for. Fuzzers make do with less.
const ID_MAX: u32 = if cfg!(feature = "fuzzing") {
    1 << 16
} else {
    1 << 28
};

impl Chains {
    /// Forgets every chain: at a keyframe, at the start of a file, and after a lost record.
    pub(crate) fn restart(&mut self) {
        self.epoch += 1;
    }

    fn get(&self, id: u32) -> Option<u64> {
        self.values
            .get(id as usize)
            .filter(|(epoch, _)| *epoch == self.epoch && *epoch > 0)
            .map(|value| value.1)
    }

    #[inline]
    fn set(&mut self, id: u32, bits: u64) {
        if let Some(value) = self.values.get_mut(id as usize) {
            *value = (self.epoch, bits);
            return;
        }
        self.values.resize(id as usize + 1, (0, 0));
        if let Some(value) = self.values.get_mut(id as usize) {
            *value = (self.epoch, bits);
        }
    }
}

/// Visits every part of `payload`.
pub(crate) fn decode(
    payload: &[u8],
    chains: &mut Chains,
    visitor: &mut impl BatchVisitor,
) -> Result<(), Corrupt> {
    let mut cursor = Cursor::new(payload);
    while !cursor.is_empty() {
        match cursor.u8("part tag")? {
            PART_PAIRS => each(&mut cursor, |cursor| {
                let id = read_id(cursor)?;
                visitor.pair(id, cursor.text("label name")?, cursor.text("label value")?)
            })?,
            PART_SERIES => decode_series(&mut cursor, visitor)?,
            PART_SAMPLES => decode_samples(&mut cursor, chains, visitor)?,
            PART_HISTOGRAMS => each(&mut cursor, |cursor| visitor.histogram(read_histogram(cursor)?))?,
            PART_EXEMPLARS => each(&mut cursor, |cursor| {
                let id = read_id(cursor)?;
                visitor.exemplar(id, read_exemplar(cursor)?)
            })?,
            PART_METADATA => each(&mut cursor, |cursor| {
                let metric = cursor.text("metric name")?;
                let (time, metadata) = read_metadata(cursor)?;
                visitor.metadata(metric, time, metadata)
            })?,
            PART_SLAB => {
                let slab = read_id(&mut cursor)?;
                visitor.slab(slab, cursor.uvarint("slab LSN")?)?;
            }
            PART_STATE => {
                let id = read_id(&mut cursor)?;
                visitor.state(id, cursor.length_prefixed("series state")?)?;
            }
            PART_CORRECTIONS => each(&mut cursor, |cursor| {
                let id = read_id(cursor)?;
                visitor.correction(deletion::read_correction(cursor, id)?)
            })?,
            PART_DELETION => visitor.deletion(deletion::read(&mut cursor)?)?,
            PART_UNDELETE => visitor.undelete(cursor.uvarint("LSN of a deletion")?)?,
            _ => return Err(cursor.corrupt("unknown part of a batch record")),
        }
    }
    Ok(())
}

fn each<'a>(
    cursor: &mut Cursor<'a>,
    mut item: impl FnMut(&mut Cursor<'a>) -> Result<(), Corrupt>,
) -> Result<(), Corrupt> {
    let count = cursor.length(cursor.remaining(), "part length")?;
    (0..count).try_for_each(|_| item(cursor))
}

fn read_id(cursor: &mut Cursor<'_>) -> Result<u32, Corrupt> {
    let id = cursor.uvarint("id")?;
    u32::try_from(id)
        .ok()
        .filter(|id| *id <= ID_MAX)
        .ok_or_else(|| cursor.corrupt("id out of range"))
}

fn decode_series(cursor: &mut Cursor<'_>, visitor: &mut impl BatchVisitor) -> Result<(), Corrupt> {
    let mut pairs = Vec::new();
    each(cursor, |cursor| {
        let id = read_id(cursor)?;
        let hash = cursor.u128("label hash")?;
        let count = cursor.length(cursor.remaining(), "number of pairs")?;
        pairs.clear();
        for _ in 0..count {
            pairs.push(read_id(cursor)?);
        }
        visitor.series(id, hash, &pairs)
    })
}

fn read_histogram(cursor: &mut Cursor<'_>) -> Result<LoggedHistogram, Corrupt> {
    let id = read_id(cursor)?;
    let flags = cursor.u8("histogram sample flags")?;
    let timestamp = cursor.ivarint("timestamp")?;
    let start_timestamp = if flags & HISTOGRAM_START == 0 {
        0
    } else {
        timestamp.wrapping_sub(cursor.ivarint("start timestamp")?)
    };
    let value = histogram::read(cursor)?;
    Ok(LoggedHistogram {
        id,
        timestamp,
        start_timestamp,
        value,
    })
}

pub(crate) fn read_exemplar(cursor: &mut Cursor<'_>) -> Result<Exemplar, Corrupt> {
    let timestamp = cursor.ivarint("timestamp")?;
    let value = f64::from_bits(cursor.u64("exemplar value")?);
    let labels = LabelsRef::check(cursor.length_prefixed("exemplar labels")?)?;
    Ok(Exemplar {
        labels: Labels::from_canonical(labels.as_bytes()),
        timestamp,
        value,
    })
}

pub(crate) fn read_metadata(cursor: &mut Cursor<'_>) -> Result<(i64, Metadata), Corrupt> {
    let time = cursor.ivarint("timestamp")?;
    let metric_type = MetricType::from_u8(cursor.u8("metric type")?)
        .ok_or_else(|| cursor.corrupt("unknown metric type"))?;
    let help = cursor.text("help text")?.to_owned();
    let unit = cursor.text("unit")?.to_owned();
    Ok((
        time,
        Metadata {
            metric_type,
            help,
            unit,
        },
    ))
}

fn decode_samples(
    cursor: &mut Cursor<'_>,
    chains: &mut Chains,
    visitor: &mut impl BatchVisitor,
) -> Result<(), Corrupt> {
    if cursor.u8("sample flags")? & FLAG_CHAINS_RESTART != 0 {
        chains.restart();
    }
    let mut left = cursor.uvarint("number of samples")?;
    let mut stream = SampleStream {
        next_id: 0,
        timestamp: cursor.ivarint("timestamp")?,
        chains,
        visitor,
    };
    while left > 0 {
        let control = cursor.u8("sample")?;
        let samples = if control < CONTROL_NEXT {
            u64::from(control) + 1
        } else {
            1
        };
        left = left
            .checked_sub(samples)
            .ok_or_else(|| cursor.corrupt("run beyond the part"))?;
        match control {
            0..=0x3f => (0..samples).try_for_each(|_| stream.unchanged())?,
            CONTROL_NEXT..CONTROL_FULL => {
                let difference = read_bytes_between_zeros(cursor, control & 0x3f)?;
                stream.follows(difference)?;
            }
            CONTROL_FULL.. if control & FULL_RESERVED == 0 => stream.full(control, cursor)?,
            _ => return Err(cursor.corrupt("reserved sample control")),
        }
    }
    Ok(())
}

/// Where the reading of a sample stream stands.
struct SampleStream<'a, V> {
    next_id: u32,
    timestamp: i64,
    chains: &'a mut Chains,
    visitor: &'a mut V,
}

impl<V: BatchVisitor> SampleStream<'_, V> {
    #[inline]
    fn unchanged(&mut self) -> Result<(), Corrupt> {
        self.follows(0)
    }

    #[inline]
    fn follows(&mut self, difference: u64) -> Result<(), Corrupt> {
        let id = self.next_id;
        self.emit(id, FORM_CHAIN, difference, 0)
    }

    #[inline]
    fn emit(&mut self, id: u32, form: u8, difference: u64, start_timestamp: i64) -> Result<(), Corrupt> {
        self.next_id = id.wrapping_add(1);
        let bits = match form {
            FORM_RESTART | FORM_OUTSIDE => difference,
            _ => match self.chains.get(id) {
                Some(before) => before ^ difference,
                None => {
                    self.visitor.lost_float(id, self.timestamp);
                    return Ok(());
                }
            },
        };
        if form != FORM_OUTSIDE {
            self.chains.set(id, bits);
        }
        let sample = LoggedFloat {
            id,
            timestamp: self.timestamp,
            bits,
            start_timestamp,
        };
        self.visitor.float(sample, form == FORM_OUTSIDE)
    }

    fn full(&mut self, control: u8, cursor: &mut Cursor<'_>) -> Result<(), Corrupt> {
        let mut id = self.next_id;
        if control & FULL_ID != 0 {
            let distance = i32::try_from(cursor.ivarint("id distance")?);
            id = id.wrapping_add(distance.map_err(|_| cursor.corrupt("id distance"))? as u32);
        }
        if id > ID_MAX {
            return Err(cursor.corrupt("id out of range"));
        }
        if control & FULL_TIME != 0 {
            self.timestamp = self.timestamp.wrapping_add(cursor.ivarint("timestamp distance")?);
        }
        let form = control >> FULL_FORM_SHIFT & 3;
        let difference = if form == FORM_SAME {
            0
        } else {
            let zeros = cursor.u8("zero bytes")?;
            if zeros > 0x3f {
                return Err(cursor.corrupt("zero bytes"));
            }
            read_bytes_between_zeros(cursor, zeros)?
        };
        let start_timestamp = if control & FULL_START == 0 {
            0
        } else {
            self.timestamp.wrapping_sub(cursor.ivarint("start timestamp")?)
        };
        self.emit(id, form, difference, start_timestamp)
    }
}

/// The value whose `00lllttt` byte is `zeros`; its middle bytes are next.
#[inline]
fn read_bytes_between_zeros(cursor: &mut Cursor<'_>, zeros: u8) -> Result<u64, Corrupt> {
    let (leading, trailing) = (usize::from(zeros >> 3), usize::from(zeros & 7));
    let length = 8usize
        .checked_sub(leading + trailing)
        .ok_or_else(|| cursor.corrupt("zero bytes"))?;
    // Most values stand well before the end: read eight bytes at once and mask.
    if length > 0
        && let Some(next) = cursor.rest().first_chunk::<8>()
    {
        let value = u64::from_le_bytes(*next) & (u64::MAX >> (8 * (8 - length)));
        cursor.take(length, "value bytes")?;
        return Ok(value << (8 * trailing));
    }
    let bytes = cursor.take(length, "value bytes")?;
    let value = bytes
        .iter()
        .rev()
        .fold(0u64, |value, byte| value << 8 | u64::from(*byte));
    Ok(if length == 0 { 0 } else { value << (8 * trailing) })
}

//! Samples that came after a newer one of their series, in order of time.
//!
//! Floats stand in pieces, ascending and without overlap. A piece that is written to is a ring of (timestamp, bits), so
//! that rows of samples are added at either end without moving any: backfill comes oldest first or newest first. Once a
//! full piece gets a neighbour it is sealed as an XOR chunk, to save memory; the rare sample that lies within
//! opens it again, and halves it when it is full. Histograms, and floats with a start timestamp, stand in a map beside
//! them.

use super::decode::decode_chunk;
use super::late_pieces::{Piece, Pieces};
use super::series::SealedChunk;
use crate::base::bytes::Corrupt;
use crate::chunk::Encoding;
use crate::model::sample::Value;
use crate::model::samples::Samples;
use std::collections::BTreeMap;
use std::mem::size_of;
use std::sync::Arc;

/// What an entry of the map takes, about.
const OTHER_BYTES: usize = 64;

/// A late histogram, or a late float with a start timestamp.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LateSample {
    pub(super) value: Value,
    pub(super) start_timestamp: i64,
}

/// The late samples of one series; one word while there are none. A place has one value, that which came first.
#[derive(Debug, Clone, Default)]
pub(crate) struct LateSamples(Option<Box<Late>>);

#[derive(Debug, Clone, Default)]
struct Late {
    pieces: Pieces,
    others: BTreeMap<i64, LateSample>,
}

impl LateSamples {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Reads a little of what an insertion needs; the result means nothing.
    pub(super) fn touch(&self, timestamp: i64) -> u64 {
        self.0.as_deref().map_or(0, |late| late.pieces.touch(timestamp))
    }

    /// First and last timestamp.
    pub(crate) fn bounds(&self) -> Option<(i64, i64)> {
        let late = self.0.as_deref()?;
        let floats = late.pieces.bounds();
        let others = late.others.first_key_value().zip(late.others.last_key_value());
        let others = others.map(|(first, last)| (*first.0, *last.0));
        match (floats, others) {
            (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
            (one, other) => one.or(other),
        }
    }

    /// The value at `timestamp`.
    pub(super) fn get(&self, timestamp: i64) -> Option<Value> {
        let late = self.0.as_deref()?;
        let other = || Some(late.others.get(&timestamp)?.value.clone());
        late.pieces.get(timestamp).or_else(other)
    }

    /// Whether there is a sample within `from..=to`.
    pub(crate) fn has_within(&self, from: i64, to: i64) -> bool {
        let pieces = self.0.iter().flat_map(|late| late.pieces.within(from, to));
        let mut ends = pieces.flat_map(|piece| [piece.first(), piece.last()]);
        // Where no piece begins or ends, there is one at most.
        ends.any(|end| (from..=to).contains(&end)) || !self.samples(from, to).is_empty()
    }

    /// The samples within `from..=to`.
    pub(super) fn samples(&self, from: i64, to: i64) -> Samples {
        let mut floats = Samples::default();
        let Some(late) = self.0.as_deref().filter(|_| from <= to) else {
            return floats;
        };
        let count = late.pieces.within(from, to).map(Piece::count).sum();
        floats.timestamps.reserve(count);
        floats.bits.reserve(count);
        late.pieces
            .within(from, to)
            .for_each(|piece| piece.decode(&mut floats));
        floats.trim(from, to);
        let mut others = Samples::default();
        for (timestamp, other) in late.others.range(from..=to) {
            others.push(*timestamp, other.value.clone(), other.start_timestamp);
        }
        Samples::join(vec![floats, others])
    }

    /// The newest sample.
    pub(super) fn last(&self) -> Option<(i64, Value)> {
        let (_, last) = self.bounds()?;
        Some((last, self.get(last)?))
    }

    /// First timestamp, last timestamp and number of each piece and each other sample that may be within `from..=to`.
    pub(crate) fn runs(&self, from: i64, to: i64) -> impl Iterator<Item = (i64, i64, usize)> {
        let late = self.0.as_deref().into_iter();
        late.flat_map(move |late| {
            let pieces = late.pieces.within(from, to);
            let others = late.others.range(from..=to);
            let pieces = pieces.map(|piece| (piece.first(), piece.last(), piece.count()));
            pieces.chain(others.map(|other| (*other.0, *other.0, 1)))
        })
    }

    /// A copy of what may be within `from..=to`: whole pieces.
    pub(super) fn copy(&self, from: i64, to: i64) -> Self {
        let Some(late) = self.0.as_deref() else {
            return Self::default();
        };
        let others = late.others.range(from..=to);
        Self::of(Late {
            pieces: late.pieces.within(from, to).cloned().collect(),
            others: others.map(|(time, other)| (*time, other.clone())).collect(),
        })
    }

    /// Adds a sample unless its place has one. Returns by how many bytes this grew.
    pub(super) fn insert(&mut self, timestamp: i64, value: Value, start_timestamp: i64) -> i64 {
        let grown = if self.0.is_none() {
            size_of::<Late>() as i64
        } else {
            0
        };
        let late = self.0.get_or_insert_default();
        match value {
            Value::Float(value) if start_timestamp == 0 => {
                if late.others.is_empty() || !late.others.contains_key(&timestamp) {
                    return grown + late.pieces.insert(timestamp, value.to_bits());
                }
            }
            value => {
                if late.pieces.get(timestamp).is_none() && !late.others.contains_key(&timestamp) {
                    let other = LateSample {
                        value,
                        start_timestamp,
                    };
                    late.others.insert(timestamp, other);
                    return grown + OTHER_BYTES as i64;
                }
            }
        }
        grown
    }

    /// Takes out what lies within `from..=to`.
    pub(super) fn take_within(&mut self, from: i64, to: i64) -> Self {
        let Some(mut outside) = self.0.take() else {
            return Self::default();
        };
        let inside = Late {
            pieces: outside.pieces.take_within(from, to),
            others: outside.others.extract_if(from..=to, |_, _| true).collect(),
        };
        *self = Self::of(*outside);
        Self::of(inside)
    }

    /// The floats as XOR chunks, ascending.
    pub(super) fn chunks(&self) -> impl ExactSizeIterator<Item = Arc<[u8]>> {
        static NONE: Pieces = Pieces::new();
        let pieces = self.0.as_deref().map_or(&NONE, |late| &late.pieces);
        pieces.iter().map(Piece::chunk)
    }

    /// What is not in [`LateSamples::chunks`], ascending.
    pub(super) fn others(&self) -> impl ExactSizeIterator<Item = (&i64, &LateSample)> {
        static NONE: BTreeMap<i64, LateSample> = BTreeMap::new();
        self.0.as_deref().map_or(&NONE, |late| &late.others).iter()
    }

    /// Adds one of [`LateSamples::chunks`], read back; all must be newer than those before.
    pub(super) fn push_chunk(&mut self, bytes: &[u8]) -> Result<(), Corrupt> {
        let mut floats = Samples::default();
        decode_chunk(Encoding::Xor, bytes, &mut floats)?;
        let times = &floats.timestamps;
        let Some((first, last)) = floats.bounds() else {
            return Err(Corrupt::new("empty chunk of late samples", 0));
        };
        let before = self.0.as_deref().and_then(|late| late.pieces.bounds());
        if !times.is_sorted_by(|a, b| a < b) || before.is_some_and(|before| before.1 >= first) {
            return Err(Corrupt::new("order of late samples", 0));
        }
        self.0
            .get_or_insert_default()
            .pieces
            .push(Piece::Sealed(SealedChunk {
                first_timestamp: first,
                last_timestamp: last,
                encoding: Encoding::Xor,
                count: times.len() as u16,
                bytes: bytes.into(),
            }));
        Ok(())
    }

    /// Number of samples.
    pub(super) fn count(&self) -> usize {
        let late = self.0.as_deref();
        late.map_or(0, |late| {
            late.pieces.iter().map(Piece::count).sum::<usize>() + late.others.len()
        })
    }

    /// Bytes allocated, about.
    pub(super) fn heap_bytes(&self) -> usize {
        self.0.as_deref().map_or(0, |late| {
            let pieces: usize = late.pieces.iter().map(Piece::bytes).sum();
            size_of::<Late>() + pieces + late.others.len() * OTHER_BYTES
        })
    }

    fn of(late: Late) -> Self {
        let is_empty = late.pieces.is_empty() && late.others.is_empty();
        Self((!is_empty).then(|| Box::new(late)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Twin = BTreeMap<i64, (u64, i64)>;

    fn check(late: &LateSamples, twin: &Twin, (from, to): (i64, i64)) {
        let read: Vec<_> = late.samples(from, to).iter().collect();
        let read = read.iter().map(|one| {
            (
                one.timestamp,
                one.value.as_float().unwrap_or(-1.0),
                one.start_timestamp,
            )
        });
        let expected = twin
            .range(from..=to)
            .map(|(time, one)| (*time, f64::from_bits(one.0), one.1));
        assert!(read.eq(expected));
        assert_eq!(late.has_within(from, to), twin.range(from..=to).next().is_some());
        assert_eq!(late.count(), twin.len());
        let ends = twin.first_key_value().zip(twin.last_key_value());
        assert_eq!(late.bounds(), ends.map(|ends| (*ends.0.0, *ends.1.0)));
        assert_eq!(late.is_empty(), twin.is_empty());
    }

    proptest! {
        /// Rows of samples in any place and direction, removals and restores, beside a map.
        #[test]
        fn is_a_map(
            acts in prop::collection::vec((0..12u8, -4_000..4_000i64, 1..900i64, 1..4i64), 1..24),
            range in (-4_500..4_500i64, 0..3_000i64),
        ) {
            let (mut late, mut twin) = (LateSamples::default(), Twin::new());
            let mut bytes = 0;
            for (kind, first, count, step) in acts {
                if kind == 0 {
                    let taken = late.take_within(first, first + count);
                    let inside: Twin = twin.extract_if(first..=first + count, |_, _| true).collect();
                    check(&taken, &inside, (i64::MIN, i64::MAX));
                    bytes = late.heap_bytes() as i64;
                } else if kind == 1 {
                    let mut restored = LateSamples::default();
                    for chunk in late.chunks() {
                        prop_assert!(restored.push_chunk(&chunk).is_ok());
                    }
                    for (time, other) in late.others() {
                        restored.insert(*time, other.value.clone(), other.start_timestamp);
                    }
                    late = restored;
                    bytes = late.heap_bytes() as i64;
                }
                let start = if kind == 2 { 7 } else { 0 };
                for index in 0..if kind < 2 { 0 } else { count } {
                    let time = first + if kind % 2 == 0 { index } else { -index } * step;
                    let value = (time ^ count) as f64;
                    bytes += late.insert(time, Value::Float(value), start);
                    twin.entry(time).or_insert((value.to_bits(), start));
                    prop_assert_eq!(late.get(time).map(|value| value.as_float().map(f64::to_bits)),
                        Some(Some(twin[&time].0)));
                }
                prop_assert_eq!(late.heap_bytes() as i64, bytes);
            }
            check(&late, &twin, (range.0, range.0 + range.1));
            let (from, to) = (range.0, range.0 + range.1);
            let (copied, whole) = (late.copy(from, to).samples(from, to), late.samples(from, to));
            prop_assert!(copied.iter().eq(whole.iter()));
            check(&late, &twin, (i64::MIN, i64::MAX));
        }
    }

    #[test]
    fn backfill_in_either_direction_is_sealed_as_it_goes() {
        for direction in [1, -1] {
            let mut late = LateSamples::default();
            for index in 0..10_000i64 {
                late.insert(direction * index * 15_000, Value::Float((index / 9) as f64), 0);
            }
            assert!(late.heap_bytes() < 10_000 * 4, "{} bytes", late.heap_bytes());
        }
    }
}

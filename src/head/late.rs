//! Samples that came after a newer one of their series, in order of time.
//!
//! Floats stand in pieces, ascending and without overlap. A piece that is written to is a ring of (timestamp, bits), so
//! that rows of samples are added at either end without moving any: backfill comes oldest first or newest first. Once a
//! full piece gets a neighbour it is sealed as an XOR chunk, to save memory; the rare sample that lies within
//! opens it again. Histograms, and floats with a start timestamp, stand in a map beside them.

use super::decode::{decode_chunk, find_in_chunk};
use super::series::SealedChunk;
use crate::base::bytes::Corrupt;
use crate::chunk::{Encoding, XorAppender};
use crate::model::sample::Value;
use crate::model::samples::Samples;
use std::collections::{BTreeMap, VecDeque};
use std::mem::size_of;
use std::sync::Arc;

/// Floats of a full piece.
const PIECE_SAMPLES: usize = 512;
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
    pieces: VecDeque<Piece>,
    others: BTreeMap<i64, LateSample>,
}

/// Some floats, at least one.
#[derive(Debug, Clone)]
enum Piece {
    Open(VecDeque<(i64, u64)>),
    Sealed(SealedChunk),
}

impl LateSamples {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// First and last timestamp.
    pub(crate) fn bounds(&self) -> Option<(i64, i64)> {
        let late = self.0.as_deref()?;
        let floats = late.pieces.front().zip(late.pieces.back());
        let floats = floats.map(|(first, last)| (first.first(), last.last()));
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
        let float = || {
            late.pieces
                .get(late.pieces_until(timestamp).checked_sub(1)?)?
                .get(timestamp)
        };
        let other = || Some(late.others.get(&timestamp)?.value.clone());
        float().or_else(other)
    }

    /// Whether there is a sample within `from..=to`.
    pub(crate) fn has_within(&self, from: i64, to: i64) -> bool {
        let pieces = self.0.iter().flat_map(|late| late.pieces_within(from, to));
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
        let count = late.pieces_within(from, to).map(Piece::count).sum();
        floats.timestamps.reserve(count);
        floats.bits.reserve(count);
        late.pieces_within(from, to)
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
            let pieces = late.pieces_within(from, to);
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
            pieces: late.pieces_within(from, to).cloned().collect(),
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
                    return grown + late.insert_float(timestamp, value.to_bits());
                }
            }
            value => {
                let known = late.pieces_until(timestamp).checked_sub(1);
                let known = known.and_then(|index| late.pieces.get(index)?.get(timestamp));
                if known.is_none() && !late.others.contains_key(&timestamp) {
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
        let Some(late) = self.0.take() else {
            return Self::default();
        };
        let (mut inside, mut outside) = (Late::default(), Late::default());
        for piece in late.pieces {
            if piece.last() < from || piece.first() > to {
                outside.pieces.push_back(piece);
            } else if piece.first() >= from && piece.last() <= to {
                inside.pieces.push_back(piece);
            } else {
                let (within, rest) = piece
                    .open()
                    .into_iter()
                    .partition(|float| (from..=to).contains(&float.0));
                inside.push(within);
                outside.push(rest);
            }
        }
        (inside.others, outside.others) =
            (late.others.into_iter()).partition(|other| (from..=to).contains(&other.0));
        *self = Self::of(outside);
        Self::of(inside)
    }

    /// The floats as XOR chunks, ascending.
    pub(super) fn chunks(&self) -> impl ExactSizeIterator<Item = Arc<[u8]>> {
        static NONE: VecDeque<Piece> = VecDeque::new();
        let pieces = self.0.as_deref().map_or(&NONE, |late| &late.pieces);
        pieces.iter().map(|piece| match piece {
            Piece::Open(floats) => seal(floats).bytes,
            Piece::Sealed(chunk) => chunk.bytes.clone(),
        })
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
        let before = self.0.as_deref().and_then(|late| late.pieces.back());
        if !times.is_sorted_by(|a, b| a < b) || before.is_some_and(|piece| piece.last() >= first) {
            return Err(Corrupt::new("order of late samples", 0));
        }
        self.0
            .get_or_insert_default()
            .pieces
            .push_back(Piece::Sealed(SealedChunk {
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

impl Late {
    /// How many pieces begin at `timestamp` or before.
    fn pieces_until(&self, timestamp: i64) -> usize {
        match (self.pieces.front(), self.pieces.back()) {
            (_, Some(last)) if last.first() <= timestamp => self.pieces.len(),
            (Some(first), _) if first.first() > timestamp => 0,
            _ => self.pieces.partition_point(|piece| piece.first() <= timestamp),
        }
    }

    fn pieces_within(&self, from: i64, to: i64) -> impl Iterator<Item = &Piece> + Clone {
        let start = self.pieces.partition_point(|piece| piece.last() < from);
        self.pieces.range(start..self.pieces_until(to).max(start))
    }

    fn push(&mut self, floats: VecDeque<(i64, u64)>) {
        if !floats.is_empty() {
            self.pieces.push_back(Piece::Open(floats));
        }
    }

    /// Returns by how many bytes this grew.
    fn insert_float(&mut self, timestamp: i64, bits: u64) -> i64 {
        let after = self.pieces_until(timestamp);
        let before = after.checked_sub(1);
        if let Some(index) = before
            && self.pieces[index].last() >= timestamp
        {
            return self.insert_within(index, timestamp, bits);
        }
        // Between two pieces, or beyond all: at the end of one or the front of the other, if they are open.
        for index in before.into_iter().chain(Some(after)) {
            if let Some(Piece::Open(floats)) = self.pieces.get_mut(index)
                && floats.len() < PIECE_SAMPLES
            {
                let capacity = floats.capacity();
                if index == after {
                    floats.push_front((timestamp, bits));
                } else {
                    floats.push_back((timestamp, bits));
                }
                return ((floats.capacity() - capacity) * size_of::<(i64, u64)>()) as i64;
            }
        }
        let mut grown = 0;
        for index in before.into_iter().chain(Some(after)) {
            grown += self.pieces.get_mut(index).map_or(0, Piece::seal);
        }
        let piece = Piece::Open(VecDeque::from([(timestamp, bits)]));
        grown += piece.bytes() as i64;
        self.pieces.insert(after, piece);
        grown
    }

    /// Adds to a piece between whose ends the sample lies; one that becomes too long is halved.
    fn insert_within(&mut self, index: usize, timestamp: i64, bits: u64) -> i64 {
        if self.pieces[index].get(timestamp).is_some() {
            return 0;
        }
        let empty = Piece::Open(VecDeque::new());
        let piece = std::mem::replace(&mut self.pieces[index], empty);
        let before = piece.bytes();
        let mut floats = piece.open();
        let place = floats.partition_point(|float| float.0 < timestamp);
        floats.insert(place, (timestamp, bits));
        let mut after = 0;
        if floats.len() > PIECE_SAMPLES {
            let half = Piece::Open(floats.split_off(floats.len() / 2));
            after += half.bytes();
            self.pieces.insert(index + 1, half);
        }
        self.pieces[index] = Piece::Open(floats);
        after += self.pieces[index].bytes();
        after as i64 - before as i64
    }
}

fn seal(floats: &VecDeque<(i64, u64)>) -> SealedChunk {
    let mut chunk = XorAppender::default();
    floats
        .iter()
        .for_each(|(timestamp, bits)| chunk.append(*timestamp, *bits));
    super::taken::sealed_floats(floats.front().map_or(0, |first| first.0), &chunk)
}

impl Piece {
    fn first(&self) -> i64 {
        match self {
            Self::Open(floats) => floats.front().map_or(i64::MAX, |float| float.0),
            Self::Sealed(chunk) => chunk.first_timestamp,
        }
    }

    fn last(&self) -> i64 {
        match self {
            Self::Open(floats) => floats.back().map_or(i64::MIN, |float| float.0),
            Self::Sealed(chunk) => chunk.last_timestamp,
        }
    }

    fn count(&self) -> usize {
        match self {
            Self::Open(floats) => floats.len(),
            Self::Sealed(chunk) => usize::from(chunk.count),
        }
    }

    fn bytes(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Open(floats) => floats.capacity() * size_of::<(i64, u64)>(),
                Self::Sealed(chunk) => chunk.bytes.len() + 16,
            }
    }

    fn get(&self, timestamp: i64) -> Option<Value> {
        match self {
            Self::Open(floats) => {
                let found = floats.binary_search_by_key(&timestamp, |float| float.0).ok()?;
                Some(Value::Float(f64::from_bits(floats.get(found)?.1)))
            }
            Self::Sealed(chunk) if timestamp > chunk.last_timestamp => None,
            Self::Sealed(chunk) => find_in_chunk(chunk.encoding, &chunk.bytes, timestamp),
        }
    }

    /// Appends the floats.
    fn decode(&self, out: &mut Samples) {
        match self {
            Self::Open(floats) => {
                out.timestamps.extend(floats.iter().map(|float| float.0));
                out.bits.extend(floats.iter().map(|float| float.1));
            }
            Self::Sealed(chunk) => {
                let decoded = decode_chunk(chunk.encoding, &chunk.bytes, out);
                debug_assert!(decoded.is_ok(), "BUG: a piece that does not decode");
            }
        }
    }

    /// A form that can be written to.
    fn open(self) -> VecDeque<(i64, u64)> {
        match self {
            Self::Open(floats) => floats,
            Self::Sealed(_) => {
                let mut samples = Samples::default();
                self.decode(&mut samples);
                samples.timestamps.into_iter().zip(samples.bits).collect()
            }
        }
    }

    /// Seals a full piece. Returns by how many bytes it grew.
    fn seal(&mut self) -> i64 {
        let before = self.bytes() as i64;
        if let Self::Open(floats) = self
            && floats.len() >= PIECE_SAMPLES
        {
            *self = Self::Sealed(seal(floats));
        }
        self.bytes() as i64 - before
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

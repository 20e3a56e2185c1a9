//! The pieces that late floats stand in: ascending, without overlap, found by their first timestamps.
//!
//! Samples in no order at all cost what they make the processor wait for. The first timestamps stand side by side, so
//! that the search for a piece stays in few cache lines, and the place in a piece is guessed from its ends before it is
//! looked for.

use super::decode::{decode_chunk, find_in_chunk};
use super::series::SealedChunk;
use super::taken::sealed_floats;
use crate::chunk::XorAppender;
use crate::model::sample::Value;
use crate::model::samples::Samples;
use std::cmp::Ordering;
use std::collections::VecDeque;
use std::mem::size_of;
use std::ops::Range;
use std::sync::Arc;

/// Floats of a full piece that was filled at its ends.
const PIECE_SAMPLES: usize = 256;
/// Floats of a full piece that is filled in no order: each moves those on one side of it.
const MIXED_SAMPLES: usize = 128;
/// How far beside a wrong guess is looked next.
const GUESS_STRIDE: usize = 4;

pub(super) type Floats = VecDeque<(i64, u64)>;

/// Some floats, at least one.
#[derive(Debug, Clone)]
pub(super) enum Piece {
    Open(Floats),
    Sealed(SealedChunk),
}

#[derive(Debug, Clone, Default)]
pub(super) struct Pieces {
    /// The first timestamp of each.
    firsts: VecDeque<i64>,
    all: VecDeque<Piece>,
}

impl Pieces {
    pub(super) const fn new() -> Self {
        Self {
            firsts: VecDeque::new(),
            all: VecDeque::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &Piece> {
        self.all.iter()
    }

    /// First and last timestamp.
    pub(super) fn bounds(&self) -> Option<(i64, i64)> {
        Some((*self.firsts.front()?, self.all.back()?.last()))
    }

    /// How many pieces begin at `timestamp` or before.
    fn until(&self, timestamp: i64) -> usize {
        match (self.firsts.front(), self.firsts.back()) {
            (_, Some(last)) if *last <= timestamp => self.firsts.len(),
            (Some(first), _) if *first > timestamp => 0,
            _ => self.firsts.partition_point(|first| *first <= timestamp),
        }
    }

    /// Reads a little of what [`Pieces::insert`] needs; the result means nothing.
    pub(super) fn touch(&self, timestamp: i64) -> u64 {
        let Some(index) = self.until(timestamp).checked_sub(1) else {
            return 0;
        };
        let Some(Piece::Open(floats)) = self.all.get(index) else {
            return 0;
        };
        let guess = self.guess(index, floats, timestamp);
        let places = [guess.saturating_sub(GUESS_STRIDE), guess, guess + GUESS_STRIDE];
        let floats = places.iter().filter_map(|place| floats.get(*place));
        floats.fold(0, |sum, float| sum ^ float.1)
    }

    /// The float at `timestamp`.
    pub(super) fn get(&self, timestamp: i64) -> Option<Value> {
        let index = self.until(timestamp).checked_sub(1)?;
        match self.all.get(index)? {
            Piece::Open(floats) => {
                let found = find(floats, timestamp, self.guess(index, floats, timestamp)).ok()?;
                Some(Value::Float(f64::from_bits(floats.get(found)?.1)))
            }
            Piece::Sealed(chunk) if timestamp > chunk.last_timestamp => None,
            Piece::Sealed(chunk) => find_in_chunk(chunk.encoding, &chunk.bytes, timestamp),
        }
    }

    /// The place of `timestamp` in a piece if its floats lie evenly up to the next one, as those of one series mostly
    /// do. The piece itself is not read.
    fn guess(&self, index: usize, floats: &Floats, timestamp: i64) -> usize {
        let first = self.firsts[index];
        let end = match self.firsts.get(index + 1) {
            Some(next) => *next,
            None => floats.back().map_or(first, |last| last.0),
        };
        let distance = |to: i64| to.saturating_sub(first) as f64;
        (distance(timestamp) / distance(end).max(1.0) * floats.len() as f64) as usize
    }

    /// The pieces that may have something within `from..=to`.
    pub(super) fn within(&self, from: i64, to: i64) -> impl Iterator<Item = &Piece> + Clone {
        self.all.range(self.range_within(from, to))
    }

    fn range_within(&self, from: i64, to: i64) -> Range<usize> {
        let before = self.until(from).saturating_sub(1);
        let ends_before = self.all.get(before).is_some_and(|piece| piece.last() < from);
        let start = before + usize::from(ends_before);
        start..self.until(to).max(start)
    }

    /// Adds a piece that is newer than those before.
    pub(super) fn push(&mut self, piece: Piece) {
        self.insert_piece(self.all.len(), piece);
    }

    fn insert_piece(&mut self, index: usize, piece: Piece) {
        self.firsts.insert(index, piece.first());
        self.all.insert(index, piece);
    }

    /// Takes out what lies within `from..=to`.
    pub(super) fn take_within(&mut self, from: i64, to: i64) -> Self {
        let (mut inside, mut outside) = (Self::default(), Self::default());
        for piece in std::mem::take(&mut self.all) {
            if piece.last() < from || piece.first() > to {
                outside.push(piece);
            } else if piece.first() >= from && piece.last() <= to {
                inside.push(piece);
            } else {
                let floats = piece.into_floats().into_iter();
                let (within, rest): (Floats, Floats) =
                    floats.partition(|float| (from..=to).contains(&float.0));
                let pieces = [(&mut inside, within), (&mut outside, rest)].into_iter();
                pieces
                    .filter(|piece| !piece.1.is_empty())
                    .for_each(|(pieces, floats)| pieces.push(Piece::Open(floats)));
            }
        }
        *self = outside;
        inside
    }

    /// Adds a float unless its place has one. Returns by how many bytes this grew.
    pub(super) fn insert(&mut self, timestamp: i64, bits: u64) -> i64 {
        let after = self.until(timestamp);
        let before = after.checked_sub(1);
        let mut grown = 0;
        if let Some(index) = before {
            if let Piece::Sealed(chunk) = &self.all[index]
                && chunk.last_timestamp >= timestamp
            {
                if self.get(timestamp).is_some() {
                    return 0;
                }
                grown += self.all[index].open();
            }
            if let Piece::Open(floats) = &self.all[index] {
                match find(floats, timestamp, self.guess(index, floats, timestamp)) {
                    Ok(_) => return grown,
                    Err(place) if place < floats.len() => {
                        return grown + self.insert_within(index, place, (timestamp, bits));
                    }
                    Err(_) => {}
                }
            }
        }
        self.insert_between(after, (timestamp, bits))
    }

    /// Adds between two pieces, or beyond all: at the end of one or the front of the other, if they are open.
    fn insert_between(&mut self, after: usize, float: (i64, u64)) -> i64 {
        let neighbours = || after.checked_sub(1).into_iter().chain(Some(after));
        for index in neighbours() {
            if let Some(Piece::Open(floats)) = self.all.get_mut(index)
                && floats.len() < PIECE_SAMPLES
            {
                let capacity = floats.capacity();
                if index == after {
                    floats.push_front(float);
                    self.firsts[index] = float.0;
                } else {
                    floats.push_back(float);
                }
                return ((floats.capacity() - capacity) * size_of::<(i64, u64)>()) as i64;
            }
        }
        let mut grown = 0;
        for index in neighbours() {
            grown += self.all.get_mut(index).map_or(0, Piece::seal);
        }
        let piece = Piece::Open(VecDeque::from([float]));
        grown += piece.bytes() as i64;
        self.insert_piece(after, piece);
        grown
    }

    /// Adds between the ends of an open piece; a full one is halved before.
    fn insert_within(&mut self, index: usize, place: usize, float: (i64, u64)) -> i64 {
        let before = self.all[index].bytes() as i64;
        let Piece::Open(floats) = &mut self.all[index] else {
            return 0;
        };
        let mut half = None;
        if floats.len() < MIXED_SAMPLES {
            floats.insert(place, float);
        } else {
            let mut later = floats.split_off(floats.len() / 2);
            // A full piece may have grown to more room than it ever needs again.
            floats.shrink_to(MIXED_SAMPLES);
            later.reserve_exact(MIXED_SAMPLES.saturating_sub(later.len()).max(1));
            match place.checked_sub(floats.len()) {
                Some(place) if place > 0 => later.insert(place, float),
                _ => floats.insert(place, float),
            }
            half = Some(Piece::Open(later));
        }
        let mut grown = self.all[index].bytes() as i64 - before;
        if let Some(half) = half {
            grown += half.bytes() as i64;
            self.insert_piece(index + 1, half);
        }
        grown
    }
}

impl FromIterator<Piece> for Pieces {
    fn from_iter<I: IntoIterator<Item = Piece>>(pieces: I) -> Self {
        let all: VecDeque<Piece> = pieces.into_iter().collect();
        Self {
            firsts: all.iter().map(Piece::first).collect(),
            all,
        }
    }
}

fn seal(floats: &Floats) -> SealedChunk {
    let mut chunk = XorAppender::default();
    floats
        .iter()
        .for_each(|(timestamp, bits)| chunk.append(*timestamp, *bits));
    sealed_floats(floats.front().map_or(0, |first| first.0), &chunk)
}

/// The place of `timestamp`, or the one it would have, which is near `guess`.
fn find(floats: &Floats, timestamp: i64, guess: usize) -> Result<usize, usize> {
    let mut probe = guess;
    let (mut low, mut high, mut stride) = (0, floats.len(), GUESS_STRIDE);
    while low < high {
        probe = probe.clamp(low, high - 1);
        match floats[probe].0.cmp(&timestamp) {
            Ordering::Equal => return Ok(probe),
            Ordering::Less => {
                low = probe + 1;
                probe += stride;
            }
            Ordering::Greater => {
                high = probe;
                probe = probe.saturating_sub(stride);
            }
        }
        stride *= 2;
        if low > 0 && high < floats.len() {
            probe = low.midpoint(high);
        }
    }
    Err(low)
}

impl Piece {
    pub(super) fn first(&self) -> i64 {
        match self {
            Self::Open(floats) => floats.front().map_or(i64::MAX, |float| float.0),
            Self::Sealed(chunk) => chunk.first_timestamp,
        }
    }

    pub(super) fn last(&self) -> i64 {
        match self {
            Self::Open(floats) => floats.back().map_or(i64::MIN, |float| float.0),
            Self::Sealed(chunk) => chunk.last_timestamp,
        }
    }

    pub(super) fn count(&self) -> usize {
        match self {
            Self::Open(floats) => floats.len(),
            Self::Sealed(chunk) => usize::from(chunk.count),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        size_of::<(i64, Self)>()
            + match self {
                Self::Open(floats) => floats.capacity() * size_of::<(i64, u64)>(),
                Self::Sealed(chunk) => chunk.bytes.len() + 16,
            }
    }

    /// Appends the floats.
    pub(super) fn decode(&self, out: &mut Samples) {
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

    /// As an XOR chunk.
    pub(super) fn chunk(&self) -> Arc<[u8]> {
        match self {
            Self::Open(floats) => seal(floats).bytes,
            Self::Sealed(chunk) => chunk.bytes.clone(),
        }
    }

    fn into_floats(self) -> Floats {
        match self {
            Self::Open(floats) => floats,
            Self::Sealed(_) => {
                let mut samples = Samples::default();
                self.decode(&mut samples);
                samples.timestamps.into_iter().zip(samples.bits).collect()
            }
        }
    }

    /// Makes it one that can be written to. Returns by how many bytes it grew.
    fn open(&mut self) -> i64 {
        let before = self.bytes() as i64;
        *self = Self::Open(std::mem::replace(self, Self::Open(Floats::new())).into_floats());
        self.bytes() as i64 - before
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

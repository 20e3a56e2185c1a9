//! Which buckets two histograms have, and how the counts of one are spread over the buckets of both.

use super::cell::{Cell, Kind};
use crate::model::histogram::Span;
use std::iter::Peekable;

/// Where a bucket of the union comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// Both have it.
    Both,
    /// Only the chunk has it.
    Chunk,
    /// Only the new sample has it.
    Sample,
}

/// The union of a chunk's and a sample's buckets, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Union {
    origins: Vec<Origin>,
    /// The union as spans, canonical.
    pub(super) spans: Vec<Span>,
    /// The sample has buckets that the chunk has not.
    pub(super) chunk_grows: bool,
    /// The chunk has buckets that the sample has not.
    pub(super) sample_grows: bool,
}

/// Whether a count fell from the chunk's last sample to a new one with the same buckets.
pub(super) fn any_falls(kind: Kind, chunk: &[Cell], sample: &[u64]) -> bool {
    let before = kind.absolute(chunk.iter().map(|cell| cell.word));
    let after = kind.absolute(sample.iter().copied());
    before.zip(after).any(|(before, after)| kind.falls(before, after))
}

/// Index of every bucket of the spans.
fn indexes(spans: &[Span]) -> impl Iterator<Item = i64> + '_ {
    let mut end = 0i64;
    spans.iter().flat_map(move |span| {
        let start = end + i64::from(span.offset);
        end = start + i64::from(span.length);
        start..end
    })
}

impl Union {
    pub(super) fn of(chunk: &[Span], sample: &[Span]) -> Self {
        let mut union = Self::default();
        let (mut chunk, mut sample) = (indexes(chunk).peekable(), indexes(sample).peekable());
        let mut end = 0;
        while let Some((index, origin)) = next_bucket(&mut chunk, &mut sample) {
            union.chunk_grows |= origin == Origin::Sample;
            union.sample_grows |= origin == Origin::Chunk;
            union.origins.push(origin);
            match union.spans.last_mut() {
                Some(span) if index == end => span.length += 1,
                _ => union.spans.push(Span {
                    offset: (index - end) as i32,
                    length: 1,
                }),
            }
            end = index + 1;
        }
        union
    }

    /// The chunk's buckets with empty ones where only the sample has some.
    pub(super) fn spread_chunk(&self, kind: Kind, buckets: &[u64]) -> Vec<u64> {
        self.spread(kind, buckets, Origin::Sample)
    }

    /// The sample's buckets with empty ones where only the chunk has some.
    pub(super) fn spread_sample(&self, kind: Kind, buckets: &[u64]) -> Vec<u64> {
        self.spread(kind, buckets, Origin::Chunk)
    }

    fn spread(&self, kind: Kind, buckets: &[u64], missing: Origin) -> Vec<u64> {
        let mut counts = kind.absolute(buckets.iter().copied());
        kind.relative(self.origins.iter().map(|&origin| {
            if origin == missing {
                0
            } else {
                counts.next().unwrap_or(0)
            }
        }))
    }

    /// Whether a count fell, or a bucket with a count went away, from the chunk's last sample to the new one.
    pub(super) fn is_reset(&self, kind: Kind, chunk: &[Cell], sample: &[u64]) -> bool {
        let mut before = kind.absolute(chunk.iter().map(|cell| cell.word));
        let mut after = kind.absolute(sample.iter().copied());
        self.origins.iter().any(|origin| match origin {
            Origin::Both => kind.falls(before.next().unwrap_or(0), after.next().unwrap_or(0)),
            Origin::Chunk => !kind.is_zero(before.next().unwrap_or(0)),
            Origin::Sample => {
                after.next();
                false
            }
        })
    }
}

fn next_bucket(
    chunk: &mut Peekable<impl Iterator<Item = i64>>,
    sample: &mut Peekable<impl Iterator<Item = i64>>,
) -> Option<(i64, Origin)> {
    let (index, origin) = match (chunk.peek(), sample.peek()) {
        (None, None) => return None,
        (Some(&index), None) => (index, Origin::Chunk),
        (None, Some(&index)) => (index, Origin::Sample),
        (Some(&a), Some(&b)) if a < b => (a, Origin::Chunk),
        (Some(&a), Some(&b)) if a > b => (b, Origin::Sample),
        (Some(&index), Some(_)) => (index, Origin::Both),
    };
    if origin != Origin::Sample {
        chunk.next();
    }
    if origin != Origin::Chunk {
        sample.next();
    }
    Some((index, origin))
}

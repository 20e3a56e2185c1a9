//! What a chunk holds, as numbered on the wire.

use super::cell::Kind;
use super::histogram_iter::HistogramIter;
use crate::base::bytes::Corrupt;

/// What a chunk holds; the discriminants are Prometheus' numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum Encoding {
    /// Floats.
    Xor = 1,
    /// Native histograms with integer counts.
    Histogram = 2,
    /// Native histograms with float counts.
    FloatHistogram = 3,
}

impl Encoding {
    pub(crate) fn from_u8(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Xor),
            2 => Some(Self::Histogram),
            3 => Some(Self::FloatHistogram),
            _ => None,
        }
    }

    /// The encoding of histogram chunks with such counts.
    pub(crate) fn of(kind: Kind) -> Self {
        match kind {
            Kind::Int => Self::Histogram,
            Kind::Float => Self::FloatHistogram,
        }
    }

    /// The kind of counts; floats have none.
    pub(crate) fn kind(self) -> Kind {
        match self {
            Self::FloatHistogram => Kind::Float,
            Self::Xor | Self::Histogram => Kind::Int,
        }
    }
}

/// The samples of a histogram chunk.
pub(crate) fn histogram_samples(bytes: &[u8], encoding: Encoding) -> Result<HistogramIter<'_>, Corrupt> {
    HistogramIter::new(bytes, encoding.kind())
}

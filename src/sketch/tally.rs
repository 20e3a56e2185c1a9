//! A number of distinct things: what is certain, and the registers to estimate it by when several are merged.

use super::hll::Hll;

/// How many distinct series or values there are.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Distinct {
    /// The estimate, within the bounds; exact where they are equal.
    pub estimate: u64,
    /// At least so many: those of the place that has most.
    pub at_least: u64,
    /// At most so many: those of all places, as if none were the same.
    pub at_most: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) at_least: u64,
    pub(crate) at_most: u64,
    pub(crate) hll: Hll,
}

impl Tally {
    pub(crate) fn none(bits: u32) -> Self {
        Self::exact(0, Hll::new(bits))
    }

    /// As many as were counted.
    pub(crate) fn exact(count: u64, hll: Hll) -> Self {
        Self {
            at_least: count,
            at_most: count,
            hll,
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.at_least = self.at_least.max(other.at_least);
        self.widen(other.at_most);
        self.hll.merge(&other.hll);
    }

    /// There may be so many more that the registers do not know of.
    pub(crate) fn widen(&mut self, more: u64) {
        self.at_most = self.at_most.saturating_add(more);
    }

    pub(crate) fn distinct(&self) -> Distinct {
        Distinct {
            estimate: self.hll.estimate().clamp(self.at_least, self.at_most),
            at_least: self.at_least,
            at_most: self.at_most,
        }
    }
}

//! Cutting a series into runs that are coded together.
//!
//! A run ends where the form changes, where a counter falls, where spans change that are not canonical, and where
//! the buckets of all its layouts together would be many more than a sample has.

use super::flat::Flat;
use super::shape::{Form, Layout};
use crate::model::histogram::{Histogram, ResetHint};
use std::borrow::Borrow;
use std::collections::BTreeSet;

/// Consecutive samples of one form.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) form: Form,
    pub(super) flats: Vec<Flat>,
    pub(super) sums: Vec<u64>,
    /// Samples with an explicit reset.
    pub(super) resets: Vec<usize>,
    /// At least one; the first is that of the first sample.
    pub(super) layouts: Vec<Layout>,
    /// From which sample on which layout holds, without the first.
    pub(super) changes: Vec<(usize, usize)>,
    /// Index in `layouts` of the last sample.
    current: usize,
    /// Side and index of the buckets of all layouts, once there are several.
    keys: BTreeSet<(bool, i64)>,
}

impl Run {
    /// The longest run at the start of `samples`, which are not empty.
    pub(super) fn first_of<H: Borrow<Histogram>>(samples: &[(i64, H)]) -> Self {
        let first = samples[0].1.borrow();
        let mut run = Self {
            form: Form::of(first),
            flats: Vec::new(),
            sums: Vec::new(),
            resets: Vec::new(),
            layouts: vec![Layout::of(first)],
            changes: Vec::new(),
            current: 0,
            keys: BTreeSet::new(),
        };
        for (_, histogram) in samples {
            if !run.admit(histogram.borrow()) {
                break;
            }
        }
        run
    }

    pub(super) fn len(&self) -> usize {
        self.flats.len()
    }

    /// The layout of the last sample.
    pub(super) fn last_layout(&self) -> &Layout {
        &self.layouts[self.current]
    }

    /// Takes the sample into the run, or says that it starts the next one.
    fn admit(&mut self, histogram: &Histogram) -> bool {
        let flat = Flat::of(histogram);
        if self.last_layout().is_of(histogram) {
            let fits = self.flats.last().is_none_or(|before| {
                self.form.is_of(histogram)
                    && (self.form.gauge || !falls_alike(self.form.float, before, &flat))
            });
            if !fits {
                return false;
            }
        } else if !self.admit_layout(histogram, &flat) {
            return false;
        }
        if histogram.reset_hint == ResetHint::Reset {
            self.resets.push(self.flats.len());
        }
        self.flats.push(flat);
        self.sums.push(histogram.sum.to_bits());
        true
    }

    /// Whether a sample with another layout than the one before may follow; it becomes the current layout.
    fn admit_layout(&mut self, histogram: &Histogram, flat: &Flat) -> bool {
        let Some(before) = self.flats.last() else {
            return false;
        };
        let layout = Layout::of(histogram);
        if !self.form.is_of(histogram)
            || !self.form.gauge && falls(self.form.float, before, self.last_layout(), flat, &layout)
        {
            return false;
        }
        let Some(index) = self.layout_index(layout) else {
            return false;
        };
        self.changes.push((self.flats.len(), index));
        self.current = index;
        true
    }

    /// Where the layout is among those of the run, which may get it as a new one.
    fn layout_index(&mut self, layout: Layout) -> Option<usize> {
        if let Some(known) = self.layouts.iter().position(|other| *other == layout) {
            return Some(known);
        }
        if !layout.is_canonical() || !self.layouts[0].is_canonical() {
            return None;
        }
        if self.keys.is_empty() {
            self.keys.extend(self.layouts[0].keys());
        }
        let new = layout.keys().filter(|key| !self.keys.contains(key)).count();
        if self.keys.len() + new > 2 * layout.buckets() + 64 {
            return None;
        }
        self.keys.extend(layout.keys());
        self.layouts.push(layout);
        Some(self.layouts.len() - 1)
    }
}

fn less(float: bool, before: u64, after: u64) -> bool {
    if float {
        f64::from_bits(after) < f64::from_bits(before)
    } else {
        after < before
    }
}

/// Whether a count is smaller than before, the buckets being the same.
fn falls_alike(float: bool, before: &Flat, after: &Flat) -> bool {
    let mut pairs = before.words().zip(after.words()).skip(1);
    pairs.any(|(before, after)| less(float, before, after))
}

/// Whether a count is smaller than before, or a bucket with a count is gone.
fn falls(float: bool, before: &Flat, before_layout: &Layout, after: &Flat, after_layout: &Layout) -> bool {
    if less(float, before.zero_count, after.zero_count) {
        return true;
    }
    let mut afters = after_layout.keys().zip(&after.buckets).peekable();
    before_layout.keys().zip(&before.buckets).any(|(key, &count)| {
        while afters.next_if(|(other, _)| *other < key).is_some() {}
        let after = afters.next_if(|(other, _)| *other == key);
        less(float, count, after.map_or(0, |(_, &count)| count))
    })
}

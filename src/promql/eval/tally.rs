//! How many samples the steps of a query were computed from, counted as Prometheus does: what a selector finds at a step, and
//! what lies in a window. A sample in two windows counts twice, a histogram as many as floats take its space. Below a subquery
//! nothing counts, its windows do.

use crate::promql::value::{Row, Steps, histogram_weight};
use crate::promql::window::Window;
use std::cell::{Cell, RefCell};

/// What an evaluation counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counts {
    /// The step that it is of.
    AtStep,
    /// Every step of the query, though it is made once.
    AtEach,
    /// As each step, but only what is found below a subquery.
    Below,
    /// Nothing.
    Nowhere,
}

impl Counts {
    /// Of an expression that is the same at every step.
    pub(super) fn once(self) -> Self {
        match self {
            Self::AtStep => Self::AtEach,
            known => known,
        }
    }

    /// Of what a subquery evaluates.
    pub(super) fn below(self) -> Self {
        match self {
            Self::Below => Self::AtEach,
            _ => Self::Nowhere,
        }
    }
}

/// The count of one query.
#[derive(Debug)]
pub(super) struct Tally {
    steps: usize,
    counts: Cell<Counts>,
    at_step: Cell<u64>,
    at_each: Cell<u64>,
    /// What `at_step` is made of, when somebody wants to know.
    by_step: Option<RefCell<Vec<u64>>>,
}

impl Tally {
    pub(super) fn new(steps: Steps, by_step: bool) -> Self {
        Self {
            steps: steps.count,
            counts: Cell::new(Counts::AtStep),
            at_step: Cell::new(0),
            at_each: Cell::new(0),
            by_step: by_step.then(|| RefCell::new(vec![0; steps.count])),
        }
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts.get()
    }

    /// Evaluates what counts for that.
    pub(super) fn with<T>(&self, counts: Counts, evaluate: impl FnOnce() -> T) -> T {
        let before = self.counts.replace(counts);
        let result = evaluate();
        self.counts.set(before);
        result
    }

    /// Counts samples of each step, by a function of the step.
    pub(super) fn add(&self, total: usize, of_step: impl Fn(usize) -> usize) {
        let add = |to: &Cell<u64>| to.set(to.get() + total as u64);
        match self.counts.get() {
            Counts::Nowhere | Counts::Below => {}
            Counts::AtEach => add(&self.at_each),
            Counts::AtStep => {
                add(&self.at_step);
                if let Some(by_step) = &self.by_step {
                    let mut by_step = by_step.borrow_mut();
                    let steps = by_step.iter_mut().enumerate();
                    steps.for_each(|(step, samples)| *samples += of_step(step) as u64);
                }
            }
        }
    }

    /// Counts what a selector found.
    pub(super) fn add_row(&self, row: &Row) {
        self.add(row.weight(), |step| row.weight_at(step));
    }

    /// Counts what lies in the window of a step.
    pub(super) fn add_window(&self, step: usize, window: &Window<'_>) {
        let histograms = window.histograms.values.iter();
        let weights = histograms.map(|histogram| histogram_weight(histogram));
        let samples = window.floats.values.len() + weights.sum::<usize>();
        self.add(samples, |at| if at == step { samples } else { 0 });
    }

    pub(super) fn total(&self) -> u64 {
        self.at_step.get() + self.at_each.get() * self.steps as u64
    }

    /// The count of each step, empty unless it was asked for.
    pub(super) fn by_step(self) -> Vec<u64> {
        let each = self.at_each.get();
        let mut by_step = self.by_step.map(RefCell::into_inner).unwrap_or_default();
        by_step.iter_mut().for_each(|samples| *samples += each);
        by_step
    }
}

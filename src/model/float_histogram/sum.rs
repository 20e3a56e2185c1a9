//! Sums and means of histograms, compensated for rounding in every bucket, and how two histograms of different shape are
//! brought to one: the coarser resolution, a zero bucket wide enough for both, the custom boundaries that both have.

use super::FloatHistogram;
use super::bounds::exponential_bound;
use super::buckets::Buckets;
use crate::base::kahan::Compensated;
use crate::model::histogram::{CUSTOM_BUCKETS_SCHEMA, ResetHint};
use std::sync::Arc;

/// Histograms with exponential and with custom buckets have no sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cannot apply this operation on histograms with a mix of exponential and custom bucket schemas")]
pub(crate) struct Unmixable;

/// What had to be reconciled before two histograms were added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Reconciled {
    /// One was known to come after a reset, the other to come after none.
    pub(crate) reset_hints: bool,
    /// The custom boundaries were different ones.
    pub(crate) custom_bounds: bool,
}

impl Reconciled {
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            reset_hints: self.reset_hints || other.reset_hints,
            custom_bounds: self.custom_bounds || other.custom_bounds,
        }
    }
}

/// Whether what rounding took from a number that is added is added, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rounding {
    Compensate,
    Forget,
}

/// The hint for a sum of `mine` and `other`, and whether they contradict each other.
pub(super) fn joint_hint(mine: ResetHint, other: ResetHint) -> (ResetHint, bool) {
    match (mine, other) {
        _ if mine == other => (mine, false),
        (ResetHint::Gauge, _) | (_, ResetHint::Gauge) => (ResetHint::Gauge, false),
        (ResetHint::Unknown, _) | (_, ResetHint::Unknown) => (ResetHint::Unknown, false),
        _ => (ResetHint::Unknown, true),
    }
}

/// A sum of histograms.
#[derive(Debug, Clone)]
pub(crate) struct HistogramSum {
    reset_hint: ResetHint,
    schema: i32,
    zero_threshold: f64,
    zero_count: Compensated,
    count: Compensated,
    sum: Compensated,
    positive: Buckets<Compensated>,
    negative: Buckets<Compensated>,
    custom_values: Arc<[f64]>,
    /// Something was added to the first histogram.
    is_sum: bool,
}

fn compensated(buckets: &Buckets) -> Buckets<Compensated> {
    Buckets::new(
        buckets.spans(),
        buckets.counts().iter().map(|count| Compensated::new(*count)),
    )
}

fn add_both(sum: &mut Compensated, cell: Compensated) {
    sum.add(cell.value);
    sum.add(cell.lost);
}

impl From<&FloatHistogram> for HistogramSum {
    fn from(histogram: &FloatHistogram) -> Self {
        Self {
            reset_hint: histogram.reset_hint,
            schema: histogram.schema,
            zero_threshold: histogram.zero_threshold,
            zero_count: Compensated::new(histogram.zero_count),
            count: Compensated::new(histogram.count),
            sum: Compensated::new(histogram.sum),
            positive: compensated(&histogram.positive),
            negative: compensated(&histogram.negative),
            custom_values: Arc::clone(&histogram.custom_values),
            is_sum: false,
        }
    }
}

impl HistogramSum {
    /// Adds a histogram.
    pub(crate) fn add(&mut self, other: &FloatHistogram) -> Result<Reconciled, Unmixable> {
        self.add_scaled(other, 1.0, Rounding::Compensate)
    }

    /// Adds `sign` (1 or -1) times a histogram.
    pub(super) fn add_scaled(
        &mut self,
        other: &FloatHistogram,
        sign: f64,
        rounding: Rounding,
    ) -> Result<Reconciled, Unmixable> {
        let is_custom = other.has_custom_buckets();
        if is_custom != self.has_custom_buckets() {
            return Err(Unmixable);
        }
        let (hint, reset_hints) = joint_hint(self.reset_hint, other.reset_hint);
        self.reset_hint = hint;
        self.is_sum = true;
        self.count.add(sign * other.count);
        self.sum.add(sign * other.sum);
        let custom_bounds = is_custom && self.custom_values != other.custom_values;
        if custom_bounds {
            self.add_within_shared_bounds(other, sign);
        } else {
            self.add_buckets(other, sign, rounding);
        }
        Ok(Reconciled {
            reset_hints,
            custom_bounds,
        })
    }

    fn has_custom_buckets(&self) -> bool {
        self.schema == CUSTOM_BUCKETS_SCHEMA
    }

    fn add_buckets(&mut self, other: &FloatHistogram, sign: f64, rounding: Rounding) {
        let is_custom = other.has_custom_buckets();
        if !is_custom {
            let zero = self.reconcile_zero_bucket(other);
            self.zero_count.add(sign * zero.value);
            if rounding == Rounding::Compensate {
                self.zero_count.add(sign * zero.lost);
            }
        }
        if other.schema < self.schema {
            let shift = self.schema.abs_diff(other.schema);
            self.positive = self.positive.coarser(shift, add_both);
            self.negative = self.negative.coarser(shift, add_both);
            self.schema = other.schema;
        }
        let (schema, threshold) = (self.schema, self.zero_threshold);
        let shift = other.schema.abs_diff(schema);
        for (mine, theirs) in [
            (&mut self.positive, &other.positive),
            (&mut self.negative, &other.negative),
        ] {
            let mut theirs = compensated(theirs);
            if shift > 0 {
                theirs = theirs.coarser(shift, add_both);
            }
            let outside = theirs
                .iter()
                .skip_while(|(index, _)| !is_custom && exponential_bound(*index, schema) <= threshold);
            let signed = outside.map(|(index, cell)| {
                let lost = if rounding == Rounding::Compensate {
                    sign * cell.lost
                } else {
                    0.0
                };
                (
                    index,
                    Compensated {
                        value: sign * cell.value,
                        lost,
                    },
                )
            });
            mine.merge(signed, add_both, |cell| cell);
        }
    }

    /// Widens both zero buckets until they are as wide as each other and end at no bucket's inside. Mine becomes so;
    /// what theirs would hold is the answer.
    #[expect(clippy::double_comparisons, reason = "a threshold that is NaN ends it")]
    fn reconcile_zero_bucket(&mut self, other: &FloatHistogram) -> Compensated {
        let mut theirs = Compensated::new(other.zero_count);
        let mut threshold = other.zero_threshold;
        while threshold < self.zero_threshold || threshold > self.zero_threshold {
            if threshold < self.zero_threshold {
                let sides = [&compensated(&other.positive), &compensated(&other.negative)];
                let zero = Compensated::new(other.zero_count);
                (theirs, threshold) = widened(zero, sides, other.schema, self.zero_threshold);
            }
            if threshold > self.zero_threshold {
                let sides = [&self.positive, &self.negative];
                (self.zero_count, self.zero_threshold) =
                    widened(self.zero_count, sides, self.schema, threshold);
                self.remove_buckets_within_zero();
            }
        }
        theirs
    }

    fn remove_buckets_within_zero(&mut self) {
        for side in [&mut self.positive, &mut self.negative] {
            let outside = side.iter().filter(|(index, cell)| {
                exponential_bound(index - 1, self.schema) >= self.zero_threshold && !cell.is_zero()
            });
            let outside = outside.collect();
            *side = outside;
        }
    }

    fn add_within_shared_bounds(&mut self, other: &FloatHistogram, sign: f64) {
        let shared = shared_bounds(&self.custom_values, &other.custom_values);
        let mut sums = vec![Compensated::default(); shared.len() + 1];
        for (position, cell) in within_bounds(self.positive.iter(), &self.custom_values, &shared) {
            add_both(&mut sums[position], cell);
        }
        for (position, count) in within_bounds(other.positive.iter(), &other.custom_values, &shared) {
            sums[position].add(sign * count);
        }
        let sums = sums.into_iter().enumerate().filter(|(_, cell)| !cell.is_zero());
        self.positive = sums.map(|(position, cell)| (position as i64, cell)).collect();
        self.custom_values = shared.into();
    }

    fn scale(&mut self, factor: f64) {
        self.for_each_cell(|cell| cell.scale(factor));
    }

    fn divide(&mut self, divisor: f64) {
        self.for_each_cell(|cell| cell.divide(divisor));
    }

    fn for_each_cell(&mut self, change: impl Fn(&mut Compensated)) {
        let buckets = self
            .positive
            .counts_mut()
            .iter_mut()
            .chain(self.negative.counts_mut());
        [&mut self.zero_count, &mut self.count, &mut self.sum]
            .into_iter()
            .chain(buckets)
            .for_each(change);
    }

    fn has_overflow(&self) -> bool {
        let buckets = self.positive.counts().iter().chain(self.negative.counts());
        [&self.zero_count, &self.count, &self.sum]
            .into_iter()
            .chain(buckets)
            .any(|cell| cell.value.is_infinite())
    }

    /// The sum, with what rounding took. One histogram alone stays as it is: adding nothing to it would make -0 zero.
    pub(crate) fn total(&self) -> FloatHistogram {
        if self.is_sum {
            self.to_histogram(Compensated::total)
        } else {
            self.rounded()
        }
    }

    /// The sum without what rounding took.
    pub(super) fn rounded(&self) -> FloatHistogram {
        self.to_histogram(|cell| cell.value)
    }

    fn to_histogram(&self, number: impl Fn(Compensated) -> f64) -> FloatHistogram {
        let buckets = |cells: &Buckets<Compensated>| {
            Buckets::new(cells.spans(), cells.counts().iter().map(|cell| number(*cell)))
        };
        FloatHistogram {
            reset_hint: self.reset_hint,
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count: number(self.zero_count),
            count: number(self.count),
            sum: number(self.sum),
            positive: buckets(&self.positive),
            negative: buckets(&self.negative),
            custom_values: Arc::clone(&self.custom_values),
        }
    }
}

/// What a zero bucket would hold if it were as wide as `threshold`, or wider until it ends at no filled bucket's inside;
/// and its width.
fn widened(
    zero: Compensated,
    sides: [&Buckets<Compensated>; 2],
    schema: i32,
    mut threshold: f64,
) -> (Compensated, f64) {
    let mut count = zero;
    'all: loop {
        count.value = zero.value;
        for (number, side) in sides.into_iter().enumerate() {
            for (index, cell) in side.iter() {
                if exponential_bound(index - 1, schema) >= threshold {
                    break;
                }
                add_both(&mut count, cell);
                let far = exponential_bound(index, schema);
                if far > threshold {
                    if cell.value != 0.0 {
                        threshold = far;
                        if number > 0 {
                            // The other side has to be counted anew.
                            continue 'all;
                        }
                    }
                    break;
                }
            }
        }
        return (count, threshold);
    }
}

/// The boundaries that both have.
pub(super) fn shared_bounds(a: &[f64], b: &[f64]) -> Vec<f64> {
    let mut b = b.iter().copied().peekable();
    let is_shared = |bound: &f64| {
        while b.next_if(|other| other < bound).is_some() {}
        b.peek() == Some(bound)
    };
    a.iter().copied().filter(is_shared).collect()
}

/// For each bucket, which of the buckets between fewer boundaries contains it. `shared` is part of `bounds`.
pub(super) fn within_bounds<N>(
    buckets: impl Iterator<Item = (i64, N)>,
    bounds: &[f64],
    shared: &[f64],
) -> impl Iterator<Item = (usize, N)> {
    let mut position = 0;
    buckets.map(move |(index, count)| {
        let bound = usize::try_from(index).ok().and_then(|index| bounds.get(index));
        let Some(bound) = bound else {
            return (shared.len(), count);
        };
        while shared.get(position).is_some_and(|shared| shared < bound) {
            position += 1;
        }
        (position, count)
    })
}

/// A mean of histograms: the sum divided by their number, as long as the sum is finite; else made step by step.
#[derive(Debug, Clone, Default)]
pub(crate) struct HistogramMean {
    sum: Option<HistogramSum>,
    count: f64,
    is_incremental: bool,
}

impl HistogramMean {
    /// Adds a histogram.
    pub(crate) fn add(&mut self, histogram: &FloatHistogram) -> Result<Reconciled, Unmixable> {
        self.count += 1.0;
        let Some(sum) = &mut self.sum else {
            self.sum = Some(histogram.into());
            return Ok(Reconciled::default());
        };
        let mut reconciled = Reconciled::default();
        if !self.is_incremental {
            let mut larger = sum.clone();
            reconciled = larger.add(histogram)?;
            if !larger.has_overflow() {
                *sum = larger;
                return Ok(reconciled);
            }
            self.is_incremental = true;
            sum.divide(self.count - 1.0);
        }
        sum.scale((self.count - 1.0) / self.count);
        let mut part = histogram.clone();
        part.div(self.count);
        Ok(reconciled.or(sum.add(&part)?))
    }

    /// The mean, or `None` of nothing.
    pub(crate) fn mean(&self) -> Option<FloatHistogram> {
        let mut mean = self.sum.clone()?;
        if !self.is_incremental {
            mean.divide(self.count);
        }
        Some(mean.total())
    }
}

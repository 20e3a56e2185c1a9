//! Which histograms are valid, the canonical form of their spans, and the step from a resolution that is too fine to
//! store to the finest that is. The rules are those of Prometheus, so that what it accepts is accepted here.

use super::histogram::{
    CUSTOM_BUCKETS_SCHEMA, Counts, EXPONENTIAL_SCHEMA_MAX, EXPONENTIAL_SCHEMA_MIN, Histogram, HistogramError,
    Span,
};

/// Finest resolution that is accepted; above [`EXPONENTIAL_SCHEMA_MAX`] it is reduced to that.
const EXPONENTIAL_SCHEMA_MAX_ACCEPTED: i32 = 52;

impl Histogram {
    /// Checks that spans, buckets and counts fit each other and the schema.
    ///
    /// Integer counts must add up to the count; when the sum is NaN they may be fewer, because NaN observations are
    /// in no bucket. Float counts are not added up, rounding would refuse good ones.
    pub fn validate(&self) -> Result<(), HistogramError> {
        let (positive, negative) = match &self.counts {
            Counts::Int {
                positive, negative, ..
            } => (positive.len(), negative.len()),
            Counts::Float {
                positive, negative, ..
            } => (positive.len(), negative.len()),
        };
        if self.schema == CUSTOM_BUCKETS_SCHEMA {
            self.check_custom(negative)?;
            check_spans(&self.positive_spans, positive)?;
        } else if (EXPONENTIAL_SCHEMA_MIN..=EXPONENTIAL_SCHEMA_MAX_ACCEPTED).contains(&self.schema) {
            check_spans(&self.positive_spans, positive)?;
            check_spans(&self.negative_spans, negative)?;
            if !self.custom_values.is_empty() {
                return Err(HistogramError("custom bounds with an exponential schema"));
            }
        } else {
            return Err(HistogramError("unknown schema"));
        }
        self.check_counts()
    }

    fn check_custom(&self, negative_buckets: usize) -> Result<(), HistogramError> {
        check_bounds(&self.custom_values)?;
        let zero_count_is_zero = match self.counts {
            Counts::Int { zero_count, .. } => zero_count == 0,
            Counts::Float { zero_count, .. } => zero_count == 0.0,
        };
        if !zero_count_is_zero {
            return Err(HistogramError("custom buckets with a zero count"));
        }
        if self.zero_threshold != 0.0 {
            return Err(HistogramError("custom buckets with a zero threshold"));
        }
        if !self.negative_spans.is_empty() || negative_buckets > 0 {
            return Err(HistogramError("custom buckets with negative buckets"));
        }
        if self.positive_spans.first().is_some_and(|span| span.offset < 0) {
            return Err(HistogramError("negative span offset"));
        }
        let end: i64 = self
            .positive_spans
            .iter()
            .map(|span| i64::from(span.offset) + i64::from(span.length))
            .sum();
        if end > self.custom_values.len() as i64 + 1 {
            return Err(HistogramError("more custom buckets than bounds"));
        }
        Ok(())
    }

    fn check_counts(&self) -> Result<(), HistogramError> {
        match &self.counts {
            Counts::Int {
                count,
                zero_count,
                positive,
                negative,
            } => {
                let in_buckets = total(positive)? + total(negative)? + u128::from(*zero_count);
                let count = u128::from(*count);
                if self.sum.is_nan() && in_buckets > count {
                    return Err(HistogramError("count smaller than the sum of the buckets"));
                }
                if !self.sum.is_nan() && in_buckets != count {
                    return Err(HistogramError("count differs from the sum of the buckets"));
                }
            }
            Counts::Float {
                positive, negative, ..
            } => {
                if positive.iter().chain(negative).any(|&bucket| bucket < 0.0) {
                    return Err(HistogramError("negative bucket count"));
                }
            }
        }
        Ok(())
    }

    /// The same histogram with canonical spans: none is empty, none touches the one before. Equal histograms then
    /// have equal spans.
    pub fn with_canonical_spans(mut self) -> Self {
        canonicalize(&mut self.positive_spans);
        canonicalize(&mut self.negative_spans);
        self
    }

    /// The same histogram at schema 8 when its schema is finer than that.
    pub(crate) fn reduced(mut self) -> Self {
        if self.schema <= EXPONENTIAL_SCHEMA_MAX {
            return self;
        }
        let shift = (self.schema - EXPONENTIAL_SCHEMA_MAX).min(63) as u32;
        self.schema = EXPONENTIAL_SCHEMA_MAX;
        match &mut self.counts {
            Counts::Int {
                positive, negative, ..
            } => {
                reduce_int(&mut self.positive_spans, positive, shift);
                reduce_int(&mut self.negative_spans, negative, shift);
            }
            Counts::Float {
                positive, negative, ..
            } => {
                (self.positive_spans, *positive) =
                    reduce(&self.positive_spans, positive, shift, |a, b| a + b);
                (self.negative_spans, *negative) =
                    reduce(&self.negative_spans, negative, shift, |a, b| a + b);
            }
        }
        self
    }
}

fn check_spans(spans: &[Span], buckets: usize) -> Result<(), HistogramError> {
    let mut end = 0i64;
    let mut spanned = 0u64;
    for (index, span) in spans.iter().enumerate() {
        if index > 0 && span.offset < 0 {
            return Err(HistogramError("negative span offset"));
        }
        spanned += u64::from(span.length);
        end += i64::from(span.offset) + i64::from(span.length);
        if i32::try_from(end).is_err() {
            return Err(HistogramError("bucket index out of range"));
        }
    }
    if spanned != buckets as u64 {
        return Err(HistogramError("spans and buckets differ in number"));
    }
    Ok(())
}

fn check_bounds(bounds: &[f64]) -> Result<(), HistogramError> {
    if bounds.iter().any(|bound| bound.is_nan()) {
        return Err(HistogramError("custom bound is NaN"));
    }
    if !bounds.is_sorted_by(|a, b| a < b) {
        return Err(HistogramError("custom bounds are not strictly increasing"));
    }
    if bounds.last() == Some(&f64::INFINITY) {
        return Err(HistogramError("custom bound is infinite"));
    }
    Ok(())
}

/// Sum of the buckets, none of which may be negative.
fn total(deltas: &[i64]) -> Result<u128, HistogramError> {
    let mut bucket = 0i64;
    let mut total = 0u128;
    for &delta in deltas {
        bucket = bucket.wrapping_add(delta);
        total += u128::try_from(bucket).map_err(|_| HistogramError("negative bucket count"))?;
    }
    Ok(total)
}

fn canonicalize(spans: &mut Vec<Span>) {
    let canonical = |spans: &[Span]| {
        spans
            .iter()
            .enumerate()
            .all(|(index, span)| span.length > 0 && (index == 0 || span.offset != 0))
    };
    if canonical(spans) {
        return;
    }
    let mut merged: Vec<Span> = Vec::with_capacity(spans.len());
    let mut gap = 0i32;
    for span in spans.iter() {
        gap = gap.wrapping_add(span.offset);
        if span.length == 0 {
            continue;
        }
        match merged.last_mut() {
            Some(last) if gap == 0 => last.length = last.length.saturating_add(span.length),
            _ => merged.push(Span {
                offset: gap,
                length: span.length,
            }),
        }
        gap = 0;
    }
    *spans = merged;
}

fn reduce_int(spans: &mut Vec<Span>, deltas: &mut Vec<i64>, shift: u32) {
    let mut count = 0i64;
    let absolute: Vec<i64> = deltas
        .iter()
        .map(|delta| {
            count = count.wrapping_add(*delta);
            count
        })
        .collect();
    let (reduced_spans, counts) = reduce(spans, &absolute, shift, i64::wrapping_add);
    let mut before = 0i64;
    *deltas = counts
        .into_iter()
        .map(|count| count.wrapping_sub(std::mem::replace(&mut before, count)))
        .collect();
    *spans = reduced_spans;
}

/// Adds up the absolute counts of buckets that are one at a resolution `shift` steps coarser.
fn reduce<T: Copy>(spans: &[Span], counts: &[T], shift: u32, add: impl Fn(T, T) -> T) -> (Vec<Span>, Vec<T>) {
    let mut reduced: Vec<Span> = Vec::new();
    let mut sums: Vec<T> = Vec::new();
    let mut counts = counts.iter();
    let mut index = 0i64;
    // One past the last bucket of the coarser resolution.
    let mut end = 0i64;
    for span in spans {
        index += i64::from(span.offset);
        for &count in counts.by_ref().take(span.length as usize) {
            let target = ((index - 1) >> shift) + 1;
            index += 1;
            match (reduced.last_mut(), sums.last_mut()) {
                (Some(_), Some(sum)) if target + 1 == end => *sum = add(*sum, count),
                (Some(last), _) if target == end => {
                    last.length += 1;
                    sums.push(count);
                }
                _ => {
                    reduced.push(Span {
                        offset: (target - end) as i32,
                        length: 1,
                    });
                    sums.push(count);
                }
            }
            end = target + 1;
        }
    }
    (reduced, sums)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::histogram::ResetHint;

    fn span(offset: i32, length: u32) -> Span {
        Span { offset, length }
    }

    fn int(schema: i32, spans: Vec<Span>, deltas: Vec<i64>, count: u64) -> Histogram {
        Histogram {
            reset_hint: ResetHint::Unknown,
            schema,
            zero_threshold: 0.0,
            sum: 1.5,
            positive_spans: spans,
            negative_spans: Vec::new(),
            custom_values: Vec::new(),
            counts: Counts::Int {
                count,
                zero_count: 0,
                positive: deltas,
                negative: Vec::new(),
            },
        }
    }

    fn refusal(histogram: &Histogram) -> &'static str {
        histogram.validate().expect_err("must be refused").0
    }

    #[test]
    fn exponential_histograms_are_checked() {
        let good = int(3, vec![span(-2, 2), span(1, 1)], vec![1, 1, -1], 4);
        assert_eq!(good.validate(), Ok(()));
        assert!(refusal(&int(3, vec![span(0, 2)], vec![1], 1)).contains("differ in number"));
        assert!(refusal(&int(3, vec![span(0, 1), span(-1, 1)], vec![1, 0], 2)).contains("offset"));
        assert!(refusal(&int(3, vec![span(0, 2)], vec![1, -2], 0)).contains("negative bucket"));
        assert!(refusal(&int(3, vec![span(0, 1)], vec![1], 2)).contains("count differs"));
        assert!(refusal(&int(-5, vec![], vec![], 0)).contains("schema"));
        assert!(refusal(&int(53, vec![], vec![], 0)).contains("schema"));
        assert!(refusal(&int(3, vec![span(i32::MAX, 1)], vec![1], 1)).contains("range"));
        let mut nan = int(3, vec![span(0, 1)], vec![1], 2);
        nan.sum = f64::NAN;
        assert_eq!(nan.validate(), Ok(()));
        nan.counts = int(3, vec![], vec![3], 2).counts;
        assert!(refusal(&nan).contains("smaller"));
    }

    #[test]
    fn custom_buckets_are_checked() {
        let custom = |bounds: &[f64], spans| {
            let mut histogram = int(CUSTOM_BUCKETS_SCHEMA, spans, vec![1], 1);
            histogram.custom_values = bounds.to_vec();
            histogram
        };
        assert_eq!(custom(&[0.1, 1.0], vec![span(2, 1)]).validate(), Ok(()));
        assert!(refusal(&custom(&[0.1, 1.0], vec![span(3, 1)])).contains("than bounds"));
        assert!(refusal(&custom(&[0.1, 1.0], vec![span(-1, 1)])).contains("offset"));
        assert!(refusal(&custom(&[1.0, 1.0], vec![span(0, 1)])).contains("increasing"));
        assert!(refusal(&custom(&[1.0, f64::NAN], vec![span(0, 1)])).contains("NaN"));
        assert!(refusal(&custom(&[1.0, f64::INFINITY], vec![span(0, 1)])).contains("infinite"));
        let mut histogram = custom(&[1.0], vec![span(0, 1)]);
        histogram.zero_threshold = 1e-9;
        assert!(refusal(&histogram).contains("threshold"));
        histogram.schema = 0;
        assert!(refusal(&histogram).contains("exponential"));
    }

    #[test]
    fn spans_become_canonical() {
        let spans = vec![
            span(-3, 0),
            span(1, 2),
            span(0, 1),
            span(2, 0),
            span(1, 0),
            span(0, 4),
            span(7, 0),
        ];
        let histogram = int(0, spans, vec![1; 7], 28).with_canonical_spans();
        assert_eq!(histogram.positive_spans, [span(-2, 3), span(3, 4)]);
    }

    #[test]
    fn too_fine_schemas_are_reduced() {
        // Buckets -3, -2, -1 and 4 of schema 9 are -1, -1, 0 and 2 of schema 8.
        let histogram = int(9, vec![span(-3, 3), span(4, 1)], vec![1, 1, 1, 1], 10).reduced();
        assert_eq!(histogram.schema, 8);
        assert_eq!(histogram.positive_spans, [span(-1, 2), span(1, 1)]);
        let Counts::Int { positive, .. } = &histogram.counts else {
            panic!("integers stay integers");
        };
        assert_eq!(positive, &[3, 0, 1]);
        assert_eq!(histogram.validate(), Ok(()));
        assert_eq!(histogram.clone().reduced(), histogram);
    }
}

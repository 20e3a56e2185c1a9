//! What a query's answer should be read with: warnings and infos, in Prometheus' words, each once.

use super::ast::Span;
use super::error::line_and_column;
use super::quote::quote;
use crate::base::go_text::{float_g, float_g_digits};
use std::collections::HashMap;
use std::fmt;

/// How many warnings, and how many infos, an answer shows.
pub(crate) const MAX_SHOWN: usize = 10;

/// What was done with histograms when something had to be reconciled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HistogramOperation {
    Addition,
    Subtraction,
    Aggregation,
}

impl fmt::Display for HistogramOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Addition => "addition",
            Self::Subtraction => "subtraction",
            Self::Aggregation => "aggregation",
        })
    }
}

/// A warning or an info. `metric` is the metric's name, empty when there is none.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Annotation {
    /// The source of the samples has something to say.
    Source(String),
    /// The source has something to say that is no fault.
    SourceInfo(String),
    InvalidQuantile {
        quantile: f64,
    },
    InvalidRatio {
        ratio: f64,
        capped: f64,
    },
    BadBucketLabel {
        metric: String,
        label: String,
    },
    MixedFloatsHistograms {
        metric: String,
    },
    MixedFloatsHistogramsInAggregation,
    MixedClassicNative {
        metric: String,
    },
    NativeNotCounter {
        metric: String,
    },
    NativeNotGauge {
        metric: String,
    },
    MixedExponentialCustom {
        metric: String,
    },
    IncompatibleBucketLayout {
        operator: String,
    },
    SortInRangeQuery,
    ResetCollision {
        operation: HistogramOperation,
    },
    StartTimeOverlap {
        metric: String,
    },
    PossibleNonCounter {
        metric: String,
    },
    PossibleNonCounterLabel {
        metric: String,
        type_label: String,
    },
    ForcedMonotonicity {
        metric: String,
        extent: ForcedExtent,
    },
    IncompatibleTypes {
        left: &'static str,
        operator: String,
        right: &'static str,
    },
    IgnoredInAggregation {
        aggregation: String,
    },
    IgnoredInMixedRange {
        metric: String,
    },
    QuantileOfNan {
        metric: String,
    },
    QuantileSkewedByNan {
        metric: String,
    },
    FractionWithNan {
        metric: String,
    },
    MismatchedCustomBuckets {
        operation: HistogramOperation,
    },
}

/// Where, when and how much classic histograms had to be made monotonic. The same thing at another time widens it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ForcedExtent {
    pub(crate) first_ms: i64,
    pub(crate) last_ms: i64,
    pub(crate) bucket_min: f64,
    pub(crate) bucket_max: f64,
    pub(crate) difference_max: f64,
    pub(crate) samples: u64,
}

impl ForcedExtent {
    fn widen(&mut self, other: &Self) {
        self.first_ms = self.first_ms.min(other.first_ms);
        self.last_ms = self.last_ms.max(other.last_ms);
        self.bucket_min = self.bucket_min.min(other.bucket_min);
        self.bucket_max = self.bucket_max.max(other.bucket_max);
        self.difference_max = self.difference_max.max(other.difference_max);
        self.samples += other.samples;
    }
}

impl fmt::Display for ForcedExtent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = (float_g(self.bucket_min), float_g(self.bucket_max));
        let difference = float_g_digits(self.difference_max, 2);
        let (first, last) = (rfc3339(self.first_ms), rfc3339(self.last_ms));
        write!(
            f,
            ", from buckets {low} to {high}, with a max diff of {difference}, "
        )?;
        write!(f, "over {} samples from {first} to {last}", self.samples)
    }
}

/// Whole seconds, in UTC.
fn rfc3339(time_ms: i64) -> String {
    let date = crate::base::civil::DateTime::of_seconds(time_ms / 1000);
    let (year, month, day) = (date.year, date.month, date.day);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        date.hour, date.minute, date.second
    )
}

/// `text` with the metric's name, if there is one.
fn of_metric(text: &str, metric: &str) -> String {
    if metric.is_empty() {
        text.to_owned()
    } else {
        format!("{text} for metric name {}", quote(metric))
    }
}

impl Annotation {
    pub(crate) fn is_info(&self) -> bool {
        matches!(
            self,
            Self::SourceInfo(_)
                | Self::PossibleNonCounter { .. }
                | Self::PossibleNonCounterLabel { .. }
                | Self::ForcedMonotonicity { .. }
                | Self::IncompatibleTypes { .. }
                | Self::IgnoredInAggregation { .. }
                | Self::IgnoredInMixedRange { .. }
                | Self::QuantileOfNan { .. }
                | Self::QuantileSkewedByNan { .. }
                | Self::FractionWithNan { .. }
                | Self::MismatchedCustomBuckets { .. }
        )
    }

    fn detail(&self) -> String {
        match self {
            Self::Source(text) => text.clone(),
            Self::InvalidQuantile { quantile } => {
                format!(
                    "quantile value should be between 0 and 1, got {}",
                    float_g(*quantile)
                )
            }
            Self::InvalidRatio { ratio, capped } => {
                let (ratio, capped) = (float_g(*ratio), float_g(*capped));
                format!("ratio value should be between -1 and 1, got {ratio}, capping to {capped}")
            }
            Self::BadBucketLabel { metric, label } => {
                let label = quote(label);
                of_metric(
                    &format!("bucket label \"le\" is missing or has a malformed value of {label}"),
                    metric,
                )
            }
            Self::MixedFloatsHistograms { metric } => {
                format!(
                    "encountered a mix of histograms and floats for metric name {}",
                    quote(metric)
                )
            }
            Self::MixedFloatsHistogramsInAggregation => {
                "encountered a mix of histograms and floats for aggregation".to_owned()
            }
            Self::MixedClassicNative { metric } => {
                of_metric("vector contains a mix of classic and native histograms", metric)
            }
            Self::NativeNotCounter { metric } => {
                format!("this native histogram metric is not a counter: {}", quote(metric))
            }
            Self::NativeNotGauge { metric } => {
                format!("this native histogram metric is not a gauge: {}", quote(metric))
            }
            Self::MixedExponentialCustom { metric } => format!(
                "vector contains a mix of histograms with exponential and custom buckets schemas for metric name {}",
                quote(metric)
            ),
            Self::IncompatibleBucketLayout { operator } => {
                format!("incompatible bucket layout encountered for binary operator {operator}")
            }
            Self::SortInRangeQuery => {
                "sort is ineffective for range queries since results are always ordered by labels".to_owned()
            }
            Self::ResetCollision { operation } => {
                format!("conflicting counter resets during histogram {operation}")
            }
            Self::StartTimeOverlap { metric } => format!(
                "sample has start time that overlaps with previous sample timestamp for metric {}",
                quote(metric)
            ),
            _ => self.info_detail(),
        }
    }

    fn info_detail(&self) -> String {
        match self {
            Self::SourceInfo(text) => text.clone(),
            Self::PossibleNonCounter { metric } => format!(
                "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {}",
                quote(metric)
            ),
            Self::PossibleNonCounterLabel { metric, type_label } => format!(
                "metric might not be a counter, __type__ label is not set to \"counter\" or \"histogram\", got {}: {}",
                quote(type_label),
                quote(metric)
            ),
            Self::ForcedMonotonicity { metric, .. } => of_metric(
                "input to histogram_quantile needed to be fixed for monotonicity (see \
                 https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)",
                metric,
            ),
            Self::IncompatibleTypes {
                left,
                operator,
                right,
            } => format!(
                "incompatible sample types encountered for binary operator {}: {left} {operator} {right}",
                quote(operator)
            ),
            Self::IgnoredInAggregation { aggregation } => {
                format!("ignored histogram in {aggregation} aggregation")
            }
            Self::IgnoredInMixedRange { metric } => format!(
                "ignored histograms in a range containing both floats and histograms for metric name {}",
                quote(metric)
            ),
            Self::QuantileOfNan { metric } => of_metric(
                "input to histogram_quantile has NaN observations, result is NaN",
                metric,
            ),
            Self::QuantileSkewedByNan { metric } => of_metric(
                "input to histogram_quantile has NaN observations, result is skewed higher",
                metric,
            ),
            Self::FractionWithNan { metric } => of_metric(
                "input to histogram_fraction has NaN observations, which are excluded from all fractions",
                metric,
            ),
            Self::MismatchedCustomBuckets { operation } => {
                format!("mismatched custom buckets were reconciled during {operation}")
            }
            _ => String::new(),
        }
    }
}

/// The text without a place; two annotations with the same text are one.
impl fmt::Display for Annotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Source(_) => "",
            _ if self.is_info() => "PromQL info: ",
            _ => "PromQL warning: ",
        };
        write!(f, "{kind}{}", self.detail())
    }
}

/// The annotations of a query, in the order in which they arose.
#[derive(Debug, Clone, Default)]
pub(crate) struct Annotations {
    entries: Vec<(Annotation, Span)>,
    /// Where in `entries` a text stands.
    by_text: HashMap<String, usize>,
}

impl Annotations {
    /// Adds an annotation of what stands at `span`, unless the same text is there already.
    pub(crate) fn add(&mut self, annotation: Annotation, span: Span) {
        // Most are repeated for each step and series.
        if self.entries.last().is_some_and(|last| last.0 == annotation)
            && !matches!(annotation, Annotation::ForcedMonotonicity { .. })
        {
            return;
        }
        let text = annotation.to_string();
        let Some(position) = self.by_text.get(&text) else {
            self.by_text.insert(text, self.entries.len());
            self.entries.push((annotation, span));
            return;
        };
        let known = self.entries.get_mut(*position).map(|entry| &mut entry.0);
        if let Some(Annotation::ForcedMonotonicity { extent: known, .. }) = known
            && let Annotation::ForcedMonotonicity { extent, .. } = &annotation
        {
            known.widen(extent);
        }
    }

    /// Warnings and infos as they are shown, with their places in `query`: at most `max_shown` of each, then a line that
    /// says how many there are more.
    pub(crate) fn texts(&self, query: &str, max_shown: usize) -> Shown {
        let texts = |is_info: bool, kind: &str| {
            let of_kind = self.entries.iter().filter(|entry| entry.0.is_info() == is_info);
            let mut texts: Vec<String> = of_kind
                .clone()
                .take(max_shown)
                .map(|(annotation, span)| placed(annotation, *span, query))
                .collect();
            let omitted = of_kind.count() - texts.len();
            if omitted > 0 {
                texts.push(format!("{omitted} more {kind} annotations omitted"));
            }
            texts
        };
        Shown {
            warnings: texts(false, "warning"),
            infos: texts(true, "info"),
        }
    }
}

/// The annotations of an answer as text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Shown {
    pub(crate) warnings: Vec<String>,
    pub(crate) infos: Vec<String>,
}

fn placed(annotation: &Annotation, span: Span, query: &str) -> String {
    // What a source says is of no place in the query.
    if matches!(annotation, Annotation::Source(_) | Annotation::SourceInfo(_)) {
        return annotation.to_string();
    }
    let extent = match annotation {
        Annotation::ForcedMonotonicity { extent, .. } => extent.to_string(),
        _ => String::new(),
    };
    let (line, column) = line_and_column(query, span.start);
    format!("{annotation}{extent} ({line}:{column})")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Span = Span { start: 9, end: 12 };

    fn shown(annotations: &[Annotation]) -> Shown {
        let mut all = Annotations::default();
        for annotation in annotations {
            all.add(annotation.clone(), SPAN);
        }
        all.texts("sum(\nrate(x[1m]))", MAX_SHOWN)
    }

    #[test]
    fn texts_have_their_kind_and_place() {
        let metric = "x_\"total".to_owned();
        let table = [
            (Annotation::Source("a peer is gone".into()), "a peer is gone"),
            (
                Annotation::SourceInfo("less was read".into()),
                "PromQL info: less was read",
            ),
            (
                Annotation::InvalidQuantile { quantile: f64::NAN },
                "PromQL warning: quantile value should be between 0 and 1, got NaN (2:5)",
            ),
            (
                Annotation::InvalidRatio {
                    ratio: -1.1,
                    capped: -1.0,
                },
                "PromQL warning: ratio value should be between -1 and 1, got -1.1, capping to -1 (2:5)",
            ),
            (
                Annotation::BadBucketLabel {
                    metric: String::new(),
                    label: "x".into(),
                },
                "PromQL warning: bucket label \"le\" is missing or has a malformed value of \"x\" (2:5)",
            ),
            (
                Annotation::MixedClassicNative {
                    metric: metric.clone(),
                },
                "PromQL warning: vector contains a mix of classic and native histograms for metric name \
                 \"x_\\\"total\" (2:5)",
            ),
            (
                Annotation::IncompatibleTypes {
                    left: "float",
                    operator: "+".into(),
                    right: "histogram",
                },
                "PromQL info: incompatible sample types encountered for binary operator \"+\": float + histogram (2:5)",
            ),
            (
                Annotation::MismatchedCustomBuckets {
                    operation: HistogramOperation::Subtraction,
                },
                "PromQL info: mismatched custom buckets were reconciled during subtraction (2:5)",
            ),
        ];
        for (annotation, text) in table {
            let shown = shown(std::slice::from_ref(&annotation));
            let texts = if annotation.is_info() {
                &shown.infos
            } else {
                &shown.warnings
            };
            assert_eq!(texts, &[text]);
            assert_eq!(shown.warnings.len() + shown.infos.len(), 1);
        }
    }

    #[test]
    fn the_same_text_counts_once_and_many_are_cut_off() {
        let ignored = |number: usize| Annotation::NativeNotGauge {
            metric: format!("m{}", number % 13),
        };
        let annotations: Vec<_> = (0..50).map(ignored).collect();
        let shown = shown(&annotations);
        assert_eq!(shown.warnings.len(), MAX_SHOWN + 1);
        assert_eq!(shown.warnings[MAX_SHOWN], "3 more warning annotations omitted");
    }

    #[test]
    fn forced_monotonicity_widens() {
        let forced = |time_ms, bucket, difference| Annotation::ForcedMonotonicity {
            metric: "h".into(),
            extent: ForcedExtent {
                first_ms: time_ms,
                last_ms: time_ms,
                bucket_min: bucket,
                bucket_max: bucket,
                difference_max: difference,
                samples: 1,
            },
        };
        let shown = shown(&[
            forced(60_000, 2.5, 0.125),
            forced(1_000, 10.0, 123.0),
            forced(60_000, 2.5, 0.125),
        ]);
        assert_eq!(
            shown.infos,
            [
                "PromQL info: input to histogram_quantile needed to be fixed for monotonicity (see \
             https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile) for metric name \"h\", \
             from buckets 2.5 to 10, with a max diff of 1.2e+02, over 3 samples from 1970-01-01T00:00:01Z to \
             1970-01-01T00:01:00Z (2:5)"
            ]
        );
    }
}

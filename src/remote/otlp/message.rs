//! The parts of an OTLP metrics request as they are here: what both of its encodings are read into, a point at a time.
//!
//! What nothing is made of is left out: counts of what a sender dropped, minima and maxima.

/// Attributes that are read of one list; a point with more is refused.
pub(super) const ATTRIBUTES_MAX: usize = 256;
/// Exemplars that are read of one point.
pub(super) const EXEMPLARS_MAX: usize = 256;

/// Bit of a point's flags: there is no value any more.
const NO_RECORDED_VALUE: u64 = 1;

/// Who measures.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Scope {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) schema_url: String,
    pub(crate) attributes: Vec<KeyValue>,
}

/// A metric without its points.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Metric {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) unit: String,
    pub(crate) kind: Kind,
    pub(crate) temporality: Temporality,
    /// Of a sum: it only grows.
    pub(crate) is_monotonic: bool,
}

/// What kind of points a metric has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    #[default]
    Nothing,
    Gauge,
    Sum,
    Histogram,
    Exponential,
    Summary,
}

/// What the values of points count from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Temporality {
    #[default]
    Unspecified,
    /// The point before.
    Delta,
    /// The start.
    Cumulative,
}

impl Temporality {
    pub(super) fn of_number(number: u64) -> Self {
        match number {
            1 => Self::Delta,
            2 => Self::Cumulative,
            _ => Self::Unspecified,
        }
    }
}

/// A point of any kind.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Point {
    pub(crate) attributes: Vec<KeyValue>,
    /// 0 is not known.
    pub(crate) start_time_ns: u64,
    pub(crate) time_ns: u64,
    pub(crate) flags: u64,
    pub(crate) exemplars: Vec<Exemplar>,
    pub(crate) value: Value,
}

/// Adds to a list that is read no further than to where it is too long.
pub(super) fn push_bounded<T>(list: &mut Vec<T>, most: usize, item: impl FnOnce() -> T) {
    if list.len() <= most {
        list.push(item());
    }
}

impl Point {
    /// The series has no value at this time.
    pub(crate) fn is_stale(&self) -> bool {
        self.flags & NO_RECORDED_VALUE != 0
    }
}

/// What a point says.
#[derive(Debug, Default, PartialEq)]
pub(crate) enum Value {
    #[default]
    Nothing,
    Double(f64),
    Int(i64),
    Histogram(HistogramValue),
    Exponential(ExponentialValue),
    Summary(SummaryValue),
}

impl Value {
    /// Buckets or quantiles.
    pub(crate) fn parts(&self) -> usize {
        match self {
            Self::Histogram(value) => value.bucket_counts.len().max(value.bounds.len()),
            Self::Exponential(value) => value.positive.counts.len().max(value.negative.counts.len()),
            Self::Summary(value) => value.quantiles.len(),
            Self::Nothing | Self::Double(_) | Self::Int(_) => 1,
        }
    }

    /// The value of a number.
    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Self::Double(value) => Some(*value),
            Self::Int(value) => Some(*value as f64),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct HistogramValue {
    pub(crate) count: u64,
    pub(crate) sum: Option<f64>,
    /// One more than bounds, or none at all.
    pub(crate) bucket_counts: Vec<u64>,
    pub(crate) bounds: Vec<f64>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ExponentialValue {
    pub(crate) count: u64,
    pub(crate) sum: Option<f64>,
    pub(crate) scale: i32,
    pub(crate) zero_count: u64,
    pub(crate) zero_threshold: f64,
    pub(crate) positive: Buckets,
    pub(crate) negative: Buckets,
}

/// Counts of buckets that follow each other.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Buckets {
    /// Index of the first.
    pub(crate) offset: i32,
    pub(crate) counts: Vec<u64>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct SummaryValue {
    pub(crate) count: u64,
    pub(crate) sum: f64,
    /// Quantile and value.
    pub(crate) quantiles: Vec<(f64, f64)>,
}

#[derive(Debug, Default, PartialEq)]
pub(crate) struct Exemplar {
    pub(crate) time_ns: u64,
    pub(crate) value: f64,
    /// In hexadecimal; empty when there is none.
    pub(crate) trace_id: String,
    pub(crate) span_id: String,
    pub(crate) attributes: Vec<KeyValue>,
}

#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct KeyValue {
    pub(crate) key: String,
    pub(crate) value: AnyValue,
}

/// The value of an attribute.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) enum AnyValue {
    #[default]
    Nothing,
    Text(String),
    Bool(bool),
    Int(i64),
    Double(f64),
    Array(Vec<AnyValue>),
    Map(Vec<KeyValue>),
    /// In base 64.
    Bytes(String),
}

/// Takes the parts of a request in this order: a resource; below it scopes; below these metrics with their points; the end of
/// the resource; the next one.
pub(crate) trait Visit {
    fn resource(&mut self, attributes: Vec<KeyValue>);
    fn scope(&mut self, scope: Scope);
    fn metric(&mut self, metric: Metric);
    fn point(&mut self, point: &Point);
    fn end_of_resource(&mut self);
}

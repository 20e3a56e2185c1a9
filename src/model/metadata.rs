//! Metric metadata: type, help text and unit of a metric.

/// The type of a metric as remote write names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum MetricType {
    /// Not known.
    #[default]
    Unknown = 0,
    /// A counter.
    Counter = 1,
    /// A gauge.
    Gauge = 2,
    /// A histogram, classic or native.
    Histogram = 3,
    /// A histogram of current values.
    GaugeHistogram = 4,
    /// A summary.
    Summary = 5,
    /// An info metric.
    Info = 6,
    /// A state set.
    StateSet = 7,
}

impl MetricType {
    /// The type with this number, `None` for a number that names no type.
    pub fn from_u8(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Unknown,
            1 => Self::Counter,
            2 => Self::Gauge,
            3 => Self::Histogram,
            4 => Self::GaugeHistogram,
            5 => Self::Summary,
            6 => Self::Info,
            7 => Self::StateSet,
            _ => return None,
        })
    }

    /// The name Prometheus prints.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::GaugeHistogram => "gaugehistogram",
            Self::Summary => "summary",
            Self::Info => "info",
            Self::StateSet => "stateset",
        }
    }
}

/// What is known about a metric.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Metadata {
    /// Counter, gauge and so on.
    pub metric_type: MetricType,
    /// Help text.
    pub help: String,
    /// Unit, such as `seconds`.
    pub unit: String,
}

impl Metadata {
    pub(crate) fn as_ref(&self) -> MetadataRef<'_> {
        MetadataRef {
            metric_type: self.metric_type,
            help: &self.help,
            unit: &self.unit,
        }
    }
}

/// Borrowed metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MetadataRef<'a> {
    pub(crate) metric_type: MetricType,
    pub(crate) help: &'a str,
    pub(crate) unit: &'a str,
}

impl MetadataRef<'_> {
    pub(crate) fn to_owned(self) -> Metadata {
        Metadata {
            metric_type: self.metric_type,
            help: self.help.to_owned(),
            unit: self.unit.to_owned(),
        }
    }
}

//! The data model: labels, matchers, samples, native histograms, exemplars and metric metadata.

pub(crate) mod deletion;
pub(crate) mod exemplar;
pub(crate) mod float_histogram;
#[cfg(test)]
pub(crate) mod golden;
pub(crate) mod histogram;
pub(crate) mod histogram_shape;
pub(crate) mod labels;
pub(crate) mod matcher;
pub(crate) mod metadata;
#[cfg(feature = "server")]
pub(crate) mod otlp_options;
pub(crate) mod parts;
#[cfg(feature = "server")]
pub(crate) mod relabel_rule;
pub(crate) mod sample;
pub(crate) mod samples;
pub(crate) mod starts;

//! A relabelling rule as it is written in a configuration.

/// The fields are those of Prometheus' `write_relabel_configs`; what is absent has Prometheus' default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RelabelRule {
    pub(crate) source_labels: Vec<String>,
    pub(crate) separator: Option<String>,
    pub(crate) regex: Option<String>,
    pub(crate) modulus: Option<u64>,
    pub(crate) target_label: Option<String>,
    pub(crate) replacement: Option<String>,
    pub(crate) action: Option<String>,
}

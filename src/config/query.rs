//! How queries are answered: what they may take, and which of Prometheus' features are on.

use super::resolve::Reader;
use std::time::Duration;

/// How queries are answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Query {
    pub(crate) timeout: Duration,
    pub(crate) lookback: Duration,
    pub(crate) samples_max: usize,
    /// Of all queries together.
    pub(crate) bytes_max: u64,
    pub(crate) concurrency: usize,
    /// Queries that take longer are logged.
    pub(crate) slow: Duration,
    pub(crate) features: Features,
}

/// Features that change what ordinary queries answer. Off unless they are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Features {
    pub(crate) delayed_name_removal: bool,
    pub(crate) start_timestamps: bool,
    pub(crate) type_and_unit_labels: bool,
    /// `stats=all` shows figures of each step.
    pub(crate) per_step_stats: bool,
    /// Names that mean nothing here.
    pub(crate) unknown: Vec<String>,
}

impl Query {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            timeout: reader.positive("query.timeout"),
            lookback: reader.positive("query.lookback"),
            samples_max: reader.number("query.samples").max(1) as usize,
            bytes_max: reader.size("query.bytes"),
            concurrency: reader.count("query.concurrency"),
            slow: reader.positive("query.slow"),
            features: Features::of(reader.text("enable_feature")),
        }
    }
}

/// What narthex always does, or does without asking, of what Prometheus has a feature for.
const ALWAYS_ON: &[&str] = &[
    "promql-experimental-functions",
    "promql-duration-expr",
    "promql-extended-range-selectors",
    "promql-binop-fill-modifiers",
    "native-histograms",
    "exemplar-storage",
    "metadata-wal-records",
    "created-timestamp-zero-ingestion",
    "st-storage",
    "otlp-native-delta-ingestion",
];

impl Features {
    /// Reads names with commas between them.
    pub(crate) fn of(text: &str) -> Self {
        let mut features = Self::default();
        for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            match name {
                "promql-delayed-name-removal" => features.delayed_name_removal = true,
                "use-start-timestamps" => features.start_timestamps = true,
                "type-and-unit-labels" => features.type_and_unit_labels = true,
                "promql-per-step-stats" => features.per_step_stats = true,
                name if ALWAYS_ON.contains(&name) => {}
                name => features.unknown.push(name.to_owned()),
            }
        }
        features
    }

    /// Features with their names, and whether they are on.
    pub(crate) fn list(&self) -> impl Iterator<Item = (&'static str, bool)> {
        let chosen = [
            ("promql-delayed-name-removal", self.delayed_name_removal),
            ("use-start-timestamps", self.start_timestamps),
            ("type-and-unit-labels", self.type_and_unit_labels),
            ("promql-per-step-stats", self.per_step_stats),
        ];
        chosen
            .into_iter()
            .chain(ALWAYS_ON.iter().map(|name| (*name, true)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_prometheus_own() {
        let features = Features::of("promql-delayed-name-removal, promql-duration-expr,agent,, nonsense");
        assert!(features.delayed_name_removal && !features.start_timestamps);
        assert_eq!(features.unknown, ["agent", "nonsense"]);
        assert_eq!(Features::of(""), Features::default());
        let on: Vec<_> = features
            .list()
            .filter(|feature| feature.1)
            .map(|feature| feature.0)
            .collect();
        assert_eq!(on.len(), 1 + ALWAYS_ON.len());
    }
}

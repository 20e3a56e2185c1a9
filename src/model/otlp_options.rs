//! How metrics of OpenTelemetry become samples, as the settings of the table `otlp` have it.

/// How points are translated.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Options {
    pub(crate) translation: Translation,
    pub(crate) promoted: Promoted,
    /// `target_info` has the attributes that became `job` and `instance` too.
    pub(crate) keeps_identifying: bool,
    pub(crate) promotes_scope: bool,
    /// Histograms with bounds become native ones.
    pub(crate) makes_custom_buckets: bool,
    /// Deltas are added up; otherwise they are refused.
    pub(crate) adds_deltas: bool,
}

/// Attributes of resources that become labels of all points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Promoted {
    All,
    These(Vec<String>),
}

impl Default for Promoted {
    fn default() -> Self {
        Self::These(Vec::new())
    }
}

/// How names are translated: the words of Prometheus' setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Translation {
    /// Letters, digits and underscores only; unit and type behind the name.
    #[default]
    UnderscoreEscapingWithSuffixes,
    UnderscoreEscapingWithoutSuffixes,
    /// Any characters; unit and type behind the name.
    NoUtf8EscapingWithSuffixes,
    Untouched,
}

impl Translation {
    pub(crate) const NAMES: [&'static str; 4] = [
        "UnderscoreEscapingWithSuffixes",
        "UnderscoreEscapingWithoutSuffixes",
        "NoUTF8EscapingWithSuffixes",
        "NoTranslation",
    ];

    /// The one of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let all = [
            Self::UnderscoreEscapingWithSuffixes,
            Self::UnderscoreEscapingWithoutSuffixes,
            Self::NoUtf8EscapingWithSuffixes,
            Self::Untouched,
        ];
        let mut named = Self::NAMES.into_iter().zip(all);
        named.find(|one| one.0 == name).map(|one| one.1)
    }

    pub(crate) fn escapes(self) -> bool {
        matches!(
            self,
            Self::UnderscoreEscapingWithSuffixes | Self::UnderscoreEscapingWithoutSuffixes
        )
    }

    pub(crate) fn has_suffixes(self) -> bool {
        matches!(
            self,
            Self::UnderscoreEscapingWithSuffixes | Self::NoUtf8EscapingWithSuffixes
        )
    }
}

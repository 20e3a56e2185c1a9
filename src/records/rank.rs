//! Levels of logs and severities of events: names that people write in many ways, with an order.

use std::fmt;

/// How grave a log line is. Unknown text is kept, and ranks as `Info`.
///
/// ```
/// use narthex::Level;
///
/// assert_eq!(Level::from("WARNING"), Level::Warn);
/// assert!(Level::Error.rank() > Level::from("notice").rank());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Level {
    /// Finest detail.
    Trace,
    /// For those who look for a fault.
    Debug,
    /// The ordinary course; also `information` and `notice`.
    #[default]
    Info,
    /// Also `warning`.
    Warn,
    /// Also `err`.
    Error,
    /// Also `critical`, `crit`, `panic`, `alert` and `emergency`.
    Fatal,
    /// Something else, as it was written.
    Other(Box<str>),
}

/// How grave an event is. Unknown text is kept, and ranks as `Low`.
///
/// `Info`, `Warning` and `Error` rank as `Low`, `Medium` and `High`, and keep their names.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Severity {
    /// As low as `Low`.
    #[default]
    Info,
    /// Nothing to be done.
    Low,
    /// As grave as `Medium`; also `warn`.
    Warning,
    /// To be looked at.
    Medium,
    /// As grave as `High`; also `err`.
    Error,
    /// To be looked at soon.
    High,
    /// To be looked at now; also `fatal`, `crit` and `emergency`.
    Critical,
    /// Something else, as it was written.
    Other(Box<str>),
}

/// The code on disk of text that is not one of the names.
const OTHER: u8 = 255;

impl Level {
    const ALL: [Self; 6] = [
        Self::Trace,
        Self::Debug,
        Self::Info,
        Self::Warn,
        Self::Error,
        Self::Fatal,
    ];

    /// The name, in lower case unless it is unknown.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Fatal => "fatal",
            Self::Other(text) => text,
        }
    }

    /// The place in the order, 0 for the least.
    pub fn rank(&self) -> u8 {
        Self::rank_of(self.code())
    }

    pub(crate) fn code(&self) -> u8 {
        let place = Self::ALL.iter().position(|one| one == self);
        place.map_or(OTHER, |place| place as u8)
    }

    /// The rank that goes with a code.
    pub(crate) fn rank_of(code: u8) -> u8 {
        match code {
            OTHER => 2,
            code => code,
        }
    }

    /// The level with this code, or what `text` says.
    pub(crate) fn from_code(code: u8, text: &str) -> Option<Self> {
        match code {
            OTHER => Some(Self::Other(text.into())),
            _ => Self::ALL.get(usize::from(code)).cloned(),
        }
    }
}

impl From<&str> for Level {
    fn from(text: &str) -> Self {
        match text.trim().to_ascii_lowercase().as_str() {
            "trace" => Self::Trace,
            "debug" => Self::Debug,
            "info" | "information" | "informational" | "notice" => Self::Info,
            "warn" | "warning" => Self::Warn,
            "error" | "err" => Self::Error,
            "fatal" | "critical" | "crit" | "panic" | "alert" | "emergency" | "emerg" => Self::Fatal,
            _ => Self::Other(text.into()),
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Severity {
    const ALL: [Self; 7] = [
        Self::Info,
        Self::Low,
        Self::Warning,
        Self::Medium,
        Self::Error,
        Self::High,
        Self::Critical,
    ];

    /// The name, in lower case unless it is unknown.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Warning => "warning",
            Self::Medium => "medium",
            Self::Error => "error",
            Self::High => "high",
            Self::Critical => "critical",
            Self::Other(text) => text,
        }
    }

    /// The place in the order, 0 for the least.
    pub fn rank(&self) -> u8 {
        Self::rank_of(self.code())
    }

    pub(crate) fn code(&self) -> u8 {
        let place = Self::ALL.iter().position(|one| one == self);
        place.map_or(OTHER, |place| place as u8)
    }

    /// The rank that goes with a code.
    pub(crate) fn rank_of(code: u8) -> u8 {
        match code {
            OTHER => 0,
            code => code / 2,
        }
    }

    /// The severity with this code, or what `text` says.
    pub(crate) fn from_code(code: u8, text: &str) -> Option<Self> {
        match code {
            OTHER => Some(Self::Other(text.into())),
            _ => Self::ALL.get(usize::from(code)).cloned(),
        }
    }
}

impl From<&str> for Severity {
    fn from(text: &str) -> Self {
        match text.trim().to_ascii_lowercase().as_str() {
            "info" | "information" | "informational" | "notice" => Self::Info,
            "low" => Self::Low,
            "warning" | "warn" => Self::Warning,
            "medium" => Self::Medium,
            "error" | "err" => Self::Error,
            "high" => Self::High,
            "critical" | "crit" | "fatal" | "emergency" | "emerg" => Self::Critical,
            _ => Self::Other(text.into()),
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_have_an_order_and_many_names() {
        let ranks: Vec<u8> = Level::ALL.iter().map(Level::rank).collect();
        assert_eq!(ranks, [0, 1, 2, 3, 4, 5]);
        assert_eq!(Level::from("Err"), Level::Error);
        assert_eq!(Level::from("CRITICAL"), Level::Fatal);
        let odd = Level::from("Verbose");
        assert_eq!((odd.as_str(), odd.rank()), ("Verbose", Level::Info.rank()));
    }

    #[test]
    fn severities_rank_with_their_aliases() {
        let ranks: Vec<u8> = [
            "low", "info", "medium", "Warning", "high", "error", "critical", "odd",
        ]
        .map(|text| Severity::from(text).rank())
        .into();
        assert_eq!(ranks, [0, 0, 1, 1, 2, 2, 3, 0]);
        assert_eq!(Severity::from("warn").as_str(), "warning");
    }

    #[test]
    fn codes_lead_back() {
        for level in Level::ALL {
            assert_eq!(Level::from_code(level.code(), ""), Some(level));
        }
        for severity in Severity::ALL {
            assert_eq!(Severity::from_code(severity.code(), ""), Some(severity));
        }
        let odd = Level::from("odd");
        assert_eq!(Level::from_code(odd.code(), "odd"), Some(odd));
        assert_eq!(Level::from_code(6, ""), None);
        assert_eq!(Severity::from_code(7, ""), None);
    }
}

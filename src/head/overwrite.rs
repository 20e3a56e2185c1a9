//! What becomes of a sample whose place is taken: the database's policy, and rules for some series.
//!
//! Under `reject` and `first` the write path knows all it needs. Under `last` and `max` it does not: the place may be
//! taken in a segment, which the write path never reads. So a sample that is not newer than everything in segments is
//! stored with the class that settles the place when it is read.

use crate::index::LabelMatcher;
use crate::model::sample::Class;

/// What becomes of a sample whose place holds another value. Same values count as written under each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Overwrite {
    /// The first value stays, and the sample is refused as a [`Reject::Conflict`](crate::Reject::Conflict) where the
    /// place is in memory. The default.
    #[default]
    Reject,
    /// The first value stays, and the sample counts as written.
    First,
    /// The last value stays.
    Last,
    /// The larger value stays.
    Max,
}

impl Overwrite {
    /// The class under which this policy stores what may meet another value.
    pub(super) fn class(self) -> Class {
        match self {
            Self::Reject | Self::First => Class::Ordinary,
            Self::Last => Class::Correction,
            Self::Max => Class::Maximum,
        }
    }
}

/// The policy of each series: that of the first rule that matches, else the database's.
#[derive(Debug, Default)]
pub(crate) struct OverwriteRules {
    pub(crate) rules: Vec<(Vec<LabelMatcher>, Overwrite)>,
    pub(crate) default: Overwrite,
}

impl OverwriteRules {
    /// The policy of the series whose label values `value_of` gives, empty where a label is absent.
    pub(super) fn of<'a>(&self, value_of: impl Fn(&str) -> &'a str) -> Overwrite {
        let rule = self
            .rules
            .iter()
            .find(|rule| LabelMatcher::all_match(&rule.0, &value_of));
        rule.map_or(self.default, |rule| rule.1)
    }
}

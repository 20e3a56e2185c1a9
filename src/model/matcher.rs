//! A condition on one label. How it is evaluated fast is the index's affair.

/// How a label's value is compared. An absent label has the empty value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`, anchored at both ends
    Regex,
    /// `!~`, anchored at both ends
    NotRegex,
}

/// A condition on one label.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Matcher {
    /// The label's name.
    pub name: String,
    /// How to compare.
    pub op: MatchOp,
    /// The value or the regular expression (RE2 syntax, anchored).
    pub value: String,
}

impl Matcher {
    /// A condition with `op`.
    pub fn new(name: impl Into<String>, op: MatchOp, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            op,
            value: value.into(),
        }
    }

    /// `name = value`
    pub fn eq(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self::new(name, MatchOp::Equal, value)
    }

    /// `name != value`
    pub fn ne(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self::new(name, MatchOp::NotEqual, value)
    }

    /// `name =~ value`
    pub fn re(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self::new(name, MatchOp::Regex, value)
    }

    /// `name !~ value`
    pub fn not_re(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self::new(name, MatchOp::NotRegex, value)
    }
}

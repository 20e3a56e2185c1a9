//! The kinds of tokens, their keywords, and how errors name them.

use crate::promql::ast::Span;
use crate::promql::operators::{AggregateOp, BinaryOp};
use crate::promql::quote::{quote, quote_shortened};

/// A token: its text is that of its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::promql) struct Token {
    pub(in crate::promql) kind: Kind,
    pub(in crate::promql) span: Span,
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::promql) enum Kind {
    /// Behind the last character.
    End,
    /// The text cannot be cut into tokens from here on.
    Fault,
    Comma,
    Colon,
    LeftParen,
    RightParen,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    /// `=`
    Assign,
    /// `=~`
    EqualRegex,
    /// `!~`
    NotEqualRegex,
    /// `@`
    At,
    /// A word.
    Identifier,
    /// A word with a colon.
    MetricIdentifier,
    String,
    Number,
    Duration,
    Operator(BinaryOp),
    Aggregate(AggregateOp),
    Keyword(Keyword),
    Reserved(Reserved),
}

/// Words that modify an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::promql) enum Keyword {
    Anchored,
    Bool,
    By,
    Fill,
    FillLeft,
    FillRight,
    GroupLeft,
    GroupRight,
    Ignoring,
    Offset,
    On,
    Smoothed,
    Without,
}

/// Functions that have a meaning of their own behind `@`, `offset` and in brackets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::promql) enum Reserved {
    End,
    MaxOf,
    MinOf,
    Range,
    Start,
    Step,
}

/// The longest keyword.
const KEYWORD_BYTES_MAX: usize = 12;

/// The kind of a word that is more than a name. Case does not matter.
pub(super) fn keyword(word: &str) -> Option<Kind> {
    let mut buffer = [0; KEYWORD_BYTES_MAX];
    let lower = buffer.get_mut(..word.len())?;
    lower.copy_from_slice(word.as_bytes());
    lower.make_ascii_lowercase();
    Some(match &*lower {
        b"and" => Kind::Operator(BinaryOp::And),
        b"or" => Kind::Operator(BinaryOp::Or),
        b"unless" => Kind::Operator(BinaryOp::Unless),
        b"atan2" => Kind::Operator(BinaryOp::Atan2),
        b"sum" => Kind::Aggregate(AggregateOp::Sum),
        b"avg" => Kind::Aggregate(AggregateOp::Avg),
        b"count" => Kind::Aggregate(AggregateOp::Count),
        b"min" => Kind::Aggregate(AggregateOp::Min),
        b"max" => Kind::Aggregate(AggregateOp::Max),
        b"group" => Kind::Aggregate(AggregateOp::Group),
        b"stddev" => Kind::Aggregate(AggregateOp::Stddev),
        b"stdvar" => Kind::Aggregate(AggregateOp::Stdvar),
        b"topk" => Kind::Aggregate(AggregateOp::Topk),
        b"bottomk" => Kind::Aggregate(AggregateOp::Bottomk),
        b"count_values" => Kind::Aggregate(AggregateOp::CountValues),
        b"quantile" => Kind::Aggregate(AggregateOp::Quantile),
        b"limitk" => Kind::Aggregate(AggregateOp::Limitk),
        b"limit_ratio" => Kind::Aggregate(AggregateOp::LimitRatio),
        b"offset" => Kind::Keyword(Keyword::Offset),
        b"smoothed" => Kind::Keyword(Keyword::Smoothed),
        b"anchored" => Kind::Keyword(Keyword::Anchored),
        b"by" => Kind::Keyword(Keyword::By),
        b"without" => Kind::Keyword(Keyword::Without),
        b"on" => Kind::Keyword(Keyword::On),
        b"ignoring" => Kind::Keyword(Keyword::Ignoring),
        b"group_left" => Kind::Keyword(Keyword::GroupLeft),
        b"group_right" => Kind::Keyword(Keyword::GroupRight),
        b"fill" => Kind::Keyword(Keyword::Fill),
        b"fill_left" => Kind::Keyword(Keyword::FillLeft),
        b"fill_right" => Kind::Keyword(Keyword::FillRight),
        b"bool" => Kind::Keyword(Keyword::Bool),
        b"start" => Kind::Reserved(Reserved::Start),
        b"end" => Kind::Reserved(Reserved::End),
        b"step" => Kind::Reserved(Reserved::Step),
        b"range" => Kind::Reserved(Reserved::Range),
        b"min_of" => Kind::Reserved(Reserved::MinOf),
        b"max_of" => Kind::Reserved(Reserved::MaxOf),
        b"inf" | b"nan" => Kind::Number,
        _ => return None,
    })
}

impl Kind {
    /// May be the name of a metric where one is expected.
    pub(in crate::promql) fn is_metric_name(self) -> bool {
        match self {
            Self::Identifier | Self::MetricIdentifier | Self::Aggregate(_) | Self::Reserved(_) => true,
            Self::Operator(op) => op.is_set(),
            Self::Keyword(keyword) => !matches!(
                keyword,
                Keyword::Bool | Keyword::GroupLeft | Keyword::GroupRight | Keyword::Ignoring | Keyword::On
            ),
            _ => false,
        }
    }

    /// May be a label in a list of labels.
    pub(in crate::promql) fn is_label(self) -> bool {
        self.is_metric_name() || matches!(self, Self::Keyword(_) | Self::Operator(BinaryOp::Atan2))
    }

    /// Begins a duration that may be computed.
    pub(in crate::promql) fn begins_duration(self) -> bool {
        matches!(
            self,
            Self::Number
                | Self::Duration
                | Self::LeftParen
                | Self::Operator(BinaryOp::Add | BinaryOp::Sub)
                | Self::Reserved(Reserved::Step | Reserved::Range | Reserved::MinOf | Reserved::MaxOf)
        )
    }

    /// How errors call a token of this kind with that text.
    pub(in crate::promql) fn describe(self, text: &str) -> String {
        match self {
            Self::End => "end of input".to_owned(),
            Self::Identifier => format!("identifier {}", quote(text)),
            Self::MetricIdentifier => format!("metric identifier {}", quote(text)),
            Self::String => format!("string {}", quote_shortened(text)),
            Self::Number => format!("number {}", quote_shortened(text)),
            Self::Duration => format!("duration {}", quote_shortened(text)),
            Self::Keyword(_) => format!("<{text}>"),
            Self::Operator(_) | Self::EqualRegex | Self::NotEqualRegex | Self::At => format!("<op:{text}>"),
            Self::Aggregate(_) => format!("<aggr:{text}>"),
            _ => quote_shortened(text),
        }
    }
}

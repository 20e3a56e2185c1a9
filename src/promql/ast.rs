//! The syntax tree of PromQL. Every node has its place in the text, for errors and annotations.
//!
//! The left operands of a chain of binary operators may be nested as deep as the text is long: walk them with a loop
//! ([`BinaryExpr::spine`]). Everything else nests at most [`crate::promql::limits::MAX_DEPTH`] deep.

use crate::model::matcher::Matcher;
use crate::promql::operators::{AggregateOp, BinaryOp, DurationOp, UnaryOp};
use crate::promql::signature::{Function, ValueType};

/// A place in the text of a query: bytes from `start` up to, not including, `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The byte behind the last one.
    pub end: usize,
}

impl Span {
    /// From the start of `self` to the end of `last`.
    pub(crate) fn to(self, last: Span) -> Span {
        Span {
            start: self.start,
            end: last.end,
        }
    }
}

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expr {
    /// `1`, `5m` as a number of seconds.
    Number(NumberLiteral),
    /// `"text"`
    String(StringLiteral),
    /// `(expr)`
    Paren(ParenExpr),
    /// `-expr`, `+expr`
    Unary(UnaryExpr),
    /// `a + b`
    Binary(BinaryExpr),
    /// `sum by (job) (expr)`
    Aggregate(AggregateExpr),
    /// `rate(expr)`
    Call(Call),
    /// `metric{label="value"} offset 5m`
    Vector(VectorSelector),
    /// `metric[5m]`
    Matrix(MatrixSelector),
    /// `expr[1h:5m]`
    Subquery(SubqueryExpr),
    /// An expression with the same result at every step. The parser makes none; `preprocess` does.
    StepInvariant(Box<Expr>),
}

/// A number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct NumberLiteral {
    /// Its value; of a duration, in seconds.
    pub(crate) value: f64,
    /// It was written as a duration and is printed as one.
    pub(crate) is_duration: bool,
    /// Its place.
    pub(crate) span: Span,
}

/// A string, unquoted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StringLiteral {
    /// The text; where escapes make bytes that are no UTF-8, with replacement characters.
    pub(crate) value: String,
    /// The bytes, when they are no UTF-8.
    pub(crate) bytes: Option<Vec<u8>>,
    /// Its place, with the quotes.
    pub(crate) span: Span,
}

/// An expression in parentheses.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ParenExpr {
    /// What is inside.
    pub(crate) expr: Box<Expr>,
    /// Its place, with the parentheses.
    pub(crate) span: Span,
}

/// A sign before an expression that is no number.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct UnaryExpr {
    /// The sign.
    pub(crate) op: UnaryOp,
    /// The operand.
    pub(crate) expr: Box<Expr>,
    /// Its place.
    pub(crate) span: Span,
}

/// A binary operation.
#[derive(Debug, PartialEq)]
pub(crate) struct BinaryExpr {
    /// The operator.
    pub(crate) op: BinaryOp,
    /// The left operand.
    pub(crate) lhs: Box<Expr>,
    /// The right operand.
    pub(crate) rhs: Box<Expr>,
    /// How the series of both sides meet; `None` unless both operands are vectors.
    pub(crate) matching: Option<VectorMatching>,
    /// A comparison answers 0 or 1 instead of filtering.
    pub(crate) return_bool: bool,
    /// Where the operator stands.
    pub(crate) op_start: usize,
    /// Its place, from the left operand to the right one.
    pub(crate) span: Span,
}

/// How many series of one side meet one of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cardinality {
    /// Without `group_left` and `group_right`.
    OneToOne,
    /// `group_left`
    ManyToOne,
    /// `group_right`
    OneToMany,
    /// Set operators.
    ManyToMany,
}

/// How the series of two vectors meet.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct VectorMatching {
    /// How many meet how many.
    pub(crate) cardinality: Cardinality,
    /// The labels of `on` or `ignoring`.
    pub(crate) labels: Vec<String>,
    /// Only `labels` are compared, instead of all others.
    pub(crate) on: bool,
    /// The labels taken over from the "one" side.
    pub(crate) include: Vec<String>,
    /// The value of a missing series of the left side.
    pub(crate) fill_left: Option<f64>,
    /// The value of a missing series of the right side.
    pub(crate) fill_right: Option<f64>,
}

impl Default for VectorMatching {
    fn default() -> Self {
        Self {
            cardinality: Cardinality::OneToOne,
            labels: Vec::new(),
            on: false,
            include: Vec::new(),
            fill_left: None,
            fill_right: None,
        }
    }
}

/// An aggregation.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AggregateExpr {
    /// The operator.
    pub(crate) op: AggregateOp,
    /// What is aggregated.
    pub(crate) expr: Box<Expr>,
    /// The first argument of those that have two, like `topk`.
    pub(crate) param: Option<Box<Expr>>,
    /// The labels to group by, or to drop.
    pub(crate) grouping: Vec<String>,
    /// The labels are dropped instead of kept.
    pub(crate) without: bool,
    /// Its place.
    pub(crate) span: Span,
}

/// A call of a function.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call {
    /// What is called.
    pub(crate) function: &'static Function,
    /// The arguments.
    pub(crate) args: Vec<Expr>,
    /// Its place.
    pub(crate) span: Span,
}

/// The time of an `@` modifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    /// A moment, in milliseconds.
    TimestampMs(i64),
    /// `start()` of the query.
    Start,
    /// `end()` of the query.
    End,
}

/// A selector of series at each step.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct VectorSelector {
    /// The name before the braces, or empty.
    pub(crate) name: String,
    /// The conditions, that of the name included.
    pub(crate) matchers: Vec<Matcher>,
    /// The offset as written, or as resolved from `offset_expr`.
    pub(crate) offset_ms: i64,
    /// The offset, when it has to be computed; `preprocess` does it.
    pub(crate) offset_expr: Option<Box<DurationExpr>>,
    /// The moment to read at, instead of the step's.
    pub(crate) at: Option<At>,
    /// `anchored`: the window begins with the value at its left edge.
    pub(crate) anchored: bool,
    /// `smoothed`: values at the edges are interpolated.
    pub(crate) smoothed: bool,
    /// Conditions that all match the empty string are allowed (second argument of `info`).
    pub(crate) may_match_all: bool,
    /// Its place, with the modifiers.
    pub(crate) span: Span,
}

/// A selector of windows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MatrixSelector {
    /// Which series, and the modifiers.
    pub(crate) vector: VectorSelector,
    /// The length of the window.
    pub(crate) range_ms: i64,
    /// The length, when it has to be computed; `preprocess` does it.
    pub(crate) range_expr: Option<Box<DurationExpr>>,
    /// Its place, with the modifiers.
    pub(crate) span: Span,
}

/// An expression over a window of its own steps.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SubqueryExpr {
    /// What is evaluated at each inner step.
    pub(crate) expr: Box<Expr>,
    /// The length of the window.
    pub(crate) range_ms: i64,
    /// The length, when it has to be computed; `preprocess` does it.
    pub(crate) range_expr: Option<Box<DurationExpr>>,
    /// The inner step; 0 for the default one.
    pub(crate) step_ms: i64,
    /// The inner step, when it has to be computed; `preprocess` does it.
    pub(crate) step_expr: Option<Box<DurationExpr>>,
    /// The offset as written, or as resolved from `offset_expr`.
    pub(crate) offset_ms: i64,
    /// The offset, when it has to be computed; `preprocess` does it.
    pub(crate) offset_expr: Option<Box<DurationExpr>>,
    /// The moment to read at, instead of the step's.
    pub(crate) at: Option<At>,
    /// Its place, with the modifiers.
    pub(crate) span: Span,
}

/// A duration that is computed when the query's times are known.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DurationExpr {
    /// What it is.
    pub(crate) kind: DurationKind,
    /// It stands in parentheses.
    pub(crate) wrapped: bool,
    /// Its place.
    pub(crate) span: Span,
}

/// The kinds of [`DurationExpr`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum DurationKind {
    /// Seconds.
    Number(NumberLiteral),
    /// `step()`
    Step,
    /// `range()`
    Range,
    /// A sign.
    Unary(UnaryOp, Box<DurationExpr>),
    /// `a + b`, `min_of(a, b)`
    Binary(DurationOp, Box<DurationExpr>, Box<DurationExpr>),
}

impl Expr {
    const LEAF: Self = Self::Number(NumberLiteral {
        value: 0.0,
        is_duration: false,
        span: Span { start: 0, end: 0 },
    });

    /// Takes the expression out, and leaves a number in its place.
    pub(crate) fn take(&mut self) -> Self {
        std::mem::replace(self, Self::LEAF)
    }

    /// The expression's place.
    pub(crate) fn span(&self) -> Span {
        match self {
            Self::Number(e) => e.span,
            Self::String(e) => e.span,
            Self::Paren(e) => e.span,
            Self::Unary(e) => e.span,
            Self::Binary(e) => e.span,
            Self::Aggregate(e) => e.span,
            Self::Call(e) => e.span,
            Self::Vector(e) => e.span,
            Self::Matrix(e) => e.span,
            Self::Subquery(e) => e.span,
            Self::StepInvariant(e) => e.span(),
        }
    }

    /// What the expression evaluates to.
    pub(crate) fn value_type(&self) -> ValueType {
        match self {
            Self::Number(_) => ValueType::Scalar,
            Self::String(_) => ValueType::String,
            Self::Aggregate(_) | Self::Vector(_) => ValueType::Vector,
            Self::Matrix(_) | Self::Subquery(_) => ValueType::Matrix,
            Self::Call(e) => e.function.return_type,
            Self::Paren(e) => e.expr.value_type(),
            Self::Unary(e) => e.expr.value_type(),
            Self::StepInvariant(e) => e.value_type(),
            Self::Binary(e) if e.is_scalar() => ValueType::Scalar,
            Self::Binary(_) => ValueType::Vector,
        }
    }

    /// The expression without the parentheses round it.
    pub(crate) fn unwrap_parens(&self) -> &Expr {
        let mut expr = self;
        while let Self::Paren(inner) = expr {
            expr = &inner.expr;
        }
        expr
    }
}

impl BinaryExpr {
    /// The operations of the chain that ends with this one, from the last to the first: each is the left operand of
    /// the one before.
    pub(crate) fn spine(&self) -> impl Iterator<Item = &BinaryExpr> {
        std::iter::successors(Some(self), |operation| match &*operation.lhs {
            Expr::Binary(left) => Some(left),
            _ => None,
        })
    }

    /// Whether all operands of the chain are scalars.
    fn is_scalar(&self) -> bool {
        self.spine().all(|operation| {
            let is_scalar = |operand: &Expr| operand.value_type() == ValueType::Scalar;
            let continues = matches!(*operation.lhs, Expr::Binary(_));
            is_scalar(&operation.rhs) && (continues || is_scalar(&operation.lhs))
        })
    }

    fn with_lhs(&self, lhs: Expr) -> Self {
        Self {
            op: self.op,
            lhs: Box::new(lhs),
            rhs: self.rhs.clone(),
            matching: self.matching.clone(),
            return_bool: self.return_bool,
            op_start: self.op_start,
            span: self.span,
        }
    }
}

/// A chain of operators is taken apart by a loop: it may be longer than the stack is deep.
impl Drop for BinaryExpr {
    fn drop(&mut self) {
        let mut left = self.lhs.take();
        while let Expr::Binary(operation) = &mut left {
            left = operation.lhs.take();
        }
    }
}

/// By a loop, as the drop.
impl Clone for BinaryExpr {
    fn clone(&self) -> Self {
        let chain: Vec<&Self> = self.spine().collect();
        let mut left = chain.last().map_or(Expr::LEAF, |first| (*first.lhs).clone());
        for operation in chain.iter().skip(1).rev() {
            left = Expr::Binary(operation.with_lhs(left));
        }
        self.with_lhs(left)
    }
}

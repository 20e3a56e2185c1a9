//! Aggregations. Rows are added to their group as they come; what is kept grows with groups and steps.

mod accumulators;
mod count_values;
mod groups;
mod ranking;

use super::error::EvalError;
use super::{Evaluator, Sink, mistyped};
use crate::promql::ast::{AggregateExpr, Expr};
use crate::promql::operators::AggregateOp;
use crate::promql::value::Steps;

pub(super) use self::groups::Grouping;

impl Evaluator<'_> {
    pub(super) fn aggregate(
        &self,
        expr: &AggregateExpr,
        steps: Steps,
        sink: Sink<'_>,
    ) -> Result<(), EvalError> {
        use accumulators::{Avg, Count, Group, Max, Min, Quantile, Stddev, Stdvar, Sum};
        let grouping = Grouping::new(expr);
        match expr.op {
            AggregateOp::Sum => self.accumulate::<Sum>(expr, &grouping, steps, sink),
            AggregateOp::Avg => self.accumulate::<Avg>(expr, &grouping, steps, sink),
            AggregateOp::Count => self.accumulate::<Count>(expr, &grouping, steps, sink),
            AggregateOp::Group => self.accumulate::<Group>(expr, &grouping, steps, sink),
            AggregateOp::Max => self.accumulate::<Max>(expr, &grouping, steps, sink),
            AggregateOp::Min => self.accumulate::<Min>(expr, &grouping, steps, sink),
            AggregateOp::Stddev => self.accumulate::<Stddev>(expr, &grouping, steps, sink),
            AggregateOp::Stdvar => self.accumulate::<Stdvar>(expr, &grouping, steps, sink),
            AggregateOp::Quantile => self.accumulate::<Quantile>(expr, &grouping, steps, sink),
            AggregateOp::CountValues => self.count_values(expr, steps, sink),
            AggregateOp::Topk | AggregateOp::Bottomk | AggregateOp::Limitk | AggregateOp::LimitRatio => {
                self.rank(expr, &grouping, steps, sink)
            }
        }
    }

    /// Evaluates what is aggregated.
    fn aggregated(&self, expr: &AggregateExpr, steps: Steps, sink: Sink<'_>) -> Result<(), EvalError> {
        self.set_hints(expr.op.as_str(), &expr.grouping, !expr.without);
        self.vector(&expr.expr, steps, sink)
    }

    /// The parameter at each step.
    fn parameter(&self, expr: &AggregateExpr, steps: Steps) -> Result<Vec<f64>, EvalError> {
        self.scalar(param_of(expr)?, steps)
    }
}

fn param_of(expr: &AggregateExpr) -> Result<&Expr, EvalError> {
    expr.param
        .as_deref()
        .ok_or_else(|| mistyped("an aggregation with a parameter"))
}

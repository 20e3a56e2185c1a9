//! Which selects a query makes: the same walk as the evaluation, without the samples.
//!
//! Also the one place that turns offsets, `@`, ranges and lookback into times.

use super::Evaluator;
use super::read::{SelectKey, Shared};
use crate::promql::ast::{At, Expr, MatrixSelector, SubqueryExpr, VectorSelector};
use crate::promql::source::{Hints, Select};
use crate::promql::value::Steps;
use crate::promql::window::WindowKind;

/// Where a selector or subquery looks at each step: at the moment of the step, or at a fixed one.
#[derive(Debug, Clone, Copy)]
pub(super) struct References {
    steps: Steps,
    fixed_ms: Option<i64>,
    offset_ms: i64,
}

impl References {
    pub(super) fn new(steps: Steps, at: Option<At>, offset_ms: i64) -> Self {
        let fixed_ms = match at {
            Some(At::TimestampMs(moment)) => Some(moment),
            // Resolved before the evaluation; what is left means the steps at hand.
            Some(At::Start) => Some(steps.start_ms),
            Some(At::End) => Some(steps.end_ms()),
            None => None,
        };
        Self {
            steps,
            fixed_ms,
            offset_ms,
        }
    }

    /// The moment that is looked at in a step.
    pub(super) fn at(&self, step: usize) -> i64 {
        let moment = self.fixed_ms.unwrap_or_else(|| self.steps.at(step));
        moment.saturating_sub(self.offset_ms)
    }

    pub(super) fn first(&self) -> i64 {
        self.at(0)
    }

    pub(super) fn last(&self) -> i64 {
        self.at(self.steps.count.saturating_sub(1))
    }
}

impl VectorSelector {
    pub(super) fn references(&self, steps: Steps) -> References {
        References::new(steps, self.at, self.offset_ms)
    }

    pub(super) fn window_kind(&self) -> WindowKind {
        match (self.anchored, self.smoothed) {
            (true, _) => WindowKind::Anchored,
            (false, true) => WindowKind::Smoothed,
            (false, false) => WindowKind::Plain,
        }
    }
}

impl SubqueryExpr {
    pub(super) fn references(&self, steps: Steps) -> References {
        References::new(steps, self.at, self.offset_ms)
    }
}

impl Evaluator<'_> {
    /// What an instant selector asks of the source.
    pub(super) fn instant_select(&self, selector: &VectorSelector, steps: Steps, hints: Hints) -> Select {
        let lookback_ms = self.options.lookback_ms;
        let ahead_ms = if selector.smoothed { lookback_ms } else { 0 };
        let references = selector.references(steps);
        Select {
            matchers: selector.matchers.clone(),
            start_ms: references.first().saturating_sub(lookback_ms).saturating_add(1),
            end_ms: references.last().saturating_add(ahead_ms),
            hints: Hints {
                step_ms: if steps.is_instant() { 0 } else { steps.step_ms },
                ..hints
            },
        }
    }

    /// What a selector of windows asks of the source.
    pub(super) fn range_select(&self, selector: &MatrixSelector, steps: Steps, hints: Hints) -> Select {
        let (before_ms, behind_ms) = match selector.vector.window_kind() {
            WindowKind::Plain => (0, 0),
            WindowKind::Anchored => (self.options.lookback_ms, 0),
            WindowKind::Smoothed => (self.options.lookback_ms, self.options.lookback_ms),
        };
        let range_ms = selector.range_ms.saturating_add(before_ms);
        let references = selector.vector.references(steps);
        Select {
            matchers: selector.vector.matchers.clone(),
            start_ms: references.first().saturating_sub(range_ms).saturating_add(1),
            end_ms: references.last().saturating_add(behind_ms),
            hints: Hints {
                step_ms: if steps.is_instant() { 0 } else { steps.step_ms },
                range_ms: selector.range_ms,
                start_timestamps: self.options.start_timestamps,
                ..hints
            },
        }
    }

    /// The inner steps of a subquery: multiples of its step, within the windows of all outer steps.
    pub(super) fn subquery_steps(&self, subquery: &SubqueryExpr, steps: Steps) -> Steps {
        let step_ms = if subquery.step_ms > 0 {
            subquery.step_ms
        } else {
            self.options.subquery_step_ms.max(1)
        };
        let references = subquery.references(steps);
        let open_start_ms = references.first().saturating_sub(subquery.range_ms);
        let end_ms = references.last();
        let start_ms = (open_start_ms.div_euclid(step_ms).saturating_add(1)).saturating_mul(step_ms);
        let count = if end_ms < start_ms {
            0
        } else {
            (end_ms.saturating_sub(start_ms) / step_ms) as usize + 1
        };
        Steps {
            start_ms,
            step_ms,
            count,
        }
    }

    /// Finds the selects that the evaluation of `expr` will make more than once.
    pub(super) fn share_reads(&self, expr: &Expr, steps: Steps) {
        let mut selects = Vec::new();
        self.list_selects(expr, steps, &mut selects);
        *self.shared.borrow_mut() = Shared::new(selects);
    }

    fn list_selects(&self, expr: &Expr, steps: Steps, selects: &mut Vec<SelectKey>) {
        if steps.count == 0 {
            return;
        }
        let mut expr = expr;
        loop {
            match expr {
                Expr::Number(_) | Expr::String(_) => return,
                Expr::Paren(inner) => expr = &inner.expr,
                Expr::Unary(unary) => expr = &unary.expr,
                Expr::StepInvariant(inner) => return self.list_selects(inner, steps.first(), selects),
                Expr::Binary(binary) => {
                    self.list_selects(&binary.rhs, steps, selects);
                    expr = &binary.lhs;
                }
                Expr::Aggregate(aggregate) => {
                    if let Some(param) = &aggregate.param {
                        self.list_selects(param, steps, selects);
                    }
                    expr = &aggregate.expr;
                }
                Expr::Call(call) => {
                    // The second argument of `info` is no selector of its own.
                    let read = if call.function.name == "info" {
                        1
                    } else {
                        call.args.len()
                    };
                    for argument in call.args.iter().take(read) {
                        self.list_selects(argument, steps, selects);
                    }
                    return;
                }
                Expr::Vector(selector) => {
                    let select = self.instant_select(selector, steps, Hints::default());
                    return selects.push(SelectKey::of(&select));
                }
                Expr::Matrix(selector) => {
                    let select = self.range_select(selector, steps, Hints::default());
                    return selects.push(SelectKey::of(&select));
                }
                Expr::Subquery(subquery) => {
                    let inner = self.subquery_steps(subquery, steps);
                    return self.list_selects(&subquery.expr, inner, selects);
                }
            }
        }
    }
}

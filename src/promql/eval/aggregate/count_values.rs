//! `count_values`: a group for each distinct value.

use super::groups::{Grouping, Groups};
use super::param_of;
use crate::base::go_text::float_f;
use crate::promql::ast::{AggregateExpr, Expr};
use crate::promql::eval::error::EvalError;
use crate::promql::eval::labels::with;
use crate::promql::eval::{Evaluator, Sink, mistyped};
use crate::promql::quote::{quote, quote_bytes};
use crate::promql::value::{Cell, Row, Steps};

impl Evaluator<'_> {
    pub(super) fn count_values(
        &self,
        expr: &AggregateExpr,
        steps: Steps,
        sink: Sink<'_>,
    ) -> Result<(), EvalError> {
        let Expr::String(literal) = param_of(expr)?.unwrap_parens() else {
            return Err(mistyped("a string"));
        };
        let label = literal.value.as_str();
        if let Some(bytes) = &literal.bytes {
            return Err(EvalError::execution(format!(
                "invalid label name {}",
                quote_bytes(bytes)
            )));
        }
        if label.is_empty() {
            return Err(EvalError::execution(format!(
                "invalid label name {}",
                quote(label)
            )));
        }
        let grouping = Grouping::new(expr).and(label);
        let mut groups = Groups::default();
        let mut counts: Vec<u32> = Vec::new();
        let mut held = self.budget.hold();
        self.aggregated(expr, steps, &mut |row| {
            let mut last: Option<(u64, usize)> = None;
            for (step, cell) in row.cells.iter().enumerate() {
                let value = match cell {
                    Cell::Empty => continue,
                    Cell::Float(value) => Some(value.to_bits()),
                    Cell::Histogram(_) => None,
                };
                let group = match last {
                    Some((bits, group)) if Some(bits) == value => group,
                    _ => {
                        let text = match cell {
                            Cell::Histogram(histogram) => histogram.to_string(),
                            other => float_f(other.as_float().unwrap_or(f64::NAN)),
                        };
                        groups.of(&grouping, &with(&row.labels, &[(label, &text)]))
                    }
                };
                last = value.map(|bits| (bits, group));
                if groups.len() * steps.count > counts.len() {
                    held.add(steps.count)?;
                    counts.resize(groups.len() * steps.count, 0);
                }
                counts[group * steps.count + step] += 1;
            }
            Ok(())
        })?;
        let count = |count: &u32| {
            if *count == 0 {
                Cell::Empty
            } else {
                Cell::Float(f64::from(*count))
            }
        };
        for (labels, counts) in groups.into_labels().into_iter().zip(counts.chunks(steps.count)) {
            sink(Row {
                labels,
                drop_name: false,
                cells: counts.iter().map(count).collect(),
            })?;
        }
        Ok(())
    }
}

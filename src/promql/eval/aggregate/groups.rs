//! Groups of series: which rows are aggregated together, and the accumulators of each group and step.

use super::accumulators::{Accumulator, Context};
use crate::model::labels::{Labels, METRIC_NAME};
use crate::promql::ast::AggregateExpr;
use crate::promql::eval::Map;
use crate::promql::eval::budget::SAMPLE_BYTES;
use crate::promql::eval::error::EvalError;
use crate::promql::eval::labels::write_kept;
use crate::promql::eval::{Evaluator, Sink};
use crate::promql::operators::AggregateOp;
use crate::promql::value::{Cell, Row, Steps};

/// What rows are grouped by.
#[derive(Debug, Clone)]
pub(crate) struct Grouping {
    names: Vec<String>,
    without: bool,
}

impl Grouping {
    pub(super) fn new(expr: &AggregateExpr) -> Self {
        Self {
            names: expr.grouping.clone(),
            without: expr.without,
        }
    }

    /// The same with a label more, if labels are named to be kept.
    pub(super) fn and(mut self, name: &str) -> Self {
        if !self.without {
            self.names.push(name.to_owned());
        }
        self
    }

    /// Writes the canonical bytes of a group's labels, which are also its key.
    pub(super) fn write(&self, labels: &Labels, out: &mut Vec<u8>) {
        if self.names.is_empty() && !self.without {
            return;
        }
        write_kept(labels, out, |label| {
            let is_named = self.names.iter().any(|name| name == label);
            if self.without {
                !is_named && label != METRIC_NAME
            } else {
                is_named
            }
        });
    }
}

/// Numbers for groups, in the order in which they come.
#[derive(Debug, Default)]
pub(super) struct Groups {
    known: Map<Box<[u8]>, usize>,
    key: Vec<u8>,
}

impl Groups {
    /// The number of the group that a row belongs to.
    pub(super) fn of(&mut self, grouping: &Grouping, labels: &Labels) -> usize {
        self.key.clear();
        grouping.write(labels, &mut self.key);
        let next = self.known.len();
        *self.known.entry_ref(self.key.as_slice()).or_insert(next)
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// The labels of the groups, in order of their numbers.
    pub(super) fn into_labels(self) -> Vec<Labels> {
        let mut labels = vec![Labels::default(); self.known.len()];
        for (key, number) in self.known {
            labels[number] = Labels::from_canonical(key);
        }
        labels
    }
}

impl Evaluator<'_> {
    /// Aggregations with one result for each group.
    pub(super) fn accumulate<A: Accumulator>(
        &self,
        expr: &AggregateExpr,
        grouping: &Grouping,
        steps: Steps,
        sink: Sink<'_>,
    ) -> Result<(), EvalError> {
        let parameter = if expr.op == AggregateOp::Quantile {
            self.parameter(expr, steps)?
        } else {
            Vec::new()
        };
        let context = Context {
            expr,
            annotations: &self.annotations,
            parameter: &parameter,
        };
        A::check(&context);
        let mut groups = Groups::default();
        let mut cells: Vec<A> = Vec::new();
        let mut names: Vec<bool> = Vec::new();
        let mut held = self.budget.hold();
        self.aggregated(expr, steps, &mut |row| {
            let group = groups.of(grouping, &row.labels);
            if group * steps.count == cells.len() {
                held.add(steps.count)?;
                held.add_bytes((size_of::<A>().saturating_sub(SAMPLE_BYTES)) * steps.count)?;
                cells.resize_with(cells.len() + steps.count, A::default);
                names.push(false);
            }
            if A::KEEPS_VALUES {
                held.add(row.weight())?;
            }
            names[group] |= row.drop_name;
            let of_group = &mut cells[group * steps.count..(group + 1) * steps.count];
            A::add_row(of_group, &row, &context);
            self.give_back(row.cells);
            Ok(())
        })?;
        let mut cells = cells.into_iter();
        for (labels, drop_name) in groups.into_labels().into_iter().zip(names) {
            let of_group = cells.by_ref().take(steps.count).enumerate();
            let finished: Vec<Cell> = of_group.map(|(step, cell)| cell.finish(step, &context)).collect();
            let row = Row {
                labels,
                drop_name,
                cells: finished,
            };
            if !row.is_empty() {
                sink(row)?;
            }
        }
        Ok(())
    }
}

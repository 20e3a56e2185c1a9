//! Aggregations that choose among series and keep their labels: `topk`, `bottomk`, `limitk`, `limit_ratio`.

use super::groups::{Grouping, Groups};
use crate::base::go_text::float_g;
use crate::base::hash;
use crate::model::labels::Labels;
use crate::promql::annotations::Annotation;
use crate::promql::ast::AggregateExpr;
use crate::promql::eval::Map;
use crate::promql::eval::error::EvalError;
use crate::promql::eval::{Evaluator, Sink};
use crate::promql::operators::AggregateOp;
use crate::promql::value::{Cell, Row, Steps};
use std::rc::Rc;

/// Up to this many values Go sorts by insertion, which keeps the order of equal ones.
const INSERTION_SORT_MAX: usize = 12;

/// A row that was chosen at some step.
struct Chosen {
    labels: Labels,
    drop_name: bool,
}

/// A value that was chosen, with its row.
struct Entry {
    cell: Cell,
    row: Rc<Chosen>,
}

impl Entry {
    fn number(&self) -> f64 {
        self.cell.as_float().unwrap_or(0.0)
    }
}

/// The values chosen of one group at one step: a heap with the first to go on top. Ties fall as they do in Go's heap.
struct Heap {
    entries: Vec<Entry>,
}

/// Whether a value goes before another. NaN goes first.
fn goes_first(op: AggregateOp, a: f64, b: f64) -> bool {
    a.is_nan() || if op == AggregateOp::Bottomk { a > b } else { a < b }
}

impl Heap {
    fn less(&self, op: AggregateOp, a: usize, b: usize) -> bool {
        goes_first(op, self.entries[a].number(), self.entries[b].number())
    }

    fn push(&mut self, op: AggregateOp, entry: Entry) {
        self.entries.push(entry);
        let mut child = self.entries.len() - 1;
        while child > 0 {
            let parent = (child - 1) / 2;
            if !self.less(op, child, parent) {
                break;
            }
            self.entries.swap(child, parent);
            child = parent;
        }
    }

    fn replace_top(&mut self, op: AggregateOp, entry: Entry) {
        self.entries[0] = entry;
        let mut parent = 0;
        loop {
            let mut child = 2 * parent + 1;
            if child >= self.entries.len() {
                break;
            }
            if child + 1 < self.entries.len() && self.less(op, child + 1, child) {
                child += 1;
            }
            if !self.less(op, child, parent) {
                break;
            }
            self.entries.swap(child, parent);
            parent = child;
        }
    }

    /// The entries, the last to go first.
    fn into_sorted(mut self, op: AggregateOp) -> Vec<Entry> {
        if self.entries.len() > INSERTION_SORT_MAX {
            self.entries.sort_by(|a, b| {
                let (a, b) = (a.number(), b.number());
                goes_first(op, a, b).cmp(&goes_first(op, b, a))
            });
            return self.entries;
        }
        for end in 1..self.entries.len() {
            let mut at = end;
            while at > 0 && self.less(op, at - 1, at) {
                self.entries.swap(at - 1, at);
                at -= 1;
            }
        }
        self.entries
    }
}

/// The choice among all rows.
struct Ranking<'r> {
    expr: &'r AggregateExpr,
    /// How many are chosen at each step, or which share.
    parameter: &'r [f64],
    heaps: Vec<Heap>,
}

impl Ranking<'_> {
    /// Takes a value in, if it is among the chosen ones.
    fn offer(&mut self, place: usize, step: usize, cell: &Cell, row: &mut Candidate<'_>) {
        let (op, parameter) = (self.expr.op, self.parameter[step]);
        let heap = &mut self.heaps[place];
        let is_chosen = match op {
            AggregateOp::LimitRatio => is_in_share(parameter, row.share()),
            _ => parameter >= 1.0 && heap.entries.len() < parameter as usize,
        };
        if is_chosen {
            return heap.push(op, row.entry(cell));
        }
        if !matches!(op, AggregateOp::Topk | AggregateOp::Bottomk) || heap.entries.is_empty() {
            return;
        }
        let (top, number) = (heap.entries[0].number(), cell.as_float().unwrap_or(f64::NAN));
        let is_better = if op == AggregateOp::Topk {
            top < number
        } else {
            top > number
        };
        if is_better || (top.is_nan() && !number.is_nan()) {
            heap.replace_top(op, row.entry(cell));
        }
    }
}

/// A row that is being offered.
struct Candidate<'r> {
    row: &'r Row,
    chosen: Option<Rc<Chosen>>,
    share: Option<f64>,
}

impl Candidate<'_> {
    fn entry(&mut self, cell: &Cell) -> Entry {
        let chosen = self.chosen.get_or_insert_with(|| {
            Rc::new(Chosen {
                labels: self.row.labels.clone(),
                drop_name: self.row.drop_name,
            })
        });
        Entry {
            cell: cell.clone(),
            row: chosen.clone(),
        }
    }

    /// The place of the series between 0 and 1, by a hash of its labels.
    fn share(&mut self) -> f64 {
        *self
            .share
            .get_or_insert_with(|| hash::prometheus_64(self.row.labels.iter()) as f64 / u64::MAX as f64)
    }
}

fn is_in_share(ratio: f64, share: f64) -> bool {
    let ratio = ratio.clamp(-1.0, 1.0);
    (ratio >= 0.0 && share < ratio) || (ratio < 0.0 && share >= 1.0 + ratio)
}

impl Evaluator<'_> {
    pub(super) fn rank(
        &self,
        expr: &AggregateExpr,
        grouping: &Grouping,
        steps: Steps,
        sink: Sink<'_>,
    ) -> Result<(), EvalError> {
        let parameter = self.parameter(expr, steps)?;
        if !self.is_parameter_valid(expr, &parameter)? {
            return self.aggregated(expr, steps, &mut |_| Ok(()));
        }
        let mut ranking = Ranking {
            expr,
            parameter: &parameter,
            heaps: Vec::new(),
        };
        let mut groups = Groups::default();
        let mut held = self.budget.hold();
        self.aggregated(expr, steps, &mut |row| {
            let group = groups.of(grouping, &row.labels);
            if group * steps.count == ranking.heaps.len() {
                held.add(steps.count)?;
                let heaps = (0..steps.count).map(|_| Heap { entries: Vec::new() });
                ranking.heaps.extend(heaps);
            }
            let mut candidate = Candidate {
                row: &row,
                chosen: None,
                share: None,
            };
            for (step, cell) in row.cells.iter().enumerate() {
                match cell {
                    Cell::Empty => {}
                    Cell::Histogram(_) if matches!(expr.op, AggregateOp::Topk | AggregateOp::Bottomk) => {
                        let aggregation = expr.op.as_str().to_owned();
                        let note = Annotation::IgnoredInAggregation { aggregation };
                        self.annotations.borrow_mut().add(note, expr.span);
                    }
                    cell => ranking.offer(group * steps.count + step, step, cell, &mut candidate),
                }
            }
            if candidate.chosen.is_some() {
                held.add(steps.count)?;
            }
            Ok(())
        })?;
        emit(ranking.heaps, expr.op, steps, sink)
    }

    /// `false` when nothing can be chosen at any step.
    fn is_parameter_valid(&self, expr: &AggregateExpr, parameter: &[f64]) -> Result<bool, EvalError> {
        let has_nan = parameter.iter().any(|value| value.is_nan());
        let least = parameter.iter().copied().fold(f64::INFINITY, f64::min);
        let most = parameter.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if expr.op == AggregateOp::LimitRatio {
            if !has_nan && most == 0.0 && least == 0.0 {
                return Ok(false);
            }
            if has_nan {
                return Err(EvalError::execution("Ratio value is NaN"));
            }
            let span = expr.param.as_ref().map(|param| param.span()).unwrap_or_default();
            for (value, capped, is_outside) in [(most, 1.0, most > 1.0), (least, -1.0, least < -1.0)] {
                if is_outside {
                    let note = Annotation::InvalidRatio { ratio: value, capped };
                    self.annotations.borrow_mut().add(note, span);
                }
            }
            return Ok(true);
        }
        if !has_nan && most < 1.0 {
            return Ok(false);
        }
        if has_nan {
            return Err(EvalError::execution("Parameter value is NaN"));
        }
        if least <= i64::MIN as f64 {
            return Err(EvalError::execution(format!(
                "Scalar value {} underflows int64",
                float_g(least)
            )));
        }
        if most >= i64::MAX as f64 {
            return Err(EvalError::execution(format!(
                "Scalar value {} overflows int64",
                float_g(most)
            )));
        }
        Ok(true)
    }
}

/// Emits the chosen values by row: in an instant query in the order of the choice.
fn emit(heaps: Vec<Heap>, op: AggregateOp, steps: Steps, sink: Sink<'_>) -> Result<(), EvalError> {
    let mut rows: Vec<(Rc<Chosen>, Vec<Cell>)> = Vec::new();
    let mut places: Map<*const Chosen, usize> = Map::default();
    let is_sorted = matches!(op, AggregateOp::Topk | AggregateOp::Bottomk);
    for (place, heap) in heaps.into_iter().enumerate() {
        let step = place % steps.count;
        let entries = if is_sorted {
            heap.into_sorted(op)
        } else {
            heap.entries
        };
        for entry in entries {
            let next = rows.len();
            let row = *places.entry(Rc::as_ptr(&entry.row)).or_insert(next);
            if row == next {
                rows.push((entry.row, vec![Cell::Empty; steps.count]));
            }
            rows[row].1[step] = entry.cell;
        }
    }
    for (chosen, cells) in rows {
        sink(Row {
            labels: chosen.labels.clone(),
            drop_name: chosen.drop_name,
            cells,
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(op: AggregateOp, values: &[f64]) -> Vec<f64> {
        let row = Rc::new(Chosen {
            labels: Labels::default(),
            drop_name: false,
        });
        let mut heap = Heap { entries: Vec::new() };
        for value in values {
            heap.push(
                op,
                Entry {
                    cell: Cell::Float(*value),
                    row: row.clone(),
                },
            );
        }
        heap.into_sorted(op).iter().map(Entry::number).collect()
    }

    #[test]
    fn chosen_values_come_in_order_and_nan_last() {
        assert_eq!(sorted(AggregateOp::Topk, &[2.0, 3.0, 1.0]), [3.0, 2.0, 1.0]);
        assert_eq!(sorted(AggregateOp::Bottomk, &[2.0, 3.0, 1.0]), [1.0, 2.0, 3.0]);
        assert!(sorted(AggregateOp::Topk, &[f64::NAN, 3.0])[1].is_nan());
        let many: Vec<f64> = (0..20).map(f64::from).collect();
        assert_eq!(sorted(AggregateOp::Topk, &many)[0], 19.0);
    }

    #[test]
    fn shares_complement_each_other() {
        for share in [0.0, 0.29, 0.3, 0.31, 0.999] {
            assert_ne!(is_in_share(0.25, share), is_in_share(-0.75, share));
        }
        assert!(is_in_share(1.5, 0.999) && is_in_share(-2.0, 0.0));
    }
}

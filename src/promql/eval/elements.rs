//! Binary operators on two values.

use crate::base::math;
use crate::model::float_histogram::{FloatHistogram, Keep};
use crate::model::histogram::ResetHint;
use crate::promql::annotations::{Annotation, HistogramOperation as Operation};
use crate::promql::operators::BinaryOp;
use crate::promql::value::Cell;
use std::sync::Arc;

/// What an operator makes of two values.
pub(super) struct Element {
    /// The result; of a comparison the left value.
    pub(super) cell: Cell,
    /// Whether the result stays; a comparison that does not hold drops it.
    pub(super) is_kept: bool,
    pub(super) note: Option<Annotation>,
}

impl Element {
    fn kept(cell: Cell) -> Self {
        Self {
            cell,
            is_kept: true,
            note: None,
        }
    }

    fn refused(note: Annotation) -> Self {
        Self {
            cell: Cell::Empty,
            is_kept: false,
            note: Some(note),
        }
    }

    /// Whether the operator does not work on values of this kind.
    pub(super) fn is_refused(&self) -> bool {
        !self.is_kept && self.note.is_some()
    }
}

/// An operator on two numbers; comparisons answer 1 or 0.
pub(super) fn of_scalars(op: BinaryOp, left: f64, right: f64) -> f64 {
    match compare(op, left, right) {
        Some(holds) => f64::from(u8::from(holds)),
        None => arithmetic(op, left, right).unwrap_or(f64::NAN),
    }
}

fn arithmetic(op: BinaryOp, left: f64, right: f64) -> Option<f64> {
    Some(match op {
        BinaryOp::Add => left + right,
        BinaryOp::Sub => left - right,
        BinaryOp::Mul => left * right,
        BinaryOp::Div => left / right,
        BinaryOp::Mod => left % right,
        BinaryOp::Pow => math::pow(left, right),
        BinaryOp::Atan2 => math::atan2(left, right),
        _ => return None,
    })
}

fn compare(op: BinaryOp, left: f64, right: f64) -> Option<bool> {
    Some(match op {
        BinaryOp::Eq => left == right,
        BinaryOp::Ne => left != right,
        BinaryOp::Gt => left > right,
        BinaryOp::Lt => left < right,
        BinaryOp::Ge => left >= right,
        BinaryOp::Le => left <= right,
        _ => return None,
    })
}

/// An operator on two values, of which none is empty.
pub(super) fn of_cells(op: BinaryOp, left: &Cell, right: &Cell) -> Element {
    match (left, right) {
        (Cell::Float(left), Cell::Float(right)) => of_floats(op, *left, *right),
        (Cell::Float(left), Cell::Histogram(right)) => match op {
            BinaryOp::Mul => Element::kept(scaled(right, |histogram| histogram.mul(*left))),
            _ => incompatible("float", op, "histogram"),
        },
        (Cell::Histogram(left), Cell::Float(right)) => of_histogram_and_float(op, left, *right),
        (Cell::Histogram(left), Cell::Histogram(right)) => of_histograms(op, left, right),
        _ => Element {
            cell: Cell::Empty,
            is_kept: false,
            note: None,
        },
    }
}

fn of_floats(op: BinaryOp, left: f64, right: f64) -> Element {
    if let Some(value) = arithmetic(op, left, right) {
        return Element::kept(Cell::Float(value));
    }
    match compare(op, left, right) {
        Some(is_kept) => Element {
            cell: Cell::Float(left),
            is_kept,
            note: None,
        },
        None => incompatible("float", op, "float"),
    }
}

fn of_histogram_and_float(op: BinaryOp, left: &Arc<FloatHistogram>, right: f64) -> Element {
    match op {
        BinaryOp::Mul => Element::kept(scaled(left, |histogram| histogram.mul(right))),
        BinaryOp::Div => Element::kept(scaled(left, |histogram| histogram.div(right))),
        BinaryOp::TrimUpper => Element::kept(left.trimmed(Keep::Below, right).into()),
        BinaryOp::TrimLower => Element::kept(left.trimmed(Keep::Above, right).into()),
        _ => incompatible("histogram", op, "float"),
    }
}

fn scaled(histogram: &Arc<FloatHistogram>, scale: impl FnOnce(&mut FloatHistogram)) -> Cell {
    let mut result = FloatHistogram::clone(histogram);
    scale(&mut result);
    result.compact();
    result.into()
}

fn of_histograms(op: BinaryOp, left: &Arc<FloatHistogram>, right: &Arc<FloatHistogram>) -> Element {
    let operation = match op {
        BinaryOp::Add => Operation::Addition,
        BinaryOp::Sub => Operation::Subtraction,
        BinaryOp::Eq | BinaryOp::Ne => {
            let is_kept = (left == right) == (op == BinaryOp::Eq);
            return Element {
                cell: Cell::Histogram(left.clone()),
                is_kept,
                note: None,
            };
        }
        _ => return incompatible("histogram", op, "histogram"),
    };
    let mut result = FloatHistogram::clone(left);
    let done = match op {
        BinaryOp::Add => result.add(right),
        _ => result.sub(right),
    };
    let Ok(done) = done else {
        let operator = op.as_str().to_owned();
        return Element::refused(Annotation::IncompatibleBucketLayout { operator });
    };
    if op == BinaryOp::Sub {
        result.reset_hint = ResetHint::Gauge;
    }
    result.compact();
    let note = if done.reset_hints {
        Some(Annotation::ResetCollision { operation })
    } else if done.custom_bounds {
        Some(Annotation::MismatchedCustomBuckets { operation })
    } else {
        None
    };
    Element {
        cell: result.into(),
        is_kept: true,
        note,
    }
}

fn incompatible(left: &'static str, op: BinaryOp, right: &'static str) -> Element {
    let operator = op.as_str().to_owned();
    Element::refused(Annotation::IncompatibleTypes {
        left,
        operator,
        right,
    })
}

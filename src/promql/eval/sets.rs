//! The operators `and`, `or` and `unless`: which series have a partner at a step.

use super::matching::Signatures;
use crate::promql::ast::VectorMatching;
use crate::promql::operators::BinaryOp;
use crate::promql::value::{Cell, Row, Steps};

/// For each signature and step whether a row has a value there.
struct Presence {
    steps: usize,
    present: Vec<bool>,
}

impl Presence {
    fn of(rows: &[Row], ordinals: &[usize], signatures: usize, steps: usize) -> Self {
        let mut present = vec![false; signatures * steps];
        for (row, ordinal) in rows.iter().zip(ordinals) {
            for (step, cell) in row.cells.iter().enumerate() {
                present[ordinal * steps + step] |= !cell.is_empty();
            }
        }
        Self { steps, present }
    }

    fn at(&self, ordinal: usize) -> &[bool] {
        &self.present[ordinal * self.steps..(ordinal + 1) * self.steps]
    }
}

pub(super) fn operate(
    op: BinaryOp,
    matching: &VectorMatching,
    mut left: Vec<Row>,
    mut right: Vec<Row>,
    steps: Steps,
) -> Vec<Row> {
    let mut signatures = Signatures::new(matching);
    let left_ordinals = signatures.ordinals(&left);
    let right_ordinals = signatures.ordinals(&right);
    let count = signatures.count();
    if op == BinaryOp::Or {
        let presence = Presence::of(&left, &left_ordinals, count, steps.count);
        retain(&mut right, &right_ordinals, &presence, false);
        left.append(&mut right);
    } else {
        let presence = Presence::of(&right, &right_ordinals, count, steps.count);
        retain(&mut left, &left_ordinals, &presence, op == BinaryOp::And);
    }
    left.retain(|row| !row.is_empty());
    left
}

/// Keeps the cells of rows whose signature has a value at the step, or has none.
fn retain(rows: &mut [Row], ordinals: &[usize], presence: &Presence, wanted: bool) {
    for (row, ordinal) in rows.iter_mut().zip(ordinals) {
        for (cell, present) in row.cells.iter_mut().zip(presence.at(*ordinal)) {
            if *present != wanted {
                *cell = Cell::Empty;
            }
        }
    }
}

//! Operators between two vectors where no two series can be in each other's way, which is the usual case: pairs of rows
//! are then combined one after the other, each over all steps.

use super::Evaluator;
use super::Set;
use super::elements::of_cells;
use super::matching::{Side, result_labels};
use crate::promql::annotations::Annotation;
use crate::promql::ast::{BinaryExpr, Cardinality, VectorMatching};
use crate::promql::value::{Cell, Row};

/// No row has this signature.
const NONE: usize = usize::MAX;

impl Evaluator<'_> {
    /// The results, or `None` when series may meet more than one other.
    pub(super) fn match_pairs(
        &self,
        operation: &BinaryExpr,
        matching: &VectorMatching,
        (many, one): (&Side<'_>, &Side<'_>),
        signatures: usize,
    ) -> Option<Vec<Row>> {
        if many.fill.is_some() || one.fill.is_some() {
            return None;
        }
        let ones = places(one, signatures)?;
        if matching.cardinality == Cardinality::OneToOne {
            places(many, signatures)?;
        }
        let delayed = self.options.delayed_name_removal;
        let mut labels = Set::default();
        let mut results = Vec::new();
        for (row, ordinal) in many.rows.iter().zip(&many.ordinals) {
            let Some(partner) = one.rows.get(ones[*ordinal]) else {
                continue;
            };
            let result = result_labels(operation, matching, delayed, &row.labels, &partner.labels);
            if !labels.insert(result.clone()) {
                return None;
            }
            let drop_name = operation.return_bool || row.drop_name;
            results.push((
                Row {
                    labels: result,
                    drop_name,
                    cells: Vec::new(),
                },
                row,
                partner,
            ));
        }
        let is_swapped = matching.cardinality == Cardinality::OneToMany;
        let mut notes: Vec<Option<Annotation>> = Vec::new();
        let combined = results.into_iter().map(|(result, many, one)| {
            let (left, right) = if is_swapped { (one, many) } else { (many, one) };
            let cells = combine(operation, &left.cells, &right.cells, &mut notes);
            Row { cells, ..result }
        });
        let combined: Vec<Row> = combined.filter(|row| !row.is_empty()).collect();
        for note in notes.into_iter().flatten() {
            self.annotations.borrow_mut().add(note, operation.span);
        }
        Some(combined)
    }
}

/// The row of each signature, or `None` when two rows have the same.
fn places(side: &Side<'_>, signatures: usize) -> Option<Vec<usize>> {
    let mut places = vec![NONE; signatures];
    for (index, ordinal) in side.ordinals.iter().enumerate() {
        if std::mem::replace(&mut places[*ordinal], index) != NONE {
            return None;
        }
    }
    Some(places)
}

/// Combines two rows. As upstream, the last note of a step stands for all of the step.
fn combine(
    operation: &BinaryExpr,
    left: &[Cell],
    right: &[Cell],
    notes: &mut Vec<Option<Annotation>>,
) -> Vec<Cell> {
    let pairs = left.iter().zip(right).enumerate();
    let combined = pairs.map(|(step, (one, other))| {
        if one.is_empty() || other.is_empty() {
            return Cell::Empty;
        }
        let element = of_cells(operation.op, one, other);
        let is_refused = element.is_refused();
        if element.note.is_some() {
            notes.resize(left.len(), None);
            notes[step] = element.note;
        }
        match (is_refused, operation.return_bool, element.is_kept) {
            (true, _, _) | (false, false, false) => Cell::Empty,
            (false, true, is_kept) => Cell::Float(f64::from(u8::from(is_kept))),
            (false, false, true) => element.cell,
        }
    });
    combined.collect()
}

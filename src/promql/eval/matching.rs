//! Operators between two vectors: which series meet, and what their result is called.
//!
//! What is an error depends on which series have a value at the same step, so steps are the outer loop. The labels of a
//! result are made once for each pair of series.

use super::Evaluator;
use super::binary::changes_meaning;
use super::elements::of_cells;
use super::error::EvalError;
use super::labels::{in_braces, is_metadata, kept, same_labelset, with, without_metadata, write_kept};
use crate::model::labels::{Labels, METRIC_NAME};
use crate::promql::annotations::Annotation;
use crate::promql::ast::{BinaryExpr, Cardinality, VectorMatching};
use crate::promql::eval::Map;
use crate::promql::value::{Cell, Row, Steps};

/// Numbers for what is compared of label sets: series with one number meet.
pub(super) struct Signatures<'m> {
    matching: &'m VectorMatching,
    known: Map<Vec<u8>, usize>,
}

impl<'m> Signatures<'m> {
    pub(super) fn new(matching: &'m VectorMatching) -> Self {
        Self {
            matching,
            known: Map::default(),
        }
    }

    pub(super) fn ordinals(&mut self, rows: &[Row]) -> Vec<usize> {
        let mut bytes = Vec::new();
        let ordinal = |row: &Row| {
            bytes.clear();
            write_kept(&row.labels, &mut bytes, |name| is_compared(self.matching, name));
            let next = self.known.len();
            *self.known.entry_ref(bytes.as_slice()).or_insert(next)
        };
        rows.iter().map(ordinal).collect()
    }

    pub(super) fn count(&self) -> usize {
        self.known.len()
    }
}

fn is_compared(matching: &VectorMatching, name: &str) -> bool {
    let is_named = matching.labels.iter().any(|label| label == name);
    if matching.on {
        is_named
    } else {
        !is_named && name != METRIC_NAME
    }
}

/// The labels that are compared.
fn compared(matching: &VectorMatching, labels: &Labels) -> Labels {
    kept(labels, |name| is_compared(matching, name))
}

/// One side of an operation: rows with the numbers of their signatures.
pub(super) struct Side<'r> {
    pub(super) rows: &'r [Row],
    pub(super) ordinals: Vec<usize>,
    /// The value of a series that is missing on this side.
    pub(super) fill: Option<f64>,
}

impl Side<'_> {
    fn has_any_at(&self, step: usize) -> bool {
        self.rows.iter().any(|row| !row.cells[step].is_empty())
    }
}

/// No row: the value is the one to fill in.
const FILLED: usize = usize::MAX;
/// No step.
const NEVER: usize = usize::MAX;

/// The state of an operation between two vectors. The "one" side has at most one series in each group.
struct Join<'q, 'r> {
    evaluator: &'q Evaluator<'q>,
    operation: &'q BinaryExpr,
    matching: &'q VectorMatching,
    many: Side<'r>,
    one: Side<'r>,
    /// The "many" side is the right operand.
    is_swapped: bool,
    /// For each signature the row of the "one" side that has a value, and at which step.
    one_at: Vec<(usize, usize)>,
    /// For each signature the last step with a result.
    matched_at: Vec<usize>,
    results: Vec<Row>,
    /// For each result the step and the signature that it was made from last.
    made_at: Vec<(usize, usize)>,
    /// Results by the rows they are made from, and by their labels.
    by_pair: Map<(usize, usize), usize>,
    by_labels: Map<Labels, usize>,
    note: Option<Annotation>,
}

impl<'a> Evaluator<'a> {
    pub(super) fn match_vectors(
        &self,
        operation: &BinaryExpr,
        matching: &VectorMatching,
        left: &[Row],
        right: &[Row],
        steps: Steps,
    ) -> Result<Vec<Row>, EvalError> {
        let mut signatures = Signatures::new(matching);
        let left = Side {
            rows: left,
            ordinals: signatures.ordinals(left),
            fill: matching.fill_left,
        };
        let right = Side {
            rows: right,
            ordinals: signatures.ordinals(right),
            fill: matching.fill_right,
        };
        let is_swapped = matching.cardinality == Cardinality::OneToMany;
        let (many, one) = if is_swapped {
            // As upstream: the values to fill in do not change sides.
            let (many_fill, one_fill) = (left.fill, right.fill);
            (
                Side {
                    fill: many_fill,
                    ..right
                },
                Side {
                    fill: one_fill,
                    ..left
                },
            )
        } else {
            (left, right)
        };
        if let Some(results) = self.match_pairs(operation, matching, (&many, &one), signatures.count()) {
            return Ok(results);
        }
        let mut join = Join {
            evaluator: self,
            operation,
            matching,
            many,
            one,
            is_swapped,
            one_at: vec![(NEVER, FILLED); signatures.count()],
            matched_at: vec![NEVER; signatures.count()],
            results: Vec::new(),
            made_at: Vec::new(),
            by_pair: Map::default(),
            by_labels: Map::default(),
            note: None,
        };
        for step in 0..steps.count {
            self.budget.check()?;
            join.step(step, steps.count)?;
        }
        let mut results = join.results;
        results.retain(|row| !row.is_empty());
        Ok(results)
    }
}

impl Join<'_, '_> {
    fn step(&mut self, step: usize, steps: usize) -> Result<(), EvalError> {
        let (has_many, has_one) = (self.many.has_any_at(step), self.one.has_any_at(step));
        let fills = self.many.fill.is_some() || self.one.fill.is_some();
        let can_meet = if fills {
            has_many || has_one
        } else {
            has_many && has_one
        };
        if !can_meet {
            return Ok(());
        }
        self.find_ones(step)?;
        for index in 0..self.many.rows.len() {
            let ordinal = self.many.ordinals[index];
            if self.many.rows[index].cells[step].is_empty() {
                continue;
            }
            match self.one_at[ordinal] {
                (at, one) if at == step => self.combine(step, steps, (index, one), ordinal)?,
                _ if self.one.fill.is_some() => self.combine(step, steps, (index, FILLED), ordinal)?,
                _ => {}
            }
        }
        if self.many.fill.is_some() {
            for index in 0..self.one.rows.len() {
                let ordinal = self.one.ordinals[index];
                let has_value = !self.one.rows[index].cells[step].is_empty();
                if has_value && self.matched_at[ordinal] != step {
                    self.combine(step, steps, (FILLED, index), ordinal)?;
                }
            }
        }
        if let Some(note) = self.note.take() {
            self.evaluator
                .annotations
                .borrow_mut()
                .add(note, self.operation.span);
        }
        Ok(())
    }

    /// Finds the row of the "one" side in each group.
    fn find_ones(&mut self, step: usize) -> Result<(), EvalError> {
        for (index, row) in self.one.rows.iter().enumerate() {
            if row.cells[step].is_empty() {
                continue;
            }
            let place = &mut self.one_at[self.one.ordinals[index]];
            if place.0 == step {
                let side = if self.is_swapped { "left" } else { "right" };
                return Err(EvalError::execution(format!(
                    "found duplicate series for the match group {} on the {side} hand-side of the operation: [{}, {}]\
                     ;many-to-many matching not allowed: matching labels must be unique on one side",
                    in_braces(&compared(self.matching, &row.labels)),
                    in_braces(&self.one.rows[place.1].labels),
                    in_braces(&row.labels),
                )));
            }
            *place = (step, index);
        }
        Ok(())
    }

    /// The result of two rows at a step, one of which may be filled in.
    fn combine(
        &mut self,
        step: usize,
        steps: usize,
        pair: (usize, usize),
        ordinal: usize,
    ) -> Result<(), EvalError> {
        let many = cell_at(&self.many, pair.0, step);
        let one = cell_at(&self.one, pair.1, step);
        let op = self.operation.op;
        let element = match self.is_swapped {
            false => of_cells(op, &many, &one),
            true => of_cells(op, &one, &many),
        };
        let is_refused = element.is_refused();
        if element.note.is_some() {
            self.note = element.note;
        }
        if is_refused {
            return Ok(());
        }
        let result = self.result_of(pair, steps);
        if self.matching.cardinality == Cardinality::OneToOne {
            if self.matched_at[ordinal] == step {
                return Err(EvalError::execution(
                    "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
                ));
            }
        } else if self.made_at[result] == (step, ordinal) {
            return Err(EvalError::execution(
                "multiple matches for labels: grouping labels must ensure unique matches",
            ));
        }
        self.matched_at[ordinal] = step;
        self.made_at[result] = (step, ordinal);
        let cell = if self.operation.return_bool {
            Cell::Float(f64::from(u8::from(element.is_kept)))
        } else if element.is_kept {
            element.cell
        } else {
            return Ok(());
        };
        let place = &mut self.results[result].cells[step];
        if !place.is_empty() {
            return Err(same_labelset());
        }
        *place = cell;
        Ok(())
    }

    fn labels(&self, many: &Labels, one: &Labels) -> Labels {
        let delayed = self.evaluator.options.delayed_name_removal;
        result_labels(self.operation, self.matching, delayed, many, one)
    }

    /// Where the result of two rows goes.
    fn result_of(&mut self, pair: (usize, usize), steps: usize) -> usize {
        if let Some(known) = self.by_pair.get(&pair) {
            return *known;
        }
        let labels = match pair {
            (FILLED, one) => {
                let one = &self.one.rows[one].labels;
                self.labels(&compared(self.matching, one), one)
            }
            (many, FILLED) => {
                let many = &self.many.rows[many].labels;
                self.labels(many, &compared(self.matching, many))
            }
            (many, one) => self.labels(&self.many.rows[many].labels, &self.one.rows[one].labels),
        };
        let many = self.many.rows.get(pair.0);
        let drop_name = self.operation.return_bool || many.is_some_and(|row| row.drop_name);
        let next = self.results.len();
        let result = *self.by_labels.entry(labels.clone()).or_insert(next);
        if result == next {
            self.results.push(Row {
                labels,
                drop_name,
                cells: vec![Cell::Empty; steps],
            });
            self.made_at.push((NEVER, 0));
        }
        self.by_pair.insert(pair, result);
        result
    }
}

/// The labels of the result of two series.
pub(super) fn result_labels(
    operation: &BinaryExpr,
    matching: &VectorMatching,
    delayed_name_removal: bool,
    many: &Labels,
    one: &Labels,
) -> Labels {
    let changes_meaning = changes_meaning(operation.op);
    let is_one_to_one = matching.cardinality == Cardinality::OneToOne;
    let mut labels = kept(many, |name| {
        let is_named = || matching.labels.iter().any(|label| label == name);
        let stays = !is_one_to_one || is_named() == matching.on;
        stays && !(changes_meaning && is_metadata(name))
    });
    if !matching.include.is_empty() {
        let included: Vec<(&str, &str)> = matching
            .include
            .iter()
            .map(|name| (name.as_str(), one.get(name).unwrap_or("")))
            .collect();
        labels = with(&labels, &included);
    }
    if operation.return_bool && !delayed_name_removal {
        labels = without_metadata(&labels);
    }
    labels
}

fn cell_at(side: &Side<'_>, row: usize, step: usize) -> Cell {
    match side.rows.get(row) {
        Some(row) => row.cells[step].clone(),
        None => side.fill.map_or(Cell::Empty, Cell::Float),
    }
}

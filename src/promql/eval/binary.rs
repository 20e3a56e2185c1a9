//! Binary operators. A chain to the left is walked with a loop, since it may be longer than the stack is deep; operations
//! with a scalar are done to rows as they go by.

use super::elements::{self, of_cells};
use super::error::EvalError;
use super::labels::Distinct;
use super::{Evaluator, NameRemoval, Rows, Sink, mistyped};
use crate::promql::ast::{BinaryExpr, Expr};
use crate::promql::operators::BinaryOp;
use crate::promql::signature::ValueType;
use crate::promql::value::{Cell, Row, Steps};

/// What the left side of an operation is, as far as the chain was walked.
enum Left<'e, 'b> {
    Scalar(Vec<f64>),
    Vector(Pipeline<'e, 'b>),
}

/// A vector that is not evaluated yet, and what is to be done to its rows.
struct Pipeline<'e, 'b> {
    input: Input<'e, 'b>,
    stages: Vec<Stage<'e>>,
}

enum Input<'e, 'b> {
    Expr(&'e Expr),
    Rows(Rows<'b>),
}

/// An operation of a row and a scalar.
struct Stage<'e> {
    expr: &'e BinaryExpr,
    scalar: Vec<f64>,
    /// The scalar is the left operand.
    is_swapped: bool,
    names: Option<NameRemoval>,
}

impl Evaluator<'_> {
    pub(super) fn binary_of_scalars(&self, expr: &BinaryExpr, steps: Steps) -> Result<Vec<f64>, EvalError> {
        let chain: Vec<&BinaryExpr> = expr.spine().collect();
        let first = chain.last().map_or(&*expr.lhs, |last| &*last.lhs);
        let mut values = self.scalar(first, steps)?;
        for operation in chain.into_iter().rev() {
            let right = self.scalar(&operation.rhs, steps)?;
            for (left, right) in values.iter_mut().zip(right) {
                *left = elements::of_scalars(operation.op, *left, right);
            }
        }
        Ok(values)
    }

    pub(super) fn binary(&self, expr: &BinaryExpr, steps: Steps, sink: Sink<'_>) -> Result<(), EvalError> {
        let chain: Vec<&BinaryExpr> = expr.spine().collect();
        let first = chain.last().map_or(&*expr.lhs, |last| &*last.lhs);
        self.set_hints("", &[], false);
        let mut left = match first.value_type() {
            ValueType::Scalar => Left::Scalar(self.scalar(first, steps)?),
            _ => Left::Vector(Pipeline {
                input: Input::Expr(first),
                stages: Vec::new(),
            }),
        };
        for operation in chain.into_iter().rev() {
            left = self.operate(left, operation, steps)?;
        }
        match left {
            Left::Vector(pipeline) => self.run(pipeline, steps, sink),
            Left::Scalar(_) => Err(mistyped("a vector")),
        }
    }

    fn operate<'e, 'b>(
        &'b self,
        left: Left<'e, 'b>,
        operation: &'e BinaryExpr,
        steps: Steps,
    ) -> Result<Left<'e, 'b>, EvalError> {
        let right_is_scalar = operation.rhs.value_type() == ValueType::Scalar;
        Ok(match (left, right_is_scalar) {
            (Left::Scalar(mut values), true) => {
                for (left, right) in values.iter_mut().zip(self.scalar(&operation.rhs, steps)?) {
                    *left = elements::of_scalars(operation.op, *left, right);
                }
                Left::Scalar(values)
            }
            (Left::Scalar(scalar), false) => {
                let stages = vec![self.stage(operation, scalar, true)];
                Left::Vector(Pipeline {
                    input: Input::Expr(&operation.rhs),
                    stages,
                })
            }
            (Left::Vector(mut pipeline), true) => {
                let scalar = self.scalar(&operation.rhs, steps)?;
                pipeline.stages.push(self.stage(operation, scalar, false));
                Left::Vector(pipeline)
            }
            (Left::Vector(pipeline), false) => {
                let left = self.materialize(pipeline, steps)?;
                let right = self.collect(&operation.rhs, steps)?;
                let rows = self.operate_on_vectors(operation, left, right, steps)?;
                Left::Vector(Pipeline {
                    input: Input::Rows(rows),
                    stages: Vec::new(),
                })
            }
        })
    }

    fn operate_on_vectors<'b>(
        &'b self,
        operation: &BinaryExpr,
        left: Rows<'_>,
        right: Rows<'_>,
        steps: Steps,
    ) -> Result<Rows<'b>, EvalError> {
        let matching = operation.matching.as_ref().ok_or_else(|| mistyped("matched"))?;
        let results = if operation.op.is_set() {
            super::sets::operate(operation.op, matching, left.rows, right.rows, steps)
        } else {
            self.match_vectors(operation, matching, &left.rows, &right.rows, steps)?
        };
        let mut distinct = Distinct::default();
        let mut rows = self.no_rows();
        for row in results {
            distinct.check(&row)?;
            rows.push(row)?;
        }
        Ok(rows)
    }

    fn stage<'e>(&self, expr: &'e BinaryExpr, scalar: Vec<f64>, is_swapped: bool) -> Stage<'e> {
        let drops_name = changes_meaning(expr.op) || expr.return_bool;
        let names = drops_name.then(|| NameRemoval::new(self.options.delayed_name_removal));
        Stage {
            expr,
            scalar,
            is_swapped,
            names,
        }
    }

    fn materialize<'b>(&'b self, pipeline: Pipeline<'_, 'b>, steps: Steps) -> Result<Rows<'b>, EvalError> {
        match pipeline {
            Pipeline {
                input: Input::Rows(rows),
                stages,
            } if stages.is_empty() => Ok(rows),
            pipeline => {
                let mut rows = self.no_rows();
                self.run(pipeline, steps, &mut |row| rows.push(row))?;
                rows.rows = super::merge_rows(std::mem::take(&mut rows.rows))?;
                Ok(rows)
            }
        }
    }

    fn run(&self, pipeline: Pipeline<'_, '_>, steps: Steps, sink: Sink<'_>) -> Result<(), EvalError> {
        let Pipeline { input, mut stages } = pipeline;
        let mut apply = |mut row: Row| {
            for stage in &mut stages {
                if !self.apply_stage(stage, &mut row)? {
                    return Ok(());
                }
            }
            sink(row)
        };
        match input {
            Input::Expr(expr) => self.vector(expr, steps, &mut apply),
            Input::Rows(rows) => rows.rows.into_iter().try_for_each(apply),
        }
    }

    /// Does the operation to a row. `false` when nothing of it is left.
    fn apply_stage(&self, stage: &mut Stage<'_>, row: &mut Row) -> Result<bool, EvalError> {
        let expr = stage.expr;
        for (cell, scalar) in row.cells.iter_mut().zip(&stage.scalar) {
            if cell.is_empty() {
                continue;
            }
            let scalar = Cell::Float(*scalar);
            let element = if stage.is_swapped {
                of_cells(expr.op, &scalar, cell)
            } else {
                of_cells(expr.op, cell, &scalar)
            };
            let is_refused = element.is_refused();
            if let Some(note) = element.note {
                self.annotations.borrow_mut().add(note, expr.span);
            }
            if is_refused {
                *cell = Cell::Empty;
            } else if expr.return_bool {
                *cell = Cell::Float(f64::from(u8::from(element.is_kept)));
            } else if !element.is_kept {
                *cell = Cell::Empty;
            } else if !expr.op.is_comparison() {
                // A comparison keeps the value of the vector, on whichever side it is.
                *cell = element.cell;
            }
        }
        if row.is_empty() {
            return Ok(false);
        }
        if let Some(names) = &mut stage.names {
            names.apply(row)?;
        }
        Ok(true)
    }
}

/// Whether the result of an operator is no longer what the name, the type and the unit of the metric say.
pub(super) fn changes_meaning(op: BinaryOp) -> bool {
    use BinaryOp::{Add, Atan2, Div, Mod, Mul, Pow, Sub};
    matches!(op, Add | Sub | Mul | Div | Mod | Pow | Atan2)
}

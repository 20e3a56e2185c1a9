//! Calls for tests of functions: one step, a vector as the first argument, scalars behind it.

use super::{Argument, ArgumentValue, Call};
use crate::promql::annotations::Annotations;
use crate::promql::ast::Span;
use crate::promql::value::{Cell, Steps};
use std::cell::RefCell;

pub(super) struct Scalars {
    arguments: Vec<Argument>,
    annotations: RefCell<Annotations>,
}

impl Scalars {
    pub(super) fn behind_a_vector(scalars: &[f64]) -> Self {
        let scalars = scalars.iter().map(|scalar| ArgumentValue::Scalar(vec![*scalar]));
        let values = std::iter::once(ArgumentValue::Series).chain(scalars);
        Self {
            arguments: values
                .map(|value| Argument {
                    span: Span::default(),
                    value,
                    is_broken_text: false,
                })
                .collect(),
            annotations: RefCell::default(),
        }
    }

    pub(super) fn with<T>(&self, run: impl FnOnce(&Call<'_>) -> T) -> T {
        let steps = Steps {
            start_ms: 0,
            step_ms: 1,
            count: 1,
        };
        run(&Call::new(&self.arguments, steps, true, &self.annotations))
    }
}

/// A call without arguments that are looked at.
pub(super) fn call(annotations: &RefCell<Annotations>) -> Call<'_> {
    let steps = Steps {
        start_ms: 0,
        step_ms: 1,
        count: 1,
    };
    Call::new(&[], steps, true, annotations)
}

pub(super) fn float_of(cell: &Cell) -> Option<f64> {
    cell.as_float()
}

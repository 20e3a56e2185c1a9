//! `absent` and `absent_over_time`: one series where there is none, with the labels that its selector is sure of.

use crate::model::labels::{Labels, METRIC_NAME};
use crate::model::matcher::{MatchOp, Matcher};
use crate::promql::ast::Expr;
use std::collections::BTreeMap;

/// The labels of the absent series: those that the selector names with `=`, and only once.
pub(crate) fn absent_labels(expr: &Expr) -> Labels {
    let matchers: &[Matcher] = match expr {
        Expr::Vector(selector) => &selector.matchers,
        Expr::Matrix(selector) => &selector.vector.matchers,
        Expr::Paren(inner) => return absent_labels(&inner.expr),
        Expr::StepInvariant(inner) => return absent_labels(inner),
        _ => return Labels::default(),
    };
    let mut pairs: BTreeMap<&str, &str> = BTreeMap::new();
    let mut set: Vec<&str> = Vec::new();
    for matcher in matchers.iter().filter(|matcher| matcher.name != METRIC_NAME) {
        let name = matcher.name.as_str();
        if matcher.op == MatchOp::Equal && !set.contains(&name) {
            pairs.insert(name, &matcher.value);
            set.push(name);
        } else {
            pairs.remove(name);
        }
    }
    Labels::from_pairs(pairs).expect("BUG: names of matchers are not empty, and a map has each once")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels;
    use crate::promql::ast::VectorSelector;

    #[test]
    fn labels_are_those_that_are_certain() {
        let matchers = vec![
            Matcher::eq(METRIC_NAME, "x"),
            Matcher::eq("job", "a"),
            Matcher::eq("zone", "b"),
            Matcher::eq("zone", "c"),
            Matcher::re("host", "d"),
        ];
        let selector = Expr::Vector(VectorSelector {
            matchers,
            ..VectorSelector::default()
        });
        assert_eq!(absent_labels(&selector), labels! { "job" => "a" });
    }
}

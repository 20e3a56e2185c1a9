//! The selectors of an expression, for those who want its series and not its value.

use super::ast::{Expr, VectorSelector};
use crate::model::matcher::Matcher;

/// The conditions of each selector, in the order of the text, each once.
pub(crate) fn selectors(expr: &Expr) -> Vec<&[Matcher]> {
    let mut found = Vec::new();
    visit(expr, &mut |selector| {
        let matchers = selector.matchers.as_slice();
        if !found.contains(&matchers) {
            found.push(matchers);
        }
    });
    found
}

fn visit<'e>(expr: &'e Expr, found: &mut impl FnMut(&'e VectorSelector)) {
    match expr {
        Expr::Number(_) | Expr::String(_) => {}
        Expr::Paren(paren) => visit(&paren.expr, found),
        Expr::Unary(unary) => visit(&unary.expr, found),
        Expr::Binary(last) => {
            let chain: Vec<_> = last.spine().collect();
            if let Some(first) = chain.last() {
                visit(&first.lhs, found);
            }
            for operation in chain.iter().rev() {
                visit(&operation.rhs, found);
            }
        }
        Expr::Aggregate(aggregate) => {
            if let Some(param) = &aggregate.param {
                visit(param, found);
            }
            visit(&aggregate.expr, found);
        }
        Expr::Call(call) => call.args.iter().for_each(|arg| visit(arg, found)),
        Expr::Vector(selector) => found(selector),
        Expr::Matrix(matrix) => found(&matrix.vector),
        Expr::Subquery(subquery) => visit(&subquery.expr, found),
        Expr::StepInvariant(inner) => visit(inner, found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::promql::ParseOptions;
    use crate::promql::parse::parse;

    #[test]
    fn every_selector_is_found_once() {
        let text = "sum by (x) (rate(a{b=\"c\"}[5m])) / -(d offset 1m) + a{b=\"c\"} > bool scalar(e) + \
                    topk(scalar(f), max_over_time(g[1h:5m])) * 2";
        let expr = parse(text, ParseOptions::default()).unwrap();
        let names: Vec<_> = selectors(&expr)
            .iter()
            .map(|matchers| matchers.last().unwrap().value.clone())
            .collect();
        assert_eq!(names, ["a", "d", "e", "f", "g"]);
        let expr = parse("1 + time()", ParseOptions::default()).unwrap();
        assert!(selectors(&expr).is_empty());
    }

    #[test]
    fn a_chain_may_be_longer_than_the_stack_is_deep() {
        let text = vec!["a"; 20_000].join(" + ");
        let expr = parse(&text, ParseOptions::default()).unwrap();
        assert_eq!(selectors(&expr).len(), 1);
    }
}

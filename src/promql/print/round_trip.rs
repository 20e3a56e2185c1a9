//! Random queries: what is printed is read again as the same tree.

use super::pretty;
use crate::promql::ParseOptions;
use crate::promql::ast::Expr;
use crate::promql::parse::parse;
use proptest::prelude::*;

/// A duration in brackets or behind `offset`.
fn duration() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        (1..600u32).prop_map(|minutes| format!("{minutes}m")),
        (1..9999u32).prop_map(|seconds| seconds.to_string()),
        Just("step()".to_owned()),
        Just("range()".to_owned()),
    ];
    leaf.prop_recursive(3, 8, 2, |inner| {
        let op = prop::sample::select(vec!["+", "-", "*", "/", "%", "^"]);
        prop_oneof![
            (inner.clone(), op, inner.clone()).prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("max_of({a}, {b})")),
            inner.prop_map(|a| format!("({a})")),
        ]
    })
}

fn label() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z_][a-z0-9_]{0,4}".prop_filter("a keyword of its own", |name| name != "__name__"),
        "[ -!#-\\[\\]-~ä€]{1,5}".prop_map(|name| format!("\"{name}\"")),
    ]
}

fn matcher() -> impl Strategy<Value = String> {
    let op = prop::sample::select(vec!["=", "!=", "=~", "!~"]);
    (label(), op, "[a-z0-9 .+]{0,6}").prop_filter_map("an expression that is none", |(name, op, value)| {
        let is_regex = op.contains('~') && value.contains(['+', '.']);
        (!is_regex).then(|| format!("{name}{op}'{value}'"))
    })
}

fn modifiers() -> impl Strategy<Value = String> {
    let at = prop_oneof![
        Just(String::new()),
        (-5000..5000i32).prop_map(|at| format!(" @ {}.{}", at, at.unsigned_abs() % 1000)),
        Just(" @ start()".to_owned()),
        Just(" @ end()".to_owned()),
    ];
    let offset = prop_oneof![
        Just(String::new()),
        duration().prop_map(|duration| format!(" offset {duration}")),
        (1..99u32).prop_map(|seconds| format!(" offset -{seconds}s")),
    ];
    let extended = prop::sample::select(vec!["", " anchored", " smoothed"]);
    (extended, at, offset, any::<bool>()).prop_map(|(extended, at, offset, swap)| {
        if swap {
            format!("{extended}{offset}{at}")
        } else {
            format!("{at}{extended}{offset}")
        }
    })
}

fn series() -> impl Strategy<Value = String> {
    (
        prop::option::of("[a-z:]{1,5}_[a-z]"),
        prop::collection::vec(matcher(), 0..3),
    )
        .prop_map(|(name, matchers)| match name {
            Some(name) if matchers.is_empty() => name,
            Some(name) => format!("{name}{{{}}}", matchers.join(",")),
            None => format!("{{\"a name\",{}}}", matchers.join(", ")),
        })
}

fn labels() -> impl Strategy<Value = String> {
    prop::collection::vec(label(), 0..3).prop_map(|labels| labels.join(","))
}

fn matching() -> impl Strategy<Value = String> {
    let group = prop_oneof![
        Just(String::new()),
        "[a-z]{1,3}x".prop_map(|label| format!(" group_left({label})")),
        Just(" group_right ()".to_owned()),
    ];
    let tag = prop::sample::select(vec!["on", "ignoring"]);
    let matched = (tag, labels(), group).prop_map(|(tag, labels, group)| format!("{tag} ({labels}){group}"));
    let fill = prop::sample::select(vec![
        "",
        " fill(0)",
        " fill_left(-1)",
        " fill_right(NaN) fill_left(2)",
    ]);
    (prop_oneof![Just(String::new()), matched], fill).prop_map(|(matched, fill)| format!("{matched}{fill}"))
}

/// A query that evaluates to a vector.
fn vector() -> impl Strategy<Value = String> {
    let selector = (series(), modifiers()).prop_map(|(series, modifiers)| format!("{series}{modifiers}"));
    selector.prop_recursive(5, 40, 3, |inner| {
        let arithmetic = prop::sample::select(vec![
            "+", "-", "*", "/", "%", "^", "atan2", ">", "<= bool", "</", ">/",
        ]);
        let sets = prop::sample::select(vec!["and", "or", "unless"]);
        let number = prop_oneof![
            any::<f64>()
                .prop_filter("no sign", |value| value.is_sign_positive())
                .prop_map(|value| value.to_string()),
            Just("1h30m".to_owned()),
        ];
        prop_oneof![
            (inner.clone(), arithmetic, matching(), inner.clone())
                .prop_map(|(a, op, matching, b)| format!("{a} {op} {matching} {b}")),
            (inner.clone(), sets, labels(), inner.clone())
                .prop_map(|(a, op, labels, b)| format!("{a} {op} on ({labels}) {b}")),
            // In brackets, or the number would be matched where labels are.
            (number.clone(), inner.clone()).prop_map(|(number, a)| format!("(-{number} * {a})")),
            inner.clone().prop_map(|a| format!("({a})")),
            inner.clone().prop_map(|a| format!("-{a}")),
            (inner.clone(), labels()).prop_map(|(a, labels)| format!("sum by ({labels}) ({a})")),
            (inner.clone(), labels(), number)
                .prop_map(|(a, labels, k)| format!("topk({k}, {a}) without ({labels})")),
            inner.clone().prop_map(|a| format!("count_values(\"v\\n\", {a})")),
            inner.clone().prop_map(|a| format!("clamp_max({a}, 5)")),
            (series(), duration()).prop_map(|(series, range)| format!("rate({series}[{range}])")),
            (inner, duration(), modifiers()).prop_map(|(a, step, modifiers)| {
                let modifiers = modifiers.replace(" anchored", "").replace(" smoothed", "");
                format!("sum_over_time(({a})[1h:{step}]{modifiers})")
            }),
        ]
    })
}

/// The tree as text, without places and with conditions in one order.
fn tree(expr: &Expr) -> String {
    let debug = format!("{expr:?}");
    let mut out = String::new();
    let mut rest = &*debug;
    while let Some(at) = ["start: ", "end: "]
        .iter()
        .filter_map(|key| rest.find(key).map(|at| at + key.len()))
        .min()
    {
        out.push_str(&rest[..at]);
        rest = rest[at..].trim_start_matches(|digit: char| digit.is_ascii_digit());
    }
    out + rest
}

fn sorted(mut expr: Expr) -> Expr {
    sort_matchers(&mut expr);
    expr
}

fn sort_matchers(expr: &mut Expr) {
    match expr {
        Expr::Vector(selector) => selector.matchers.sort_by_key(|matcher| format!("{matcher:?}")),
        Expr::Matrix(matrix) => matrix
            .vector
            .matchers
            .sort_by_key(|matcher| format!("{matcher:?}")),
        Expr::Paren(paren) => sort_matchers(&mut paren.expr),
        Expr::Unary(unary) => sort_matchers(&mut unary.expr),
        Expr::Subquery(subquery) => sort_matchers(&mut subquery.expr),
        Expr::StepInvariant(inner) => sort_matchers(inner),
        Expr::Call(call) => call.args.iter_mut().for_each(sort_matchers),
        Expr::Aggregate(aggregate) => sort_matchers(&mut aggregate.expr),
        Expr::Binary(operation) => {
            sort_matchers(&mut operation.lhs);
            sort_matchers(&mut operation.rhs);
        }
        Expr::Number(_) | Expr::String(_) => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_printed_is_read_again_as_the_same_tree(text in vector()) {
        let first = parse(&text, ParseOptions::default());
        let first = sorted(first.map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?);
        for printed in [Some(first.to_string()), pretty(&first)].into_iter().flatten() {
            let again = parse(&printed, ParseOptions::default());
            let again = sorted(again.map_err(|error| TestCaseError::fail(format!("{printed}: {error}")))?);
            prop_assert_eq!(tree(&again), tree(&first), "{}", printed);
        }
    }
}

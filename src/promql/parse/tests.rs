//! Queries that parse, and how long and deep they may be.

use super::*;
use crate::promql::limits::MAX_DEPTH;

#[test]
fn keywords_can_be_names() {
    for name in [
        "sum",
        "by",
        "offset",
        "and",
        "start",
        "end",
        "step",
        "range",
        "min_of",
        "fill",
        "fill_left",
        "anchored",
        "smoothed",
        "without",
        "group",
        "limit_ratio",
        "NaN_",
        "Sum",
    ] {
        let expr = parse(name, ParseOptions::default());
        assert!(
            matches!(expr, Ok(Expr::Vector(ref e)) if e.name == name),
            "{name}: {expr:?}"
        );
    }
    let labels =
        "sum by (on, bool, ignoring, group_left, sum, atan2, offset, \"a b\") (a{by=\"x\", on=\"y\"})";
    assert!(parse(labels, ParseOptions::default()).is_ok());
}

#[test]
fn places_cover_the_whole_of_a_node() {
    let cases = [
        ("a  offset 5m + b", 0..16),
        ("  (a)  ", 2..5),
        ("sum(a) by (b)", 0..13),
        ("sum (a) ", 0..7),
        ("- a", 0..3),
        ("a[5m] @ start()", 0..15),
        ("rate(a[5m])", 0..11),
        ("a{b='c'}[1h:1m] offset 1m", 0..25),
    ];
    for (text, range) in cases {
        let span = parse(text, ParseOptions::default()).map_or(Span::default(), |expr| expr.span());
        // Types that are wrong for a query have their places all the same.
        assert_eq!(span.start..span.end, range, "{text}");
    }
}

#[test]
fn long_chains_parse_in_one_go() {
    for (operator, operand) in [("+", "a"), (" or ", "a"), ("*", "2")] {
        let text = vec![operand; 100_000].join(operator);
        let expr = parse(&text, ParseOptions::default()).unwrap();
        let copy = expr.clone();
        drop(expr);
        let Expr::Binary(operation) = &copy else {
            panic!("{operator}")
        };
        assert_eq!(operation.spine().count(), 99_999);
    }
}

#[test]
fn a_text_beyond_all_bounds_is_not_read() {
    let text = " ".repeat(MAX_QUERY_BYTES + 1);
    let error = parse(&text, ParseOptions::default()).unwrap_err();
    assert_eq!(error.message, "the query is longer than 4194304 bytes");
}

#[test]
fn deep_nests_are_refused_and_not_walked() {
    let deep = |open: &str, close: &str, levels: usize| {
        let text = format!("{}a{}", open.repeat(levels), close.repeat(levels));
        parse(&text, ParseOptions::default())
    };
    let nests = [
        ("(", ")"),
        ("-", ""),
        ("abs(", ")"),
        ("sum(", ")"),
        ("a^", ""),
        ("max_over_time(", "[1m:])"),
    ];
    for (open, close) in nests {
        assert!(deep(open, close, MAX_DEPTH / 2 - 1).is_ok(), "{open}");
        let error = deep(open, close, 100_000).unwrap_err();
        assert_eq!(
            error.message,
            format!("the expression nests more than {MAX_DEPTH} levels deep")
        );
    }
    let durations = format!("a[{}1m{}]", "(".repeat(100_000), ")".repeat(100_000));
    assert!(parse(&durations, ParseOptions::default()).is_err());
    let durations = format!("a[{}]", vec!["1m"; 100_000].join("+"));
    assert!(parse(&durations, ParseOptions::default()).is_err());
    let subqueries = format!("a{}", "[1m:]".repeat(100_000));
    assert!(parse(&subqueries, ParseOptions::default()).is_err());
}

#[test]
fn selectors_and_metrics_stand_alone() {
    let matchers = parse_selector("a{b=~\"c|d\"}").unwrap();
    assert_eq!(matchers, [Matcher::re("b", "c|d"), Matcher::eq("__name__", "a")]);
    assert_eq!(parse_selector("{}").unwrap(), []);
    assert_eq!(
        parse_selector("a[5m]").unwrap_err().to_string(),
        "1:2: parse error: unexpected \"[\""
    );
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        parse_metric("a{b=\"c\",}").unwrap(),
        [pair("b", "c"), pair("__name__", "a")]
    );
    assert_eq!(
        parse_metric("{\"a.b\", c=\"d\"}").unwrap(),
        [pair("__name__", "a.b"), pair("c", "d")]
    );
    assert_eq!(
        parse_metric("a{b}").unwrap_err().to_string(),
        "1:4: parse error: unexpected \"}\" in label set, expected \"=\""
    );
}

//! Queries as they are printed, and that what is printed is read again as the same query.

use super::*;
use crate::promql::ParseOptions;
use crate::promql::parse::parse;

fn parsed(text: &str) -> Expr {
    parse(text, ParseOptions::default()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn queries_are_printed_as_upstream_prints_them() {
    let cases = [
        ("sum by() (a)", "sum(a)"),
        ("sum without() (a)", "sum without () (a)"),
        ("topk by(b, `c.d`) (5, a)", r#"topk by (b, "c.d") (5, a)"#),
        ("a+b", "a + b"),
        ("a and on() b", "a and on () b"),
        ("a * ignoring() group_left() b", "a * ignoring () group_left () b"),
        ("a*on(x)group_right(y)b", "a * on (x) group_right (y) b"),
        ("a>bool 1", "a > bool 1"),
        ("a + fill(0) b", "a + fill (0) b"),
        (
            "a + fill_right(1e30) fill_left(-Inf) b",
            "a + fill_left (-Inf) fill_right (1e+30) b",
        ),
        ("{__name__='a', b!=\"c\"}", r#"{__name__="a",b!="c"}"#),
        ("{'a.b', 'c d'=~'e'}", r#"{"c d"=~"e",__name__="a.b"}"#),
        ("a{z='1',b='2'}", r#"a{b="2",z="1"}"#),
        ("a offset 1h @ 5", "a @ 5.000 offset 1h"),
        ("a @ start() offset -90s", "a @ start() offset -1m30s"),
        ("a[5m] offset 1d", "a[5m] offset 1d"),
        ("a[5m] @ end() smoothed", "a[5m] smoothed @ end()"),
        ("a anchored @ 1.5", "a @ 1.500 anchored"),
        (
            "sum_over_time(a[1h:] @ 0 offset 1m)",
            "sum_over_time(a[1h:] @ 0.000 offset 1m)",
        ),
        ("max_over_time((a)[1h:30s])", "max_over_time((a)[1h:30s])"),
        ("a[(1m+30)*step()]", "a[(1m + 30) * step()]"),
        ("a[max_of(range(),1m)]", "a[max_of(range(), 1m)]"),
        ("a offset -(step()-1)", "a offset -(step() - 1)"),
        ("-a", "-a"),
        ("-1 ^ 2", "-1 ^ 2"),
        ("- 5m", "-5m"),
        ("1e3", "1000"),
        ("1e-7", "0.0000001"),
        ("-Inf", "-Inf"),
        ("'a\\'b'", r#""a'b""#),
    ];
    for (text, printed) in cases {
        assert_eq!(parsed(text).to_string(), printed, "{text}");
        assert_eq!(parsed(printed).to_string(), printed, "{text}");
    }
}

/// More than a line.
const LONG: &str = r#"label_replace(foo_bar_baz_metric_total, "destination", "$1", "source", "a-rather-long-regular-expression")"#;

const SPLIT: &str = r#"label_replace(
  foo_bar_baz_metric_total,
  "destination",
  "$1",
  "source",
  "a-rather-long-regular-expression"
)"#;

#[test]
fn long_queries_are_split_by_level() {
    let indented = |levels: usize| SPLIT.replace('\n', &format!("\n{}", "  ".repeat(levels)));
    let cases = [
        (LONG.to_owned(), SPLIT.to_owned()),
        (
            format!("sum by (job, instance) ({LONG})"),
            format!("sum by (job, instance) (\n  {}\n)", indented(1)),
        ),
        (
            format!("topk(5, {LONG})"),
            format!("topk(\n  5,\n  {}\n)", indented(1)),
        ),
        (
            format!("({LONG} + on (job) foo)"),
            format!("(\n    {}\n  + on (job)\n    foo\n)", indented(2)),
        ),
        (format!("-({LONG})"), format!("-(\n  {}\n)", indented(1))),
        (
            format!("sum_over_time({LONG}[5m:1m])"),
            format!("sum_over_time(\n  {}[5m:1m]\n)", indented(1)),
        ),
    ];
    for (text, expected) in cases {
        let printed = pretty(&parsed(&text)).unwrap();
        assert_eq!(printed, expected, "{text}");
        assert_eq!(parsed(&printed).to_string(), parsed(&text).to_string());
    }
}

#[test]
fn a_query_too_deep_to_be_indented_is_not() {
    let chain = vec!["a"; 10_000].join("+");
    assert_eq!(pretty(&parsed(&chain)), None);
    let printed = parsed(&chain).to_string();
    assert_eq!(printed, chain.replace('+', " + "));
}

//! The words for texts that are no queries: those of upstream, with its places.

use super::*;

fn error(text: &str) -> String {
    match parse(text, ParseOptions::default()) {
        Ok(expr) => panic!("{text} parses as {expr}"),
        Err(error) => error.to_string(),
    }
}

/// Texts with their faults.
const FAULTS: &[(&str, &str)] = &[
    ("", "unknown position: parse error: no expression found in input"),
    (
        "# only a comment",
        "1:1: parse error: no expression found in input",
    ),
    ("1+", "1:3: parse error: unexpected end of input"),
    (".", "1:1: parse error: unexpected character: '.'"),
    (
        "2.5.",
        "1:1: parse error: bad number or duration syntax: \"2.5.\"",
    ),
    (
        "100..4",
        "1:1: parse error: bad number or duration syntax: \"100..\"",
    ),
    ("*1", "1:1: parse error: unexpected <op:*>"),
    ("(1))", "1:5: parse error: unexpected right parenthesis ')'"),
    ("((1)", "1:5: parse error: unclosed left parenthesis"),
    ("(", "1:2: parse error: unclosed left parenthesis"),
    (
        "1 and 1",
        "1:1: parse error: set operator \"and\" not allowed in binary scalar expression",
    ),
    // Of a chain the innermost fault counts, of one operation that of its operand.
    (
        "1 == 1 + 2 and (1 and 1) and 1",
        "1:3: parse error: comparisons between scalars must use BOOL modifier",
    ),
    (
        "a + 1 and (1 == 1)",
        "1:14: parse error: comparisons between scalars must use BOOL modifier",
    ),
    (
        "a + (1 == 1) and 1",
        "1:8: parse error: comparisons between scalars must use BOOL modifier",
    ),
    (
        "1 == 1",
        "1:3: parse error: comparisons between scalars must use BOOL modifier",
    ),
    ("1 !~ 1", "1:3: parse error: unexpected character after '!': '~'"),
    ("1 =~ 1", "1:3: parse error: unexpected character after '=': '~'"),
    (
        "-\"string\"",
        "1:1: parse error: unary expression only allowed on expressions of type scalar or instant vector, got \"string\"",
    ),
    (
        "-test[5m]",
        "1:1: parse error: unary expression only allowed on expressions of type scalar or instant vector, got \"range vector\"",
    ),
    ("*test", "1:1: parse error: unexpected <op:*>"),
    (
        "1 offset 1d",
        "1:1: parse error: offset modifier must be preceded by an instant vector selector or range vector selector or a subquery",
    ),
    (
        "foo offset 1s offset 2s",
        "1:1: parse error: offset may not be set multiple times",
    ),
    (
        "a - on(b) ignoring(c) d",
        "1:11: parse error: unexpected <ignoring>",
    ),
    (
        "foo and 1",
        "1:1: parse error: set operator \"and\" not allowed in binary scalar expression",
    ),
    (
        "foo or on(bar) group_left(baz) bar",
        "1:1: parse error: no grouping allowed for \"or\" operation",
    ),
    (
        "http_requests{group=\"production\"} / on(instance) group_left cpu_count{type=\"smp\"} foo",
        "1:83: parse error: unexpected identifier \"foo\"",
    ),
    (
        "foo + bool bar",
        "1:5: parse error: bool modifier can only be used on comparison operators",
    ),
    (
        "foo == on(bar) group_left(bar) baz",
        "1:5: parse error: label \"bar\" must not occur in ON and GROUP clause at once",
    ),
    (
        "foo + on(bar) 1",
        "1:1: parse error: vector matching only allowed between instant vectors",
    ),
    (
        "foo + fill(0) 1",
        "1:1: parse error: filling in missing series only allowed between instant vectors",
    ),
    (
        "foo or fill(0) bar",
        "1:1: parse error: filling in missing series not allowed for set operators",
    ),
    (
        "\"a\" + 1",
        "1:1: parse error: binary expression must contain only scalar and instant vector types",
    ),
    (
        "foo[5m] + 1",
        "1:1: parse error: binary expression must contain only scalar and instant vector types",
    ),
    ("{", "1:2: parse error: unexpected end of input inside braces"),
    ("}", "1:1: parse error: unexpected character: '}'"),
    ("some{", "1:6: parse error: unexpected end of input inside braces"),
    ("some}", "1:5: parse error: unexpected character: '}'"),
    (
        "some_metric{a=b}",
        "1:15: parse error: unexpected identifier \"b\" in label matching, expected string",
    ),
    (
        "some_metric{a:b=\"b\"}",
        "1:14: parse error: unexpected character inside braces: ':'",
    ),
    (
        "foo{a*\"b\"}",
        "1:6: parse error: unexpected character inside braces: '*'",
    ),
    (
        "foo{a>=\"b\"}",
        "1:6: parse error: unexpected character inside braces: '>'",
    ),
    (
        "foo{gibberish}",
        "1:14: parse error: unexpected \"}\" in label matching, expected label matching operator",
    ),
    (
        "foo{1}",
        "1:5: parse error: unexpected character inside braces: '1'",
    ),
    (
        "foo{__name__=\"bar\"}",
        "1:1: parse error: metric name must not be set twice: \"foo\" or \"bar\"",
    ),
    (
        "{}",
        "1:1: parse error: vector selector must contain at least one non-empty matcher",
    ),
    (
        "{x=\"\"}",
        "1:1: parse error: vector selector must contain at least one non-empty matcher",
    ),
    (
        "{x=~\".*\"}",
        "1:1: parse error: vector selector must contain at least one non-empty matcher",
    ),
    (
        "{x!~\".+\"}",
        "1:1: parse error: vector selector must contain at least one non-empty matcher",
    ),
    (
        "foo{__name__= =\"bar\"}",
        "1:15: parse error: unexpected \"=\" in label matching, expected string",
    ),
    (
        "foo{a=\"x\" b=\"y\"}",
        "1:11: parse error: unexpected identifier \"b\" in label matching, expected \",\" or \"}\"",
    ),
    (
        "foo{,}",
        "1:5: parse error: unexpected \",\" in label matching, expected identifier or \"}\"",
    ),
    (
        "foo[5mm]",
        "1:5: parse error: bad number or duration syntax: \"5mm\"",
    ),
    (
        "foo[5m1]",
        "1:5: parse error: bad number or duration syntax: \"5m1\"",
    ),
    (
        "foo[5m:1m1]",
        "1:8: parse error: bad number or duration syntax: \"1m1\"",
    ),
    (
        "foo[]",
        "1:5: parse error: unexpected \"]\" in subquery or range selector, expected number, duration, step(), or range()",
    ),
    ("foo[-1]", "1:5: parse error: duration must be greater than 0"),
    ("foo[0]", "1:5: parse error: duration must be greater than 0"),
    ("foo[1h/0]", "1:7: parse error: division by zero"),
    ("foo[1h %0]", "1:8: parse error: modulo by zero"),
    ("foo[1e30]", "1:5: parse error: duration out of range"),
    (
        "foo[5m 1]",
        "1:8: parse error: unexpected number \"1\" in subquery or range, expected \":\" or \"]\"",
    ),
    (
        "foo[5m:1m 1]",
        "1:11: parse error: unexpected number \"1\" in subquery selector, expected \"]\"",
    ),
    (
        "foo[\"5m\"]",
        "1:5: parse error: unexpected character in duration expression: '\"'",
    ),
    (
        "foo offset",
        "1:11: parse error: unexpected end of input in offset, expected number, duration, step(), or range()",
    ),
    (
        "foo @ bar",
        "1:7: parse error: unexpected identifier \"bar\" in @, expected timestamp",
    ),
    (
        "foo @ start",
        "1:12: parse error: unexpected end of input in @, expected timestamp",
    ),
    (
        "foo @ Inf",
        "1:1: parse error: timestamp out of bounds for @ modifier: +Inf",
    ),
    (
        "foo @ 1 @ 2",
        "1:1: parse error: @ <timestamp> may not be set multiple times",
    ),
    (
        "1 @ 1",
        "1:1: parse error: @ modifier must be preceded by an instant vector selector or range vector selector or a subquery",
    ),
    (
        "foo offset 1m[5m]",
        "1:14: parse error: no offset modifiers allowed before range",
    ),
    (
        "foo @ 123[5m]",
        "1:10: parse error: no @ modifiers allowed before range",
    ),
    (
        "(foo + bar)[5m]",
        "1:12: parse error: ranges only allowed for vector selectors",
    ),
    (
        "foo[5m] anchored smoothed",
        "1:1: parse error: anchored and smoothed modifiers cannot be used together",
    ),
    (
        "foo[5m:] anchored",
        "1:1: parse error: anchored modifier is not supported for subqueries",
    ),
    (
        "1 smoothed",
        "1:1: parse error: smoothed modifier not implemented",
    ),
    (
        "sum by (a,,b) (foo)",
        "1:11: parse error: unexpected \",\" in grouping opts, expected label",
    ),
    (
        "sum by \"a\" (foo)",
        "1:8: parse error: unexpected string \"\\\"a\\\"\" in grouping opts, expected \"(\"",
    ),
    (
        "sum by (\"\") (foo)",
        "1:9: parse error: invalid label name for grouping: \"\"",
    ),
    ("sum foo", "1:5: parse error: unexpected identifier \"foo\""),
    (
        "sum(foo bar)",
        "1:9: parse error: unexpected identifier \"bar\" in aggregation",
    ),
    (
        "sum()",
        "1:1: parse error: no arguments for aggregate expression provided",
    ),
    (
        "sum(a, b)",
        "1:1: parse error: wrong number of arguments for aggregate expression provided, expected 1, got 2",
    ),
    (
        "topk(a)",
        "1:1: parse error: wrong number of arguments for aggregate expression provided, expected 2, got 1",
    ),
    (
        "topk(foo, bar)",
        "1:6: parse error: expected type scalar in aggregation parameter, got instant vector",
    ),
    (
        "count_values(5, bar)",
        "1:14: parse error: expected type string in aggregation parameter, got scalar",
    ),
    (
        "sum(foo[5m])",
        "1:5: parse error: expected type instant vector in aggregation expression, got range vector",
    ),
    (
        "unknown(a)",
        "1:1: parse error: unknown function with name \"unknown\"",
    ),
    (
        "rate(a)",
        "1:6: parse error: expected type range vector in call to function \"rate\", got instant vector",
    ),
    (
        "floor()",
        "1:1: parse error: expected 1 argument(s) in call to \"floor\", got 0",
    ),
    (
        "label_join(a)",
        "1:1: parse error: expected at least 3 argument(s) in call to \"label_join\", got 1",
    ),
    (
        "hour(a, b)",
        "1:1: parse error: expected at most 1 argument(s) in call to \"hour\", got 2",
    ),
    (
        "floor(a,)",
        "1:8: parse error: trailing commas not allowed in function call args",
    ),
    (
        "info(a, b)",
        "1:9: parse error: expected label selectors only, got vector selector instead",
    ),
    (
        "info(a, 1)",
        "1:1: parse error: expected type instant vector in call to function \"info\", got scalar",
    ),
    (
        "info(a, abs(b))",
        "1:9: parse error: expected label selectors only",
    ),
    (
        "(foo[5m])[5m:]",
        "1:1: parse error: subquery is only allowed on instant vector, got matrix instead",
    ),
    (
        "a\n+\n  sum()",
        "3:3: parse error: no arguments for aggregate expression provided",
    ),
    (
        "1e400",
        "1:1: parse error: error parsing number: strconv.ParseFloat: parsing \"1e400\": value out of range",
    ),
    ("1hs", "1:1: parse error: unknown unit \"hs\" in duration \"1hs\""),
    ("foo bar", "1:5: parse error: unexpected identifier \"bar\""),
];

#[test]
fn faults_are_told_in_upstreams_words() {
    for (text, message) in FAULTS {
        assert_eq!(error(text), *message, "{text}");
    }
}

#[test]
fn every_experiment_can_be_forbidden() {
    let none = ParseOptions {
        experimental_functions: false,
        duration_expressions: false,
        extended_range_selectors: false,
        binop_fill: false,
    };
    let cases = [
        ("info(a)", "1:1: parse error: function \"info\" is not enabled"),
        (
            "limitk(1, a)",
            "1:1: parse error: limitk() is experimental and must be enabled with --enable-feature=promql-experimental-functions",
        ),
        (
            "a[1m+1m]",
            "1:3: parse error: experimental duration expression is not enabled",
        ),
        (
            "a[(1m)]",
            "1:4: parse error: experimental duration expression is not enabled",
        ),
        (
            "a offset step()",
            "1:10: parse error: experimental duration expression is not enabled",
        ),
        (
            "a[5m] smoothed",
            "1:1: parse error: smoothed modifier is experimental and not enabled",
        ),
        (
            "a anchored",
            "1:1: parse error: anchored modifier is experimental and not enabled",
        ),
        (
            "a + fill(1) b",
            "1:1: parse error: binop fill modifiers are experimental and not enabled",
        ),
    ];
    for (text, message) in cases {
        assert!(parse(text, ParseOptions::default()).is_ok(), "{text}");
        assert_eq!(parse(text, none).unwrap_err().to_string(), message, "{text}");
    }
}

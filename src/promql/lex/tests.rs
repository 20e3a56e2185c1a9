//! Tokens of texts, their places, and the words for texts that have none.

use super::*;
use crate::promql::operators::AggregateOp;

fn kinds(text: &str) -> Vec<Kind> {
    let lexed = lex(text);
    assert_eq!(lexed.fault, None, "{text}");
    lexed.tokens.iter().map(|token| token.kind).collect()
}

#[test]
fn words_mean_what_their_place_says() {
    use Kind::*;
    let cases: &[(&str, &[Kind])] = &[
        ("", &[End]),
        ("  # nothing\n", &[End]),
        ("sum", &[Aggregate(AggregateOp::Sum), End]),
        ("SUM", &[Aggregate(AggregateOp::Sum), End]),
        ("{sum}", &[LeftBrace, Identifier, RightBrace, End]),
        ("a:b", &[MetricIdentifier, End]),
        ("fill", &[Identifier, End]),
        ("fill \n(", &[Keyword(super::Keyword::Fill), LeftParen]),
        ("Inf nan", &[Number, Number, End]),
        ("a=~", &[Identifier]),
        (
            "{a=~`b`}",
            &[LeftBrace, Identifier, EqualRegex, String, RightBrace, End],
        ),
        ("[5m:]", &[LeftBracket, Duration, Colon, RightBracket, End]),
        (
            "[step():1m]",
            &[
                LeftBracket,
                Reserved(super::Reserved::Step),
                LeftParen,
                RightParen,
                Colon,
                Duration,
                RightBracket,
                End,
            ],
        ),
        (
            "a </ 1 >/ 2",
            &[
                Identifier,
                Operator(BinaryOp::TrimUpper),
                Number,
                Operator(BinaryOp::TrimLower),
                Number,
                End,
            ],
        ),
    ];
    for (text, expected) in cases {
        let lexed = lex(text);
        let found: Vec<Kind> = lexed.tokens.iter().map(|token| token.kind).collect();
        let cut = found.len().min(expected.len());
        assert_eq!(&found[..cut], &expected[..cut], "{text}");
        assert!(found.len() >= expected.len(), "{text}");
    }
}

#[test]
fn numbers_end_where_upstream_ends_them() {
    for text in [
        "1",
        "1.",
        ".5",
        "1e5",
        "1E-5",
        "0x1F",
        "0X_1f",
        "1_000",
        "1_000.5e1_0",
        "010",
        "NaN",
    ] {
        assert_eq!(kinds(text), [Kind::Number, Kind::End], "{text}");
    }
    for text in ["5m", "1h30m", "1y2w3d4h5m6s7ms", "1hs"] {
        assert_eq!(kinds(text), [Kind::Duration, Kind::End], "{text}");
    }
    for text in [
        "1a", "1__0", "1._0", "1e", "0b1", "1.2.3", "5m3", "1m2y", "0xg", "1_",
    ] {
        let fault = lex(text).fault.unwrap();
        assert!(
            fault.starts_with("bad number or duration syntax: "),
            "{text}: {fault}"
        );
    }
}

#[test]
fn numbers_are_read_as_go_reads_them() {
    let cases: &[(&str, f64)] = &[
        ("1", 1.0),
        ("010", 8.0),
        ("08", 8.0),
        ("0x1F", 31.0),
        ("0b101", 5.0),
        ("0o17", 15.0),
        ("1_000", 1000.0),
        ("1_0.5", 10.5),
        ("9223372036854775808", 9_223_372_036_854_775_808.0),
        ("-0x10", -16.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("+Inf", f64::INFINITY),
        ("infinity", f64::INFINITY),
    ];
    for (text, expected) in cases {
        assert_eq!(parse_number(text), Ok(*expected), "{text}");
    }
    assert!(parse_number("nan").unwrap().is_nan());
    assert_eq!(
        parse_number("1e400").unwrap_err(),
        "strconv.ParseFloat: parsing \"1e400\": value out of range"
    );
    for text in ["", "x", "1__0", "_1", "0x", "1e", "in_f"] {
        assert!(
            parse_number(text).unwrap_err().ends_with("invalid syntax"),
            "{text}"
        );
    }
}

#[test]
fn strings_say_what_their_escapes_say() {
    let cases: &[(&str, &str)] = &[
        (r#""""#, ""),
        (r#""a\"b""#, "a\"b"),
        (r"'a\'b'", "a'b"),
        (r"`a\n`", r"a\n"),
        (r#""\a\b\f\n\r\t\v\\""#, "\u{7}\u{8}\u{c}\n\r\t\u{b}\\"),
        (r#""\101\x41\u0041\U00000041""#, "AAAA"),
        (r#""\xc3\xa4""#, "ä"),
    ];
    for (text, expected) in cases {
        assert_eq!(kinds(text), [Kind::String, Kind::End], "{text}");
        assert_eq!(unquote(text), Unquoted::Text((*expected).to_owned()), "{text}");
    }
    assert_eq!(unquote(r#""a\xffb""#), Unquoted::Bytes(b"a\xffb".to_vec()));
}

#[test]
fn faults_have_upstreams_words_and_place() {
    let cases: &[(&str, usize, &str)] = &[
        ("(", 1, "unclosed left parenthesis"),
        ("a)", 2, "unexpected right parenthesis ')'"),
        ("a]", 1, "unexpected right bracket ']'"),
        ("a[", 2, "unexpected end of input in duration expression"),
        ("a[5m", 4, "unclosed left bracket"),
        ("a[5m[", 4, "unexpected left bracket '['"),
        (
            "a[:",
            3,
            "unexpected colon before duration in duration expression",
        ),
        ("a[5m:5m:", 7, "unexpected colon ':'"),
        ("a[x]", 2, "unexpected character in duration expression: 'x'"),
        ("a[5m x]", 5, "unexpected character: 'x', expected ':'"),
        ("{", 1, "unexpected end of input inside braces"),
        ("{{", 1, "unexpected left brace '{'"),
        ("{a!b}", 2, "unexpected character after '!' inside braces: 'b'"),
        ("{*}", 1, "unexpected character inside braces: '*'"),
        ("a!b", 1, "unexpected character after '!': 'b'"),
        ("a=~b", 1, "unexpected character after '=': '~'"),
        ("a ? b", 2, "unexpected character: '?'"),
        ("\"a", 0, "unterminated quoted string"),
        ("\"a\nb\"", 0, "unterminated quoted string"),
        ("`a", 0, "unterminated raw string"),
        (r#""\q""#, 0, "unknown escape sequence U+0071 'q'"),
        (r#""\xzz""#, 0, "illegal character U+007A 'z' in escape sequence"),
        (
            r#""\ud800""#,
            0,
            "escape sequence is an invalid Unicode code point",
        ),
        (r#""\777""#, 0, "escape sequence is an invalid Unicode code point"),
    ];
    for (text, start, message) in cases {
        let lexed = lex(text);
        assert_eq!(lexed.fault.as_deref(), Some(*message), "{text}");
        assert_eq!(lexed.tokens.last().unwrap().span.start, *start, "{text}");
    }
}

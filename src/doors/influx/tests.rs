//! Lines of InfluxDB's clients, and what is none.

use super::*;
use crate::doors::testing::{Found, found, found_in_pieces, samples};
use proptest::prelude::*;

fn reader(precision: Option<Precision>, database: &str) -> Influx {
    Influx::new(precision, database, Vec::new())
}

fn read(text: &str) -> Found {
    found(&mut reader(None, ""), text.as_bytes())
}

#[test]
fn every_field_is_a_series() {
    let text = "# a comment\n\ncpu,host=a\\ b,dc=x\\,y\\=z usage=1.5,idle=2i,steal=3u,up=t,down=False,text=\"a, \\\"b\\\" c=1\" 1700000000000000000\n";
    let found = found(&mut reader(None, "telegraf"), text.as_bytes());
    assert_eq!(found.faults, []);
    let series = "{db=\"telegraf\", dc=\"x,y=z\", host=\"a b\"}";
    let wanted = [
        ("usage", "1.5"),
        ("idle", "2"),
        ("steal", "3"),
        ("up", "1"),
        ("down", "0"),
    ];
    assert_eq!(
        samples(&found),
        wanted.map(|(field, value)| format!("cpu_{field}{series} {value} 1700000000000"))
    );
    assert_eq!(found.left_out, 1);
}

#[test]
fn names_are_those_of_victoriametrics() {
    for (line, wanted) in [
        ("a v=1 5", "a_v 1 5000"),
        ("a value=1", "a_value 1 -"),
        (",host=x v=1 5", "v{host=\"x\"} 1 5000"),
        ("a,db=own v=1 5", "a_v{db=\"own\"} 1 5000"),
        ("a,e= v=1 5", "a_v 1 5000"),
        (
            "a\\,b\\ c,ta\\,g\\ k\\==v f\\,i\\=e\\ ld=1e3 5",
            "a,b c_f,i=e ld{\"ta,g k=\"=\"v\"} 1000 5000",
        ),
        ("a,host=x\\\\y\\z v=1 5", "a_v{host=\"x\\\\y\\\\z\"} 1 5000"),
        ("a,q=\"x v=-.5 5", "a_v{q=\"\\\"x\"} -0.5 5000"),
        ("  a v=1   5  ", "a_v 1 5000"),
        ("a v=-Inf 5", "a_v -inf 5000"),
        ("a v\"=1 5", "a_v\" 1 5000"),
    ] {
        let found = read(line);
        assert_eq!(
            (samples(&found), found.faults),
            (vec![wanted.to_owned()], vec![]),
            "{line}"
        );
    }
}

#[test]
fn times_are_in_what_the_request_says_or_what_they_look_like() {
    let time = |precision: Option<&str>, time: &str| {
        let precision = precision.map(|name| Precision::named(name).expect("a name"));
        let found = found(&mut reader(precision, ""), format!("a v=1 {time}").as_bytes());
        found.samples.first().and_then(|sample| sample.1)
    };
    let at = Some(1_700_000_000_000);
    for (precision, text, wanted) in [
        (Some("ns"), "1700000000000999999", at),
        (Some("u"), "1700000000000999", at),
        (Some("ms"), "1700000000000", at),
        (Some("s"), "1700000000", at),
        (Some("m"), "28333333", Some(1_699_999_980_000)),
        (Some("h"), "472222", Some(1_699_999_200_000)),
        (None, "1700000000000000000", at),
        (None, "1700000000000000", at),
        (None, "1700000000000", at),
        (None, "1700000000", at),
        (Some("n"), "-1", Some(-1)),
        (Some("s"), "9223372036854775807", None),
    ] {
        assert_eq!(time(precision, text), wanted, "{precision:?} {text}");
    }
    assert_eq!(Precision::named("d"), None);
}

#[test]
fn what_is_wrong_is_named_and_nothing_of_the_line_is_stored() {
    for (line, wanted) in [
        ("a", "the field \"\" has no value"),
        ("a v", "the field \"v\" has no value"),
        ("a v=1,w", "the field \"w\" has no value"),
        ("a v=1,", "the field \"\" has no value"),
        ("a =1", "a field has no name"),
        ("a v=", "the field \"v\" is \"\""),
        ("a v=many", "the field \"v\" is \"many\""),
        ("a v=1,w=99999999999999999999i", "the field \"w\" is"),
        ("a v=-1u", "the field \"v\" is"),
        ("a v=1.5i", "the field \"v\" is"),
        ("a v=1 soon", "\"soon\" is no time"),
        ("a v=1 1.5", "\"1.5\" is no time"),
        ("a v=1 5 6", "\"5 6\" is no time"),
        ("a,host v=1", "the tag \"host\" has no value"),
        ("a,=x v=1", "a label name is empty"),
        ("a,x=1,x=2 v=1", "stands twice"),
        ("a,__name__=x v=1", "is taken"),
        ("a v=\"x", "does not end"),
        ("a v=\"x\"y", "stands behind a text in quotes"),
    ] {
        let found = read(line);
        assert_eq!((found.samples.len(), found.faults.len()), (0, 1), "{line}");
        let fault = &found.faults[0].1;
        assert!(fault.message.contains(wanted), "{line}: {}", fault.message);
    }
}

#[test]
fn a_text_may_have_line_feeds() {
    let text = "a s=\"x\ny=1\n\",v=1 5\nb,q=\" v=2 5\n# \"\nc v=3 5\n";
    let wanted = ["a_v 1 5000", "b_v{q=\"\\\"\"} 2 5000", "c_v 3 5000"];
    for bytes in 1..text.len() {
        let found = found_in_pieces(&mut reader(None, ""), text.as_bytes(), bytes);
        assert_eq!(samples(&found), wanted);
    }
    let found = read(&format!("{text}bad"));
    assert_eq!(found.faults[0].0, 7, "lines are counted as in an editor");
    // Quotes that never end spoil one line only.
    let lines = "c v=1 5\n".repeat(20_000);
    let found = found_in_pieces(
        &mut reader(None, ""),
        format!("a s=\"x\n{lines}").as_bytes(),
        4096,
    );
    assert_eq!((found.samples.len(), found.faults.len()), (20_000, 1));
}

#[test]
fn a_line_does_not_come_to_many_times_its_size() {
    let fields = vec!["a=1"; 10_000].join(",");
    for series in ["m".repeat(10_000), format!("m,t={}", "x".repeat(10_000))] {
        let found = read(&format!("{series} {fields}\nb v=1"));
        assert_eq!((found.samples.len(), found.faults.len()), (1, 1));
        assert!(found.faults[0].1.message.contains("too much for a line"));
    }
    let mut influx = reader(None, "");
    let wide = format!("m,t=x {fields}");
    assert_eq!(found(&mut influx, wide.as_bytes()).samples.len(), 10_000);
    assert!(
        influx.labels.text().len() < wide.len(),
        "text of fields is used again"
    );
}

#[test]
fn quotes_without_end_are_looked_for_once() {
    let line = "a s=\"\"\"x\n";
    let text = line.repeat(100_000);
    let found = found(&mut reader(None, ""), text.as_bytes());
    assert_eq!(found.samples.len(), 0);
    assert!(found.faults.len() > 40_000, "{}", found.faults.len());
}

proptest! {
    #[test]
    fn no_bytes_are_too_strange(
        text in "[a-z0-9,= \"\\\\\n.#i]{0,40}",
        bytes in prop::collection::vec(any::<u8>(), 0..40),
        piece in 1_usize..20,
    ) {
        let whole = read(&text);
        let in_pieces = found_in_pieces(&mut reader(None, ""), text.as_bytes(), piece);
        prop_assert_eq!(whole, in_pieces);
        found(&mut reader(Some(Precision::Hours), "x"), &bytes);
    }
}

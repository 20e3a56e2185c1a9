//! Columns in and out, and what is wrong with them.

use super::*;
use crate::doors::testing::{Found, found, found_in_pieces, samples};
use crate::labels;
use proptest::prelude::*;

fn reader(map: &str) -> Csv {
    Csv::new(ColumnMap::parse(map).expect("a map"), Vec::new())
}

fn read(map: &str, text: &str) -> Found {
    found(&mut reader(map), text.as_bytes())
}

#[test]
fn columns_are_what_the_map_says() {
    let map = "2:metric:ask,3:metric:bid,1:label:ticker,5:time:unix_s";
    let text = "GOOG,1.25,4.5,NYSE,1700000000\r\nMSFT,,3,x,1700000000.5,more\n\n\"A, \"\"x\"\"\ny\",5,-Inf,,1700000000";
    for bytes in 1..text.len() {
        let found = found_in_pieces(&mut reader(map), text.as_bytes(), bytes);
        assert_eq!(found.faults, []);
        assert_eq!(
            samples(&found),
            [
                "ask{ticker=\"GOOG\"} 1.25 1700000000000",
                "bid{ticker=\"GOOG\"} 4.5 1700000000000",
                "bid{ticker=\"MSFT\"} 3 1700000000500",
                "ask{ticker=\"A, \\\"x\\\"\\ny\"} 5 1700000000000",
                "bid{ticker=\"A, \\\"x\\\"\\ny\"} -inf 1700000000000",
            ]
        );
    }
}

#[test]
fn times_are_read_in_every_format() {
    for (format, time, wanted) in [
        ("unix_s", "1700000000.25", 1_700_000_000_250),
        ("unix_ms", "1700000000250", 1_700_000_000_250),
        ("unix_us", "1700000000250999", 1_700_000_000_250),
        ("unix_ns", "1700000000250999999", 1_700_000_000_250),
        ("rfc3339", "2023-11-14T23:13:20.25+01:00", 1_700_000_000_250),
    ] {
        let found = read(&format!("1:metric:x,2:time:{format}"), &format!("1,{time}"));
        assert_eq!(
            found.samples.first().and_then(|sample| sample.1),
            Some(wanted),
            "{format}"
        );
    }
    assert_eq!(samples(&read("1:metric:x", "1")), ["x 1 -"]);
}

#[test]
fn a_head_is_passed_over_and_a_name_may_stand_in_a_cell() {
    let map = "1:label:__name__,2:metric:value,3:time:unix_ms";
    let found = read(map, "__name__,__value__,__timestamp__\nup,1,5\n,2,6\n");
    assert_eq!(found.faults, []);
    assert_eq!(samples(&found), ["up 1 5", "value 2 6"]);
    assert_eq!(
        read("1:metric:x", "head\nhead\n").faults.len(),
        1,
        "only the first line"
    );
}

#[test]
fn what_is_wrong_is_named() {
    for (line, wanted) in [
        ("a", "there are 1 columns and the format names 3"),
        ("a,b,5", "column 2 (x) is no number: \"b\""),
        ("a,1,soon", "column 3 is no time: \"soon\""),
        ("\"a,1,5", "does not end"),
        ("\"a\"b,1,5", "stands between"),
    ] {
        let found = read("1:label:l,2:metric:x,3:time:unix_ms", &format!("a,1,5\n{line}\n"));
        assert_eq!(found.samples.len(), 1, "{line}");
        assert!(
            found.faults[0].1.message.contains(wanted),
            "{line}: {:?}",
            found.faults
        );
    }
    for (map, wanted) in [
        ("", "none of number:metric:name"),
        ("x", "none of number:metric:name"),
        ("0:metric:x", "number of a column"),
        ("99999999:metric:x", "number of a column"),
        ("1:foo:x", "none of metric, label and time"),
        ("1:label:x", "no column of a metric"),
        ("1:metric:x,1:label:y", "stands twice"),
        ("1:metric:x,2:time:unix_s,3:time:unix_s", "more than one"),
        ("1:metric:x,2:time:soon", "is not one of"),
        ("1:metric:", "has no name"),
    ] {
        let fault = ColumnMap::parse(map).expect_err(map);
        assert!(fault.contains(wanted), "{map}: {fault}");
    }
    for format in ["", "a,", "__timestamp__:soon"] {
        assert!(Columns::parse(format).is_err(), "{format}");
    }
}

#[test]
fn samples_are_written_in_the_columns_asked_for() {
    let columns = Columns::parse("__name__,job,__value__,__timestamp__:rfc3339,__timestamp__:unix_us")
        .expect("columns");
    let mut out = Vec::new();
    columns.write_head(&mut out);
    let labels = labels! { "__name__" => "up", "job" => "a,\"b\"" };
    let all = [
        (0, 1.5_f64.to_bits()),
        (1, STALE_NAN_BITS),
        (1_700_000_000_250, f64::INFINITY.to_bits()),
    ];
    assert_eq!(columns.write(&mut out, &labels, &all), 1);
    assert_eq!(
        String::from_utf8_lossy(&out),
        "__name__,job,__value__,__timestamp__:rfc3339,__timestamp__:unix_us\n\
         up,\"a,\"\"b\"\"\",1.5,1970-01-01T00:00:00Z,0\n\
         up,\"a,\"\"b\"\"\",+Inf,2023-11-14T22:13:20.25Z,1700000000250000\n"
    );
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        value in "[\\PC\n,\"]{0,8}",
        all in prop::collection::vec((-9_000_000_000_000_i64..9_000_000_000_000, -1e300..1e300), 1..9),
        format in prop::sample::select(vec!["unix_s", "unix_ms", "unix_us", "unix_ns"]),
        piece in 1_usize..50,
    ) {
        let labels = labels! { METRIC_NAME => "up", "job" => &value };
        let all: Vec<_> = all.into_iter().map(|(time, value): (i64, f64)| (time, value.to_bits())).collect();
        let columns = Columns::parse(&format!("__name__,job,__value__,__timestamp__:{format}")).expect("columns");
        let mut out = Vec::new();
        columns.write_head(&mut out);
        columns.write(&mut out, &labels, &all);
        let map = format!("1:label:__name__,2:label:job,3:metric:x,4:time:{format}");
        let found = found_in_pieces(&mut reader(&map), &out, piece);
        prop_assert_eq!(&found.faults, &[]);
        let wanted: Vec<_> = all.iter().map(|(time, bits)| (labels.to_string(), Some(*time), *bits)).collect();
        prop_assert_eq!(found.samples, wanted);
    }

    #[test]
    fn no_bytes_are_too_strange(
        map in "[0-9a-z:,_]{0,20}",
        text in "[a-z0-9,\"\n]{0,40}",
        bytes in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let _ = (ColumnMap::parse(&map), Columns::parse(&map));
        read("2:metric:x,1:label:l", &text);
        found(&mut reader("1:metric:x,3:time:rfc3339"), &bytes);
    }
}

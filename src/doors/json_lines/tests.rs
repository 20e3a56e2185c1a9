//! Lines in and out: to the bit, and whatever is wrong with them.

use super::*;
use crate::doors::testing::{Found, found, found_in_pieces, samples};
use crate::labels;
use crate::model::sample::STALE_NAN_BITS;
use proptest::prelude::*;

fn read(text: &str) -> Found {
    found(&mut JsonLines::new(Vec::new()), text.as_bytes())
}

#[test]
fn a_line_has_many_samples() {
    let text = "{\"metric\":{\"__name__\":\"up\",\"a\":\"\\u00e9\\\"\"},\"values\":[1,null,\"Infinity\",\"-Infinity\",-0,18446744073709551615],\
                \"more\":[{}],\"timestamps\":[1,2,3,4,5,6]}\r\n\n  \n{\"timestamps\":[7],\"values\":[0.1],\"metric\":{\"__name__\":\"x\"}}";
    let found = read(text);
    assert_eq!(found.faults, []);
    assert_eq!(
        samples(&found),
        [
            "up{a=\"é\\\"\"} 1 1",
            "up{a=\"é\\\"\"} NaN 2",
            "up{a=\"é\\\"\"} inf 3",
            "up{a=\"é\\\"\"} -inf 4",
            "up{a=\"é\\\"\"} -0 5",
            "up{a=\"é\\\"\"} 18446744073709552000 6",
            "x 0.1 7"
        ]
    );
    assert_eq!(found.samples[1].2, NAN_BITS);
}

#[test]
fn stale_markers_have_a_spelling() {
    let mut out = Vec::new();
    let labels = labels! { "__name__" => "up" };
    write(
        &mut out,
        &labels,
        &[
            (1, STALE_NAN_BITS),
            (2, 1_f64.to_bits()),
            (3, NAN_BITS),
            (4, STALE_NAN_BITS),
        ],
    );
    assert_eq!(
        String::from_utf8_lossy(&out),
        "{\"metric\":{\"__name__\":\"up\"},\"values\":[null,1,null,null],\"timestamps\":[1,2,3,4],\
         \"nan_bits\":{\"7ff0000000000002\":[0,3]}}\n"
    );
}

#[test]
fn what_is_wrong_is_named() {
    let good = r#"{"metric":{"__name__":"x"},"values":[1],"timestamps":[1]}"#;
    for (line, wanted) in [
        ("junk", "no such object: expected value at byte 1"),
        ("[1]", "no such object: invalid type: sequence"),
        (
            r#"{"metric":{"__name__":"x"},"values":[1,2],"timestamps":[1]}"#,
            "there are 2 values and 1 timestamps",
        ),
        (r#"{"metric":{"__name__":"x"}}"#, "there are 0 values"),
        (
            r#"{"metric":{"a":"x"},"values":[1],"timestamps":[1]}"#,
            "the series has no name",
        ),
        (r#"{"values":[1],"timestamps":[1]}"#, "the series has no name"),
        (
            r#"{"metric":{"__name__":1},"values":[1],"timestamps":[1]}"#,
            "expected a text",
        ),
        (
            r#"{"metric":{"__name__":"x"},"values":["1.5"],"timestamps":[1]}"#,
            "the value \"1.5\" is no number",
        ),
        (
            r#"{"metric":{"__name__":"x"},"values":[1e999],"timestamps":[1]}"#,
            "out of range",
        ),
        (
            r#"{"metric":{"__name__":"x"},"values":[1],"timestamps":[1.5]}"#,
            "no whole number",
        ),
        (
            r#"{"metric":{"__name__":"x"},"values":[1],"timestamps":[1],"nan_bits":{"7ff0000000000002":[0]}}"#,
            "not null",
        ),
        (
            r#"{"metric":{"__name__":"x"},"values":[null],"timestamps":[1],"nan_bits":{"7ff0000000000002":[1]}}"#,
            "not null",
        ),
        (
            r#"{"metric":{"__name__":"x"},"values":[null],"timestamps":[1],"nan_bits":{"3ff0000000000000":[0]}}"#,
            "not the bits of a NaN",
        ),
        (
            r#"{"metric":{"__name__":"x"},"values":[1],"timestamps":[1]} x"#,
            "trailing characters",
        ),
    ] {
        let found = read(&format!("{line}\n{good}\n"));
        assert_eq!(found.samples.len(), 1, "{line}");
        let (number, fault) = &found.faults[0];
        assert_eq!(*number, 1);
        assert!(fault.message.contains(wanted), "{line}: {}", fault.message);
        assert!(!fault.message.contains("line"), "{}", fault.message);
    }
    let found = found(&mut JsonLines::new(Vec::new()), b"{\"metric\xff\n");
    assert_eq!(found.faults[0].1.message, "byte 9 of the line is not UTF-8");
}

proptest! {
    /// Any samples come back as they were, to the bit, however the text is cut.
    #[test]
    fn samples_are_read_back(
        value in "\\PC{0,8}",
        bits in prop::collection::vec((any::<i64>(), any::<u64>()), 1..20),
        nans in prop::collection::vec((any::<i64>(), 0x7ff0_0000_0000_0001_u64..0x7ff0_0000_0000_0009), 0..5),
        piece in 1_usize..60,
    ) {
        let labels = labels! { "__name__" => "x", "l" => &value };
        let all: Vec<(i64, u64)> = bits.into_iter().chain(nans).collect();
        let mut out = Vec::new();
        for samples in all.chunks(7) {
            write(&mut out, &labels, samples);
        }
        let found = found_in_pieces(&mut JsonLines::new(Vec::new()), &out, piece);
        let wanted: Vec<_> = all.iter().map(|(time, bits)| (labels.to_string(), Some(*time), *bits)).collect();
        prop_assert_eq!(&found.faults, &[]);
        prop_assert_eq!(found.samples, wanted);
    }

    #[test]
    fn no_bytes_are_too_strange(
        bytes in prop::collection::vec(any::<u8>(), 0..60),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        found(&mut JsonLines::new(Vec::new()), &bytes);
        let mut line = br#"{"metric":{"__name__":"x"},"values":[1,null],"timestamps":[1,2],"nan_bits":{"7ff0000000000002":[1]}}"#.to_vec();
        let at = at.index(line.len());
        line[at] = byte;
        found(&mut JsonLines::new(Vec::new()), &line);
    }
}

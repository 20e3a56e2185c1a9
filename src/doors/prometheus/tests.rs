//! What the text format and OpenMetrics say, and what is neither.

use super::*;
use crate::doors::testing::{Found, found, found_in_pieces, samples};
use crate::labels;
use proptest::prelude::*;

fn read(text: &str) -> Found {
    found(&mut Prometheus::new(false, Vec::new()), text.as_bytes())
}

#[test]
fn samples_are_read_as_prometheus_reads_them() {
    let found = read(concat!(
        "# a comment\n\n   \t\n",
        "up 1\n",
        "up{} 0 -5\r\n",
        "  a:b{job=\"x\\\"\\\\\\n\\t\" , le=\"+Inf\",} +Inf 1700000000000  \n",
        "{\"a.b\",\"x y\"=\"z\"}1e3 1700000000000\n",
        "tab\t0x1p-2\t7\n",
        "seconds NaN 1700000000.25\n",
        "{__name__=\"inside\"} -1\n",
    ));
    assert_eq!(found.faults, []);
    assert_eq!(
        samples(&found),
        [
            "up 1 -",
            "up 0 -5",
            "a:b{job=\"x\\\"\\\\\\n\\\\t\", le=\"+Inf\"} inf 1700000000000",
            "a.b{\"x y\"=\"z\"} 1000 1700000000000",
            "tab 0.25 7",
            "seconds NaN 1700000000250",
            "inside -1 -",
        ]
    );
}

#[test]
fn open_metrics_has_seconds_and_exemplars() {
    let text = concat!(
        "# TYPE wait_seconds histogram\n# UNIT wait_seconds seconds\n# HELP wait_seconds How \\\"long\\\".\\n\n",
        "wait_seconds_bucket{le=\"1.0\"} 7 1700000000 # {trace_id=\"ab c\"} 0.5 1700000000.123\n",
        "wait_seconds_bucket{le=\"+Inf\"} 7 1700000001.5 # {} 3\n",
        "# TYPE \"a.b\" gauge\n{\"a.b\"} 1 # {x=\"y\"} 1\n# EOF\n"
    );
    let found = found(&mut Prometheus::new(true, Vec::new()), text.as_bytes());
    assert_eq!(found.faults, []);
    let times: Vec<_> = found.samples.iter().map(|sample| sample.1).collect();
    assert_eq!(times, [Some(1_700_000_000_000), Some(1_700_000_001_500), None]);
    let exemplars: Vec<_> = found
        .exemplars
        .iter()
        .map(|one| (one.1.as_str(), one.2, one.3))
        .collect();
    assert_eq!(
        exemplars,
        [
            ("{trace_id=\"ab c\"}", Some(1_700_000_000_123), 0.5),
            ("{}", Some(1_700_000_001_500), 3.0),
            ("{x=\"y\"}", None, 1.0)
        ]
    );
    let wait = Metadata {
        metric_type: MetricType::Histogram,
        help: "How \"long\".\n".to_owned(),
        unit: "seconds".to_owned(),
    };
    let dotted = Metadata {
        metric_type: MetricType::Gauge,
        ..Metadata::default()
    };
    assert_eq!(
        found.metadata,
        [("wait_seconds".to_owned(), wait), ("a.b".to_owned(), dotted)]
    );
}

#[test]
fn what_is_said_without_samples_is_told_at_the_end() {
    let found = read("# HELP a One.\n# TYPE b counter\n# TYPE c untyped\n# HELP\n# TYPE \"\n");
    let told: Vec<_> = found.metadata.iter().map(|one| one.0.as_str()).collect();
    assert_eq!(told, ["a", "b"]);
    assert_eq!(found.faults, []);
}

#[test]
fn what_is_wrong_is_named() {
    for (line, wanted) in [
        ("up", "the value is no number: \"\""),
        ("up one", "the value is no number: \"one\""),
        ("up 1 soon", "the time is none: \"soon\""),
        ("up 1 99999999999999999999", "the time is none"),
        ("a.b 1", "no plain name"),
        ("1up 1", "no plain name"),
        ("{a=\"b\"} 1", "the series has no name"),
        ("{} 1", "the series has no name"),
        ("up{a=b} 1", "does not stand in quotes"),
        ("up{a=\"b} 1", "does not end"),
        ("up{a=\"b\" c=\"d\"} 1", "the labels do not end"),
        ("up{a} 1", "a label has no value"),
        ("up{a.b=\"c\"} 1", "not plain"),
        ("up{a=\"b\"", "the labels do not end"),
        ("up{,} 1", "a label has no value"),
        ("up{a=\"1\",a=\"2\"} 1", "stands twice"),
        ("up{\"other\"} 1", "stands twice"),
        ("up 1 2 3", "stands behind the sample"),
        ("up 1 2 # x", "stands behind the sample"),
        ("up 1 2 # {a=\"b\"} x", "value of the exemplar"),
    ] {
        let found = read(&format!("{line}\nup 1\n"));
        assert_eq!(found.samples.len(), 1, "{line}");
        let fault = &found.faults[0].1;
        assert!(fault.message.contains(wanted), "{line}: {}", fault.message);
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        name in "[a-z]\\PC{0,6}",
        label in "\\PC{1,6}",
        value in "[\\PC\n\"]{0,8}",
        all in prop::collection::vec((any::<i64>(), any::<f64>().prop_filter("no NaN", |value| !value.is_nan())), 1..9),
        piece in 1_usize..50,
    ) {
        prop_assume!(label != METRIC_NAME);
        let labels = labels! { METRIC_NAME => &name, &label => &value };
        let all: Vec<_> = all.into_iter().map(|(time, value)| (time, value.to_bits())).collect();
        let mut out = Vec::new();
        prop_assert_eq!(write(&mut out, &labels, &all), 0);
        let found = found_in_pieces(&mut Prometheus::new(false, Vec::new()), &out, piece);
        prop_assert_eq!(&found.faults, &[]);
        let wanted: Vec<_> = all.iter().map(|(time, bits)| (labels.to_string(), Some(*time), *bits)).collect();
        prop_assert_eq!(found.samples, wanted);
    }

    #[test]
    fn no_bytes_are_too_strange(text in "[ -~]{0,40}", bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        read(&text);
        read(&format!("up{{{text}"));
        read(&format!("# TYPE {text}"));
        found(&mut Prometheus::new(true, Vec::new()), &bytes);
    }
}

#[test]
fn stale_markers_are_left_out_of_what_is_written() {
    let mut out = Vec::new();
    let labels = labels! { "__name__" => "up" };
    let left_out = write(
        &mut out,
        &labels,
        &[
            (1, 1_f64.to_bits()),
            (2, STALE_NAN_BITS),
            (3, f64::INFINITY.to_bits()),
        ],
    );
    assert_eq!(
        (left_out, String::from_utf8_lossy(&out).as_ref()),
        (1, "up{} 1 1\nup{} +Inf 3\n")
    );
}

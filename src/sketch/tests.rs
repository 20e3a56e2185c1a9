//! Sketches of made-up rows: against exact counts, through bytes, merged, and the difference of two.

use super::Sketch;
use crate::base::hash;
use crate::index::SegmentIndexWriter;
use crate::model::labels::Labels;
use proptest::prelude::*;

fn of(mut all: Vec<Labels>) -> Sketch {
    all.sort();
    all.dedup();
    let (mut rows, mut hashes) = (SegmentIndexWriter::new(), Vec::new());
    for labels in &all {
        rows.push(labels.as_ref());
        hashes.extend_from_slice(&labels.hash().0.to_le_bytes());
    }
    Sketch::of(&rows, &hashes)
}

fn labels(pairs: &[(&str, String)]) -> Labels {
    Labels::from_pairs(pairs.iter().map(|(name, value)| (*name, value.as_str()))).expect("valid labels")
}

/// `pods` pods of which each has the same metrics, the later ones fewer series.
fn pods(pods: std::ops::Range<u64>, metrics: u64) -> Vec<Labels> {
    let mut all = Vec::new();
    for pod in pods {
        for metric in 0..metrics {
            for cpu in 0..=(metrics - metric) / 4 {
                let mut pairs = vec![
                    ("__name__", format!("metric_{metric}")),
                    ("pod", format!("pod-{pod}")),
                    ("job", format!("job-{}", pod % 3)),
                ];
                if cpu > 0 {
                    pairs.push(("cpu", format!("{cpu}")));
                }
                all.push(labels(&pairs));
            }
        }
    }
    all
}

fn decoded(sketch: &Sketch) -> Sketch {
    Sketch::decode(&sketch.encode()).expect("it was just encoded")
}

#[test]
fn what_was_counted_is_exact() {
    let sketch = of(pods(0..90, 10));
    let series = pods(0..90, 10).len() as u64;
    assert_eq!(sketch.series.distinct().estimate, series);
    assert_eq!((sketch.names.cut, sketch.metrics.cut), (0, 0));
    let name = |name: &str| {
        let entry = &sketch.names.entries[name];
        (entry.series.distinct().estimate, entry.values.distinct().estimate)
    };
    assert_eq!(name("pod"), (series, 90));
    assert_eq!(name("__name__"), (series, 10));
    let with_cpu = series - 90 * 10;
    assert_eq!(name("cpu"), (with_cpu, 2));
    let top = &sketch.names.entries["job"].top;
    assert_eq!(top.len(), 3);
    assert!(top.values().all(|of_job| *of_job == series / 3));
    assert_eq!(
        sketch.metrics.entries["metric_0"].series.distinct().estimate,
        90 * 3
    );
    assert_eq!(sketch.metrics.entries["metric_9"].series.distinct().estimate, 90);
    let values = &sketch.metrics.entries["metric_0"].labels;
    assert!(values["pod"].estimate().abs_diff(90) < 15);
    assert_eq!((values["job"].estimate(), values["cpu"].estimate()), (3, 2));
    assert!(!values.contains_key("__name__"));
}

/// Without a name, with names that sort before the metric's, and with nothing at all.
#[test]
fn odd_label_sets_count() {
    let sketch = of(vec![
        labels(&[]),
        labels(&[("A", "x".into())]),
        labels(&[("A", "x".into()), ("__name__", "up".into())]),
        labels(&[("A", "y".into()), ("__name__", "up".into())]),
        labels(&[("__name__", "up".into())]),
    ]);
    assert_eq!(sketch.series.distinct().estimate, 5);
    assert_eq!(sketch.metrics.entries["up"].series.distinct().estimate, 3);
    assert_eq!(sketch.metrics.entries["up"].labels["A"].estimate(), 2);
    assert_eq!(sketch.names.entries["A"].top.len(), 1);
    assert_eq!(decoded(&sketch), sketch);
    assert_eq!(decoded(&of(Vec::new())), of(Vec::new()));
}

#[test]
fn bytes_are_within_the_budget_and_keep_the_largest() {
    for (count, metrics) in [(40, 8), (300, 40), (2_000, 40)] {
        let all = pods(0..count, metrics);
        let rows = all.len();
        let sketch = of(all);
        let bytes = sketch.encode();
        assert!(
            bytes.len() <= (4 << 10) + rows / 4,
            "{} bytes of {rows} rows",
            bytes.len()
        );
        let decoded = decoded(&sketch);
        assert_eq!(decoded.series, sketch.series);
        assert_eq!(decoded.names, sketch.names);
        let kept = &decoded.metrics.entries;
        assert!(!kept.is_empty());
        for (metric, entry) in &sketch.metrics.entries {
            match kept.get(metric) {
                Some(found) => assert_eq!(found.series, entry.series),
                None => assert!(entry.series.at_most <= decoded.metrics.cut, "{metric}"),
            }
        }
    }
}

/// Every series has a metric and a label name of its own.
#[test]
fn hostile_label_sets_stay_small() {
    let all = (0..3_000).map(|number| {
        labels(&[
            ("__name__", format!("metric_{number}")),
            (&format!("name_{number}"), "x".repeat(1_000)),
        ])
    });
    let sketch = of(all.collect());
    assert_eq!((sketch.names.cut, sketch.metrics.cut), (1, 1));
    let bytes = sketch.encode();
    assert!(bytes.len() <= (4 << 10) + 3_000 / 4);
    assert_eq!(decoded(&sketch).metrics.cut, 1);
}

#[test]
fn golden_bytes() {
    let small = of(vec![
        labels(&[("__name__", "up".into()), ("job", "a".into())]),
        labels(&[("__name__", "up".into()), ("job", "b".into())]),
        labels(&[("__name__", "down".into())]),
    ]);
    assert_eq!(small.encode(), GOLDEN_SMALL);
    let large = of(pods(0..400, 30)).encode();
    assert_eq!((large.len(), hash::checksum(&large)), GOLDEN_LARGE);
}

const GOLDEN_SMALL: [u8; 80] = [
    3, 3, 5, 119, 149, 232, 25, 97, 2, 0, 8, 95, 95, 110, 97, 109, 101, 95, 95, 3, 2, 1, 2, 3, 144, 150, 99,
    1, 2, 117, 112, 2, 3, 106, 111, 98, 2, 2, 0, 2, 3, 247, 159, 158, 2, 4, 215, 84, 122, 32, 0, 2, 0, 2,
    117, 112, 2, 2, 3, 247, 159, 158, 1, 1, 2, 3, 215, 81, 208, 4, 100, 111, 119, 110, 1, 1, 2, 254, 80, 0,
];
const GOLDEN_LARGE: (usize, u64) = (17_421, 0xc1f6_1369_0b07_effb);

#[test]
fn growth_names_the_metric_and_the_label() {
    let before = pods(0..100, 8);
    let mut after = pods(0..100, 8);
    for number in 0..5_000 {
        after.push(labels(&[
            ("__name__", "metric_3".into()),
            ("job", "job-1".into()),
            ("pod", format!("pod-{}", number % 100)),
            ("request_id", format!("request-{number}")),
        ]));
    }
    let (before, after) = (of(before), of(after));
    let (sealed_before, sealed_after) = (decoded(&before), decoded(&after));
    for (before, after) in [(&before, &after), (&sealed_before, &sealed_after)] {
        let series = before.change_of_series(after);
        assert_eq!(series.after - series.before, 5_000);
        assert!(series.added.abs_diff(5_000) < 400, "{series:?}");
        assert_eq!(series.gone, 0);
        let metrics = before.metrics_grown(after);
        assert_eq!(metrics.len(), 1, "{metrics:?}");
        assert_eq!(metrics[0].metric, "metric_3");
        assert_eq!(metrics[0].labels[0].0, "request_id");
        assert_eq!(metrics[0].labels.len(), 1);
        let labels = before.labels_grown(after, &metrics);
        assert_eq!(labels[0].name, "request_id");
        assert_eq!(labels[0].blamed, metrics[0].series.added);
        assert!(before.metrics_grown(before).is_empty());
        let back = after.change_of_series(before);
        assert_eq!((back.added, back.gone), (series.gone, series.added));
    }
}

/// A metric that was too small for the sketch of before is not taken for new.
#[test]
fn what_was_cut_off_is_not_new() {
    let mut before = of(pods(0..100, 8));
    let after = before.clone();
    before.metrics.entries.remove("metric_7");
    before.metrics.cut = 100;
    assert!(before.metrics_grown(&after).is_empty());
    before.metrics.cut = 20;
    let grown = before.metrics_grown(&after);
    assert_eq!((grown[0].series.before, grown[0].series.added), (20, 80));
}

proptest! {
    #[test]
    fn merging_is_the_union_within_bounds(
        a in proptest::collection::vec((0u64..6, 0u64..300), 0..200),
        b in proptest::collection::vec((0u64..6, 0u64..300), 0..200),
    ) {
        let set = |pairs: &[(u64, u64)]| -> Vec<Labels> {
            let of_pair = |(metric, value): &(u64, u64)| {
                labels(&[("__name__", format!("m{metric}")), ("v", format!("{value}"))])
            };
            pairs.iter().map(of_pair).collect()
        };
        let (one, other) = (of(set(&a)), of(set(&b)));
        let both = of([set(&a), set(&b)].concat());
        let merged = |parts: [&Sketch; 2]| {
            let mut merged = Sketch::default();
            parts.iter().for_each(|part| merged.merge(part));
            merged
        };
        prop_assert_eq!(merged([&one, &other]), merged([&other, &one]));
        let merged = merged([&one, &other]);
        prop_assert_eq!(&merged.series.hll, &both.series.hll);
        let exact = both.series.distinct().estimate;
        prop_assert!((merged.series.at_least..=merged.series.at_most).contains(&exact));
        for (metric, entry) in &both.metrics.entries {
            let found = &merged.metrics.entries[metric];
            prop_assert_eq!(&found.series.hll, &entry.series.hll);
            prop_assert_eq!(&found.labels, &entry.labels);
            prop_assert!((found.series.at_least..=found.series.at_most).contains(&entry.series.at_most));
        }
        prop_assert_eq!(decoded(&one), one);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        drop(Sketch::decode(&bytes));
    }
}

//! Write, keep, read back: the plain paths.

use narthex::{Db, Durability, Histogram, Labels, ListOptions, Matcher, Options, Value, labels};

fn series(number: usize) -> Labels {
    labels! {
        "__name__" => if number.is_multiple_of(2) { "cpu_seconds_total" } else { "memory_bytes" },
        "instance" => &format!("host-{}", number / 10),
        "job" => "node",
        "number" => &number.to_string(),
    }
}

fn value(number: usize, tick: i64) -> f64 {
    (number as f64) * 1000.0 + (tick as f64) * (number % 7) as f64 * 0.25
}

fn write(db: &Db, count: usize, ticks: std::ops::Range<i64>) {
    for tick in ticks {
        let mut batch = db.batch();
        for number in 0..count {
            batch.push(&series(number), tick * 15_000, value(number, tick));
        }
        let report = batch.commit().unwrap();
        assert_eq!(report.accepted, count, "{report:?}");
    }
}

fn check(db: &Db, count: usize, ticks: i64) {
    let mut seen = 0;
    let mut last: Option<Labels> = None;
    let mut cursor = db.select(&[], ..).unwrap();
    for one in cursor.by_ref() {
        let one = one.unwrap();
        assert!(
            last.as_ref().is_none_or(|last| last < one.labels()),
            "label order"
        );
        last = Some(one.labels().clone());
        let number: usize = one.labels().get("number").unwrap().parse().unwrap();
        assert_eq!(one.labels(), &series(number));
        let samples: Vec<_> = one
            .samples()
            .map(|sample| (sample.timestamp, sample.value))
            .collect();
        let expected: Vec<_> = (0..ticks)
            .map(|tick| (tick * 15_000, Value::Float(value(number, tick))))
            .collect();
        assert_eq!(samples, expected, "series {number}");
        seen += 1;
    }
    assert_eq!(seen, count);
    assert_eq!(cursor.warnings(), []);
}

#[test]
fn head_segments_and_reopening_give_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let open = || {
        Db::open(
            Options::new(dir.path())
                .background(false)
                .durability(Durability::Never),
        )
        .unwrap()
    };
    let db = open();
    write(&db, 100, 0..250);
    check(&db, 100, 250);
    db.flush().unwrap();
    assert_eq!(db.stats().unwrap().segments, 1);
    check(&db, 100, 250);
    write(&db, 100, 250..400);
    check(&db, 100, 400);
    db.close().unwrap();
    let db = open();
    check(&db, 100, 400);
    db.flush().unwrap();
    check(&db, 100, 400);
    write(&db, 100, 400..410);
    db.close().unwrap();
    let db = open();
    check(&db, 100, 410);
    assert_eq!(db.verify().unwrap().faults, Vec::<String>::new());
    let names = db.label_names(&[], .., ListOptions::default()).unwrap();
    assert_eq!(names.items, ["__name__", "instance", "job", "number"]);
    let values = db.label_values(
        "instance",
        &[Matcher::eq("__name__", "memory_bytes")],
        ..,
        ListOptions::default(),
    );
    assert_eq!(values.unwrap().items.len(), 10);
    let listed = db
        .series(&[Matcher::re("number", "1.?")], .., ListOptions::default())
        .unwrap();
    assert_eq!(listed.items.len(), 11);
}

#[test]
fn late_samples_histograms_and_starts_survive_a_flush() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(Options::new(dir.path()).background(false)).unwrap();
    let labels = labels! { "__name__" => "x" };
    let histogram = Histogram {
        reset_hint: narthex::ResetHint::Unknown,
        schema: 1,
        zero_threshold: 0.001,
        sum: 12.5,
        positive_spans: vec![narthex::Span { offset: 0, length: 2 }],
        negative_spans: vec![],
        custom_values: vec![],
        counts: narthex::Counts::Int {
            count: 7,
            zero_count: 1,
            positive: vec![2, 2],
            negative: vec![],
        },
    };
    let mut batch = db.batch();
    batch.push(&labels, 10, 1.0);
    batch.push(&labels, 30, 3.0);
    batch.push(&labels, 20, 2.0);
    batch.push(&labels, 30, 4.0);
    batch.push(&labels, 20, 2.0);
    batch.push_histogram(&labels, 40, &histogram);
    let started = narthex::Sample {
        timestamp: 50,
        value: Value::Float(5.0),
        start_timestamp: 45,
    };
    batch.push_sample(&labels, &started);
    let report = batch.commit().unwrap();
    assert_eq!(
        (
            report.floats,
            report.histograms,
            report.duplicates,
            report.rejected_count()
        ),
        (4, 1, 1, 1)
    );
    let read = |db: &Db| -> Vec<_> {
        let mut cursor = db.select(&[], ..).unwrap();
        let samples = cursor
            .by_ref()
            .flat_map(|series| series.unwrap().samples().collect::<Vec<_>>())
            .collect();
        assert_eq!(cursor.warnings(), []);
        samples
    };
    let before = read(&db);
    assert_eq!(
        before.iter().map(|sample| sample.timestamp).collect::<Vec<_>>(),
        [10, 20, 30, 40, 50]
    );
    assert_eq!(before[4].start_timestamp, 45);
    assert_eq!(before[3].value, Value::Histogram(histogram.into()));
    db.flush().unwrap();
    assert_eq!(read(&db), before);
    db.close().unwrap();
    let db = Db::open_read_only(dir.path()).unwrap();
    assert_eq!(read(&db), before);
}

//! Native histograms of every kind, through head, log, segment and reopening.

use crate::world::{Truth, answer, assert_same, histogram};
use narthex::testing::SimFs;
use narthex::{
    Counts, Db, Histogram, Labels, Options, ResetHint, STALE_NAN_BITS, Sample, Span, Value, labels, stale_nan,
};
use std::sync::Arc;

fn options(fs: &SimFs) -> Options {
    Options::new("db").fs(Arc::new(fs.clone())).background(false)
}

fn float_histogram(step: u64) -> Arc<Histogram> {
    let step = step as f64;
    Arc::new(Histogram {
        reset_hint: ResetHint::Unknown,
        schema: 2,
        zero_threshold: 1e-6,
        sum: step * 0.25,
        positive_spans: vec![Span { offset: 0, length: 3 }],
        negative_spans: vec![],
        custom_values: vec![],
        counts: Counts::Float {
            count: step * 6.5 + 4.0,
            zero_count: 1.0,
            positive: vec![step + 1.0, step * 2.5 + 1.0, step * 3.0 + 1.0],
            negative: vec![],
        },
    })
}

fn custom_buckets(step: u64) -> Arc<Histogram> {
    Arc::new(Histogram {
        reset_hint: ResetHint::Unknown,
        schema: -53,
        zero_threshold: 0.0,
        sum: step as f64,
        positive_spans: vec![Span { offset: 0, length: 4 }],
        negative_spans: vec![],
        custom_values: vec![0.1, 0.5, 2.5],
        counts: Counts::Int {
            count: step * 4 + 8,
            zero_count: 0,
            positive: vec![step as i64 + 2, 0, 0, 0],
            negative: vec![],
        },
    })
}

/// A stale marker among histograms: the marker in the sum, nothing else.
fn stale() -> Arc<Histogram> {
    Arc::new(Histogram {
        reset_hint: ResetHint::Unknown,
        schema: 0,
        zero_threshold: 0.0,
        sum: stale_nan(),
        positive_spans: vec![],
        negative_spans: vec![],
        custom_values: vec![],
        counts: Counts::Int {
            count: 0,
            zero_count: 0,
            positive: vec![],
            negative: vec![],
        },
    })
}

/// The series of the test: name and the histogram of a step.
type Shape = (&'static str, fn(u64) -> Arc<Histogram>);

const SHAPES: &[Shape] = &[
    ("counter", |step| histogram(step, ResetHint::Unknown)),
    ("resetting", |step| histogram(step % 40, ResetHint::Unknown)),
    ("gauge", |step| histogram(step % 7, ResetHint::Gauge)),
    ("float", float_histogram),
    ("custom", custom_buckets),
    ("ending", |step| {
        if step % 50 == 49 {
            stale()
        } else {
            histogram(step, ResetHint::Unknown)
        }
    }),
    ("turning", |step| {
        if step / 30 % 2 == 0 {
            histogram(step, ResetHint::Unknown)
        } else {
            float_histogram(step)
        }
    }),
];

fn labels_of(name: &str) -> Labels {
    labels! { "__name__" => name }
}

fn write(db: &Db, truth: &mut Truth, steps: std::ops::Range<u64>) {
    for step in steps {
        let sample = |value| Sample {
            timestamp: step as i64 * 15_000,
            value,
            start_timestamp: if step < 100 { 0 } else { 1_400_000 },
        };
        let mut samples: Vec<(Labels, Sample)> = SHAPES
            .iter()
            .map(|(name, make)| (labels_of(name), sample(Value::Histogram(make(step)))))
            .collect();
        // Floats and histograms in one series, in runs.
        let mixed = if step / 10 % 2 == 0 {
            Value::Float(step as f64)
        } else {
            Value::Histogram(float_histogram(step))
        };
        samples.push((labels_of("mixed"), sample(mixed)));
        truth.write(db, samples);
    }
}

fn check(db: &Db, truth: &Truth, what: &str) {
    for (from, to) in [(i64::MIN, i64::MAX), (600_000, 1_500_000), (735_000, 735_000)] {
        let expected = truth.select(&[], from, to);
        assert_same(&answer(db, &[], from..=to), &expected, what);
    }
}

#[test]
fn every_kind_of_histogram_comes_back_wherever_it_is() {
    let fs = SimFs::new();
    let db = Db::open(options(&fs)).unwrap();
    let mut truth = Truth::default();
    write(&db, &mut truth, 0..130);
    check(&db, &truth, "head");
    check(&Db::open(options(&fs.kill())).unwrap(), &truth, "replayed");
    db.flush().unwrap();
    check(&db, &truth, "segment");
    write(&db, &mut truth, 130..200);
    check(&db, &truth, "segment and head");
    for mmap in [false, true] {
        let reopened = Db::open(options(&fs.kill()).mmap(mmap)).unwrap();
        check(&reopened, &truth, "reopened");
        assert_eq!(reopened.verify().unwrap().faults, Vec::<String>::new());
    }
}

#[test]
fn a_checkpoint_keeps_open_histogram_chunks() {
    let fs = SimFs::new();
    let db = Db::open(options(&fs).checkpoint_bytes_min(1)).unwrap();
    let mut truth = Truth::default();
    write(&db, &mut truth, 0..70);
    assert!(db.step().unwrap());
    assert!(db.stats().unwrap().checkpoint_bytes > 0);
    write(&db, &mut truth, 70..90);
    check(&Db::open(options(&fs.kill())).unwrap(), &truth, "checkpoint");
}

#[test]
fn reset_hints_say_where_a_counter_began_anew() {
    let fs = SimFs::new();
    let db = Db::open(options(&fs)).unwrap();
    let mut truth = Truth::default();
    write(&db, &mut truth, 0..130);
    db.flush().unwrap();
    let hints = |name: &str| -> Vec<ResetHint> {
        let found = answer(&db, &[narthex::Matcher::eq("__name__", name)], ..);
        let hint = |sample: &Sample| match &sample.value {
            Value::Histogram(histogram) => histogram.reset_hint,
            Value::Float(_) => panic!("a float among histograms"),
        };
        found[0].1.iter().map(hint).collect()
    };
    assert!(hints("gauge").iter().all(|hint| *hint == ResetHint::Gauge));
    for (step, hint) in hints("resetting").into_iter().enumerate() {
        // The first of a run may be unknown, a fall is never called "no reset", and a rise never a reset.
        let falls = step % 40 == 0 && step > 0;
        let wrong = if falls {
            ResetHint::NotReset
        } else {
            ResetHint::Reset
        };
        assert_ne!(hint, wrong, "step {step}");
    }
}

#[test]
fn a_stale_histogram_is_stale_with_every_bit() {
    let fs = SimFs::new();
    let db = Db::open(options(&fs)).unwrap();
    let mut truth = Truth::default();
    write(&db, &mut truth, 0..60);
    db.flush().unwrap();
    let found = answer(
        &db,
        &[narthex::Matcher::eq("__name__", "ending")],
        735_000..=735_000,
    );
    let value = &found[0].1[0].value;
    assert!(value.is_stale());
    let Value::Histogram(stale) = value else {
        panic!("a histogram was written");
    };
    assert_eq!(stale.sum.to_bits(), STALE_NAN_BITS);
}

#[test]
fn late_histograms_are_merged_in_order() {
    let fs = SimFs::new();
    let db = Db::open(options(&fs)).unwrap();
    let mut truth = Truth::default();
    let labels = labels_of("late");
    let sample = |step: u64| Sample {
        timestamp: step as i64,
        value: Value::Histogram(histogram(step, ResetHint::Unknown)),
        start_timestamp: 0,
    };
    let steps = (0..300)
        .filter(|step| step % 4 != 1)
        .chain((0..300).filter(|step| step % 4 == 1));
    truth.write(&db, steps.map(|step| (labels.clone(), sample(step))).collect());
    check(&db, &truth, "head");
    check(&Db::open(options(&fs.kill())).unwrap(), &truth, "replayed");
    db.flush().unwrap();
    check(&db, &truth, "segment");
}

//! A small world of random series for tests: what was written is known, so that every answer can be judged.

use narthex::{Counts, Db, Histogram, Labels, MatchOp, Matcher, ResetHint, Sample, Span, Value, stale_nan};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Random numbers that are the same in every run (SplitMix64).
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ word >> 31
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(crate) fn chance(&mut self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }
}

/// What a database must hold: by label set, the samples by timestamp.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Truth {
    pub(crate) series: BTreeMap<Labels, BTreeMap<i64, Sample>>,
}

impl Truth {
    /// Writes samples in one batch, all of which must be new, and remembers them.
    pub(crate) fn write(&mut self, db: &Db, samples: Vec<(Labels, Sample)>) {
        let mut batch = db.batch();
        for (labels, sample) in &samples {
            batch.push_sample(labels, sample);
        }
        let count = samples.len();
        for (labels, sample) in samples {
            let before = self
                .series
                .entry(labels)
                .or_default()
                .insert(sample.timestamp, sample);
            assert!(before.is_none(), "the test writes a timestamp twice");
        }
        let report = batch.commit().unwrap();
        assert_eq!(report.floats + report.histograms, count, "{report:?}");
    }

    /// What a selection must give: matching series with samples in `from..=to`.
    pub(crate) fn select(&self, matchers: &[Matcher], from: i64, to: i64) -> Vec<(Labels, Vec<Sample>)> {
        let matching = self
            .series
            .iter()
            .filter(|(labels, _)| matches_all(matchers, labels));
        let mut found = Vec::new();
        for (labels, samples) in matching {
            if from > to {
                continue;
            }
            let within: Vec<Sample> = samples.range(from..=to).map(|one| one.1.clone()).collect();
            if !within.is_empty() {
                found.push((labels.clone(), within));
            }
        }
        found
    }
}

/// Everything `db` answers, which must be without warnings.
pub(crate) fn answer(
    db: &Db,
    matchers: &[Matcher],
    range: impl std::ops::RangeBounds<i64>,
) -> Vec<(Labels, Vec<Sample>)> {
    let mut cursor = db.select(matchers, range).unwrap();
    let found = cursor
        .by_ref()
        .map(|series| {
            let series = series.unwrap();
            (series.labels().clone(), series.samples().collect())
        })
        .collect();
    assert_eq!(cursor.warnings(), []);
    found
}

/// Compares answers series by series, so that a difference can be read.
pub(crate) fn assert_same(found: &[(Labels, Vec<Sample>)], expected: &[(Labels, Vec<Sample>)], what: &str) {
    for (one, other) in found.iter().zip(expected) {
        assert_eq!(one.0, other.0, "{what}: labels");
        assert_eq!(
            one.1.len(),
            other.1.len(),
            "{what}: number of samples of {}",
            one.0
        );
        for (sample, wanted) in one.1.iter().zip(&other.1) {
            assert_eq!(sample, wanted, "{what}: a sample of {}", one.0);
        }
    }
    assert_eq!(found.len(), expected.len(), "{what}: number of series");
}

/// The naive filter. The patterns of these tests are few, so the expressions are judged by hand.
pub(crate) fn matches_all(matchers: &[Matcher], labels: &Labels) -> bool {
    matchers.iter().all(|matcher| {
        let value = labels.get(&matcher.name).unwrap_or("");
        match matcher.op {
            MatchOp::Equal => value == matcher.value,
            MatchOp::NotEqual => value != matcher.value,
            MatchOp::Regex => is_match(&matcher.value, value),
            MatchOp::NotRegex => !is_match(&matcher.value, value),
        }
    })
}

/// Expressions of the tests, each with a function that says the same.
type Expression = (&'static str, fn(&str) -> bool);

pub(crate) const EXPRESSIONS: &[Expression] = &[
    ("", |value| value.is_empty()),
    (".*", |_| true),
    (".+", |value| !value.is_empty()),
    ("a.*", |value| value.starts_with('a')),
    (".*7", |value| value.ends_with('7')),
    (".*-1.*", |value| value.contains("-1")),
    ("api|web", |value| value == "api" || value == "web"),
    ("api|", |value| value == "api" || value.is_empty()),
    ("(?i)API", |value| value.eq_ignore_ascii_case("api")),
    ("host-[0-3]", |value| {
        value.len() == 6 && value.starts_with("host-") && ('0'..='3').contains(&last(value))
    }),
    ("host-1.", |value| value.len() == 7 && value.starts_with("host-1")),
    ("no such value", |value| value == "no such value"),
    ("h(o|x)st-(1|2|10)", |value| {
        matches!(value, "host-1" | "host-2" | "host-10")
    }),
    ("[^a]+", |value| !value.is_empty() && !value.contains('a')),
];

fn last(value: &str) -> char {
    value.chars().next_back().unwrap_or(' ')
}

fn is_match(expression: &str, value: &str) -> bool {
    let known = EXPRESSIONS.iter().find(|known| known.0 == expression);
    (known.expect("an expression of the tests").1)(value)
}

/// A random matcher over the labels that [`random_labels`] gives.
pub(crate) fn random_matcher(rng: &mut Rng) -> Matcher {
    let name = *rng.pick(&["__name__", "host", "job", "shard", "absent"]);
    let literal = *rng.pick(&[
        "", "api", "web", "host-1", "host-17", "up", "requests", "0", "none",
    ]);
    let expression = rng.pick(EXPRESSIONS).0;
    match rng.below(4) {
        0 => Matcher::eq(name, literal),
        1 => Matcher::ne(name, literal),
        2 => Matcher::re(name, expression),
        _ => Matcher::not_re(name, expression),
    }
}

/// Labels of series `number`; some lack the job, some are named as no metric is.
pub(crate) fn random_labels(number: u64) -> Labels {
    let metric = ["up", "requests", "latency", "api_errors", "ümlaut"][(number % 5) as usize];
    let job = ["api", "web", "", "API", "batch-1"][(number / 5 % 5) as usize];
    let host = format!("host-{}", number / 25);
    let shard = (number % 3).to_string();
    Labels::from_pairs([
        ("__name__", metric),
        ("host", &host),
        ("job", job),
        ("shard", &shard),
    ])
    .unwrap()
}

/// A float as databases meet them: counters, gauges, constants, and the odd ones.
pub(crate) fn random_float(rng: &mut Rng, number: u64, timestamp: i64) -> f64 {
    if rng.chance(50) {
        return *rng.pick(&[
            stale_nan(),
            f64::NAN,
            f64::from_bits(0x7ff8_dead_beef_0001),
            -0.0,
            0.0,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::MIN_POSITIVE / 2.0,
            f64::MAX,
        ]);
    }
    match number % 4 {
        0 => number as f64,
        1 => (timestamp / 15_000) as f64 * 3.0,
        2 => (rng.below(100_000) as f64) / 1000.0,
        _ => f64::from_bits(0x4000_0000_0000_0000 | rng.next() >> 12),
    }
}

/// A float sample without a start timestamp.
pub(crate) fn float(timestamp: i64, value: f64) -> Sample {
    Sample {
        timestamp,
        value: Value::Float(value),
        start_timestamp: 0,
    }
}

/// A valid integer histogram that grows with `step`.
pub(crate) fn histogram(step: u64, hint: ResetHint) -> Arc<Histogram> {
    let step = step as i64;
    Arc::new(Histogram {
        reset_hint: hint,
        schema: 3,
        zero_threshold: 0.001,
        sum: step as f64 * 1.5,
        positive_spans: vec![
            Span {
                offset: -2,
                length: 2,
            },
            Span { offset: 3, length: 1 },
        ],
        negative_spans: vec![Span { offset: 1, length: 1 }],
        custom_values: vec![],
        counts: Counts::Int {
            count: (step * 6 + 10) as u64,
            zero_count: 3,
            // Differences: the buckets hold 2 + step, 3 + 2 step, 1 + 2 step.
            positive: vec![2 + step, 1 + step, -2],
            negative: vec![1 + step],
        },
    })
}

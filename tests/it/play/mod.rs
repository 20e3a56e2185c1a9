//! What the oracle, crash and fault tests share: dice, series, values of every kind, and reading a whole database.

pub(crate) mod xor;

use narthex::testing::SimFs;
use narthex::{
    Counts, Db, Error, Histogram, Labels, ManualClock, Matcher, Options, ResetHint, STALE_NAN_BITS, Span,
    Value, labels,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The folder of every simulated database. Its parents are made by the database and must survive as well.
pub(crate) const DIR: &str = "data/store";

/// SplitMix64: small, seeded and good enough to choose operations.
#[derive(Debug, Clone)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    pub(crate) fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

/// A number from the environment, or the default.
pub(crate) fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.replace('_', "").parse().ok())
        .unwrap_or(default)
}

/// Series `number` of the few there are.
pub(crate) fn series(number: usize) -> Labels {
    labels! {
        "__name__" => ["requests_total", "memory_bytes", "latency_seconds"][number % 3],
        "instance" => &format!("host-{}", number / 5),
        "zone" => if number.is_multiple_of(2) { "süd" } else { "" },
        "number" => &number.to_string(),
    }
}

pub(crate) fn number_of(labels: &Labels) -> usize {
    labels
        .get("number")
        .and_then(|text| text.parse().ok())
        .expect("a series that was written")
}

/// Floats whose bits are easily lost.
const SPECIAL_BITS: [u64; 10] = [
    STALE_NAN_BITS,
    0x7ff8_0000_0000_0000,
    0x7ff8_0000_0000_0001,
    0xfff8_dead_beef_cafe,
    0x8000_0000_0000_0000,
    0x7ff0_0000_0000_0000,
    0xfff0_0000_0000_0000,
    1,
    0x7fef_ffff_ffff_ffff,
    0,
];

pub(crate) fn float(dice: &mut Dice) -> f64 {
    match dice.below(10) {
        0..=1 => f64::from_bits(*dice.pick(&SPECIAL_BITS)),
        2..=5 => dice.below(50) as f64,
        6..=7 => dice.below(100_000) as f64 / 100.0,
        _ => f64::from_bits(dice.next()),
    }
}

/// A valid histogram without empty buckets.
pub(crate) fn histogram(dice: &mut Dice) -> Histogram {
    let is_custom = dice.percent(20);
    let positive_spans = spans(dice, if is_custom { 0 } else { 3 });
    let negative_spans = if is_custom || dice.percent(60) {
        Vec::new()
    } else {
        spans(dice, 2)
    };
    let mut observations = 0;
    let mut buckets = |spans: &[Span]| -> Vec<i64> {
        let counts = spans
            .iter()
            .flat_map(|span| 0..span.length)
            .map(|_| 1 + dice.below(9) as i64);
        let counts: Vec<i64> = counts.collect();
        observations += counts.iter().sum::<i64>();
        counts
    };
    let (positive, negative) = (buckets(&positive_spans), buckets(&negative_spans));
    let zero_count = if is_custom { 0 } else { dice.below(3) as u64 };
    let count = observations as u64 + zero_count;
    let deltas = |counts: &[i64]| -> Vec<i64> {
        let before = std::iter::once(&0).chain(counts);
        counts
            .iter()
            .zip(before)
            .map(|(now, before)| now - before)
            .collect()
    };
    let floats = |counts: &[i64]| counts.iter().map(|count| *count as f64).collect();
    let is_stale = dice.percent(8);
    Histogram {
        reset_hint: *dice.pick(&[
            ResetHint::Unknown,
            ResetHint::NotReset,
            ResetHint::Reset,
            ResetHint::Gauge,
        ]),
        schema: if is_custom { -53 } else { dice.below(2) as i32 * 3 },
        zero_threshold: if is_custom { 0.0 } else { 0.001 },
        sum: if is_stale {
            narthex::stale_nan()
        } else {
            dice.below(1000) as f64 / 8.0
        },
        custom_values: if is_custom {
            (0..12).map(f64::from).collect()
        } else {
            Vec::new()
        },
        counts: if dice.percent(50) {
            Counts::Int {
                count,
                zero_count,
                positive: deltas(&positive),
                negative: deltas(&negative),
            }
        } else {
            Counts::Float {
                count: count as f64,
                zero_count: zero_count as f64,
                positive: floats(&positive),
                negative: floats(&negative),
            }
        },
        positive_spans,
        negative_spans,
    }
}

fn spans(dice: &mut Dice, first_offset_range: usize) -> Vec<Span> {
    let first = Span {
        offset: dice.below(2 * first_offset_range + 1) as i32 - first_offset_range as i32,
        length: 1 + dice.below(3) as u32,
    };
    let second = Span {
        offset: 1 + dice.below(3) as i32,
        length: 1 + dice.below(2) as u32,
    };
    if dice.percent(50) {
        vec![first]
    } else {
        vec![first, second]
    }
}

/// What can be told of a value after it was stored: all bits of a float; all observations of a histogram, which may
/// have gained empty buckets in a chunk; of a stale histogram that it is one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Seen {
    Float(u64),
    Histogram(Vec<u64>),
    StaleHistogram,
}

pub(crate) fn seen(value: &Value) -> Seen {
    match value {
        Value::Float(value) => Seen::Float(value.to_bits()),
        Value::Histogram(histogram) if histogram.is_stale() => Seen::StaleHistogram,
        Value::Histogram(histogram) => Seen::Histogram(observations(histogram)),
    }
}

fn observations(histogram: &Histogram) -> Vec<u64> {
    let mut all = vec![
        histogram.schema as u64,
        histogram.zero_threshold.to_bits(),
        histogram.sum.to_bits(),
        u64::from(histogram.reset_hint == ResetHint::Gauge),
        u64::from(histogram.is_float()),
    ];
    all.extend(histogram.custom_values.iter().map(|bound| bound.to_bits()));
    let absolute = |deltas: &[i64]| -> Vec<u64> {
        let sums = deltas.iter().scan(0, |sum, delta| {
            *sum += delta;
            Some(*sum as u64)
        });
        sums.collect()
    };
    let bits = |counts: &[f64]| counts.iter().map(|count| count.to_bits()).collect();
    let (positive, negative): (Vec<u64>, Vec<u64>) = match &histogram.counts {
        Counts::Int {
            count,
            zero_count,
            positive,
            negative,
        } => {
            all.extend([*count, *zero_count]);
            (absolute(positive), absolute(negative))
        }
        Counts::Float {
            count,
            zero_count,
            positive,
            negative,
        } => {
            all.extend([count.to_bits(), zero_count.to_bits()]);
            (bits(positive), bits(negative))
        }
    };
    for (spans, counts) in [
        (&histogram.positive_spans, positive),
        (&histogram.negative_spans, negative),
    ] {
        all.push(u64::MAX);
        let mut index = 0i64;
        let mut counts = counts.into_iter();
        for span in spans {
            index += i64::from(span.offset);
            for count in counts.by_ref().take(span.length as usize) {
                if count != 0 {
                    all.extend([index as u64, count]);
                }
                index += 1;
            }
        }
    }
    all
}

/// A stored sample: what can be seen of it, and its start timestamp.
pub(crate) type Kept = (Seen, i64);

/// By number of the series and timestamp.
pub(crate) type Contents = BTreeMap<(usize, i64), Kept>;

/// Everything a database shows, and how often it warned.
pub(crate) fn read(db: &Db, matchers: &[Matcher], from: i64, to: i64) -> Result<(Contents, usize), Error> {
    let mut contents = Contents::new();
    let mut cursor = db.select(matchers, from..=to)?;
    let mut before: Option<Labels> = None;
    for one in cursor.by_ref() {
        let one = one?;
        let number = number_of(one.labels());
        assert_eq!(one.labels(), &series(number), "labels come back as they were");
        assert!(
            before.as_ref().is_none_or(|before| before < one.labels()),
            "label order"
        );
        before = Some(one.labels().clone());
        let mut last = None;
        for sample in one.samples() {
            assert!(last < Some(sample.timestamp), "order of time in series {number}");
            last = Some(sample.timestamp);
            contents.insert(
                (number, sample.timestamp),
                (seen(&sample.value), sample.start_timestamp),
            );
        }
        assert_eq!(one.samples().rev().count(), one.len(), "as many from the end");
    }
    Ok((contents, cursor.warnings().len()))
}

/// Everything, without any warning.
pub(crate) fn read_all(db: &Db) -> Contents {
    let (contents, warnings) = read(db, &[], i64::MIN, i64::MAX).expect("reading");
    assert_eq!(warnings, 0, "warnings while reading");
    contents
}

/// Options that make much happen with few bytes, on a simulated disk, without threads.
pub(crate) fn small_options(fs: &SimFs, clock: &Arc<ManualClock>) -> Options {
    small_options_in(DIR, fs, clock)
}

/// The same in another folder.
pub(crate) fn small_options_in(dir: &str, fs: &SimFs, clock: &Arc<ManualClock>) -> Options {
    Options::new(dir)
        .fs(Arc::new(fs.clone()))
        .clock(clock.clone())
        .background(false)
        .wal_sizes(6 << 10, 2 << 10)
        .checkpoint_bytes_min(4 << 10)
}

/// The first few differences between what should be there and what is.
pub(crate) fn difference(expected: &Contents, found: &Contents) -> String {
    let mut lines = Vec::new();
    for (place, kept) in expected {
        match found.get(place) {
            Some(other) if other == kept => {}
            other => lines.push(format!("{place:?}: expected {kept:?}, found {other:?}")),
        }
    }
    for (place, kept) in found {
        if !expected.contains_key(place) {
            lines.push(format!("{place:?}: invented {kept:?}"));
        }
    }
    let count = lines.len();
    lines.truncate(5);
    format!("{count} differences\n{}", lines.join("\n"))
}

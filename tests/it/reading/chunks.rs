//! Selections as raw chunks, decoded by a decoder of its own and compared with the samples.

use crate::world::{Rng, Truth, float, histogram, random_float, random_labels};
use narthex::testing::SimFs;
use narthex::{
    Db, Durability, Encoding, Labels, Options, RawChunk, ResetHint, Sample, Value, labels, stale_nan,
};
use std::sync::Arc;

/// Bits from the highest on.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn bit(&mut self) -> u64 {
        let byte = self.bytes[self.at / 8];
        self.at += 1;
        u64::from(byte >> (7 - (self.at - 1) % 8) & 1)
    }

    fn bits(&mut self, count: u32) -> u64 {
        (0..count).fold(0, |word, _| word << 1 | self.bit())
    }

    fn uvarint(&mut self) -> u64 {
        let mut word = 0;
        for shift in (0..).step_by(7) {
            let byte = self.bits(8);
            word |= (byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        word
    }

    fn ivarint(&mut self) -> i64 {
        let word = self.uvarint();
        (word >> 1) as i64 ^ -((word & 1) as i64)
    }

    /// The second difference of timestamps.
    fn difference(&mut self) -> i64 {
        let mut prefix = 0;
        while prefix < 4 && self.bit() == 1 {
            prefix += 1;
        }
        let width = [0, 14, 17, 20, 64][prefix];
        if width == 0 {
            return 0;
        }
        let word = self.bits(width);
        if width < 64 && word > 1 << (width - 1) {
            return word as i64 - (1 << width);
        }
        word as i64
    }
}

/// The XOR chunk as Prometheus' page on chunk formats describes it.
fn decode_xor(bytes: &[u8]) -> Vec<(i64, u64)> {
    let count = u16::from_be_bytes([bytes[0], bytes[1]]);
    let mut bits = Bits { bytes, at: 16 };
    let (mut timestamp, mut step, mut value) = (0, 0, 0);
    let (mut leading, mut trailing) = (0, 0);
    let mut samples = Vec::new();
    for number in 0..count {
        match number {
            0 => {
                timestamp = bits.ivarint();
                value = bits.bits(64);
                samples.push((timestamp, value));
                continue;
            }
            1 => step = bits.uvarint() as i64,
            _ => step += bits.difference(),
        }
        timestamp += step;
        if bits.bit() == 1 {
            if bits.bit() == 1 {
                leading = bits.bits(5) as u32;
                let width = match bits.bits(6) as u32 {
                    0 => 64,
                    width => width,
                };
                trailing = 64 - leading - width;
            }
            value ^= bits.bits(64 - leading - trailing) << trailing;
        }
        samples.push((timestamp, value));
    }
    samples
}

fn options(fs: &SimFs) -> Options {
    Options::new("db")
        .fs(Arc::new(fs.clone()))
        .background(false)
        .durability(Durability::Never)
}

/// A database whose samples lie in a segment, in the head, and late in both.
fn database() -> (Db, Truth) {
    let mut rng = Rng::new(31);
    let mut truth = Truth::default();
    let db = Db::open(options(&SimFs::new())).unwrap();
    for part in 0..2 {
        for number in 0..40u64 {
            let count = rng.below(500) as i64;
            let mut samples = Vec::new();
            let mut timestamp = part * 10_000_000 + 1;
            for _ in 0..count {
                timestamp += match number % 4 {
                    0 => 15_000,
                    1 => 1 + rng.below(30_000) as i64,
                    2 => 14_990 + rng.below(20) as i64,
                    _ => 1 << rng.below(14),
                };
                let value = random_float(&mut rng, number, timestamp);
                samples.push((random_labels(number), float(timestamp, value)));
            }
            if samples.len() > 10 {
                let late = samples.remove(3);
                samples.push(late);
            }
            truth.write(&db, samples);
        }
        if part == 0 {
            db.flush().unwrap();
        }
    }
    (db, truth)
}

fn decoded(chunks: &[RawChunk], from: i64, to: i64) -> Vec<(i64, u64)> {
    let mut all = Vec::new();
    for chunk in chunks {
        assert_eq!(chunk.encoding, Encoding::Xor);
        let samples = decode_xor(&chunk.bytes);
        assert!((1..=120).contains(&samples.len()), "{} samples", samples.len());
        assert_eq!(samples.first().map(|sample| sample.0), Some(chunk.min_time));
        assert_eq!(samples.last().map(|sample| sample.0), Some(chunk.max_time));
        assert!(from <= chunk.min_time && chunk.max_time <= to, "trimmed");
        assert!(all.last().is_none_or(|last: &(i64, u64)| last.0 < chunk.min_time));
        all.extend(samples);
    }
    assert!(all.is_sorted_by(|one, other| one.0 < other.0));
    all
}

fn bits_of(samples: &[Sample]) -> Vec<(i64, u64)> {
    let float = |sample: &Sample| (sample.timestamp, sample.value.as_float().unwrap().to_bits());
    samples.iter().map(float).collect()
}

#[test]
fn chunks_hold_the_samples_of_the_range_bit_by_bit() {
    let (db, truth) = database();
    let mut rng = Rng::new(33);
    let mut ranges = vec![(i64::MIN, i64::MAX), (0, 0)];
    for _ in 0..60 {
        let from = rng.below(20_000_000) as i64;
        ranges.push((from, from + rng.below(8_000_000) as i64));
    }
    for (from, to) in ranges {
        let expected = truth.select(&[], from, to);
        let mut cursor = db.select_chunks(&[], from..=to).unwrap();
        let mut count = 0;
        for (series, wanted) in cursor.by_ref().zip(&expected) {
            let series = series.unwrap();
            assert_eq!(series.labels, wanted.0);
            assert_eq!(decoded(&series.chunks, from, to), bits_of(&wanted.1));
            let full = series.chunks.len() - 1;
            assert!(
                series.chunks[..full]
                    .iter()
                    .all(|chunk| decode_xor(&chunk.bytes).len() == 120),
                "only the last chunk is short"
            );
            count += 1;
        }
        assert_eq!(count, expected.len());
        assert!(cursor.next().is_none());
        assert_eq!(cursor.warnings(), []);
    }
}

#[test]
fn chunks_do_not_depend_on_where_the_samples_are() {
    let fs = SimFs::new();
    let db = Db::open(options(&fs)).unwrap();
    let mut truth = Truth::default();
    let labels = labels! { "__name__" => "same" };
    let samples = |range: std::ops::Range<i64>| -> Vec<(Labels, Sample)> {
        range
            .map(|tick| (labels.clone(), float(tick * 1000, (tick * 7 % 13) as f64)))
            .collect()
    };
    truth.write(&db, samples(0..500));
    let read = |db: &Db| -> Vec<RawChunk> {
        let series = db.select_chunks(&[], 50_000..450_000).unwrap().next().unwrap();
        series.unwrap().chunks
    };
    let in_head = read(&db);
    db.flush().unwrap();
    assert_eq!(read(&db), in_head);
    drop(db);
    assert_eq!(read(&Db::open(options(&fs)).unwrap()), in_head);
    assert_eq!(in_head.len(), 4);
}

#[test]
fn a_change_of_kind_begins_a_chunk_and_start_timestamps_are_dropped() {
    let db = Db::open(Options::in_memory()).unwrap();
    let labels = labels! { "__name__" => "mixed" };
    let sample = |timestamp: i64, value: Value| Sample {
        timestamp,
        value,
        start_timestamp: 1,
    };
    let mut batch = db.batch();
    batch.push_sample(&labels, &sample(10, Value::Float(1.0)));
    batch.push_sample(&labels, &sample(20, Value::Float(stale_nan())));
    for step in 3..6 {
        let value = Value::Histogram(histogram(step, ResetHint::Unknown));
        batch.push_sample(&labels, &sample(step as i64 * 10, value));
    }
    batch.push_sample(&labels, &sample(60, Value::Float(2.0)));
    assert_eq!(batch.commit().unwrap().accepted, 6);
    let series = db.select_chunks(&[], ..).unwrap().next().unwrap().unwrap();
    let kinds: Vec<_> = series
        .chunks
        .iter()
        .map(|chunk| (chunk.encoding, chunk.min_time, chunk.max_time))
        .collect();
    let expected = [
        (Encoding::Xor, 10, 20),
        (Encoding::Histogram, 30, 50),
        (Encoding::Xor, 60, 60),
    ];
    assert_eq!(kinds, expected);
    let floats = decode_xor(&series.chunks[0].bytes);
    assert_eq!(floats, [(10, 1f64.to_bits()), (20, stale_nan().to_bits())]);
    let histograms = &series.chunks[1].bytes;
    assert_eq!(u16::from_be_bytes([histograms[0], histograms[1]]), 3);
}

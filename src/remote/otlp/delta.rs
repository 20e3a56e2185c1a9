//! Points that count from the point before, added up to what they count from the start, which is what PromQL asks for.
//!
//! The totals are in memory and belong to a tenant. After a restart they begin at nothing, as a counter does that was reset. A point
//! that comes again, because its first answer was lost, changes nothing and gives the same total.

use super::histogram;
use super::message::{ExponentialValue, HistogramValue, Value};
use crate::model::float_histogram::FloatHistogram;
use crate::model::histogram::{EXPONENTIAL_SCHEMA_MIN, Histogram};
use foldhash::fast::FixedState;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Series whose totals are kept, and about what they may take.
const SERIES_MAX: usize = 1 << 20;
const BYTES_MAX: usize = 256 << 20;
/// Totals of series that were silent for so long make room for others, which is looked for so often.
const SILENT_MS_MAX: i64 = 3_600_000;
const PRUNE_MS: i64 = 60_000;
/// Buckets of an exponential total; beyond them its resolution becomes coarser.
const BUCKETS_MAX: usize = 512;
/// About what a total takes besides its buckets.
const TOTAL_BYTES: usize = 160;

/// The totals, by series.
#[derive(Debug, Default)]
pub(crate) struct Deltas {
    totals: HashMap<u128, Total, FixedState>,
    bytes: usize,
    pruned_ms: i64,
}

#[derive(Debug, Clone)]
struct Total {
    /// When it began to count.
    start_ns: u64,
    /// Of its latest point.
    time_ns: u64,
    /// By the server's clock.
    touched_ms: i64,
    sum: Sum,
}

/// Adds the deltas of a request, and takes them away again when it is not stored.
#[derive(Debug)]
pub(crate) struct Adding<'a> {
    deltas: &'a Mutex<Deltas>,
    now_ms: i64,
    /// What totals were before, and the time of the last point that was added.
    before: HashMap<u128, (Option<Total>, u64), FixedState>,
}

/// What has come together.
#[derive(Debug, Clone)]
pub(super) enum Sum {
    Double(f64),
    Int(i64),
    Histogram(HistogramValue),
    Native(FloatHistogram),
}

/// The total that a point has been added to.
#[derive(Debug)]
pub(super) struct Totalled {
    pub(super) start_ns: u64,
    pub(super) sum: Sum,
}

impl Sum {
    /// What a point adds.
    fn of(value: &Value) -> Result<Self, String> {
        Ok(match value {
            Value::Double(value) => Self::Double(*value),
            Value::Int(value) => Self::Int(*value),
            Value::Histogram(value) => Self::Histogram(value.clone()),
            Value::Exponential(value) => Self::Native(native(value)?),
            Value::Nothing | Value::Summary(_) => return Err("there is no value to add".to_owned()),
        })
    }

    /// With no more buckets than a total may have.
    fn bounded(self) -> Self {
        let Self::Native(mut sum) = self else {
            return self;
        };
        while sum.positive.counts().len() + sum.negative.counts().len() > BUCKETS_MAX
            && sum.schema > EXPONENTIAL_SCHEMA_MIN
        {
            sum = sum.at_schema(sum.schema - 1);
        }
        Self::Native(sum)
    }

    fn byte_len(&self) -> usize {
        match self {
            Self::Double(_) | Self::Int(_) => 0,
            Self::Histogram(sum) => 8 * (sum.bucket_counts.len() + sum.bounds.len()),
            Self::Native(sum) => 16 * (sum.positive.counts().len() + sum.negative.counts().len()),
        }
    }

    /// Adds what came next. `false` when the two do not go together, as histograms with other bounds.
    fn add(&mut self, more: &Self) -> bool {
        match (self, more) {
            (Self::Double(sum), Self::Double(more)) => *sum += more,
            (Self::Double(sum), Self::Int(more)) => *sum += *more as f64,
            (Self::Int(sum), Self::Int(more)) => *sum = sum.saturating_add(*more),
            (Self::Histogram(sum), Self::Histogram(more)) => return add_histogram(sum, more),
            (Self::Native(sum), Self::Native(more)) => return sum.add(more).is_ok(),
            _ => return false,
        }
        true
    }
}

fn native(value: &ExponentialValue) -> Result<FloatHistogram, String> {
    let histogram: Histogram = histogram::exponential(value)?;
    histogram.validate().map_err(|fault| fault.to_string())?;
    Ok(FloatHistogram::from(&histogram))
}

fn add_histogram(sum: &mut HistogramValue, more: &HistogramValue) -> bool {
    let is_alike = sum.bounds == more.bounds && sum.bucket_counts.len() == more.bucket_counts.len();
    if is_alike {
        sum.count = sum.count.saturating_add(more.count);
        sum.sum = sum.sum.zip(more.sum).map(|two| two.0 + two.1);
        for (count, more) in sum.bucket_counts.iter_mut().zip(&more.bucket_counts) {
            *count = count.saturating_add(*more);
        }
    }
    is_alike
}

impl<'a> Adding<'a> {
    pub(crate) fn new(deltas: &'a Mutex<Deltas>, now_ms: i64) -> Self {
        Self {
            deltas,
            now_ms,
            before: HashMap::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'a, Deltas> {
        self.deltas.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a point of the series with this key that counts from `start_ns` (0 = not known) to `time_ns`.
    pub(super) fn add(
        &mut self,
        key: u128,
        (start_ns, time_ns): (u64, u64),
        value: &Value,
    ) -> Result<Totalled, String> {
        let more = Sum::of(value)?.bounded();
        let mut deltas = self.lock();
        let before = deltas.totals.get(&key).cloned();
        let mut total = match before.clone() {
            None => Total {
                start_ns,
                time_ns,
                touched_ms: self.now_ms,
                sum: more,
            },
            Some(total) if time_ns < total.time_ns => {
                return Err("a delta that is older than the one before it".to_owned());
            }
            Some(total) if time_ns == total.time_ns => return Ok(total.shown()),
            Some(mut total) => {
                total.time_ns = time_ns;
                if !total.sum.add(&more) {
                    (total.start_ns, total.sum) = (start_ns, more);
                }
                total.sum = total.sum.bounded();
                total
            }
        };
        total.touched_ms = self.now_ms;
        let shown = total.shown();
        deltas.put(key, total, self.now_ms)?;
        let entry = self.before.entry(key).or_insert((before, time_ns));
        entry.1 = time_ns;
        Ok(shown)
    }

    /// Takes away what was added, but where another request has gone on from there.
    pub(crate) fn undo(self) {
        let mut deltas = self.lock();
        for (key, (before, time_ns)) in self.before {
            if deltas
                .totals
                .get(&key)
                .is_some_and(|total| total.time_ns == time_ns)
            {
                deltas.take(key);
                if let Some(before) = before {
                    deltas.bytes += before.byte_len();
                    deltas.totals.insert(key, before);
                }
            }
        }
    }
}

impl Deltas {
    fn take(&mut self, key: u128) {
        if let Some(total) = self.totals.remove(&key) {
            self.bytes = self.bytes.saturating_sub(total.byte_len());
        }
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn is_empty(&self) -> bool {
        self.totals.is_empty() && self.bytes == 0
    }

    fn is_full(&self) -> bool {
        self.totals.len() >= SERIES_MAX || self.bytes >= BYTES_MAX
    }

    fn put(&mut self, key: u128, total: Total, now_ms: i64) -> Result<(), String> {
        self.take(key);
        if self.is_full() && (now_ms - self.pruned_ms).abs() >= PRUNE_MS {
            self.pruned_ms = now_ms;
            self.totals
                .retain(|_, total| now_ms.saturating_sub(total.touched_ms) < SILENT_MS_MAX);
            self.bytes = self.totals.values().map(Total::byte_len).sum();
        }
        if self.is_full() {
            return Err("deltas of more series than are kept".to_owned());
        }
        self.bytes += total.byte_len();
        self.totals.insert(key, total);
        Ok(())
    }
}

impl Total {
    fn byte_len(&self) -> usize {
        TOTAL_BYTES + self.sum.byte_len()
    }

    fn shown(&self) -> Totalled {
        Totalled {
            start_ns: self.start_ns,
            sum: self.sum.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::otlp::message::Buckets;

    #[track_caller]
    fn total(deltas: &Mutex<Deltas>, times: (u64, u64), value: &Value) -> (u64, Sum) {
        let total = Adding::new(deltas, 0).add(7, times, value).expect("a total");
        (total.start_ns, total.sum)
    }

    #[test]
    fn points_add_up_and_count_once() {
        let deltas = Mutex::default();
        for (times, value, wanted) in [
            ((1, 2), 5, 5),
            ((2, 3), 4, 9),
            // The same again, as after an answer that was lost.
            ((2, 3), 4, 9),
            ((3, 9), 1, 10),
        ] {
            let (start_ns, sum) = total(&deltas, times, &Value::Int(value));
            assert!(matches!(sum, Sum::Int(sum) if sum == wanted), "{times:?} {sum:?}");
            assert_eq!(start_ns, 1);
        }
        assert!(Adding::new(&deltas, 0).add(7, (2, 3), &Value::Int(4)).is_err());
        assert!(Adding::new(&deltas, 0).add(7, (9, 10), &Value::Nothing).is_err());
        let (start_ns, sum) = total(&deltas, (9, 10), &Value::Double(0.5));
        assert!(
            matches!(sum, Sum::Double(0.5)) && start_ns == 9,
            "another type begins anew"
        );
    }

    #[test]
    fn histograms_add_up_while_they_are_alike() {
        let deltas = Mutex::default();
        let value = |bound: f64| {
            Value::Histogram(HistogramValue {
                count: 3,
                sum: Some(1.5),
                bucket_counts: vec![1, 2],
                bounds: vec![bound],
            })
        };
        total(&deltas, (1, 2), &value(1.0));
        let (_, sum) = total(&deltas, (2, 3), &value(1.0));
        let Sum::Histogram(sum) = sum else {
            panic!("{sum:?}")
        };
        assert_eq!(
            (sum.count, sum.sum, sum.bucket_counts),
            (6, Some(3.0), vec![2, 4])
        );
        let (start_ns, sum) = total(&deltas, (3, 4), &value(2.0));
        assert!(matches!(sum, Sum::Histogram(sum) if sum.count == 3));
        assert_eq!(start_ns, 3);

        let native = |scale| {
            Value::Exponential(ExponentialValue {
                count: 2,
                sum: Some(1.0),
                scale,
                positive: Buckets {
                    offset: 0,
                    counts: vec![1, 1],
                },
                ..ExponentialValue::default()
            })
        };
        let deltas = Mutex::default();
        total(&deltas, (1, 2), &native(3));
        let (_, sum) = total(&deltas, (2, 3), &native(2));
        let Sum::Native(sum) = sum else { panic!("{sum:?}") };
        assert_eq!((sum.count, sum.schema), (4.0, 2));
    }

    #[test]
    fn what_is_not_stored_is_taken_away_again() {
        let deltas = Mutex::default();
        let int = |(_, sum): (u64, Sum)| if let Sum::Int(sum) = sum { sum } else { -1 };
        total(&deltas, (0, 1), &Value::Int(5));
        let mut failed = Adding::new(&deltas, 0);
        for time_ns in [2, 3] {
            failed.add(7, (0, time_ns), &Value::Int(1)).expect("a total");
        }
        failed.add(8, (0, 3), &Value::Int(1)).expect("a total");
        failed.undo();
        let mut again = Adding::new(&deltas, 0);
        for (time_ns, wanted) in [(2, 6), (3, 7)] {
            let total = again.add(7, (0, time_ns), &Value::Int(1)).expect("a total");
            assert_eq!(int((0, total.sum)), wanted);
        }
        // Another request has gone on meanwhile.
        assert_eq!(int(total(&deltas, (0, 4), &Value::Int(1))), 8);
        again.undo();
        assert_eq!(int(total(&deltas, (0, 5), &Value::Int(1))), 9);
        let deltas = deltas.lock().expect("no panic");
        assert_eq!((deltas.totals.len(), deltas.bytes), (1, TOTAL_BYTES));
    }

    #[test]
    fn totals_do_not_grow_without_end() {
        let deltas = Mutex::default();
        for place in 0..2_000 {
            let value = ExponentialValue {
                count: 1,
                scale: 8,
                positive: Buckets {
                    offset: place * 10,
                    counts: vec![1],
                },
                ..ExponentialValue::default()
            };
            total(&deltas, (0, place as u64 + 1), &Value::Exponential(value));
        }
        let deltas = deltas.lock().expect("no panic");
        let total = deltas.totals.values().next().expect("a total");
        assert!(matches!(&total.sum, Sum::Native(sum) if sum.count == 2_000.0 && sum.schema < 8));
        assert!(deltas.bytes <= TOTAL_BYTES + 16 * BUCKETS_MAX);
    }
}

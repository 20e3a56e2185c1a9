//! Points that count from the point before, added up to what they count from the start, which is what PromQL asks for.
//!
//! The totals are in memory and belong to a tenant. After a restart they begin at nothing, which readers see as the reset of a
//! counter and reckon with. A point that comes again, because its first answer was lost, changes nothing and gives the same total.

use super::histogram;
use super::message::{ExponentialValue, HistogramValue, Value};
use crate::model::float_histogram::FloatHistogram;
use crate::model::histogram::Histogram;
use foldhash::fast::FixedState;
use std::collections::HashMap;

/// Series whose totals are kept.
const SERIES_MAX: usize = 1 << 20;
/// Totals of series that were silent for so long make room for others.
const SILENT_NS_MAX: u64 = 3_600_000_000_000;

/// The totals, by series.
#[derive(Debug, Default)]
pub(crate) struct Deltas {
    totals: HashMap<u128, Total, FixedState>,
}

#[derive(Debug)]
struct Total {
    /// When it began to count.
    start_ns: u64,
    /// Of its latest point.
    time_ns: u64,
    sum: Sum,
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

impl Deltas {
    /// Adds a point of the series with this key that counts from `start_ns` (0 = not known) to `time_ns`.
    pub(super) fn add(
        &mut self,
        key: u128,
        (start_ns, time_ns): (u64, u64),
        value: &Value,
    ) -> Result<Totalled, String> {
        let more = Sum::of(value)?;
        if let Some(total) = self.totals.get_mut(&key) {
            if time_ns < total.time_ns {
                return Err("a delta that is older than the one before it".to_owned());
            }
            if time_ns > total.time_ns {
                total.time_ns = time_ns;
                if !total.sum.add(&more) {
                    (total.start_ns, total.sum) = (start_ns, more);
                }
            }
            return Ok(total.shown());
        }
        if self.totals.len() >= SERIES_MAX {
            let oldest_ns = time_ns.saturating_sub(SILENT_NS_MAX);
            self.totals.retain(|_, total| total.time_ns >= oldest_ns);
        }
        if self.totals.len() >= SERIES_MAX {
            return Err(format!("deltas of more than {SERIES_MAX} series"));
        }
        let total = Total {
            start_ns,
            time_ns,
            sum: more,
        };
        let shown = total.shown();
        self.totals.insert(key, total);
        Ok(shown)
    }
}

impl Total {
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
    fn total(deltas: &mut Deltas, times: (u64, u64), value: &Value) -> (u64, Sum) {
        let total = deltas.add(7, times, value).expect("a total");
        (total.start_ns, total.sum)
    }

    #[test]
    fn points_add_up_and_count_once() {
        let mut deltas = Deltas::default();
        for (times, value, wanted) in [
            ((1, 2), 5, 5),
            ((2, 3), 4, 9),
            // The same again, as after an answer that was lost.
            ((2, 3), 4, 9),
            ((3, 9), 1, 10),
        ] {
            let (start_ns, sum) = total(&mut deltas, times, &Value::Int(value));
            assert!(matches!(sum, Sum::Int(sum) if sum == wanted), "{times:?} {sum:?}");
            assert_eq!(start_ns, 1);
        }
        assert!(deltas.add(7, (2, 3), &Value::Int(4)).is_err());
        assert!(deltas.add(7, (9, 10), &Value::Nothing).is_err());
        let (start_ns, sum) = total(&mut deltas, (9, 10), &Value::Double(0.5));
        assert!(
            matches!(sum, Sum::Double(0.5)) && start_ns == 9,
            "another type begins anew"
        );
    }

    #[test]
    fn histograms_add_up_while_they_are_alike() {
        let mut deltas = Deltas::default();
        let value = |bound: f64| {
            Value::Histogram(HistogramValue {
                count: 3,
                sum: Some(1.5),
                bucket_counts: vec![1, 2],
                bounds: vec![bound],
            })
        };
        total(&mut deltas, (1, 2), &value(1.0));
        let (_, sum) = total(&mut deltas, (2, 3), &value(1.0));
        let Sum::Histogram(sum) = sum else {
            panic!("{sum:?}")
        };
        assert_eq!(
            (sum.count, sum.sum, sum.bucket_counts),
            (6, Some(3.0), vec![2, 4])
        );
        let (start_ns, sum) = total(&mut deltas, (3, 4), &value(2.0));
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
        let mut deltas = Deltas::default();
        total(&mut deltas, (1, 2), &native(3));
        let (_, sum) = total(&mut deltas, (2, 3), &native(2));
        let Sum::Native(sum) = sum else { panic!("{sum:?}") };
        assert_eq!((sum.count, sum.schema), (4.0, 2));
    }
}

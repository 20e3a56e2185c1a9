//! Metrics as devices send them: points with device, metric, unit and tags, and queries for them.
//!
//! A point is a sample of the series with the metric's name, the label `device` and the tags. Its unit is metadata of
//! the metric.

use crate::records::tags::Tags;
use std::collections::BTreeMap;

/// The label that holds the device.
pub(super) const DEVICE: &str = "device";

/// A measured value.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MetricPoint {
    /// Who measured it.
    pub device: String,
    /// What was measured.
    pub metric: String,
    /// The value.
    pub value: f64,
    /// What it is measured in.
    pub unit: Option<String>,
    /// More about it. `device` and `__name__` are no names for tags: a point with one is refused.
    pub tags: Tags,
    /// In the unit of the database. `None` is the time of writing; what was read has one.
    pub timestamp: Option<i64>,
}

impl MetricPoint {
    /// A value without unit, tags and time.
    pub fn new(device: impl Into<String>, metric: impl Into<String>, value: f64) -> Self {
        Self {
            device: device.into(),
            metric: metric.into(),
            value,
            ..Self::default()
        }
    }

    /// Says what it is measured in. It holds for the metric, whatever the device.
    #[must_use]
    pub fn with_unit(mut self, unit: impl Into<String>) -> Self {
        self.unit = Some(unit.into());
        self
    }

    /// Says more about it.
    #[must_use]
    pub fn with_tags(mut self, tags: impl Into<Tags>) -> Self {
        self.tags = tags.into();
        self
    }

    /// Says when it was, in the unit of the database.
    #[must_use]
    pub fn with_timestamp(mut self, timestamp: i64) -> Self {
        self.timestamp = Some(timestamp);
        self
    }
}

/// How the values of an interval become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Aggregation {
    /// Their mean.
    Avg,
    /// Their sum.
    Sum,
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// How many there are.
    Count,
    /// The one with the earliest time.
    First,
    /// The one with the latest time.
    Last,
    /// Their standard deviation, as that of all there are.
    Stddev,
}

/// Which measured values are asked for.
///
/// ```
/// use narthex::{Aggregation, TimeSeriesQuery};
///
/// let hour = TimeSeriesQuery::new(0, 3_600_000)
///     .with_device("boiler")
///     .with_metric("temperature")
///     .with_aggregation(Aggregation::Avg, 300);
/// # let _ = hour;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeSeriesQuery {
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) device: Option<String>,
    pub(super) metric: Option<String>,
    pub(super) tags: Tags,
    pub(super) limit: usize,
    pub(super) aggregation: Option<(Aggregation, u64)>,
}

impl TimeSeriesQuery {
    /// All values from one time, included, to another, excluded, in the unit of the database.
    pub fn new(from: i64, to: i64) -> Self {
        Self {
            from,
            to,
            device: None,
            metric: None,
            tags: Tags::default(),
            limit: usize::MAX,
            aggregation: None,
        }
    }

    /// Of this device only.
    #[must_use]
    pub fn with_device(mut self, device: impl Into<String>) -> Self {
        self.device = Some(device.into());
        self
    }

    /// Of this metric only.
    #[must_use]
    pub fn with_metric(mut self, metric: impl Into<String>) -> Self {
        self.metric = Some(metric.into());
        self
    }

    /// With all of these tags.
    #[must_use]
    pub fn with_tags(mut self, tags: impl Into<Tags>) -> Self {
        self.tags = tags.into();
        self
    }

    /// The first so many only. Default all.
    #[must_use]
    pub fn with_limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// One value for each interval of so many seconds, for `query_aggregated`. Intervals begin at multiples of their length
    /// since 1970.
    #[must_use]
    pub fn with_aggregation(mut self, aggregation: Aggregation, interval_s: u64) -> Self {
        self.aggregation = Some((aggregation, interval_s));
        self
    }
}

/// What the values of one device and metric come to in one interval, tags aside.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct AggregatedPoint {
    /// Who measured them.
    pub device: String,
    /// What was measured.
    pub metric: String,
    /// The beginning of the interval, in the unit of the database.
    pub timestamp: i64,
    /// What they come to.
    pub value: f64,
    /// How many there were.
    pub count: u64,
}

/// The values of one interval, as far as they are needed.
#[derive(Debug, Clone)]
struct Bucket {
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
    first: (i64, f64),
    last: (i64, f64),
    /// Mean and sum of squared differences to it, as they grow value by value.
    mean: f64,
    squares: f64,
}

impl Bucket {
    fn new(time: i64, value: f64) -> Self {
        Self {
            count: 1,
            sum: value,
            min: value,
            max: value,
            first: (time, value),
            last: (time, value),
            mean: value,
            squares: 0.0,
        }
    }

    fn add(&mut self, time: i64, value: f64) {
        self.count += 1;
        self.sum += value;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        if time < self.first.0 {
            self.first = (time, value);
        }
        if time >= self.last.0 {
            self.last = (time, value);
        }
        let difference = value - self.mean;
        self.mean += difference / self.count as f64;
        self.squares += difference * (value - self.mean);
    }

    fn value(&self, aggregation: Aggregation) -> f64 {
        match aggregation {
            Aggregation::Avg => self.mean,
            Aggregation::Sum => self.sum,
            Aggregation::Min => self.min,
            Aggregation::Max => self.max,
            Aggregation::Count => self.count as f64,
            Aggregation::First => self.first.1,
            Aggregation::Last => self.last.1,
            Aggregation::Stddev => (self.squares / self.count as f64).sqrt(),
        }
    }
}

/// Intervals in the making, by time, metric and device.
#[derive(Debug, Default)]
pub(super) struct Buckets(BTreeMap<(i64, String, String), Bucket>);

impl Buckets {
    pub(super) fn add(&mut self, start: i64, (metric, device): (&str, &str), time: i64, value: f64) {
        self.0
            .entry((start, metric.to_owned(), device.to_owned()))
            .and_modify(|bucket| bucket.add(time, value))
            .or_insert_with(|| Bucket::new(time, value));
    }

    pub(super) fn finish(self, aggregation: Aggregation, limit: usize) -> Vec<AggregatedPoint> {
        let points = self.0.into_iter().take(limit);
        points
            .map(|((timestamp, metric, device), bucket)| AggregatedPoint {
                device,
                metric,
                timestamp,
                value: bucket.value(aggregation),
                count: bucket.count,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_comes_to_what_it_should() {
        let mut bucket = Bucket::new(20, 4.0);
        for (time, value) in [(10, 2.0), (30, 9.0), (25, 5.0)] {
            bucket.add(time, value);
        }
        let expected = [
            (Aggregation::Avg, 5.0),
            (Aggregation::Sum, 20.0),
            (Aggregation::Min, 2.0),
            (Aggregation::Max, 9.0),
            (Aggregation::Count, 4.0),
            (Aggregation::First, 2.0),
            (Aggregation::Last, 9.0),
            (Aggregation::Stddev, 6.5f64.sqrt()),
        ];
        for (aggregation, value) in expected {
            let found = bucket.value(aggregation);
            assert!((found - value).abs() < 1e-12, "{aggregation:?} {found}");
        }
    }
}

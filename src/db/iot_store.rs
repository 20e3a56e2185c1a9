//! The asynchronous face for those who write for devices: metrics, logs and events through one trait.
//!
//! Nothing in it waits for anything but the disk, and it waits where it is called: the work of a future is done at its
//! first poll. In a server, drive it on a thread that may block.

use super::Db;
use super::iot::{AggregatedPoint, Buckets, DEVICE, MetricPoint, TimeSeriesQuery};
use crate::engine::error::Error;
use crate::engine::select::SeriesCursor;
use crate::engine::series::Series;
use crate::head::report::CommitReport;
use crate::model::labels::Labels;
use crate::model::matcher::Matcher;
use crate::model::metadata::Metadata;
use crate::model::sample::STALE_NAN_BITS;
use crate::records::bucket;
use crate::records::events::{EventPage, EventPoint, EventQuery};
use crate::records::logs::{LogPage, LogPoint, LogQuery};
use std::collections::BTreeMap;
use std::future::Future;
use std::ops::Range;
use std::time::Duration;

/// A store of metrics, logs and events of devices.
///
/// [`Db`] does the work at the first poll of a future and needs no runtime. It blocks meanwhile: in a server, use a thread
/// for blocking work.
pub trait TimeSeriesStore {
    /// Writes a measured value. The report says whether it was refused.
    fn write_metric(&self, point: MetricPoint) -> impl Future<Output = Result<CommitReport, Error>> + Send;

    /// Writes measured values as one batch. What is refused is counted in the report and hinders no other.
    fn write_metrics(
        &self,
        points: Vec<MetricPoint>,
    ) -> impl Future<Output = Result<CommitReport, Error>> + Send;

    /// Writes a log line.
    fn write_log(&self, log: LogPoint) -> impl Future<Output = Result<(), Error>> + Send;

    /// Writes log lines, all or none.
    fn write_logs(&self, logs: Vec<LogPoint>) -> impl Future<Output = Result<(), Error>> + Send;

    /// Writes an event.
    fn write_event(&self, event: EventPoint) -> impl Future<Output = Result<(), Error>> + Send;

    /// Writes events, all or none.
    fn write_events(&self, events: Vec<EventPoint>) -> impl Future<Output = Result<(), Error>> + Send;

    /// Measured values, oldest first.
    fn query_metrics(
        &self,
        query: TimeSeriesQuery,
    ) -> impl Future<Output = Result<Vec<MetricPoint>, Error>> + Send;

    /// What measured values come to by interval, device and metric, oldest first. Intervals without values are left out.
    fn query_aggregated(
        &self,
        query: TimeSeriesQuery,
    ) -> impl Future<Output = Result<Vec<AggregatedPoint>, Error>> + Send;

    /// A page of logs.
    fn query_logs(&self, query: LogQuery) -> impl Future<Output = Result<LogPage, Error>> + Send;

    /// A page of events.
    fn query_events(&self, query: EventQuery) -> impl Future<Output = Result<EventPage, Error>> + Send;
}

impl TimeSeriesStore for Db {
    async fn write_metric(&self, point: MetricPoint) -> Result<CommitReport, Error> {
        self.write_points(&[point])
    }

    async fn write_metrics(&self, points: Vec<MetricPoint>) -> Result<CommitReport, Error> {
        self.write_points(&points)
    }

    async fn write_log(&self, log: LogPoint) -> Result<(), Error> {
        self.logs().write(&[log])
    }

    async fn write_logs(&self, logs: Vec<LogPoint>) -> Result<(), Error> {
        self.logs().write(&logs)
    }

    async fn write_event(&self, event: EventPoint) -> Result<(), Error> {
        self.events().write(&[event])
    }

    async fn write_events(&self, events: Vec<EventPoint>) -> Result<(), Error> {
        self.events().write(&events)
    }

    async fn query_metrics(&self, query: TimeSeriesQuery) -> Result<Vec<MetricPoint>, Error> {
        self.read_points(&query)
    }

    async fn query_aggregated(&self, query: TimeSeriesQuery) -> Result<Vec<AggregatedPoint>, Error> {
        self.aggregate_points(&query)
    }

    async fn query_logs(&self, query: LogQuery) -> Result<LogPage, Error> {
        self.logs().query(&query)
    }

    async fn query_events(&self, query: EventQuery) -> Result<EventPage, Error> {
        self.events().query(&query)
    }
}

impl TimeSeriesQuery {
    fn range(&self) -> Range<i64> {
        self.from..self.to
    }

    fn matchers(&self) -> Vec<Matcher> {
        let name = self.metric.as_deref().map(|metric| ("__name__", metric));
        let device = self.device.as_deref().map(|device| (DEVICE, device));
        let pairs = name.into_iter().chain(device).chain(self.tags.iter());
        let mut matchers: Vec<Matcher> = pairs.map(|(name, value)| Matcher::eq(name, value)).collect();
        if self.device.is_none() {
            matchers.push(Matcher::ne(DEVICE, ""));
        }
        matchers
    }
}

impl Db {
    fn write_points(&self, points: &[MetricPoint]) -> Result<CommitReport, Error> {
        let now = self.keeper().now();
        let mut batch = self.batch();
        for point in points {
            let named = [
                ("__name__", point.metric.as_str()),
                (DEVICE, point.device.as_str()),
            ];
            let tags = point.tags.iter().filter(|tag| !tag.1.is_empty());
            let pairs: Vec<(&str, &str)> = named.into_iter().chain(tags).collect();
            batch.push_pairs(&pairs, point.timestamp.unwrap_or(now), point.value);
            if let Some(unit) = &point.unit {
                let metadata = Metadata {
                    unit: unit.clone(),
                    ..Metadata::default()
                };
                batch.push_metadata(&point.metric, &metadata);
            }
        }
        batch.commit()
    }

    fn points(&self, query: &TimeSeriesQuery) -> Result<SeriesCursor, Error> {
        self.select(&query.matchers(), query.range())
    }

    fn read_points(&self, query: &TimeSeriesQuery) -> Result<Vec<MetricPoint>, Error> {
        let mut units: BTreeMap<String, Option<String>> = BTreeMap::new();
        let mut points = Vec::new();
        for series in self.points(query)? {
            let series = series?;
            let labels = series.labels();
            let metric = labels.metric_name();
            if !units.contains_key(metric) {
                units.insert(metric.to_owned(), self.unit_of(metric));
            }
            let unit = units.get(metric).cloned().flatten();
            let blank = blank_point(labels, unit);
            points.extend(
                floats(&series)
                    .take(query.limit)
                    .map(|(time, value)| MetricPoint {
                        value,
                        timestamp: Some(time),
                        ..blank.clone()
                    }),
            );
        }
        // Series come in label order, which stays among those of one time.
        points.sort_by_key(|point| point.timestamp);
        points.truncate(query.limit);
        Ok(points)
    }

    fn unit_of(&self, metric: &str) -> Option<String> {
        let mut known = self.metadata(Some(metric));
        let latest = known.remove(metric)?.pop()?.1;
        Some(latest.unit).filter(|unit| !unit.is_empty())
    }

    fn aggregate_points(&self, query: &TimeSeriesQuery) -> Result<Vec<AggregatedPoint>, Error> {
        let Some((aggregation, interval_s)) = query.aggregation else {
            return Err(Error::InvalidOptions("the query names no aggregation".into()));
        };
        let interval = self.precision().units(Duration::from_secs(interval_s));
        if interval == 0 {
            return Err(Error::InvalidOptions("an interval of 0 s".into()));
        }
        let mut buckets = Buckets::default();
        for series in self.points(query)? {
            let series = series?;
            let labels = series.labels();
            let of = (labels.metric_name(), labels.get(DEVICE).unwrap_or(""));
            for (time, value) in floats(&series) {
                buckets.add(bucket(time, interval), of, time, value);
            }
        }
        Ok(buckets.finish(aggregation, query.limit))
    }
}

/// Times and values of a series, without markers that it ended.
fn floats(series: &Series) -> impl Iterator<Item = (i64, f64)> + '_ {
    let samples = series.samples();
    let floats = samples.filter_map(|sample| Some((sample.timestamp, sample.value.as_float()?)));
    floats.filter(|(_, value)| value.to_bits() != STALE_NAN_BITS)
}

/// A point of a series, but for time and value.
fn blank_point(labels: &Labels, unit: Option<String>) -> MetricPoint {
    let tags = labels
        .iter()
        .filter(|(name, _)| !["__name__", DEVICE].contains(name));
    MetricPoint {
        device: labels.get(DEVICE).unwrap_or("").to_owned(),
        metric: labels.metric_name().to_owned(),
        unit,
        tags: tags.collect(),
        ..MetricPoint::default()
    }
}

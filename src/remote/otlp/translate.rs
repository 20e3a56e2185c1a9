//! From the parts of a request to samples: each point as the series and values that Prometheus makes of it.

use super::delta::{Deltas, Sum};
use super::histogram;
use super::labels::{Common, Pairs, as_text, series};
use super::message::{
    Exemplar as Sent, HistogramValue, KeyValue, Kind, Metric, Point, Scope, SummaryValue, Temporality, Value,
    Visit,
};
use super::names::{Shape, metric_name, unit_name};
use crate::base::go_text;
use crate::model::exemplar::Exemplar;
use crate::model::histogram::Histogram;
use crate::model::labels::Labels;
use crate::model::metadata::{Metadata, MetricType};
use crate::model::otlp_options::Options;
use crate::model::sample::{self, Sample, stale_nan};
use std::sync::Arc;

const NS_PER_MS: u64 = 1_000_000;
/// The series that says what a resource is.
const TARGET_INFO: &str = "target_info";
/// A look back of five minutes finds one of its samples.
const TARGET_INFO_STEP_MS: i64 = 150_000;
/// Samples of it for one resource of a request.
const TARGET_INFO_SAMPLES_MAX: i64 = 1_000;
/// What OpenMetrics allows the labels of an exemplar, in characters.
const EXEMPLAR_CHARS_MAX: usize = 128;

/// Where samples go.
pub(crate) trait Sink {
    fn sample(&mut self, labels: &Labels, sample: &Sample);
    fn exemplar(&mut self, labels: &Labels, exemplar: &Exemplar);
    fn metadata(&mut self, metric: &str, metadata: &Metadata);
    /// A point of which nothing is stored.
    fn refuse(&mut self, metric: &str, reason: &str);
}

/// Translates what it is shown.
#[derive(Debug)]
pub(crate) struct Translator<'a, S> {
    options: &'a Options,
    deltas: &'a mut Deltas,
    sink: &'a mut S,
    common: Common,
    metric: Metric,
    /// The metric's name, or why its points are refused.
    name: Result<String, &'static str>,
    /// First and last time of the resource's points.
    times_ms: Option<(i64, i64)>,
}

/// What the samples of a point have in common.
struct At<'p> {
    pairs: &'p Pairs,
    time_ms: i64,
    start_ms: i64,
    is_stale: bool,
    exemplars: &'p [Sent],
}

impl<'a, S: Sink> Translator<'a, S> {
    pub(crate) fn new(options: &'a Options, deltas: &'a mut Deltas, sink: &'a mut S) -> Self {
        Self {
            options,
            deltas,
            sink,
            common: Common::default(),
            metric: Metric::default(),
            name: Err("there is no metric"),
            times_ms: None,
        }
    }

    fn check(&self, metric: &Metric) -> Result<String, &'static str> {
        let counts = matches!(metric.kind, Kind::Sum | Kind::Histogram | Kind::Exponential);
        match metric.temporality {
            _ if metric.kind == Kind::Nothing => return Err("a metric of no kind that is known"),
            Temporality::Unspecified if counts => return Err("an aggregation temporality that is not said"),
            Temporality::Delta if counts && !self.options.adds_deltas => {
                return Err("delta temporality, which the setting otlp.delta refuses");
            }
            _ => {}
        }
        let shape = match metric.kind {
            Kind::Gauge => Shape::Gauge,
            Kind::Sum if metric.is_monotonic => Shape::Counter,
            _ => Shape::Other,
        };
        let name = metric_name(self.options.translation, &metric.name, &metric.unit, shape);
        name.ok_or("a name of which nothing is left")
    }

    fn translate(&mut self, name: &str, point: &Point) -> Result<(), String> {
        if point.time_ns == 0 {
            return Err("a point without a time".to_owned());
        }
        let pairs = self.common.labels(&point.attributes, self.options.translation);
        let time_ms = to_ms(point.time_ns);
        self.times_ms = Some(match self.times_ms {
            Some((first, last)) => (first.min(time_ms), last.max(time_ms)),
            None => (time_ms, time_ms),
        });
        let is_counter = self.metric.kind != Kind::Sum || self.metric.is_monotonic;
        let start_ms = |start_ns: u64| match to_ms(start_ns) {
            start if is_counter && self.metric.kind != Kind::Gauge && start < time_ms => start,
            _ => 0,
        };
        let mut at = At {
            pairs: &pairs,
            time_ms,
            start_ms: start_ms(point.start_time_ns),
            is_stale: point.is_stale(),
            exemplars: &point.exemplars,
        };
        if self.metric.temporality == Temporality::Delta && !at.is_stale {
            let key = series(name, &pairs, None)
                .map_err(|fault| fault.to_string())?
                .hash();
            let times = (point.start_time_ns, point.time_ns);
            let total = self.deltas.add(key.0, times, &point.value)?;
            at.start_ms = start_ms(total.start_ns);
            return match total.sum {
                Sum::Double(value) => self.number(name, &at, value),
                Sum::Int(value) => self.number(name, &at, value as f64),
                Sum::Histogram(value) => self.histogram(name, &at, &value),
                Sum::Native(value) => self.native(name, &at, |_| Ok(Histogram::from(&value))),
            };
        }
        match (&point.value, self.metric.kind) {
            (Value::Histogram(value), _) => self.histogram(name, &at, value),
            (Value::Exponential(value), _) => self.native(name, &at, |_| histogram::exponential(value)),
            (Value::Summary(value), _) => self.summary(name, &at, value),
            (value, _) => match value.number() {
                Some(value) => self.number(name, &at, value),
                None if at.is_stale => self.number(name, &at, 0.0),
                None => Err("a point without a value".to_owned()),
            },
        }
    }

    /// Gives one sample to the sink, under a name with an ending and perhaps one more label.
    fn float(
        &mut self,
        name: &str,
        at: &At<'_>,
        extra: Option<(&str, &str)>,
        value: f64,
    ) -> Result<Labels, String> {
        let labels = series(name, at.pairs, extra).map_err(|fault| fault.to_string())?;
        let value = if at.is_stale { stale_nan() } else { value };
        self.push(&labels, at, sample::Value::Float(value));
        Ok(labels)
    }

    fn push(&mut self, labels: &Labels, at: &At<'_>, value: sample::Value) {
        let sample = Sample {
            timestamp: at.time_ms,
            value,
            start_timestamp: at.start_ms,
        };
        self.sink.sample(labels, &sample);
    }

    fn number(&mut self, name: &str, at: &At<'_>, value: f64) -> Result<(), String> {
        let labels = self.float(name, at, None, value)?;
        self.exemplars(&labels, at.exemplars)
    }

    fn histogram(&mut self, name: &str, at: &At<'_>, value: &HistogramValue) -> Result<(), String> {
        let (buckets, bounds) = (&value.bucket_counts, &value.bounds);
        let is_whole = buckets.len() == bounds.len() + 1 || buckets.is_empty() && bounds.is_empty();
        if !is_whole {
            return Err(format!("{} buckets for {} bounds", buckets.len(), bounds.len()));
        }
        if self.options.makes_custom_buckets {
            return self.native(name, at, |_| histogram::explicit(value));
        }
        if let Some(sum) = value.sum {
            self.float(&format!("{name}_sum"), at, None, sum)?;
        }
        self.float(&format!("{name}_count"), at, None, value.count as f64)?;
        let bucket_name = format!("{name}_bucket");
        let (mut below, mut upper) = (0u64, Vec::with_capacity(bounds.len() + 1));
        for (bound, count) in bounds.iter().zip(buckets) {
            below = below.saturating_add(*count);
            let le = go_text::float_f(*bound);
            upper.push((
                *bound,
                self.float(&bucket_name, at, Some(("le", &le)), below as f64)?,
            ));
        }
        let all = self.float(&bucket_name, at, Some(("le", "+Inf")), value.count as f64)?;
        upper.push((f64::INFINITY, all));
        for sent in at.exemplars {
            let value = sent.value.number().unwrap_or(f64::NAN);
            if let Some((_, labels)) = upper.iter().find(|bucket| value <= bucket.0) {
                self.exemplars(labels, std::slice::from_ref(sent))?;
            }
        }
        Ok(())
    }

    fn native(
        &mut self,
        name: &str,
        at: &At<'_>,
        make: impl FnOnce(&Self) -> Result<Histogram, String>,
    ) -> Result<(), String> {
        let histogram = if at.is_stale {
            histogram::stale()
        } else {
            make(self)?
        };
        histogram.validate().map_err(|fault| fault.to_string())?;
        let labels = series(name, at.pairs, None).map_err(|fault| fault.to_string())?;
        self.push(&labels, at, sample::Value::Histogram(Arc::new(histogram)));
        self.exemplars(&labels, at.exemplars)
    }

    fn summary(&mut self, name: &str, at: &At<'_>, value: &SummaryValue) -> Result<(), String> {
        self.float(&format!("{name}_sum"), at, None, value.sum)?;
        self.float(&format!("{name}_count"), at, None, value.count as f64)?;
        for (quantile, value) in &value.quantiles {
            let quantile = go_text::float_f(*quantile);
            self.float(name, at, Some(("quantile", &quantile)), *value)?;
        }
        Ok(())
    }

    fn exemplars(&mut self, labels: &Labels, sent: &[Sent]) -> Result<(), String> {
        for one in sent {
            if let Some(exemplar) = exemplar(one)? {
                self.sink.exemplar(labels, &exemplar);
            }
        }
        Ok(())
    }

    /// Says what the resource is, at least as often as a query looks back.
    fn target_info(&mut self) -> Result<(), String> {
        let Some((first, last)) = self.times_ms.take() else {
            return Ok(());
        };
        let Some(pairs) = self.common.target_info(self.options) else {
            return Ok(());
        };
        let labels = series(TARGET_INFO, &pairs, None).map_err(|fault| fault.to_string())?;
        let steps = ((last - first) / TARGET_INFO_STEP_MS).min(TARGET_INFO_SAMPLES_MAX);
        let times = (0..=steps).rev().map(|step| last - step * TARGET_INFO_STEP_MS);
        for timestamp in times {
            let sample = Sample {
                timestamp,
                value: sample::Value::Float(1.0),
                start_timestamp: 0,
            };
            self.sink.sample(&labels, &sample);
        }
        Ok(())
    }
}

impl<S: Sink> Visit for Translator<'_, S> {
    fn resource(&mut self, attributes: Vec<KeyValue>) {
        self.common = Common::of_resource(attributes, self.options);
        self.times_ms = None;
    }

    fn scope(&mut self, scope: Scope) {
        self.common.set_scope(&scope, self.options);
    }

    fn metric(&mut self, metric: Metric) {
        self.name = self.check(&metric);
        if let Ok(name) = &self.name {
            let metric_type = match metric.kind {
                Kind::Sum if metric.is_monotonic => MetricType::Counter,
                Kind::Histogram | Kind::Exponential => MetricType::Histogram,
                Kind::Summary => MetricType::Summary,
                _ => MetricType::Gauge,
            };
            let metadata = Metadata {
                metric_type,
                help: metric.description.clone(),
                unit: unit_name(&metric.unit),
            };
            self.sink.metadata(name, &metadata);
        }
        self.metric = metric;
    }

    fn point(&mut self, point: &Point) {
        let name = std::mem::replace(&mut self.name, Err("there is no metric"));
        let translated = match &name {
            Ok(name) => self.translate(name, point),
            Err(reason) => Err((*reason).to_owned()),
        };
        if let Err(reason) = translated {
            self.sink.refuse(&self.metric.name, &reason);
        }
        self.name = name;
    }

    fn end_of_resource(&mut self) {
        if let Err(reason) = self.target_info() {
            self.sink.refuse(TARGET_INFO, &reason);
        }
    }
}

fn to_ms(time_ns: u64) -> i64 {
    (time_ns / NS_PER_MS).cast_signed()
}

/// An exemplar as it is stored; `None` for one without a value.
fn exemplar(sent: &Sent) -> Result<Option<Exemplar>, String> {
    let Some(value) = sent.value.number() else {
        return Ok(None);
    };
    let ids = [("trace_id", &sent.trace_id), ("span_id", &sent.span_id)];
    let ids = ids.into_iter().filter(|id| !id.1.is_empty());
    let ids: Pairs = ids.map(|(name, id)| (name.to_owned(), id.clone())).collect();
    let is_id = |key: &str| ids.iter().any(|id| id.0 == key);
    let attributes = sent.attributes.iter().filter(|one| !is_id(&one.key));
    let attributes: Pairs = attributes
        .map(|one| (one.key.clone(), as_text(&one.value)))
        .collect();
    let chars = |pairs: &Pairs| -> usize {
        let of_pair = |pair: &(String, String)| pair.0.chars().count() + pair.1.chars().count();
        pairs.iter().map(of_pair).sum()
    };
    // Identities are kept even where the rest does not fit beside them.
    let fits = chars(&ids) + chars(&attributes) <= EXEMPLAR_CHARS_MAX;
    let shown = ids.iter().chain(attributes.iter().filter(|_| fits));
    let labels = Labels::from_pairs(shown.map(|pair| (pair.0.as_str(), pair.1.as_str())));
    Ok(Some(Exemplar {
        labels: labels.map_err(|fault| fault.to_string())?,
        timestamp: to_ms(sent.time_ns),
        value,
    }))
}

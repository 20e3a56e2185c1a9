//! From the parts of a request to samples: each point as the series and values that Prometheus makes of it.

use super::delta::{Adding, Sum};
use super::histogram;
use super::labels::{Common, Pairs, as_text, byte_len, series};
use super::message::{
    ATTRIBUTES_MAX, Exemplar as Sent, HistogramValue, KeyValue, Kind, Metric, Point, Scope, SummaryValue,
    Temporality, Value, Visit,
};
use super::names::{Shape, metric_name, unit_name};
use crate::base::go_text;
use crate::model::exemplar::Exemplar;
use crate::model::histogram::Histogram;
use crate::model::labels::Labels;
use crate::model::metadata::{Metadata, MetricType};
use crate::model::otlp_options::Options;
use crate::model::sample::{self, Sample, stale_nan};
use std::collections::BTreeMap;
use std::sync::Arc;

const NS_PER_MS: u64 = 1_000_000;
/// The series that says what a resource is.
const TARGET_INFO: &str = "target_info";
/// Wherever a look back of five minutes finds a point, it finds one of the two samples that this series has in such a time.
const TARGET_INFO_STEP_MS: i64 = 150_000;
/// Labels of a point take no more.
const LABEL_BYTES_MAX: usize = 64 << 10;
/// Buckets or quantiles of a point, and what the labels of all their series may come to.
const PARTS_MAX: usize = 4_096;
const SERIES_BYTES_MAX: usize = 16 << 20;
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
pub(crate) struct Translator<'t, 'a, S> {
    options: &'t Options,
    /// Later points are refused.
    time_ms_max: i64,
    deltas: &'t mut Adding<'a>,
    sink: &'t mut S,
    common: Common,
    metric: Metric,
    /// The metric's name, or why its points are refused.
    name: Result<String, &'static str>,
    /// When the resource's points are: first and last in each step.
    times_ms: BTreeMap<i64, (i64, i64)>,
}

/// What the samples of a point have in common.
struct At<'p> {
    pairs: &'p Pairs,
    time_ms: i64,
    start_ms: i64,
    is_stale: bool,
    exemplars: &'p [Sent],
}

impl<'t, 'a, S: Sink> Translator<'t, 'a, S> {
    pub(crate) fn new(
        options: &'t Options,
        time_ms_max: i64,
        deltas: &'t mut Adding<'a>,
        sink: &'t mut S,
    ) -> Self {
        Self {
            options,
            time_ms_max,
            deltas,
            sink,
            common: Common::default(),
            metric: Metric::default(),
            name: Err("there is no metric"),
            times_ms: BTreeMap::new(),
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

    /// Refuses what would take much for the little that it says.
    fn check_point(&self, point: &Point, time_ms: i64) -> Result<(), String> {
        let parts = point.value.parts();
        if point.time_ns == 0 {
            return Err("a point without a time".to_owned());
        }
        if time_ms > self.time_ms_max {
            return Err(format!("the time {time_ms} ms is too far in the future"));
        }
        if point.attributes.len() > ATTRIBUTES_MAX {
            return Err(format!("more than {ATTRIBUTES_MAX} attributes"));
        }
        if parts > PARTS_MAX {
            return Err(format!("{parts} buckets, {PARTS_MAX} are allowed"));
        }
        if self.common.byte_len() > LABEL_BYTES_MAX {
            return Err(format!(
                "a resource whose labels have more than {LABEL_BYTES_MAX} bytes"
            ));
        }
        Ok(())
    }

    fn translate(&mut self, name: &str, point: &Point) -> Result<(), String> {
        let time_ms = to_ms(point.time_ns);
        self.check_point(point, time_ms)?;
        let pairs = self.common.labels(&point.attributes, self.options.translation);
        let series_bytes = byte_len(&pairs) + name.len();
        let parts = point.value.parts();
        if series_bytes > LABEL_BYTES_MAX || parts.saturating_mul(series_bytes) > SERIES_BYTES_MAX {
            return Err(format!(
                "labels of {series_bytes} bytes for each of {parts} parts"
            ));
        }
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
                Sum::Native(value) => self.native(name, &at, || Ok(Histogram::from(&value))),
            };
        }
        match &point.value {
            Value::Histogram(value) => self.histogram(name, &at, value),
            Value::Exponential(value) => self.native(name, &at, || histogram::exponential(value)),
            Value::Summary(value) => self.summary(name, &at, value),
            value => match value.number() {
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
        self.exemplars(&labels, at.exemplars);
        Ok(())
    }

    fn histogram(&mut self, name: &str, at: &At<'_>, value: &HistogramValue) -> Result<(), String> {
        let (buckets, bounds) = (&value.bucket_counts, &value.bounds);
        let is_whole = buckets.len() == bounds.len() + 1 || buckets.is_empty() && bounds.is_empty();
        if !is_whole {
            return Err(format!("{} buckets for {} bounds", buckets.len(), bounds.len()));
        }
        if self.options.makes_custom_buckets {
            return self.native(name, at, || histogram::explicit(value));
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
            let place = upper.partition_point(|bucket| bucket.0 < sent.value);
            if let Some((_, labels)) = upper.get(place).filter(|_| !sent.value.is_nan()) {
                self.exemplars(labels, std::slice::from_ref(sent));
            }
        }
        Ok(())
    }

    fn native(
        &mut self,
        name: &str,
        at: &At<'_>,
        make: impl FnOnce() -> Result<Histogram, String>,
    ) -> Result<(), String> {
        let histogram = if at.is_stale { histogram::stale() } else { make()? };
        histogram.validate().map_err(|fault| fault.to_string())?;
        let labels = series(name, at.pairs, None).map_err(|fault| fault.to_string())?;
        self.push(&labels, at, sample::Value::Histogram(Arc::new(histogram)));
        self.exemplars(&labels, at.exemplars);
        Ok(())
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

    /// Those with labels that are none are left out.
    fn exemplars(&mut self, labels: &Labels, sent: &[Sent]) {
        for exemplar in sent.iter().filter_map(exemplar) {
            self.sink.exemplar(labels, &exemplar);
        }
    }

    /// Says what the resource is, when it has points.
    fn target_info(&mut self) -> Result<(), String> {
        let steps = std::mem::take(&mut self.times_ms);
        let Some(pairs) = self.common.target_info(self.options) else {
            return Ok(());
        };
        let labels = series(TARGET_INFO, &pairs, None).map_err(|fault| fault.to_string())?;
        let times = steps.into_values().flat_map(|(first, last)| [first, last]);
        let mut times: Vec<i64> = times.collect();
        times.dedup();
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

impl<S: Sink> Visit for Translator<'_, '_, S> {
    fn resource(&mut self, attributes: Vec<KeyValue>) {
        self.common = Common::of_resource(attributes, self.options);
        self.times_ms.clear();
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
        match translated {
            Ok(()) => {
                let time_ms = to_ms(point.time_ns);
                let step = time_ms.div_euclid(TARGET_INFO_STEP_MS);
                let (first, last) = self.times_ms.entry(step).or_insert((time_ms, time_ms));
                (*first, *last) = ((*first).min(time_ms), (*last).max(time_ms));
            }
            Err(reason) => self.sink.refuse(&self.metric.name, &reason),
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

/// An exemplar as it is stored; `None` when its labels are none.
fn exemplar(sent: &Sent) -> Option<Exemplar> {
    let ids = [("trace_id", &sent.trace_id), ("span_id", &sent.span_id)];
    let ids = ids.into_iter().filter(|id| !id.1.is_empty());
    let ids: Vec<(String, String)> = ids.map(|(name, id)| (name.to_owned(), id.clone())).collect();
    let is_id = |key: &str| ids.iter().any(|id| id.0 == key);
    let attributes = sent.attributes.iter().filter(|one| !is_id(&one.key));
    let attributes: Vec<(String, String)> = attributes
        .map(|one| (one.key.clone(), as_text(&one.value)))
        .collect();
    let chars = |pairs: &[(String, String)]| -> usize {
        let of_pair = |pair: &(String, String)| pair.0.chars().count() + pair.1.chars().count();
        pairs.iter().map(of_pair).sum()
    };
    // Identities are kept even where the rest does not fit beside them.
    let fits = chars(&ids) + chars(&attributes) <= EXEMPLAR_CHARS_MAX;
    let shown = ids.iter().chain(attributes.iter().filter(|_| fits));
    let labels = Labels::from_pairs(shown.map(|pair| (pair.0.as_str(), pair.1.as_str())));
    Some(Exemplar {
        labels: labels.ok()?,
        timestamp: to_ms(sent.time_ns),
        value: sent.value,
    })
}

//! The data: counters with resets, gauges with odd numbers, gaps and stale markers, classic and native histograms, series that
//! change their kind, names that need quotes.

use super::fleet;
use crate::peers::wire::{self, histogram};
use crate::promql::storage::{Storage, Value};
use crate::random::Random;
use narthex::{Buckets, FloatHistogram, Labels, ResetHint, labels, stale_nan};
use prost::Message as _;
use std::sync::Arc;

pub(super) const BASE_MS: i64 = 1_700_000_000_000;
pub(super) const SCRAPES: i64 = 160;
pub(super) const INTERVAL_MS: i64 = 15_000;

pub(super) struct Data {
    pub(super) storage: Storage,
    pub(super) series: Vec<(Labels, Samples)>,
}

pub(super) type Samples = Vec<(i64, Value)>;

/// One sample for each scrape that is not left out. Scrapes of one target are late by the same time.
pub(super) fn scraped(random: &mut Random, value: impl FnMut(&mut Random, i64) -> Option<Value>) -> Samples {
    let late_ms = random.below(5_000) as i64;
    scraped_late(random, late_ms, value)
}

pub(super) fn scraped_late(
    random: &mut Random,
    late_ms: i64,
    mut value: impl FnMut(&mut Random, i64) -> Option<Value>,
) -> Samples {
    let mut samples = Vec::new();
    for scrape in 0..SCRAPES {
        if let Some(value) = value(random, scrape) {
            samples.push((BASE_MS + scrape * INTERVAL_MS + late_ms, value));
        }
    }
    samples
}

fn counter(random: &mut Random, has_gaps: bool) -> Samples {
    let mut total = 0.0;
    scraped(random, |random, scrape| {
        if random.once_in(40) {
            total = 0.0;
        }
        total += random.below(1000) as f64 / 8.0;
        if has_gaps && (40..65).contains(&scrape) {
            return (scrape == 40).then(|| Value::Float(stale_nan()));
        }
        (!has_gaps || !random.once_in(6)).then_some(Value::Float(total))
    })
}

fn gauge(random: &mut Random, is_odd: bool) -> Samples {
    const ODD: &[f64] = &[f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, 1e300, -1e-300];
    scraped(random, |random, _| {
        let odd = is_odd && random.once_in(8);
        Some(Value::Float(if odd {
            random.pick(ODD)
        } else {
            random.unit() * 200.0 - 100.0
        }))
    })
}

/// Observations that add up in buckets, by index.
struct Observed {
    template: FloatHistogram,
    positive: [f64; 8],
    negative: [f64; 3],
}

impl Observed {
    fn new(template: FloatHistogram) -> Self {
        Self {
            template,
            positive: [0.0; 8],
            negative: [0.0; 3],
        }
    }

    fn observe(&mut self, random: &mut Random) -> Value {
        for _ in 0..random.below(6) {
            self.positive[random.below(8)] += 1.0;
            self.template.sum += random.below(64) as f64 / 4.0;
        }
        if self.template.schema >= 0 && random.once_in(3) {
            self.negative[random.below(3)] += 1.0;
            self.template.zero_count += 1.0;
        }
        self.value()
    }

    fn value(&self) -> Value {
        let mut histogram = self.template.clone();
        let filled = |counts: &[f64], first: i64| -> Buckets {
            let buckets = (first..).zip(counts.iter().copied());
            buckets.filter(|bucket| bucket.1 != 0.0).collect()
        };
        let is_custom = histogram.has_custom_buckets();
        histogram.positive = filled(
            &self.positive[..if is_custom { 5 } else { 8 }],
            if is_custom { 0 } else { -2 },
        );
        histogram.negative = filled(&self.negative, 0);
        let in_buckets = histogram
            .positive
            .counts()
            .iter()
            .chain(histogram.negative.counts());
        histogram.count = in_buckets.sum::<f64>() + histogram.zero_count;
        Value::Histogram(Arc::new(histogram))
    }
}

fn native(random: &mut Random, template: FloatHistogram) -> Samples {
    let mut observed = Observed::new(template.clone());
    scraped(random, |random, scrape| {
        if random.once_in(50) {
            observed = Observed::new(template.clone());
        }
        if scrape == 90 && !template.has_custom_buckets() {
            observed.template.schema = (observed.template.schema - 1).max(-4);
        }
        Some(observed.observe(random))
    })
}

fn exponential(schema: i32) -> FloatHistogram {
    FloatHistogram {
        schema,
        zero_threshold: 0.001,
        ..FloatHistogram::default()
    }
}

fn custom(bounds: &[f64]) -> FloatHistogram {
    FloatHistogram {
        schema: -53,
        custom_values: bounds.into(),
        ..FloatHistogram::default()
    }
}

fn with(labels: &Labels, name: &str, value: &str) -> Labels {
    Labels::from_pairs(labels.iter().filter(|pair| pair.0 != name).chain([(name, value)])).expect("labels")
}

/// Cumulative buckets of one classic histogram, its count and its sum.
pub(super) fn classic(random: &mut Random, base: &Labels, series: &mut Vec<(Labels, Samples)>) {
    const BOUNDS: [&str; 6] = ["0.1", "0.5", "1", "2.5", "10", "+Inf"];
    let mut counts = [0.0; BOUNDS.len()];
    let mut sum = 0.0;
    let mut columns: Vec<Samples> = vec![Samples::new(); BOUNDS.len() + 2];
    for scrape in 0..SCRAPES {
        for _ in 0..random.below(5) {
            let bucket = random.below(BOUNDS.len());
            counts[bucket..].iter_mut().for_each(|count| *count += 1.0);
            sum += random.unit() * 4.0;
        }
        let numbers = counts.iter().copied().chain([counts[BOUNDS.len() - 1], sum]);
        for (column, number) in columns.iter_mut().zip(numbers) {
            column.push((BASE_MS + scrape * INTERVAL_MS, Value::Float(number)));
        }
    }
    let named = |suffix: &str| with(base, "__name__", &format!("{}_{suffix}", base.metric_name()));
    let mut columns = columns.into_iter();
    for bound in BOUNDS {
        series.push((
            with(&named("bucket"), "le", bound),
            columns.next().expect("a column"),
        ));
    }
    for suffix in ["count", "sum"] {
        series.push((named(suffix), columns.next().expect("a column")));
    }
}

impl Data {
    pub(super) fn make() -> Self {
        let mut random = Random::new(7);
        let random = &mut random;
        let mut series = Vec::new();
        for (job, instance, has_gaps) in [
            ("api", "a:1", false),
            ("api", "b:1", true),
            ("web", "a:1", false),
            ("web", "c:1", true),
        ] {
            for path in ["/", "/login"] {
                let labels = labels! {
                    "__name__" => "requests_total", "job" => job, "instance" => instance, "path" => path
                };
                series.push((labels, counter(random, has_gaps)));
            }
            let up = labels! { "__name__" => "up", "job" => job, "instance" => instance };
            series.push((
                up,
                scraped(random, |random, _| {
                    Some(Value::Float(f64::from(!random.once_in(9))))
                }),
            ));
            let rpc = labels! { "__name__" => "rpc_seconds", "job" => job, "instance" => instance };
            series.push((rpc, native(random, exponential(if job == "api" { 2 } else { 0 }))));
            let nhcb = labels! { "__name__" => "sizes_bytes", "job" => job, "instance" => instance };
            series.push((nhcb, native(random, custom(&[1.0, 8.0, 64.0, 512.0]))));
            let base = labels! { "__name__" => "latency_seconds", "job" => job, "instance" => instance };
            classic(random, &base, &mut series);
        }
        for (room, is_odd) in [("hall", false), ("attic", true), ("10", false), ("9", false)] {
            series.push((
                labels! { "__name__" => "temperature", "room" => room },
                gauge(random, is_odd),
            ));
        }
        for mount in ["/", "/data disk"] {
            let labels = labels! { "__name__" => "disk.usage", "mount.point" => mount, "job" => "node" };
            series.push((labels, gauge(random, false)));
        }
        let depth = FloatHistogram {
            reset_hint: ResetHint::Gauge,
            ..exponential(1)
        };
        series.push((
            labels! { "__name__" => "queue_depth", "job" => "api" },
            native(random, depth),
        ));
        let mut observed = Observed::new(exponential(1));
        let mixed = scraped(random, |random, scrape| {
            let histogram = observed.observe(random);
            Some(if scrape / 20 % 2 == 0 {
                Value::Float(scrape as f64)
            } else {
                histogram
            })
        });
        series.push((labels! { "__name__" => "mixed", "job" => "api" }, mixed));
        fleet::push(random, &mut series);
        let mut storage = Storage::default();
        for (labels, samples) in &series {
            for (timestamp_ms, value) in samples {
                storage.push(labels, *timestamp_ms, value.clone());
            }
        }
        Self { storage, series }
    }

    /// All of it as requests of remote write 1.0. Prometheus stores the floats of a request before its histograms: a series
    /// that changes between them has one run of either in each request.
    pub(super) fn write_requests(&self) -> Vec<Vec<u8>> {
        self.requests_of(|_| true)
    }

    /// The same in so many slices of time, one after the other.
    pub(super) fn slices(&self, count: i64) -> Vec<Vec<u8>> {
        (0..count).flat_map(|slice| self.slice(slice, count)).collect()
    }

    /// One of these slices.
    pub(super) fn slice(&self, slice: i64, count: i64) -> Vec<Vec<u8>> {
        let start_ms = |slice: i64| BASE_MS + SCRAPES * slice / count * INTERVAL_MS;
        let is_last = slice + 1 == count;
        let end_ms = if is_last { i64::MAX } else { start_ms(slice + 1) };
        self.requests_of(|timestamp_ms| (start_ms(slice)..end_ms).contains(&timestamp_ms))
    }

    fn requests_of(&self, is_in: impl Fn(i64) -> bool) -> Vec<Vec<u8>> {
        let mut requests: Vec<wire::WriteRequest> = Vec::new();
        for (labels, samples) in &self.series {
            let is_float = |sample: &(i64, Value)| matches!(sample.1, Value::Float(_));
            let wanted: Samples = samples.iter().filter(|sample| is_in(sample.0)).cloned().collect();
            let runs = wanted.chunk_by(|a, b| is_float(a) == is_float(b));
            for (number, run) in runs.enumerate() {
                if requests.len() == number {
                    requests.push(wire::WriteRequest::default());
                }
                requests[number].timeseries.push(run_in_wire(labels, run));
            }
        }
        let packed = requests.iter().map(|request| {
            let message = request.encode_to_vec();
            snap::raw::Encoder::new().compress_vec(&message).expect("a block")
        });
        packed.collect()
    }
}

fn run_in_wire(labels: &Labels, samples: &[(i64, Value)]) -> wire::TimeSeries {
    let labels = labels.iter().map(|(name, value)| wire::Label {
        name: name.into(),
        value: value.into(),
    });
    let mut series = wire::TimeSeries {
        labels: labels.collect(),
        ..Default::default()
    };
    for (timestamp, value) in samples {
        match value {
            Value::Float(value) => series.samples.push(wire::Sample {
                value: *value,
                timestamp: *timestamp,
            }),
            Value::Histogram(value) => series.histograms.push(in_wire(value, *timestamp)),
        }
    }
    series
}

fn in_wire(value: &FloatHistogram, timestamp: i64) -> wire::Histogram {
    let spans = |buckets: &Buckets| {
        let spans = buckets.spans().iter();
        spans
            .map(|span| wire::BucketSpan {
                offset: span.offset,
                length: span.length,
            })
            .collect()
    };
    wire::Histogram {
        sum: value.sum,
        schema: value.schema,
        zero_threshold: value.zero_threshold,
        negative_spans: spans(&value.negative),
        negative_counts: value.negative.counts().to_vec(),
        positive_spans: spans(&value.positive),
        positive_counts: value.positive.counts().to_vec(),
        reset_hint: value.reset_hint as i32,
        timestamp,
        custom_values: value.custom_values.to_vec(),
        count: Some(histogram::Count::CountFloat(value.count)),
        zero_count: Some(histogram::ZeroCount::ZeroCountFloat(value.zero_count)),
        ..Default::default()
    }
}

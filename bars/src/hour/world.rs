//! What is sent, as a pure function of a seed: hosts that are renamed, their series, every sample, and the scrape with
//! which it goes. Whoever knows how far the senders are knows what the database must hold.

use crate::bar::value;
use crate::rng::mix;
use narthex::{Counts, Exemplar, Histogram, Labels, ResetHint, STALE_NAN_BITS, Span};
use std::ops::RangeInclusive;

pub const SERIES_PER_HOST: usize = FLOATS + HISTOGRAMS;
/// Series of one metric at a host.
pub const UNITS: usize = 8;
const FLOATS: usize = METRICS.len() * UNITS;
const HISTOGRAMS: usize = 4;
const HISTOGRAM_METRIC: &str = "http_request_duration_seconds";
const METRICS: [&str; 12] = [
    "node_cpu_seconds_total",
    "node_disk_read_bytes_total",
    "node_disk_written_bytes_total",
    "node_disk_io_time_seconds_total",
    "node_filesystem_avail_bytes",
    "node_filesystem_files_free",
    "node_hwmon_temp_celsius",
    "node_memory_active_bytes",
    "node_network_receive_bytes_total",
    "node_network_transmit_bytes_total",
    "node_network_receive_errs_total",
    "node_softnet_processed_total",
];
const HOUR_MS: i64 = 3_600_000;
/// Of the samples of one in so many scrapes one is late by a few scrapes, one in sixteen of these by much.
const LATE_ONE_IN: u64 = 256;
const LATE_TICKS: i64 = 4;
const VERY_LATE_MS: i64 = 100 * 60_000;
/// How long a host keeps its name, in hours; one host in four keeps it forever.
const LIFE_HOURS: std::ops::Range<u64> = 2..20;

/// The whole of it.
#[derive(Debug, Clone)]
pub struct World {
    pub seed: u64,
    pub hosts: usize,
    pub step_ms: i64,
    /// Time of the first scrape.
    pub base_ms: i64,
}

/// One of the series that a host has under one of its names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Series {
    pub host: usize,
    pub life: i64,
    pub template: usize,
}

/// A value, owned.
#[derive(Debug, Clone)]
pub enum Value {
    Float(f64),
    Histogram(Histogram),
}

impl World {
    fn mixed(&self, number: u64) -> u64 {
        mix(self.seed ^ mix(number))
    }

    fn series_seed(&self, series: Series) -> u64 {
        self.mixed((series.host as u64) << 40 | (series.life as u64) << 8 | series.template as u64)
    }

    /// Scrapes of `ms`.
    pub fn ticks(&self, ms: i64) -> i64 {
        ms / self.step_ms
    }

    /// How long a host keeps a name, and how much of the first one's time was over at the beginning.
    fn life(&self, host: usize) -> Option<(i64, i64)> {
        let draw = self.mixed(1 << 62 | host as u64);
        if draw.is_multiple_of(4) {
            return None;
        }
        let hours = LIFE_HOURS.start + (draw >> 8) % (LIFE_HOURS.end - LIFE_HOURS.start);
        let length = (hours as i64 * self.ticks(HOUR_MS)).max(2);
        Some((length, (draw >> 16) as i64 % length))
    }

    /// The name that a host has in a scrape, as a number.
    pub fn life_at(&self, host: usize, tick: i64) -> i64 {
        self.life(host).map_or(0, |(length, over)| (tick + over) / length)
    }

    /// The scrapes of a series. The last one says that it has ended, and is the first of its successor.
    pub fn ticks_of(&self, series: Series) -> RangeInclusive<i64> {
        let Some((length, over)) = self.life(series.host) else {
            return 0..=i64::MAX;
        };
        let first = (series.life * length - over).max(0);
        first..=(series.life + 1) * length - over
    }

    /// When a host is scraped.
    pub fn time_ms(&self, host: usize, tick: i64) -> i64 {
        let offset = host as i64 * 1_237 % self.step_ms;
        let draw = self.mixed((host as u64) << 40 | 1 << 63 | tick as u64);
        let jitter = if draw.is_multiple_of(8) {
            (draw >> 8) % 5
        } else {
            0
        };
        self.base_ms + tick * self.step_ms + offset + jitter as i64
    }

    fn draw(seed: u64, tick: i64) -> u64 {
        mix(seed ^ (tick as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// With how many scrapes' delay a sample is sent.
    pub fn delay(&self, series: Series, tick: i64) -> i64 {
        if *self.ticks_of(series).end() == tick {
            return 0;
        }
        self.delay_of(Self::draw(self.series_seed(series), tick))
    }

    fn delay_of(&self, draw: u64) -> i64 {
        match draw >> 16 & 0xffff {
            late if late.is_multiple_of(LATE_ONE_IN * 16) => self.very_late_ticks(),
            late if late.is_multiple_of(LATE_ONE_IN) => LATE_TICKS,
            _ => 0,
        }
    }

    fn very_late_ticks(&self) -> i64 {
        self.ticks(VERY_LATE_MS).max(LATE_TICKS + 1)
    }

    pub fn value(&self, series: Series, tick: i64) -> Value {
        let ticks = self.ticks_of(series);
        let seed = self.series_seed(series);
        let is_end = *ticks.end() == tick;
        if series.template >= FLOATS {
            return Value::Histogram(histogram(seed, tick - ticks.start(), is_end));
        }
        Value::Float(match Self::draw(seed, tick) & 0x3fff {
            _ if is_end => f64::from_bits(STALE_NAN_BITS),
            0 => -0.0,
            1 => f64::INFINITY,
            2 => f64::from_bits(0x7ff8_0000_0bad_cafe),
            _ => value(seed, tick),
        })
    }

    /// An exemplar that goes with a sample.
    pub fn exemplar(&self, series: Series, tick: i64) -> Option<Exemplar> {
        if series.template < FLOATS || *self.ticks_of(series).end() == tick {
            return None;
        }
        let draw = Self::draw(self.series_seed(series), tick);
        if draw & 15 != 0 || self.delay_of(draw) > 0 {
            return None;
        }
        let trace = [("trace_id", format!("{draw:016x}"))];
        Some(Exemplar {
            labels: Labels::from_pairs(trace).expect("BUG: one label"),
            timestamp: self.time_ms(series.host, tick),
            value: (draw >> 40) as f64 / 1e6,
        })
    }

    /// Shows everything that goes with a scrape of a host: series and the scrape that the sample is of.
    pub fn each_due(&self, host: usize, tick: i64, visit: &mut dyn FnMut(Series, i64)) {
        let series = |life, template| Series { host, life, template };
        let life = self.life_at(host, tick);
        let is_new = life > 0 && *self.ticks_of(series(life, 0)).start() == tick;
        for template in (0..SERIES_PER_HOST).filter(|_| is_new && tick > 0) {
            visit(series(life - 1, template), tick);
        }
        for delay in [0, LATE_TICKS, self.very_late_ticks()] {
            let tick = tick - delay;
            if tick < 0 {
                continue;
            }
            let life = self.life_at(host, tick);
            for template in 0..SERIES_PER_HOST {
                let series = series(life, template);
                if self.delay_of(Self::draw(self.series_seed(series), tick)) == delay {
                    visit(series, tick);
                }
            }
        }
    }

    pub fn labels(&self, series: Series) -> Labels {
        let host = series.host;
        let region = ["eu-west-1", "us-east-1", "us-west-2", "ap-south-1"][host % 4];
        let (metric, unit) = metric_and_unit(series.template);
        let pairs = [
            ("__name__", metric.to_owned()),
            ("cluster", format!("prod-{:02}-a", host / 50)),
            ("datacenter", format!("{region}{}", ["a", "b", "c"][host / 4 % 3])),
            ("environment", "production".to_owned()),
            ("host", host_name(host)),
            (
                "instance",
                format!("node-{host:05}-{}.{region}.example.net:9100", series.life),
            ),
            ("job", "node".to_owned()),
            ("rack", format!("r{:02}", host / 12 % 90)),
            ("region", region.to_owned()),
            (
                "team",
                ["storage", "checkout", "search", "platform"][host / 7 % 4].to_owned(),
            ),
            ("unit", unit),
        ];
        Labels::from_pairs(pairs).expect("BUG: the names are unique")
    }

    /// The series with these labels, if there is such a one.
    pub fn identify(&self, labels: &[(String, String)]) -> Option<Series> {
        let value = |name| labels.iter().find(|label| label.0 == name).map(|label| &*label.1);
        let instance = value("instance")?.strip_prefix("node-")?;
        let (host, rest) = instance.split_once('-')?;
        let (life, _) = rest.split_once('.')?;
        let (metric, unit) = (value("__name__")?, value("unit")?);
        let template = (0..SERIES_PER_HOST).find(|template| {
            let (name, of) = metric_and_unit(*template);
            name == metric && of == unit
        })?;
        let series = Series {
            host: host.parse().ok()?,
            life: life.parse().ok()?,
            template,
        };
        let expected = self.labels(series);
        let is_same = expected
            .iter()
            .eq(labels.iter().map(|(name, value)| (&**name, &**value)));
        (is_same && series.host < self.hosts).then_some(series)
    }
}

/// The value of the label `host`, which outlives a renaming.
pub fn host_name(host: usize) -> String {
    format!("{host:05}")
}

/// The metric of a template, and which of its series this is.
pub fn metric_and_unit(template: usize) -> (&'static str, String) {
    let metric = METRICS.get(template / UNITS).copied().unwrap_or(HISTOGRAM_METRIC);
    (metric, format!("u{}", template % UNITS))
}

/// The templates of the metric that `template` is of.
pub fn same_metric(template: usize) -> std::ops::Range<usize> {
    let first = template / UNITS * UNITS;
    first..(first + UNITS).min(SERIES_PER_HOST)
}

/// Counts that grow by a steady rate each and now and then stand still, in more and more buckets.
fn histogram(seed: u64, age: i64, is_end: bool) -> Histogram {
    let count_of = |bucket: u64| {
        let rate = (mix(seed ^ bucket) % 6) as i64;
        rate * (age / 4 * 4) + (rate & 1) * (age % 4)
    };
    let length = 3 + (age / 200).min(5) as u64;
    let counts: Vec<i64> = (0..3 + length).map(count_of).collect();
    let mut before = 0;
    let deltas = counts
        .iter()
        .map(|count| count - std::mem::replace(&mut before, *count));
    let zero_count = count_of(99) as u64;
    let sum = counts.iter().sum::<i64>() as f64 / 7.0;
    Histogram {
        reset_hint: ResetHint::Unknown,
        schema: 3,
        zero_threshold: 1.0 / 1024.0,
        sum: if is_end {
            f64::from_bits(STALE_NAN_BITS)
        } else {
            sum
        },
        positive_spans: vec![
            Span {
                offset: -4,
                length: 3,
            },
            Span {
                offset: 2,
                length: length as u32,
            },
        ],
        negative_spans: Vec::new(),
        custom_values: Vec::new(),
        counts: Counts::Int {
            count: counts.iter().sum::<i64>() as u64 + zero_count,
            zero_count,
            positive: deltas.collect(),
            negative: Vec::new(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn world() -> World {
        World {
            seed: 3,
            hosts: 12,
            step_ms: 600_000,
            base_ms: 1_000_000,
        }
    }

    #[test]
    fn what_is_due_is_every_sample_once_and_in_its_time() {
        let (world, ticks) = (world(), 300);
        let (mut renamed, mut late) = (0, 0);
        for host in 0..world.hosts {
            let mut sent = BTreeMap::new();
            for tick in 0..ticks {
                world.each_due(host, tick, &mut |series, of| {
                    assert_eq!(of + world.delay(series, of), tick, "{series:?} {of}");
                    assert_eq!(sent.insert((series, of), ()), None, "{series:?} {of}");
                });
            }
            let lives = 0..=world.life_at(host, ticks - 1);
            renamed += lives.end();
            for life in lives {
                for template in 0..SERIES_PER_HOST {
                    let series = Series { host, life, template };
                    for tick in world.ticks_of(series).take_while(|tick| *tick < ticks) {
                        let delay = world.delay(series, tick);
                        late += i64::from(delay > 0);
                        let is_sent = sent.remove(&(series, tick)).is_some();
                        assert_eq!(is_sent, tick + delay < ticks, "{series:?} {tick}");
                    }
                }
            }
            assert!(sent.is_empty(), "{sent:?}");
        }
        assert!(renamed > 20 && late > 500, "{renamed} {late}");
    }

    #[test]
    fn a_series_is_known_by_its_labels() {
        let world = world();
        for (life, template) in [(0, 0), (7, 95), (120, 99)] {
            let series = Series {
                host: 5,
                life,
                template,
            };
            let mut labels: Vec<_> = world
                .labels(series)
                .iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
            assert_eq!(world.identify(&labels), Some(series));
            labels.pop();
            assert_eq!(world.identify(&labels), None);
        }
    }

    #[test]
    fn histograms_grow_and_are_valid() {
        for age in 0..1_500 {
            let (before, now) = (histogram(9, age, false), histogram(9, age + 1, false));
            let total = |one: &Histogram| match &one.counts {
                Counts::Int { count, .. } => *count,
                Counts::Float { .. } => unreachable!(),
            };
            assert!(total(&before) <= total(&now), "{age}");
            assert!(now.validate().is_ok(), "{age}: {:?}", now.validate());
        }
        assert!(histogram(9, 10, true).is_stale());
    }
}

//! What is written, and when.

use super::model::{Correction, Erasure};
use crate::bar::value;
use crate::rng::{Rng, mix};
use narthex::{Labels, Matcher};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

pub const STEP_MS: i64 = 15_000;
pub const BASE_MS: i64 = 1_760_000_000_000;
pub const HOUR_TICKS: i64 = 240;
pub const DAY_TICKS: i64 = 24 * HOUR_TICKS;
pub const SERIES_PER_HOST: usize = METRICS.len();
/// Of this one a rule drops what is older.
const RULE_METRIC: usize = 9;
/// What the hour that comes last has waited at most.
const LATE_DAYS_MAX: i64 = 10;
/// Deletes and corrections of a day.
const ACTS_PER_DAY: i64 = 2;
/// How far back deletes and corrections reach.
const DELETE_DAYS: i64 = 20;
const CORRECT_DAYS: i64 = 30;

const METRICS: [&str; 10] = [
    "node_cpu_seconds_total",
    "node_memory_free_bytes",
    "node_disk_read_bytes_total",
    "node_disk_written_bytes_total",
    "node_network_receive_bytes_total",
    "node_network_transmit_bytes_total",
    "node_filesystem_avail_bytes",
    "node_load1",
    "node_boot_time_seconds",
    "debug_cache_hits_total",
];

/// One of the series that a host has in one of its lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Series {
    pub host: usize,
    pub life: i64,
    pub metric: usize,
}

impl Series {
    fn seed(self) -> u64 {
        (self.host as u64) << 40 | (self.life as u64) << 8 | self.metric as u64
    }

    pub fn value(self, tick: i64) -> f64 {
        value(self.seed(), tick)
    }

    pub fn matchers(self) -> Vec<Matcher> {
        let mut matchers = instance_matchers(self.host, self.life);
        matchers.push(Matcher::eq("__name__", METRICS[self.metric]));
        matchers
    }

    pub fn labels(self) -> Labels {
        let region = ["eu-west-1", "us-east-1", "us-west-2"][self.host % 3];
        let pairs = [
            ("__name__", METRICS[self.metric].to_owned()),
            ("instance", instance(self.host, self.life)),
            ("job", "node".to_owned()),
            ("region", region.to_owned()),
            ("rack", format!("r{:02}", self.host / 4)),
            ("environment", "production".to_owned()),
        ];
        Labels::from_pairs(pairs).expect("BUG: the names are unique")
    }

    pub fn is_ruled(self) -> bool {
        self.metric == RULE_METRIC
    }
}

fn instance(host: usize, life: i64) -> String {
    format!("node-{host:04}-{life:03}.example.net:9100")
}

pub fn instance_matchers(host: usize, life: i64) -> Vec<Matcher> {
    vec![Matcher::eq("instance", instance(host, life))]
}

/// What the retention rule is about.
pub fn rule_matchers() -> Vec<Matcher> {
    vec![Matcher::eq("__name__", METRICS[RULE_METRIC])]
}

/// One record per scrape in the same batch: which scrape was the last that a process wrote.
pub fn marker() -> Labels {
    Labels::from_pairs([("__name__", "simulation_tick")]).expect("BUG: the name is unique")
}

/// How large the world is, and how much of it is kept.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    pub hosts: usize,
    pub days: i64,
    pub retention_days: i64,
    /// Of what the retention rule is about.
    pub rule_days: i64,
}

/// Everything that will happen.
pub struct World {
    pub size: Size,
    /// By host, in order of time.
    pub erasures: Vec<Vec<Erasure>>,
    pub corrections: Vec<Vec<Correction>>,
    /// What is to be done beside the scrapes, by tick.
    acts: BTreeMap<i64, Vec<Act>>,
}

/// What happens at a tick before its scrape, deletes first.
#[derive(Debug, Clone, Copy)]
pub enum Act {
    Delete(Erasure),
    Undelete(Erasure),
    Correct(Correction),
    /// An hour of a host's scrapes that was held back.
    Deliver {
        host: usize,
        hour: i64,
    },
}

impl World {
    pub fn new(size: Size) -> Self {
        let (hosts, ticks) = (size.hosts, size.days * DAY_TICKS);
        let mut world = Self {
            size,
            erasures: vec![Vec::new(); hosts],
            corrections: vec![Vec::new(); hosts],
            acts: BTreeMap::new(),
        };
        let mut rng = Rng::new(11);
        for day in 0..ticks / DAY_TICKS {
            for _ in 0..ACTS_PER_DAY {
                world.plan_delete(day * DAY_TICKS + rng.below(DAY_TICKS as u64) as i64, &mut rng);
                world.plan_correction(day * DAY_TICKS + rng.below(DAY_TICKS as u64) as i64, &mut rng);
            }
        }
        for host in 0..hosts {
            for hour in 0..ticks / HOUR_TICKS {
                if let Some(at) = comes_at(host, hour) {
                    world.plan(at, Act::Deliver { host, hour });
                }
            }
        }
        for acts in world.acts.values_mut() {
            acts.sort_by_key(|act| !matches!(act, Act::Delete(_) | Act::Undelete(_)));
        }
        for corrections in &mut world.corrections {
            corrections.sort_by_key(|one| one.at);
        }
        world
    }

    fn plan(&mut self, at: i64, act: Act) {
        self.acts.entry(at).or_default().push(act);
    }

    /// Half of the deletes are withdrawn within the day that the database allows.
    fn plan_delete(&mut self, at: i64, rng: &mut Rng) {
        let host = rng.below(self.size.hosts as u64) as usize;
        let from_tick = (at - rng.below((DELETE_DAYS * DAY_TICKS) as u64) as i64).max(0);
        let ticks = HOUR_TICKS + rng.below(2 * DAY_TICKS as u64) as i64;
        let from_ms = BASE_MS + from_tick * STEP_MS;
        let undone = HOUR_TICKS + rng.below(20 * HOUR_TICKS as u64) as i64;
        let erasure = Erasure {
            at,
            undone_at: (rng.below(2) == 0).then_some(at + undone),
            host,
            life: life(host, from_tick),
            metric: (rng.below(3) > 0).then_some(rng.below(SERIES_PER_HOST as u64) as usize),
            from_ms,
            to_ms: from_ms + ticks * STEP_MS,
        };
        self.erasures[host].push(erasure);
        self.plan(at, Act::Delete(erasure));
        if let Some(undone_at) = erasure.undone_at {
            self.plan(undone_at, Act::Undelete(erasure));
        }
    }

    /// Corrected is an hour that came in time, so that nothing ordinary comes after the correction.
    fn plan_correction(&mut self, at: i64, rng: &mut Rng) {
        let host = rng.below(self.size.hosts as u64) as usize;
        let back = DAY_TICKS + rng.below(((CORRECT_DAYS - 1) * DAY_TICKS) as u64) as i64;
        let hour = (at - back).div_euclid(HOUR_TICKS);
        let (first, last) = (hour * HOUR_TICKS, (hour + 1) * HOUR_TICKS - 1);
        if hour < 0 || comes_at(host, hour).is_some() || life(host, first) != life(host, last) {
            return;
        }
        let correction = Correction {
            at,
            series: Series {
                host,
                life: life(host, first),
                metric: rng.below(RULE_METRIC as u64) as usize,
            },
            hour,
            salt: rng.next_u64(),
        };
        self.corrections[host].push(correction);
        self.plan(at, Act::Correct(correction));
    }

    pub fn acts(&self, tick: i64) -> &[Act] {
        self.acts.get(&tick).map_or(&[], Vec::as_slice)
    }
}

/// Hosts live for 20 to 40 days, then another takes the place; the first ones are caught in the middle of it.
pub fn life(host: usize, tick: i64) -> i64 {
    let draw = mix(host as u64 + 1);
    let length = 20 * DAY_TICKS + (draw % (20 * DAY_TICKS) as u64) as i64;
    (tick + (draw >> 32) as i64 % length) / length
}

/// The scrape before which an hour of a host comes as a whole; `None` when its scrapes come in time.
pub fn comes_at(host: usize, hour: i64) -> Option<i64> {
    let draw = mix((host as u64) << 32 | hour as u64 | 1 << 60);
    let end = (hour + 1) * HOUR_TICKS;
    let wait = (draw >> 32) as i64;
    if draw.is_multiple_of(500) {
        let days = 3 * DAY_TICKS;
        Some(end + days + wait % (LATE_DAYS_MAX * DAY_TICKS - days))
    } else if draw.is_multiple_of(50) {
        Some(end + wait % (23 * HOUR_TICKS))
    } else {
        None
    }
}

/// Of 50 scrapes one is some milliseconds late.
#[inline]
pub fn timestamp_ms(host: usize, tick: i64) -> i64 {
    let draw = mix((host as u64) << 32 | tick as u64);
    let late = if draw.is_multiple_of(50) {
        3 + (draw >> 32) as i64 % 40
    } else {
        0
    };
    BASE_MS + tick * STEP_MS + host as i64 * 1_237 % STEP_MS + late
}

/// The scrapes of a host that may lie in a range of time.
pub fn ticks_in(host: usize, range: &RangeInclusive<i64>) -> RangeInclusive<i64> {
    let tick_of = |ms: i64| (ms - BASE_MS - host as i64 * 1_237 % STEP_MS).div_euclid(STEP_MS);
    tick_of(*range.start()).max(0)..=tick_of(*range.end())
}

//! A random history of two databases: samples, late ones, corrections, deletions, flushes, merges and restarts.

use crate::world::Rng;
use narthex::{
    Counts, Db, Durability, Histogram, Labels, Matcher, Options, Overwrite, ResetHint, Rollup, Span,
};
use narthex::{labels, stale_nan};
use std::path::Path;
use std::time::Duration;

/// The first window ends a while after this.
pub(super) const START_MS: i64 = 1_700_000_000_000 / 600_000 * 600_000;
pub(super) const NARROW_MS: i64 = 20_000;
pub(super) const WIDE_MS: i64 = 100_000;

/// Who makes values.
#[derive(Debug)]
struct Maker {
    labels: Labels,
    kind: Kind,
    value: f64,
    next_ms: i64,
    pause_ms: i64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// Grows by whole numbers, with resets.
    Counter,
    /// Grows by fractions, with resets.
    Fractions,
    Gauge,
    Odd,
    Histograms,
}

/// The two databases and what writes to them.
pub(super) struct World {
    pub(super) rolled: Db,
    pub(super) plain: Db,
    rng: Rng,
    makers: Vec<Maker>,
    pub(super) now_ms: i64,
    deletions: Vec<(u64, u64)>,
}

fn options(dir: &Path) -> Options {
    Options::new(dir)
        .background(false)
        .durability(Durability::Never)
        .overwrite(Overwrite::Last)
        .segment_span(Duration::from_secs(300))
        .flush_samples_min(2_000)
}

pub(super) fn rolled(dir: &Path) -> Options {
    let rollup = |width_ms: i64| Rollup::every(Duration::from_millis(width_ms as u64));
    let some = vec![Matcher::re("__name__", "counter|fractions|gauge|mixed")];
    options(dir)
        .rollup(rollup(NARROW_MS))
        .rollup(rollup(WIDE_MS).of(some).of(vec![Matcher::eq("host", "b")]))
}

fn open(dir: &Path) -> (Db, Db) {
    let rolled = Db::open(rolled(&dir.join("rolled"))).expect("the database with rollups opens");
    let plain = Db::open(options(&dir.join("plain"))).expect("the database without opens");
    (rolled, plain)
}

impl World {
    pub(super) fn new(dir: &Path, seed: u64) -> Self {
        let (rolled, plain) = open(dir);
        let kinds = [
            ("counter", Kind::Counter),
            ("fractions", Kind::Fractions),
            ("gauge", Kind::Gauge),
            ("odd", Kind::Odd),
            ("mixed", Kind::Histograms),
        ];
        let mut rng = Rng::new(seed);
        let mut makers = Vec::new();
        for (name, kind) in kinds {
            for host in ["a", "b"] {
                makers.push(Maker {
                    labels: labels! { "__name__" => name, "host" => host },
                    kind,
                    value: 0.0,
                    next_ms: START_MS + 1 + rng.below(5_000) as i64,
                    pause_ms: 3_000 + 1_000 * rng.below(4) as i64,
                });
            }
        }
        Self {
            rolled,
            plain,
            rng,
            makers,
            now_ms: START_MS,
            deletions: Vec::new(),
        }
    }

    fn push_both(&self, samples: &[(Labels, i64, Value)]) {
        for db in [&self.rolled, &self.plain] {
            let mut batch = db.batch();
            for (labels, time, value) in samples {
                match value {
                    Value::Float(value) => batch.push(labels, *time, *value),
                    Value::Histogram(count) => batch.push_histogram(labels, *time, &histogram(*count)),
                };
            }
            batch.commit().expect("the batch is stored");
        }
    }

    /// Goes on by some minutes.
    pub(super) fn scrape(&mut self, minutes: i64) {
        self.now_ms += minutes * 60_000;
        let mut samples = Vec::new();
        for maker in &mut self.makers {
            while maker.next_ms <= self.now_ms {
                let rng = &mut self.rng;
                samples.push((maker.labels.clone(), maker.next_ms, maker.value(rng)));
                maker.next_ms += match rng.below(60) {
                    0 => 400_000,
                    1..5 => maker.pause_ms + rng.below(50) as i64,
                    _ => maker.pause_ms,
                };
            }
        }
        self.push_both(&samples);
    }

    /// A time in the past, now and then at the edge of a window.
    fn past_ms(&mut self) -> i64 {
        let span = (self.now_ms - START_MS).max(1) as u64;
        let time = START_MS + 1 + self.rng.below(span) as i64;
        if self.rng.chance(4) {
            time / WIDE_MS * WIDE_MS
        } else {
            time
        }
    }

    /// Does something that changes what was written before.
    pub(super) fn disturb(&mut self) {
        match self.rng.below(6) {
            0 | 1 => {
                let mut samples = Vec::new();
                for _ in 0..=self.rng.below(8) {
                    let time = self.past_ms();
                    let maker = self.rng.below(self.makers.len() as u64) as usize;
                    let value = self.makers[maker].value(&mut self.rng);
                    samples.push((self.makers[maker].labels.clone(), time, value));
                }
                self.push_both(&samples);
            }
            2 | 3 => {
                let (from, length) = (self.past_ms(), self.rng.below(900_000) as i64);
                let name = *self.rng.pick(&["counter", "gauge", "mixed", "odd"]);
                let mut matchers = vec![Matcher::eq("__name__", name)];
                if self.rng.chance(2) {
                    matchers.push(Matcher::eq("host", "a"));
                }
                let delete = |db: &Db| db.delete(&matchers, from..=from + length).expect("deletes");
                self.deletions.push((delete(&self.rolled), delete(&self.plain)));
            }
            4 if !self.deletions.is_empty() => {
                let at = self.rng.below(self.deletions.len() as u64) as usize;
                let (rolled, plain) = self.deletions.swap_remove(at);
                let undone = self.rolled.undelete(rolled).expect("undeletes");
                assert_eq!(undone, self.plain.undelete(plain).expect("undeletes"));
            }
            _ => {}
        }
    }

    /// Does some of what a database does by itself.
    pub(super) fn upkeep(&mut self) {
        let both = |work: &dyn Fn(&Db)| [&self.rolled, &self.plain].into_iter().for_each(work);
        match self.rng.below(6) {
            0 => both(&|db| db.flush().expect("flushes")),
            1 => both(&|db| {
                db.flush().expect("flushes");
                while db.step().expect("steps") {}
            }),
            2 => both(&|db| db.compact().expect("compacts")),
            3 => both(&|db| {
                for _ in 0..20 {
                    db.step().expect("steps");
                }
            }),
            _ => {}
        }
    }

    /// Opens both again.
    pub(super) fn reopen(self, dir: &Path) -> Self {
        let Self {
            rng,
            makers,
            now_ms,
            deletions,
            rolled,
            plain,
        } = self;
        for db in [rolled, plain] {
            db.close().expect("closes");
        }
        let (rolled, plain) = open(dir);
        Self {
            rolled,
            plain,
            rng,
            makers,
            now_ms,
            deletions,
        }
    }

    pub(super) fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }
}

enum Value {
    Float(f64),
    Histogram(u64),
}

impl Maker {
    fn value(&mut self, rng: &mut Rng) -> Value {
        if rng.chance(80) {
            return Value::Float(stale_nan());
        }
        let step = rng.below(100) as f64;
        self.value = match self.kind {
            Kind::Counter | Kind::Fractions if rng.chance(90) => 0.0,
            Kind::Counter => self.value + step,
            Kind::Fractions => self.value + step / 7.0,
            Kind::Gauge => step / 3.0 - 10.0,
            Kind::Odd => *rng.pick(&[0.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1.0, -1.5]),
            Kind::Histograms => self.value + 1.0,
        };
        if self.kind == Kind::Histograms && rng.below(1_000) < 200 {
            return Value::Histogram(self.value as u64);
        }
        Value::Float(self.value)
    }
}

pub(super) fn histogram(count: u64) -> Histogram {
    Histogram {
        reset_hint: ResetHint::Unknown,
        schema: 0,
        zero_threshold: 0.0,
        sum: count as f64,
        positive_spans: vec![Span { offset: 0, length: 1 }],
        negative_spans: Vec::new(),
        custom_values: Vec::new(),
        counts: Counts::Int {
            count,
            zero_count: 0,
            positive: vec![count as i64],
            negative: Vec::new(),
        },
    }
}

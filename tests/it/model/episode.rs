//! One episode: a database from its creation on, its twin, and the dice that choose what comes next.

use super::copies::Backup;
use super::setup::Setup;
use super::twin::{Place, Twin};
use super::{Coverage, Kind};
use crate::play::{DIR, Dice, from_environment};
use narthex::testing::SimFs;
use narthex::{Db, Exemplar, ManualClock, Options};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Few series, so that they collide.
pub(super) const SERIES: usize = 40;
/// Distance of two timestamps.
pub(super) const TICK: i64 = 15_000;

pub(super) struct Episode<'a> {
    pub(super) seed: u64,
    pub(super) dice: Dice,
    pub(super) fs: SimFs,
    /// Where the database is; a new one after it moved to a snapshot or was restored.
    pub(super) dir: String,
    pub(super) folders: usize,
    pub(super) backups: Vec<Backup>,
    pub(super) clock: Arc<ManualClock>,
    /// `None` only while it is being opened again.
    pub(super) db: Option<Db>,
    pub(super) twin: Twin,
    pub(super) coverage: &'a mut Coverage,
    /// The tick at which new samples come.
    pub(super) now: i64,
    /// Exemplars that were written, some to be written again.
    pub(super) exemplars: Vec<(usize, Exemplar)>,
    /// How a place was taken.
    pub(super) taken: BTreeMap<Place, Kind>,
    /// What was done last to a series.
    last: BTreeMap<usize, Kind>,
    /// The newest timestamp of each series that was ever accepted.
    pub(super) newest: BTreeMap<usize, i64>,
    pub(super) setup: Setup,
    /// Log lines of the last operations, shown when something goes wrong.
    trace: Vec<String>,
}

impl<'a> Episode<'a> {
    pub(super) fn new(seed: u64, coverage: &'a mut Coverage) -> Self {
        let mut dice = Dice(seed);
        let setup = Setup::new(&mut dice);
        let now = 10_000 + dice.below(1000) as i64;
        let mut episode = Self {
            seed,
            fs: SimFs::new(),
            dir: DIR.into(),
            folders: 0,
            backups: Vec::new(),
            clock: Arc::new(ManualClock::new(now * TICK)),
            db: None,
            twin: Twin::default(),
            coverage,
            now,
            exemplars: Vec::new(),
            taken: BTreeMap::new(),
            last: BTreeMap::new(),
            newest: BTreeMap::new(),
            setup,
            trace: Vec::new(),
            dice,
        };
        episode.open();
        if episode.dice.percent(5) {
            episode.write_many_series();
        }
        episode
    }

    pub(super) fn db(&self) -> Db {
        self.db.clone().expect("an episode has a database")
    }

    pub(super) fn options(&mut self) -> Options {
        self.setup
            .options(&self.dir, &self.fs, &self.clock, &mut self.dice)
    }

    pub(super) fn open(&mut self) {
        let options = self.options();
        let db = Db::open(options).unwrap_or_else(|error| self.fail(&format!("opening: {error}")));
        self.db = Some(db);
    }

    /// Ends the database that is open, without closing it first.
    pub(super) fn drop_db(&mut self) {
        self.db = None;
    }

    pub(super) fn take_db(&mut self) -> Db {
        self.db.take().expect("an episode has a database")
    }

    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        if self.trace.len() >= 2000 {
            self.trace.drain(..1000);
        }
        let line = format!("{}: {}", self.coverage.operations, line());
        self.trace.push(line);
    }

    pub(super) fn fail(&self, what: &str) -> ! {
        let from = self
            .trace
            .len()
            .saturating_sub(from_environment("NARTHEX_TRACE", 40) as usize);
        panic!(
            "episode {}, operation {}: {what}\n{}",
            self.seed,
            self.coverage.operations,
            self.trace[from..].join("\n")
        );
    }

    pub(super) fn play(&mut self, end: u64) {
        while self.coverage.operations < end {
            self.clock.advance(1 + self.dice.below(20_000) as i64);
            match self.dice.below(100) {
                0..=43 => self.write_batch(),
                44..=52 => self.delete(),
                53..=60 => self.undelete(),
                61..=70 => self.read_something(),
                _ => self.happen(),
            }
        }
        self.read_everything();
        let db = self.db();
        self.coverage.segments += db.stats().map_or(0, |stats| stats.segments as u64);
    }

    /// Notes an operation at a place.
    pub(super) fn touch(&mut self, place: Place, kind: Kind) {
        self.follow(place.0, kind);
        if let Some(first) = self.taken.get(&place).copied() {
            *self.coverage.colliding.entry(kind).or_default() += 1;
            *self.coverage.colliding.entry(first).or_default() += 1;
        }
        self.taken.insert(place, kind);
    }

    /// Notes what was done to a series, after what was done to it before.
    pub(super) fn follow(&mut self, series: usize, kind: Kind) {
        if let Some(before) = self.last.insert(series, kind) {
            *self.coverage.pairs.entry((before, kind)).or_default() += 1;
        }
    }

    /// Notes that an operation at a place was of this kind as well.
    pub(super) fn collide(&mut self, place: Place, kind: Kind) {
        if self.taken.contains_key(&place) {
            *self.coverage.colliding.entry(kind).or_default() += 1;
        }
    }

    /// Notes something that happened to all series.
    pub(super) fn happens(&mut self, kind: Kind) {
        self.coverage.count(kind);
        self.note(|| format!("{kind:?}"));
        let is_of_the_log = matches!(
            kind,
            Kind::Flush | Kind::FullFlush | Kind::Checkpoint | Kind::Sync
        );
        // Merges and retention passes are counted by place.
        if !matches!(kind, Kind::Merge | Kind::Retention) && self.twin.has_collision(is_of_the_log) {
            *self.coverage.colliding.entry(kind).or_default() += 1;
        }
        if matches!(
            kind,
            Kind::Flush | Kind::Merge | Kind::Restore | Kind::Reopen | Kind::Kill | Kind::PowerLoss
        ) {
            for last in self.last.values_mut() {
                *self.coverage.pairs.entry((*last, kind)).or_default() += 1;
                *last = kind;
            }
        }
    }
}

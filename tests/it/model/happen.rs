//! What happens to a database between writes: flushes, steps, reopenings, kills and power losses.

use super::Kind;
use super::episode::Episode;
use super::setup::SERIES_IDLE;
use narthex::testing::CrashMode;
use narthex::{Durability, Error, Fs};
use std::path::Path;

const A_DAY_MS: i64 = 86_400_000;

impl Episode<'_> {
    pub(super) fn happen(&mut self) {
        match self.dice.below(116) {
            0..=15 => self.flush(),
            16..=23 => self.flush_on_a_full_disk(),
            24..=37 => self.compact(),
            38 => self.clock.advance(A_DAY_MS),
            39..=66 => self.step(),
            67..=71 => self.sync(),
            72..=81 => self.reopen(),
            82..=90 => self.kill(),
            91..=99 => self.lose_power(),
            100..=107 => self.snapshot(),
            _ => self.restore(),
        }
    }

    pub(super) fn flush(&mut self) {
        self.happens(Kind::Flush);
        let flushed = self.db().flush();
        flushed.unwrap_or_else(|error| self.fail(&format!("flush: {error}")));
        self.flushed();
    }

    /// Everything is in segments.
    pub(super) fn flushed(&mut self) {
        let now = self.metas();
        self.twin.flush(&now).unwrap_or_else(|error| self.fail(&error));
    }

    /// What was frozen is in segments.
    fn flushed_frozen(&mut self) {
        let new = self.twin.new_flushed(&self.metas());
        self.twin
            .flush_frozen(&new)
            .unwrap_or_else(|error| self.fail(&error));
    }

    /// Files in the folder whose names begin so.
    fn names(&self, prefix: &str) -> Vec<String> {
        let mut names = self.fs.list(Path::new(&self.dir)).expect("the folder is there");
        names.retain(|name| name.starts_with(prefix));
        names
    }

    /// There is room for a new log file and for little more: the generation is frozen, and cannot be written.
    fn flush_on_a_full_disk(&mut self) {
        self.happens(Kind::FullFlush);
        let before = (self.names("wal-").pop(), self.metas().len());
        let room = *self.dice.pick(&[0, 2500, 4000]);
        self.fs.set_capacity(Some(self.fs.used_bytes() + room));
        let flushed = self.db().flush();
        self.fs.set_capacity(None);
        let has_rotated = self.names("wal-").pop() != before.0;
        self.note(|| format!("rotated {has_rotated}, {flushed:?}"));
        match flushed {
            Ok(()) => self.flushed(),
            Err(Error::OutOfSpace(_)) => {
                // A rotation after what was frozen before was written freezes the rest.
                if has_rotated {
                    self.flushed_frozen();
                    self.twin.freeze();
                } else if self.metas().len() > before.1 {
                    self.flushed_frozen();
                }
            }
            Err(error) => self.fail(&format!("flush on a full disk: {error}")),
        }
    }

    /// Background work until there is none left.
    fn step(&mut self) {
        self.happens(Kind::Step);
        let mut steps = 0;
        while self.step_once() {
            steps += 1;
            if steps > 200 {
                self.fail("steps without end");
            }
        }
        // What was frozen and held nothing left no segment.
        self.flushed_frozen();
        self.check_retained();
        self.note(|| format!("{steps} steps"));
        self.learn_what_is_durable();
    }

    /// One piece of background work; whether there was any.
    pub(super) fn step_once(&mut self) -> bool {
        let ages = self.ages();
        let checkpoint = self.names("checkpoint-");
        let newest = self.db().stats().map_or(None, |stats| stats.head_bounds);
        if let Some((_, newest)) = newest {
            self.twin
                .evict(newest.saturating_sub(SERIES_IDLE.as_millis() as i64));
        }
        let stepped = self.db().step();
        if !stepped.unwrap_or_else(|error| self.fail(&format!("step: {error}"))) {
            return false;
        }
        let flushed = !self.twin.new_flushed(&self.metas()).is_empty();
        self.note(|| format!("step, flushed {flushed}"));
        if flushed {
            if self.twin.frozen_lsn.is_none() {
                self.twin.freeze();
            }
            self.flushed_frozen();
        }
        if self.names("checkpoint-") != checkpoint && !self.names("checkpoint-").is_empty() {
            self.happens(Kind::Checkpoint);
            self.twin.checkpoint();
            self.twin.all_durable();
        }
        self.follow_segments(&ages);
        true
    }

    /// A tick may have synced; to know for certain, everything is made durable.
    fn learn_what_is_durable(&mut self) {
        if self.dice.percent(30) {
            let synced = self.db().sync();
            synced.unwrap_or_else(|error| self.fail(&format!("sync: {error}")));
            self.twin.all_durable();
        }
    }

    fn sync(&mut self) {
        self.happens(Kind::Sync);
        let synced = self.db().sync();
        synced.unwrap_or_else(|error| self.fail(&format!("sync: {error}")));
        self.twin.all_durable();
    }

    fn reopen(&mut self) {
        self.happens(Kind::Reopen);
        let closed = self.take_db().close();
        closed.unwrap_or_else(|error| self.fail(&format!("close: {error}")));
        self.open();
        self.reopened();
        self.read_everything();
    }

    fn kill(&mut self) {
        self.happens(Kind::Kill);
        let image = self.fs.kill();
        self.drop_db();
        self.fs = image;
        self.open();
        self.reopened();
        self.read_everything();
    }

    fn lose_power(&mut self) {
        self.happens(Kind::PowerLoss);
        let mode = *self.dice.pick(&CrashMode::ALL);
        let image = self.fs.crash(self.dice.next(), mode);
        self.drop_db();
        self.fs = image;
        self.open();
        let lsn = self.last_lsn();
        self.note(|| format!("{mode:?}, up to {lsn} survived"));
        if lsn < self.twin.durable_lsn() {
            self.fail(&format!("up to {} was durable", self.twin.durable_lsn()));
        }
        self.coverage.lossy += u64::from(lsn < self.twin.last_lsn);
        self.twin.lose_after(lsn);
        self.reopened();
        self.read_everything();
    }

    pub(super) fn reopened(&mut self) {
        let segments = self.db().segments();
        let newest = segments.iter().map(|segment| segment.meta.time_max).max();
        let known: Vec<u128> = self.twin.segments.keys().copied().collect();
        let mut there: Vec<u128> = segments.iter().map(|segment| segment.meta.ulid).collect();
        there.sort_unstable();
        if there != known {
            self.fail(&format!("segments {there:?}, and before {known:?}"));
        }
        let has_checkpoint = !self.names("checkpoint-").is_empty();
        self.twin.reopened(newest, has_checkpoint);
        self.check_recovery();
    }

    /// An empty batch rests on everything before it.
    pub(super) fn last_lsn(&self) -> u64 {
        let mut batch = self.db().batch();
        batch.durability(Durability::Never);
        let report = batch.commit();
        report
            .unwrap_or_else(|error| self.fail(&format!("an empty batch: {error}")))
            .lsn
    }

    fn check_recovery(&self) {
        let report = self.db().recovery().clone();
        if !report.gaps.is_empty() || report.lost_samples > 0 || !report.quarantined.is_empty() {
            self.fail(&format!("{report:?}"));
        }
        for name in self.fs.list(Path::new(&self.dir)).expect("the folder is there") {
            if name.ends_with(".tmp") {
                self.fail(&format!("{name} was left"));
            }
        }
    }
}

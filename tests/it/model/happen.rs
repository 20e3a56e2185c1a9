//! What happens to a database between writes: flushes, steps, reopenings, kills and power losses.

use super::Kind;
use super::episode::Episode;
use crate::play::DIR;
use narthex::testing::CrashMode;
use narthex::{Durability, Error, Fs};
use std::path::Path;

impl Episode<'_> {
    pub(super) fn happen(&mut self) {
        match self.dice.below(100) {
            0..=9 => self.flush(),
            10..=17 => self.flush_on_a_full_disk(),
            18..=62 => self.step(),
            63..=71 => self.sync(),
            72..=81 => self.reopen(),
            82..=90 => self.kill(),
            _ => self.lose_power(),
        }
    }

    fn flush(&mut self) {
        self.happens(Kind::Flush);
        let flushed = self.db().flush();
        flushed.unwrap_or_else(|error| self.fail(&format!("flush: {error}")));
        self.twin.flush();
    }

    /// Files in the folder whose names begin so.
    fn names(&self, prefix: &str) -> Vec<String> {
        let mut names = self.fs.list(Path::new(DIR)).expect("the folder is there");
        names.retain(|name| name.starts_with(prefix));
        names
    }

    /// The largest LSN in segments, and their number.
    fn segments(&self) -> (u64, usize) {
        let segments = self.db().segments();
        let lsns = segments.iter().map(|segment| segment.meta.lsn_last);
        (lsns.max().unwrap_or(0), segments.len())
    }

    /// There is room for a new log file and for little more: the generation is frozen, and cannot be written.
    fn flush_on_a_full_disk(&mut self) {
        self.happens(Kind::FullFlush);
        let before = (self.names("wal-").pop(), self.segments().1);
        let room = *self.dice.pick(&[0, 2500, 4000]);
        self.fs.set_capacity(Some(self.fs.used_bytes() + room));
        let flushed = self.db().flush();
        self.fs.set_capacity(None);
        let has_rotated = self.names("wal-").pop() != before.0;
        self.note(|| format!("rotated {has_rotated}, {flushed:?}"));
        match flushed {
            Ok(()) => self.twin.flush(),
            Err(Error::OutOfSpace(_)) => {
                // A rotation after what was frozen before was written freezes the rest.
                if has_rotated {
                    self.twin.flush_frozen();
                    self.twin.freeze();
                } else if self.segments().1 > before.1 {
                    self.twin.flush_frozen();
                }
            }
            Err(error) => self.fail(&format!("flush on a full disk: {error}")),
        }
    }

    /// Background work until there is none left.
    fn step(&mut self) {
        self.happens(Kind::Step);
        let (before, checkpoint) = (self.segments().0, self.names("checkpoint-"));
        let before = before.max(self.twin.frozen_lsn.unwrap_or(0));
        let mut steps = 0;
        while self
            .db()
            .step()
            .unwrap_or_else(|error| self.fail(&format!("step: {error}")))
        {
            steps += 1;
            if steps > 50 {
                self.fail("steps without end");
            }
        }
        self.twin.flush_frozen();
        let has_flushed = self.segments().0 > before;
        if has_flushed {
            self.twin.flush();
        }
        if steps > 0 && self.names("checkpoint-") != checkpoint && !self.names("checkpoint-").is_empty() {
            self.coverage.count(Kind::Checkpoint);
            self.twin.all_durable();
        }
        self.note(|| format!("{steps} steps, flushed {has_flushed}"));
        self.learn_what_is_durable();
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

    fn reopened(&mut self) {
        let segments = self.db().segments();
        let newest = segments.iter().map(|segment| segment.meta.time_max).max();
        self.twin.reopened(newest);
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
        for name in self.fs.list(Path::new(DIR)).expect("the folder is there") {
            if name.ends_with(".tmp") {
                self.fail(&format!("{name} was left"));
            }
        }
    }
}

//! Snapshots, backups and restores: what they hold, and that the database goes on in them.

use super::Kind;
use super::episode::Episode;
use super::twin::Twin;
use narthex::testing::{CrashMode, SimFs};
use narthex::{Db, Fs, SegmentMeta};
use std::path::Path;

/// A backup and what is in it.
#[derive(Clone)]
pub(super) struct Backup {
    dir: String,
    twin: Twin,
}

impl Episode<'_> {
    fn new_folder(&mut self, name: &str) -> String {
        self.folders += 1;
        format!("data/{name}-{}", self.folders)
    }

    fn remove_folder(&self, dir: &str) {
        let dir = Path::new(dir);
        for name in self.fs.list(dir).expect("the folder is there") {
            // Folders in it are not of interest.
            let _ = self.fs.remove(&dir.join(name));
        }
    }

    /// The disk after a power loss, or as it is.
    fn lose_power_or_not(&mut self) -> SimFs {
        if self.dice.percent(50) {
            return self.fs.clone();
        }
        let mode = *self.dice.pick(&CrashMode::ALL);
        self.note(|| format!("power loss, {mode:?}"));
        self.fs.crash(self.dice.next(), mode)
    }

    pub(super) fn snapshot(&mut self) {
        self.happens(Kind::Snapshot);
        let dir = self.new_folder("copy");
        let report = self.db().snapshot(&dir);
        let report = report.unwrap_or_else(|error| self.fail(&format!("snapshot: {error}")));
        if report.lsn != self.last_lsn() || !report.missing.is_empty() {
            self.fail(&format!("{report:?}, the last record is {}", self.last_lsn()));
        }
        self.twin.last_lsn = report.lsn;
        self.twin.all_durable();
        let goes_on_in_it = self.dice.percent(40);
        self.note(|| format!("snapshot {dir}, goes on in it {goes_on_in_it}"));
        if goes_on_in_it {
            let image = self.lose_power_or_not();
            self.move_to(image, dir);
        } else {
            self.look_into(&dir);
            self.remove_folder(&dir);
        }
    }

    /// What a snapshot shows, perhaps after a power loss that the database itself did not live through.
    fn look_into(&mut self, dir: &str) {
        let image = self.lose_power_or_not();
        let deletions = self.db().deletions();
        let options = self.setup.options(dir, &image, &self.clock, &mut self.dice);
        let copy = Db::open(options).unwrap_or_else(|error| self.fail(&format!("the snapshot: {error}")));
        if copy.deletions() != deletions {
            self.fail(&format!(
                "{:?}, in the snapshot {:?}",
                deletions,
                copy.deletions()
            ));
        }
        let original = self.db.replace(copy);
        self.read_everything();
        self.read_aside();
        self.db = original;
    }

    /// The database goes on in another folder, perhaps on another disk.
    fn move_to(&mut self, fs: SimFs, dir: String) {
        self.drop_db();
        self.fs = fs;
        let left = std::mem::replace(&mut self.dir, dir);
        self.remove_folder(&left);
        self.open();
        self.reopened();
        if self.last_lsn() != self.twin.last_lsn {
            self.fail(&format!(
                "{} is the last record, not {}",
                self.last_lsn(),
                self.twin.last_lsn
            ));
        }
        self.read_everything();
    }

    /// A full backup, or one that leans on the last, which may be one of the database that this was restored from.
    fn back_up(&mut self) {
        self.happens(Kind::Backup);
        let is_full = self.dice.percent(30) || self.backups.len() > 4;
        if is_full {
            let old = std::mem::take(&mut self.backups);
            old.iter().for_each(|backup| self.remove_folder(&backup.dir));
        }
        let since = self.backups.last().map(|backup| backup.dir.clone());
        let (from, to) = if self.dice.percent(20) {
            self.range()
        } else {
            (i64::MIN, i64::MAX)
        };
        let dir = self.new_folder("backup");
        let report = self.db().backup(&dir, from..=to, since.as_deref().map(Path::new));
        let report = report.unwrap_or_else(|error| self.fail(&format!("backup: {error}")));
        self.note(|| format!("backup {dir} since {since:?} of {from}..={to}: {report:?}"));
        self.flushed();
        // Marks are records as well.
        if !report.is_sound() || report.lsn < self.twin.last_lsn || report.lsn > self.last_lsn() {
            self.fail(&format!(
                "{report:?}, the last record is {} or {}",
                self.twin.last_lsn,
                self.last_lsn()
            ));
        }
        let mut twin = self.twin.clone();
        twin.last_lsn = report.lsn;
        twin.all_durable();
        twin.keep_segments(|meta: &SegmentMeta| {
            meta.time_min > meta.time_max || meta.time_min <= to && meta.time_max >= from
        });
        self.backups.push(Backup { dir, twin });
    }

    /// The database becomes what it was at one of its backups.
    pub(super) fn restore(&mut self) {
        if self.backups.is_empty() || self.dice.percent(60) {
            self.back_up();
        }
        self.happens(Kind::Restore);
        let count = self.backups.len();
        let links = if self.dice.percent(70) {
            count
        } else {
            1 + self.dice.below(count)
        };
        for backup in self.backups.split_off(links) {
            self.remove_folder(&backup.dir);
        }
        let chain: Vec<&str> = self.backups.iter().map(|backup| backup.dir.as_str()).collect();
        let twin = self.backups.last().map(|backup| backup.twin.clone());
        let twin = twin.expect("there is a backup");
        let dir = format!("data/restored-{}", self.folders + 1);
        let options = self.setup.options(&dir, &self.fs, &self.clock, &mut self.dice);
        let report = Db::restore(&chain, &options);
        let report = report.unwrap_or_else(|error| self.fail(&format!("restore: {error}")));
        if !report.is_sound() || report.lsn != twin.last_lsn {
            self.fail(&format!("{report:?}, of {}", twin.last_lsn));
        }
        self.folders += 1;
        self.note(|| format!("restored {dir} of {links} backups: {report:?}"));
        self.twin = twin;
        let twin = &self.twin;
        self.taken
            .retain(|place, _| twin.place_after(*place) == Some(*place));
        let image = self.lose_power_or_not();
        self.move_to(image, dir);
    }
}

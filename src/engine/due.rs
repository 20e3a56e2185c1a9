//! What the database does now, did lately, and will do next: for who watches over it.
//!
//! What is due is worked out when somebody asks, by the rules by which steps decide. Who asks waits for no work: while a step has
//! what these rules need, that part is left out.

use super::Engine;
use super::background::STEP_INTERVAL;
use super::jobs::Job;
use std::sync::TryLockError;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Background work, and what an operator asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Upkeep {
    /// What runs, the first one first.
    pub running: Vec<Job>,
    /// What ended lately, the latest first: the last 64.
    pub ended: Vec<Job>,
    /// What is due next.
    pub due: Due,
}

/// What is due next.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Due {
    /// How often the background looks for work, retention included; `None` without background threads.
    pub looks_every: Option<Duration>,
    /// Whether a piece of work is being done at this moment, so that merges, the time of the next flush and the size of the next
    /// checkpoint are not known.
    pub is_busy: bool,
    /// When it is looked for merges again, in milliseconds since 1970; `None` with the next look for work, or while one is under
    /// way.
    pub merge_look_ms: Option<i64>,
    /// The merge that comes next.
    pub merge: Option<DueMerge>,
    /// Files of segments that wait to be removed until nobody reads them.
    pub retired: usize,
    /// Samples in memory.
    pub flush_samples: u64,
    /// When they are written at the latest, in milliseconds since 1970; mostly their span or number makes that due before.
    pub flush_at_latest_ms: Option<i64>,
    /// Bytes of log since the last checkpoint or flush.
    pub log_bytes: u64,
    /// Bytes of log that make a checkpoint due.
    pub checkpoint_log_bytes: Option<u64>,
    /// When the age of a segment makes it go next, in the unit of timestamps.
    pub retention_at: Option<i64>,
}

/// A merge that is due and has not begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DueMerge {
    /// Its members.
    pub segments: usize,
    /// Their bytes.
    pub bytes: u64,
    /// When it may begin, in milliseconds since 1970, if not at once: another one failed.
    pub not_before_ms: Option<i64>,
}

impl Engine {
    pub(crate) fn upkeep(&self) -> Upkeep {
        let (running, ended) = self.jobs();
        Upkeep {
            running,
            ended,
            due: self.due_next(),
        }
    }

    fn due_next(&self) -> Due {
        let samples = self.view.load().generations.iter().map(|one| one.samples()).sum();
        let has_threads = self.options.background && !self.options.read_only;
        let mut due = Due {
            looks_every: has_threads.then_some(STEP_INTERVAL),
            is_busy: true,
            merge_look_ms: None,
            merge: None,
            retired: 0,
            flush_samples: samples,
            flush_at_latest_ms: None,
            log_bytes: self.log_bytes.load(Ordering::Relaxed),
            checkpoint_log_bytes: None,
            retention_at: self.next_drop(),
        };
        let maintenance = match self.maintenance.try_lock() {
            Ok(maintenance) => maintenance,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return due,
        };
        due.is_busy = false;
        due.retired = maintenance.compaction.retired();
        due.flush_at_latest_ms = self.flush_at_latest_ms(&maintenance);
        due.checkpoint_log_bytes = (!self.is_in_memory()).then(|| self.checkpoint_from(&maintenance));
        if !maintenance.compaction.is_under_way() {
            due.merge_look_ms = self.next_look_ms(&maintenance.compaction);
            let (members, from_ms) = self.next_merge(&maintenance.compaction);
            due.merge = members.map(|members| DueMerge {
                segments: members.len(),
                bytes: members.iter().map(|member| member.file_bytes()).sum(),
                not_before_ms: Some(from_ms).filter(|from_ms| self.options.clock.now_ms() < *from_ms),
            });
        }
        due
    }
}

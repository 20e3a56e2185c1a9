//! What the database does by itself and for its operator: what runs, and what ran lately.
//!
//! A job is noted where it begins and where it ends, under a lock of its own that no write, no read and no other work waits for.
//! Work that goes on over several steps keeps its [`Running`] meanwhile; one that is dropped without an end was given up.

use super::Engine;
use super::error::Error;
use crate::base::clock::Clock;
use crate::segment::reader::Segment;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Ended jobs that are remembered.
const ENDED_MAX: usize = 64;

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum JobKind {
    /// Writes what is in memory to segments.
    Flush,
    /// Writes what is in memory to a checkpoint.
    Checkpoint,
    /// Makes one segment of several.
    Merge,
    /// Makes rollups of samples.
    Rollup,
    /// Drops segments that are too old or too many.
    Retention,
    /// Drops logs and events that are too old.
    RecordRetention,
    /// Makes a snapshot.
    Snapshot,
    /// Makes a backup.
    Backup,
    /// Brings what a backup has.
    Attach,
}

impl JobKind {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Flush => "flush",
            Self::Checkpoint => "checkpoint",
            Self::Merge => "merge",
            Self::Rollup => "rollup",
            Self::Retention => "retention",
            Self::RecordRetention => "record retention",
            Self::Snapshot => "snapshot",
            Self::Backup => "backup",
            Self::Attach => "restore",
        }
    }
}

/// What a job has to do with, as far as that is known.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct JobSums {
    /// Segments that a flush or an attachment wrote, a merge made one of, retention dropped, a snapshot or backup took.
    pub segments: u64,
    /// Samples in these.
    pub samples: Option<u64>,
    /// Bytes that were written, or dropped by retention; of a merge that runs, those of its members.
    pub bytes: Option<u64>,
}

impl JobSums {
    pub(super) fn of_segments(segments: &[Arc<Segment>]) -> Self {
        let samples = segments.iter().map(|one| one.meta.floats + one.meta.histograms);
        Self {
            segments: segments.len() as u64,
            samples: Some(samples.sum()),
            bytes: Some(segments.iter().map(|one| one.file_bytes()).sum()),
        }
    }
}

/// Something the database did or does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Job {
    /// Grows by one from each job to the next.
    pub id: u64,
    /// What it does.
    pub kind: JobKind,
    /// When it began, in milliseconds since 1970.
    pub begun_ms: i64,
    /// Milliseconds until it ended, or so far.
    pub took_ms: u64,
    /// What it has to do with.
    pub sums: JobSums,
    /// Why it failed, if it did. One that was given up, as a merge whose segments were dropped, did.
    pub error: Option<String>,
    /// How many such jobs came to the same end in a row; they count as one.
    pub times: u64,
}

/// The jobs of a database.
#[derive(Debug)]
pub(super) struct Jobs {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last_id: u64,
    running: Vec<Job>,
    /// The latest first.
    ended: VecDeque<Job>,
}

/// A job that runs.
#[derive(Debug)]
pub(super) struct Running {
    jobs: Arc<Jobs>,
    id: u64,
    is_over: bool,
}

impl Jobs {
    pub(super) fn new(clock: &Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            clock: clock.clone(),
            state: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(self: &Arc<Self>, kind: JobKind, sums: JobSums) -> Running {
        let begun_ms = self.clock.now_ms();
        let mut state = self.lock();
        state.last_id += 1;
        let id = state.last_id;
        state.running.push(Job {
            id,
            kind,
            begun_ms,
            took_ms: 0,
            sums,
            error: None,
            times: 1,
        });
        Running {
            jobs: self.clone(),
            id,
            is_over: false,
        }
    }

    /// A short one that was done already.
    fn note(self: &Arc<Self>, kind: JobKind, begun_ms: i64) {
        let running = self.begin(kind, JobSums::default());
        if let Some(job) = self.lock().running.iter_mut().find(|job| job.id == running.id) {
            job.begun_ms = begun_ms;
        }
        running.end(JobSums::default());
    }

    fn end(&self, id: u64, sums: Option<JobSums>, error: Option<String>) {
        let now_ms = self.clock.now_ms();
        let mut state = self.lock();
        let Some(place) = state.running.iter().position(|job| job.id == id) else {
            return;
        };
        let mut job = state.running.remove(place);
        job.took_ms = since(job.begun_ms, now_ms);
        job.sums = sums.unwrap_or(job.sums);
        job.error = error;
        // What is tried again each second, or done in small pieces, must not push out all else.
        if let Some(last) = state.ended.front_mut().filter(|last| last.is_like(&job)) {
            job.times += last.times;
            if job.error.is_none() {
                job.took_ms += last.took_ms;
            }
            *last = job;
            return;
        }
        state.ended.push_front(job);
        state.ended.truncate(ENDED_MAX);
    }

    /// Those that run, the first one first, and those that ended, the latest first.
    fn list(&self) -> (Vec<Job>, Vec<Job>) {
        let now_ms = self.clock.now_ms();
        let state = self.lock();
        let mut running = state.running.clone();
        running
            .iter_mut()
            .for_each(|job| job.took_ms = since(job.begun_ms, now_ms));
        (running, state.ended.iter().cloned().collect())
    }
}

fn since(begun_ms: i64, now_ms: i64) -> u64 {
    u64::try_from(now_ms.saturating_sub(begun_ms)).unwrap_or(0)
}

impl Job {
    /// Whether both count as one job that was done several times.
    fn is_like(&self, other: &Self) -> bool {
        let is_small = self.error.is_some() || self.kind == JobKind::RecordRetention;
        is_small && self.kind == other.kind && self.error == other.error
    }
}

impl Running {
    /// It came to its end.
    pub(super) fn end(mut self, sums: JobSums) {
        self.is_over = true;
        self.jobs.end(self.id, Some(sums), None);
    }

    pub(super) fn fail(mut self, error: &Error) {
        self.is_over = true;
        self.jobs.end(self.id, None, Some(error.to_string()));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_over {
            self.jobs.end(self.id, None, Some("it was given up".to_owned()));
        }
    }
}

impl Engine {
    /// Notes that something begins which goes on over several steps.
    pub(super) fn begin_job(&self, kind: JobKind, sums: JobSums) -> Running {
        self.jobs.begin(kind, sums)
    }

    /// Notes something short that was done since `begun_ms`.
    pub(super) fn note_job(&self, kind: JobKind, begun_ms: i64) {
        self.jobs.note(kind, begun_ms);
    }

    /// Does `work` as a job; `sums` says what it came to.
    pub(super) fn as_job<T>(
        &self,
        kind: JobKind,
        work: impl FnOnce() -> Result<T, Error>,
        sums: impl FnOnce(&T) -> JobSums,
    ) -> Result<T, Error> {
        let running = self.jobs.begin(kind, JobSums::default());
        match work() {
            Ok(done) => {
                running.end(sums(&done));
                Ok(done)
            }
            Err(error) => {
                running.fail(&error);
                Err(error)
            }
        }
    }

    /// The jobs that run, the first one first, and those that ended lately, the latest first.
    pub(crate) fn jobs(&self) -> (Vec<Job>, Vec<Job>) {
        self.jobs.list()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::ManualClock;

    fn jobs() -> (Arc<ManualClock>, Arc<Jobs>) {
        let clock = Arc::new(ManualClock::new(1000));
        let shared: Arc<dyn Clock> = clock.clone();
        (clock, Jobs::new(&shared))
    }

    #[test]
    fn jobs_run_and_end() {
        let (clock, jobs) = jobs();
        let merge = jobs.begin(JobKind::Merge, JobSums::default());
        clock.advance(5);
        let flush = jobs.begin(JobKind::Flush, JobSums::default());
        clock.advance(2);
        let (running, ended) = jobs.list();
        let seen: Vec<_> = running
            .iter()
            .map(|job| (job.kind, job.begun_ms, job.took_ms))
            .collect();
        assert_eq!(seen, [(JobKind::Merge, 1000, 7), (JobKind::Flush, 1005, 2)]);
        assert!(ended.is_empty());
        let sums = JobSums {
            segments: 2,
            ..JobSums::default()
        };
        flush.end(sums);
        drop(merge);
        let (running, ended) = jobs.list();
        assert!(running.is_empty());
        assert_eq!(
            (ended[1].kind, ended[1].sums, &ended[1].error),
            (JobKind::Flush, sums, &None)
        );
        assert_eq!(
            (ended[0].kind, ended[0].error.as_deref()),
            (JobKind::Merge, Some("it was given up"))
        );
        // A clock that goes back makes no job end before it began.
        let begun = jobs.begin(JobKind::Backup, JobSums::default());
        clock.set(0);
        begun.end(sums);
        assert_eq!(jobs.list().1[0].took_ms, 0);
    }

    #[test]
    fn what_fails_again_and_again_pushes_nothing_out() {
        let (_, jobs) = jobs();
        jobs.begin(JobKind::Backup, JobSums::default())
            .end(JobSums::default());
        for _ in 0..200 {
            jobs.begin(JobKind::Flush, JobSums::default())
                .fail(&Error::OutOfSpace("x".into()));
        }
        let ended = jobs.list().1;
        assert_eq!(
            (ended.len(), ended[0].times, ended[1].kind),
            (2, 200, JobKind::Backup)
        );
        for _ in 0..200 {
            jobs.begin(JobKind::Flush, JobSums::default())
                .end(JobSums::default());
        }
        let ended = jobs.list().1;
        assert_eq!((ended.len(), ended[0].times), (ENDED_MAX, 1));
    }
}

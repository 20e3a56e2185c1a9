//! The head: everything that is not in a segment yet, in memory, backed by the log.
//!
//! One lock, the writer's, orders batches: admission, log position and application happen under it. Readers never take
//! it; they lock one slab of series at a time, for as long as it takes to copy what they need, and share the index
//! behind a reader-writer lock that is written only when series come and go.

pub(crate) mod append;
pub(crate) mod checkpoint;
mod create;
mod decode;
pub(crate) mod delete;
mod evict;
pub(crate) mod freeze;
mod late;
mod late_pieces;
pub(crate) mod limits;
mod memory;
pub(crate) mod metadata;
mod order;
pub(crate) mod overwrite;
pub(crate) mod rare;
pub(crate) mod read;
pub(crate) mod recover;
pub(crate) mod report;
pub(crate) mod series;
pub(crate) mod series_data;
mod series_map;
pub(crate) mod slab;
pub(crate) mod stage;
mod state;
mod taken;
pub(crate) mod writer;

use self::limits::Limits;
use self::metadata::MetadataHistory;
use self::overwrite::OverwriteRules;
use self::slab::{Generation, Slab};
use self::writer::Writer;
use crate::index::LiveIndex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, TryLockError};
use std::time::Duration;

pub(crate) use decode::decode_data;
pub use memory::HeadMemory;

/// How long background work waits at a time for commits to pass, and how often.
const GIVE_WAY: Duration = Duration::from_micros(50);
const GIVE_WAY_MAX: usize = 40;
/// How often for a commit that is under way, before a small piece of work that needs no lock of its own.
const GIVE_WAY_SMALL_MAX: usize = 8;

/// The series in memory and their samples.
#[derive(Debug)]
pub(crate) struct Head {
    limits: Limits,
    overwrite: OverwriteRules,
    index: RwLock<LiveIndex>,
    slabs: RwLock<Vec<Arc<Slab>>>,
    metadata: Mutex<MetadataState>,
    /// Cloned by every cursor; while there are clones, no id is given to another series.
    pin: Arc<()>,
    /// Commits that wait for the writer's lock; work in the background lets them go first.
    waiting: AtomicUsize,
    writer: Mutex<Writer>,
}

/// What is known of metrics, and the part of it that the next segment must hold.
#[derive(Debug, Default)]
struct MetadataState {
    all: MetadataHistory,
    live: MetadataHistory,
}

impl Head {
    /// A head whose first generation is `live`.
    pub(crate) fn new(limits: Limits, overwrite: OverwriteRules, live: Arc<Generation>) -> Self {
        Self {
            limits,
            overwrite,
            index: RwLock::default(),
            slabs: RwLock::default(),
            metadata: Mutex::default(),
            pin: Arc::default(),
            waiting: AtomicUsize::new(0),
            writer: Mutex::new(Writer::new(live)),
        }
    }

    /// Takes the writer's lock for a commit.
    pub(crate) fn lock_for_commit(&self) -> MutexGuard<'_, Writer> {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        let writer = self.lock_writer();
        self.waiting.fetch_sub(1, Ordering::AcqRel);
        writer
    }

    /// Takes the writer's lock for one piece of background work. The lock itself is not fair: who takes it again and
    /// again can keep others from it for as long as the whole work takes, so commits that wait are let through first.
    fn lock_in_background(&self) -> MutexGuard<'_, Writer> {
        for _ in 0..GIVE_WAY_MAX {
            if self.waiting.load(Ordering::Acquire) == 0 {
                break;
            }
            std::thread::sleep(GIVE_WAY);
        }
        self.lock_writer()
    }

    /// Waits a little while a commit is under way: for a small piece of work whose allocations would get in its way.
    fn give_way(&self) {
        for _ in 0..GIVE_WAY_SMALL_MAX {
            match self.writer.try_lock() {
                Err(TryLockError::WouldBlock) => std::thread::sleep(GIVE_WAY),
                Ok(_) | Err(TryLockError::Poisoned(_)) => break,
            }
        }
    }

    /// Takes the writer's lock. A panic within a commit may leave a batch half applied, which is for the engine to
    /// judge; the structures themselves stay whole.
    pub(crate) fn lock_writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

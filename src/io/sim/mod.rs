//! A disk in memory that loses power, fails calls and fills up on demand; the crash model is described in `io`.
//!
//! Calls are numbered from 0 in the order they are made. A test learns from one run how many there are, and repeats
//! it with each of them failing. Images of the disk share their bytes, so thousands of crash points are cheap.

mod calls;
mod crash;
mod disk;
mod image;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{File, FsError, parent};
pub use crash::CrashMode;
use disk::{Disk, Node};

/// A kind of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    /// `Fs::create_new`.
    CreateNew,
    /// `Fs::open_read`.
    OpenRead,
    /// `Fs::open_write`.
    OpenWrite,
    /// `Fs::open_view`.
    OpenView,
    /// `Fs::rename`.
    Rename,
    /// `Fs::remove`.
    Remove,
    /// `Fs::remove_dir`.
    RemoveDir,
    /// `Fs::hard_link`.
    HardLink,
    /// `Fs::create_dir_all`.
    CreateDirAll,
    /// `Fs::list`.
    List,
    /// `Fs::exists`.
    Exists,
    /// `Fs::file_len`.
    FileLen,
    /// `Fs::sync_dir`.
    SyncDir,
    /// `Fs::available_bytes`.
    AvailableBytes,
    /// `Fs::try_lock`.
    TryLock,
    /// `File::read_at`.
    ReadAt,
    /// `File::write_at`.
    WriteAt,
    /// `File::preallocate`.
    Preallocate,
    /// `File::set_len`.
    SetLen,
    /// `File::sync_data`.
    SyncData,
    /// `File::size`.
    Size,
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A media error. A write may have written a part; a sync has lost what it was to make durable.
    Eio,
    /// No space left. A write may have written a part.
    Enospc,
    /// A read meets the end of the file; other calls fail as with `Eio`.
    ShortRead,
}

/// When an image of the disk is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record {
    /// Never.
    Nothing,
    /// Right before and right after each sync of a file or folder.
    Syncs,
    /// As `Syncs`, and before every other call that changes something.
    Changes,
}

/// The disk as it was at one moment of a run.
#[derive(Debug, Clone)]
pub struct CrashPoint {
    /// Number of the call.
    pub index: u64,
    /// Kind of the call.
    pub call: Call,
    /// Taken after the call, else before it.
    pub is_after: bool,
    /// What [`SimFs::set_tag`] said last: what the test knew to be acknowledged, say.
    pub tag: u64,
    disk: Disk,
}

/// A file system in memory. A clone is another handle of the same disk.
#[derive(Debug, Clone, Default)]
pub struct SimFs {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    disk: Disk,
    /// Open handles of each inode.
    open: BTreeMap<u64, u32>,
    locks: BTreeSet<PathBuf>,
    calls: Vec<Call>,
    faults: BTreeMap<u64, Fault>,
    standing_faults: BTreeMap<Call, Fault>,
    record: Record,
    points: Vec<CrashPoint>,
    tag: u64,
}

#[derive(Debug)]
struct SimFile {
    fs: SimFs,
    inode: u64,
    path: PathBuf,
    is_writable: bool,
}

#[derive(Debug)]
struct SimLock {
    fs: SimFs,
    path: PathBuf,
}

impl Call {
    fn is_sync(self) -> bool {
        matches!(self, Self::SyncData | Self::SyncDir)
    }

    fn is_change(self) -> bool {
        use Call::{
            CreateDirAll, CreateNew, HardLink, Preallocate, Remove, RemoveDir, Rename, SetLen, WriteAt,
        };
        matches!(
            self,
            CreateNew
                | Rename
                | Remove
                | RemoveDir
                | HardLink
                | CreateDirAll
                | WriteAt
                | Preallocate
                | SetLen
        )
    }
}

impl Fault {
    fn error(self) -> io::Error {
        match self {
            Self::Enospc => io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error()),
            Self::Eio | Self::ShortRead => io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error()),
        }
    }
}

impl CrashPoint {
    /// The disk as a power loss at this moment leaves it.
    pub fn crash(&self, seed: u64, mode: CrashMode) -> SimFs {
        SimFs::from_disk(self.disk.crash(seed, mode))
    }

    /// The disk as the death of the process at this moment leaves it.
    pub fn kill(&self) -> SimFs {
        SimFs::from_disk(self.disk.clone())
    }
}

impl Default for State {
    fn default() -> Self {
        Self {
            disk: Disk::default(),
            open: BTreeMap::new(),
            locks: BTreeSet::new(),
            calls: Vec::new(),
            faults: BTreeMap::new(),
            standing_faults: BTreeMap::new(),
            record: Record::Nothing,
            points: Vec::new(),
            tag: 0,
        }
    }
}

impl State {
    fn record(&mut self, call: Call, is_after: bool) {
        let is_wanted = match self.record {
            Record::Nothing => false,
            Record::Syncs => call.is_sync(),
            Record::Changes => call.is_sync() || call.is_change(),
        };
        if is_wanted {
            self.points.push(CrashPoint {
                index: self.calls.len() as u64 - 1,
                call,
                is_after,
                tag: self.tag,
                disk: self.disk.clone(),
            });
        }
    }

    fn file(&self, op: &'static str, path: &Path) -> Result<u64, FsError> {
        match self.disk.names.get(path) {
            Some(Node::File(inode)) => Ok(*inode),
            Some(Node::Dir) => Err(FsError::new(op, path, io::ErrorKind::IsADirectory.into())),
            None => Err(FsError::new(op, path, io::ErrorKind::NotFound.into())),
        }
    }

    /// A new name must be free and its folder there.
    fn check_free(&self, op: &'static str, path: &Path) -> Result<(), FsError> {
        if self.disk.names.contains_key(path) {
            return Err(FsError::new(op, path, io::ErrorKind::AlreadyExists.into()));
        }
        self.check_dir(op, parent(path))
    }

    fn check_dir(&self, op: &'static str, dir: &Path) -> Result<(), FsError> {
        if self.disk.is_dir(dir) {
            return Ok(());
        }
        Err(FsError::new(op, dir, io::ErrorKind::NotFound.into()))
    }

    fn collect(&mut self) {
        let open = self.open.keys().copied().collect();
        self.disk.collect(&open);
    }
}

impl SimFs {
    /// An empty disk of unlimited size.
    pub fn new() -> Self {
        Self::default()
    }

    fn from_disk(disk: Disk) -> Self {
        let state = State {
            disk,
            ..State::default()
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new disk as a power loss now would leave this one, which goes on unharmed.
    pub fn crash(&self, seed: u64, mode: CrashMode) -> Self {
        Self::from_disk(self.state().disk.crash(seed, mode))
    }

    /// A new disk as the death of the process now would leave this one: what was written stays, locks are free, and
    /// what was not synced can still be lost by a later power loss.
    pub fn kill(&self) -> Self {
        Self::from_disk(self.state().disk.clone())
    }

    /// Limits the bytes of all files together.
    pub fn set_capacity(&self, capacity_bytes: Option<u64>) {
        self.state().disk.capacity_bytes = capacity_bytes;
    }

    /// Bytes of all files together.
    pub fn used_bytes(&self) -> u64 {
        self.state().disk.used_bytes()
    }

    /// Calls made so far: the number of the next one.
    pub fn call_count(&self) -> u64 {
        self.state().calls.len() as u64
    }

    /// The kind of every call made so far.
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    /// Calls of one kind made so far.
    pub fn count(&self, call: Call) -> u64 {
        self.state().calls.iter().filter(|&&made| made == call).count() as u64
    }

    /// Makes the call with this number fail.
    pub fn fail_nth(&self, index: u64, fault: Fault) {
        self.state().faults.insert(index, fault);
    }

    /// Makes every call of a kind fail from now on.
    pub fn fail_all(&self, call: Call, fault: Fault) {
        self.state().standing_faults.insert(call, fault);
    }

    /// Calls succeed again.
    pub fn clear_faults(&self) {
        let mut state = self.state();
        state.faults.clear();
        state.standing_faults.clear();
    }

    /// Chooses when crash points are recorded.
    pub fn record(&self, record: Record) {
        self.state().record = record;
    }

    /// What crash points recorded from now on carry.
    pub fn set_tag(&self, tag: u64) {
        self.state().tag = tag;
    }

    /// The crash points recorded since the last time.
    pub fn take_crash_points(&self) -> Vec<CrashPoint> {
        std::mem::take(&mut self.state().points)
    }

    /// Flips the bits of `mask` in one byte of a file, on the live and on the durable side.
    pub fn flip(&self, path: &Path, offset: u64, mask: u8) -> Result<(), FsError> {
        let mut state = self.state();
        let inode = state.file("flip", path)?;
        let inode = state.disk.inode_mut(inode);
        for image in [&mut inode.live, &mut inode.durable] {
            let mut byte = [0];
            if image.read(offset, &mut byte) {
                image.write(offset, &[byte[0] ^ mask]);
            }
        }
        Ok(())
    }

    /// Numbers a call and says how it is to fail.
    fn begin(&self, call: Call) -> (MutexGuard<'_, State>, Option<Fault>) {
        let mut state = self.state();
        let index = state.calls.len() as u64;
        state.calls.push(call);
        state.record(call, false);
        let fault = state
            .faults
            .remove(&index)
            .or_else(|| state.standing_faults.get(&call).copied());
        (state, fault)
    }

    /// Numbers a call that does nothing when it fails.
    fn enter(&self, call: Call, op: &'static str, path: &Path) -> Result<MutexGuard<'_, State>, FsError> {
        match self.begin(call) {
            (state, None) => Ok(state),
            (_, Some(fault)) => Err(FsError::new(op, path, fault.error())),
        }
    }

    fn handle(&self, state: &mut State, path: &Path, inode: u64, is_writable: bool) -> Arc<dyn File> {
        *state.open.entry(inode).or_insert(0) += 1;
        Arc::new(SimFile {
            fs: self.clone(),
            inode,
            path: path.to_owned(),
            is_writable,
        })
    }

    fn open(&self, call: Call, path: &Path, is_writable: bool) -> Result<Arc<dyn File>, FsError> {
        let mut state = self.enter(call, "open", path)?;
        let inode = state.file("open", path)?;
        Ok(self.handle(&mut state, path, inode, is_writable))
    }
}

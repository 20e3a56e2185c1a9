//! The operating system's file system behind [`Fs`]: `std::fs` and the few calls it lacks.

#![expect(clippy::disallowed_methods, reason = "this is the seam to the disk")]

use std::fs;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FallocateFlags, FlockOperation};
use rustix::io::Errno;

use super::{File, FileView, Fs, FsError, LockGuard};

/// Zeros written at a time where the file system cannot reserve space.
const ZEROS_BYTES: usize = 1 << 20;

/// The file system of the operating system.
#[derive(Debug, Default, Clone, Copy)]
pub struct DiskFs;

#[derive(Debug)]
struct DiskFile {
    file: fs::File,
    path: PathBuf,
}

#[derive(Debug)]
struct DiskLock {
    file: fs::File,
}

impl LockGuard for DiskLock {}

impl Drop for DiskLock {
    /// Closing alone would not do: a child process that another thread is starting holds a copy of the file until it
    /// runs its program, and the lock with it.
    fn drop(&mut self) {
        if let Err(error) = uninterrupted(|| rustix::fs::flock(&self.file, FlockOperation::Unlock)) {
            tracing::debug!(%error, "the folder's lock ends with the file");
        }
    }
}

/// Adds the operation and the path to a failure.
fn named<T>(op: &'static str, path: &Path, result: io::Result<T>) -> Result<T, FsError> {
    result.map_err(|source| FsError::new(op, path, source))
}

/// Repeats a system call that a signal interrupted.
fn uninterrupted<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            other => return other.map_err(io::Error::from),
        }
    }
}

impl DiskFile {
    fn wrap(file: fs::File, path: &Path) -> Arc<dyn File> {
        Arc::new(Self {
            file,
            path: path.to_owned(),
        })
    }

    fn fill_with_zeros(&self, from: u64, to: u64) -> io::Result<()> {
        let zeros = vec![0; ZEROS_BYTES.min(usize::try_from(to - from).unwrap_or(ZEROS_BYTES))];
        let mut at = from;
        while at < to {
            let piece = (to - at).min(zeros.len() as u64);
            self.file.write_all_at(&zeros[..piece as usize], at)?;
            at += piece;
        }
        Ok(())
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        let from = self.file.metadata()?.len();
        if len <= from {
            return Ok(());
        }
        let reserved =
            uninterrupted(|| rustix::fs::fallocate(&self.file, FallocateFlags::empty(), from, len - from));
        match reserved {
            Err(error) if error.raw_os_error() == Some(Errno::OPNOTSUPP.raw_os_error()) => {
                self.fill_with_zeros(from, len)
            }
            other => other,
        }
    }
}

impl File for DiskFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), FsError> {
        match self.file.read_exact_at(buffer, offset) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(FsError::short_read(&self.path, offset, buffer.len()))
            }
            other => named("read", &self.path, other),
        }
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), FsError> {
        named("write", &self.path, self.file.write_all_at(bytes, offset))
    }

    fn preallocate(&self, len: u64) -> Result<(), FsError> {
        named("preallocate", &self.path, self.reserve(len))
    }

    fn set_len(&self, len: u64) -> Result<(), FsError> {
        named("resize", &self.path, self.file.set_len(len))
    }

    fn sync_data(&self) -> Result<(), FsError> {
        named("sync", &self.path, self.file.sync_data())
    }

    fn size(&self) -> Result<u64, FsError> {
        named("inspect", &self.path, self.file.metadata().map(|data| data.len()))
    }
}

impl Fs for DiskFs {
    fn create_new(&self, path: &Path) -> Result<Arc<dyn File>, FsError> {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(true).create_new(true);
        Ok(DiskFile::wrap(named("create", path, options.open(path))?, path))
    }

    fn open_read(&self, path: &Path) -> Result<Arc<dyn File>, FsError> {
        Ok(DiskFile::wrap(named("open", path, fs::File::open(path))?, path))
    }

    fn open_write(&self, path: &Path) -> Result<Arc<dyn File>, FsError> {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(true);
        Ok(DiskFile::wrap(named("open", path, options.open(path))?, path))
    }

    fn open_view(&self, path: &Path, mmap: bool) -> Result<Arc<FileView>, FsError> {
        let file = named("open", path, fs::File::open(path))?;
        if mmap {
            let handle = named("open", path, file.try_clone())?;
            FileView::mapped(path, &handle, DiskFile::wrap(file, path))
        } else {
            FileView::unmapped(path, DiskFile::wrap(file, path))
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), FsError> {
        named("rename", from, fs::rename(from, to))
    }

    fn remove(&self, path: &Path) -> Result<(), FsError> {
        named("remove", path, fs::remove_file(path))
    }

    fn remove_dir(&self, path: &Path) -> Result<(), FsError> {
        named("remove", path, fs::remove_dir(path))
    }

    fn hard_link(&self, from: &Path, to: &Path) -> Result<(), FsError> {
        named("link", from, fs::hard_link(from, to))
    }

    fn create_dir_all(&self, path: &Path) -> Result<(), FsError> {
        named("create", path, fs::create_dir_all(path))
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>, FsError> {
        let mut names = Vec::new();
        for entry in named("list", dir, fs::read_dir(dir))? {
            // A name that is not UTF-8 is none of ours.
            if let Ok(name) = named("list", dir, entry)?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn exists(&self, path: &Path) -> Result<bool, FsError> {
        named("inspect", path, path.try_exists())
    }

    fn file_len(&self, path: &Path) -> Result<u64, FsError> {
        named("inspect", path, fs::metadata(path).map(|data| data.len()))
    }

    fn sync_dir(&self, dir: &Path) -> Result<(), FsError> {
        let here = if dir.as_os_str().is_empty() {
            Path::new(".")
        } else {
            dir
        };
        let folder = named("open", dir, fs::File::open(here))?;
        named("sync", dir, folder.sync_all())
    }

    fn available_bytes(&self, dir: &Path) -> Result<u64, FsError> {
        let stat = named("inspect", dir, uninterrupted(|| rustix::fs::statvfs(dir)))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn is_of_system(&self) -> bool {
        true
    }

    fn try_lock(&self, path: &Path) -> Result<Box<dyn LockGuard>, FsError> {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = named("open", path, options.open(path))?;
        let locked = uninterrupted(|| rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive));
        named("lock", path, locked)?;
        Ok(Box::new(DiskLock { file }))
    }
}

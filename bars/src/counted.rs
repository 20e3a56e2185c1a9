//! A file system that counts what is written through it, by kind of file, and how much the segments take on disk.
//!
//! Counted is what was handed to the system, not what the disk made of it; reserved space is not written.

use narthex::{DiskFs, File, FileView, Fs, FsError, LockGuard};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Bytes written since the file system was made, and the segments' bytes now.
#[derive(Debug, Default)]
pub struct Counts {
    pub log: AtomicU64,
    pub checkpoints: AtomicU64,
    /// By flushes and merges.
    pub segments: AtomicU64,
    /// Manifests and small files.
    pub other: AtomicU64,
    /// Files of segments that are there now, unfinished ones and those no longer needed among them.
    pub segments_now: AtomicU64,
}

impl Counts {
    fn of(&self, path: &Path) -> &AtomicU64 {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("wal-") {
            &self.log
        } else if name.starts_with("checkpoint-") {
            &self.checkpoints
        } else if is_segment(path) {
            &self.segments
        } else {
            &self.other
        }
    }

    /// Log, checkpoints, segments and the rest.
    pub fn written(&self) -> [u64; 4] {
        [&self.log, &self.checkpoints, &self.segments, &self.other].map(|count| count.load(Relaxed))
    }
}

fn is_segment(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with("segment-") && name.contains(".seg")
}

/// The disk, with counts.
#[derive(Debug)]
pub struct CountingFs {
    disk: DiskFs,
    counts: Arc<Counts>,
}

impl CountingFs {
    /// Counts in `counts`, beginning with the segments that are in `folder` already.
    pub fn new(folder: &Path, counts: &Arc<Counts>) -> Result<Self, FsError> {
        let disk = DiskFs;
        if disk.exists(folder)? {
            for name in disk.list(folder)? {
                let path = folder.join(name);
                if is_segment(&path) {
                    counts.segments_now.fetch_add(disk.file_len(&path)?, Relaxed);
                }
            }
        }
        Ok(Self {
            disk,
            counts: counts.clone(),
        })
    }

    fn counted(&self, path: &Path, file: Arc<dyn File>) -> Result<Arc<dyn File>, FsError> {
        Ok(Arc::new(CountingFile {
            length: AtomicU64::new(file.size()?),
            counts: self.counts.clone(),
            path: path.into(),
            file,
        }))
    }
}

impl Fs for CountingFs {
    fn create_new(&self, path: &Path) -> Result<Arc<dyn File>, FsError> {
        self.counted(path, self.disk.create_new(path)?)
    }

    fn open_read(&self, path: &Path) -> Result<Arc<dyn File>, FsError> {
        self.disk.open_read(path)
    }

    fn open_write(&self, path: &Path) -> Result<Arc<dyn File>, FsError> {
        self.counted(path, self.disk.open_write(path)?)
    }

    fn open_view(&self, path: &Path, mmap: bool) -> Result<Arc<FileView>, FsError> {
        self.disk.open_view(path, mmap)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), FsError> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> Result<(), FsError> {
        let length = if is_segment(path) {
            self.disk.file_len(path)?
        } else {
            0
        };
        self.disk.remove(path)?;
        self.counts.segments_now.fetch_sub(length, Relaxed);
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> Result<(), FsError> {
        self.disk.remove_dir(path)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> Result<(), FsError> {
        self.disk.hard_link(from, to)
    }

    fn create_dir_all(&self, path: &Path) -> Result<(), FsError> {
        self.disk.create_dir_all(path)
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>, FsError> {
        self.disk.list(dir)
    }

    fn exists(&self, path: &Path) -> Result<bool, FsError> {
        self.disk.exists(path)
    }

    fn file_len(&self, path: &Path) -> Result<u64, FsError> {
        self.disk.file_len(path)
    }

    fn sync_dir(&self, dir: &Path) -> Result<(), FsError> {
        self.disk.sync_dir(dir)
    }

    fn available_bytes(&self, dir: &Path) -> Result<u64, FsError> {
        self.disk.available_bytes(dir)
    }

    fn try_lock(&self, path: &Path) -> Result<Box<dyn LockGuard>, FsError> {
        self.disk.try_lock(path)
    }
}

#[derive(Debug)]
struct CountingFile {
    file: Arc<dyn File>,
    path: Box<Path>,
    counts: Arc<Counts>,
    length: AtomicU64,
}

impl CountingFile {
    fn grow(&self, length: u64) {
        let before = self.length.fetch_max(length, Relaxed);
        if is_segment(&self.path) {
            self.counts
                .segments_now
                .fetch_add(length.saturating_sub(before), Relaxed);
        }
    }
}

impl File for CountingFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), FsError> {
        self.file.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), FsError> {
        self.file.write_at(offset, bytes)?;
        self.counts.of(&self.path).fetch_add(bytes.len() as u64, Relaxed);
        self.grow(offset + bytes.len() as u64);
        Ok(())
    }

    fn preallocate(&self, len: u64) -> Result<(), FsError> {
        self.file.preallocate(len)?;
        self.grow(len);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), FsError> {
        self.file.set_len(len)?;
        self.grow(len);
        Ok(())
    }

    fn sync_data(&self) -> Result<(), FsError> {
        self.file.sync_data()
    }

    fn size(&self) -> Result<u64, FsError> {
        self.file.size()
    }
}

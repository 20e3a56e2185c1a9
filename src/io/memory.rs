//! The files of a database without a folder: names and bytes in memory, gone with the last handle.
//!
//! Nothing here can fail but a wrong name, and nothing survives anything, so syncs have nothing to do.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use super::{File, FileView, Fs, FsError, LockGuard, parent};

/// A file system in memory. Every path has a folder.
#[derive(Debug, Default)]
pub(crate) struct MemoryFs {
    files: Mutex<BTreeMap<PathBuf, Arc<MemoryFile>>>,
}

#[derive(Debug)]
struct MemoryFile {
    /// As it was opened first, for messages.
    path: PathBuf,
    bytes: RwLock<Vec<u8>>,
}

impl MemoryFs {
    fn files(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Arc<MemoryFile>>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, op: &'static str, path: &Path) -> Result<Arc<MemoryFile>, FsError> {
        let found = self.files().get(path).cloned();
        found.ok_or_else(|| FsError::new(op, path, ErrorKind::NotFound.into()))
    }
}

impl Fs for MemoryFs {
    fn create_new(&self, path: &Path) -> Result<Arc<dyn File>, FsError> {
        let mut files = self.files();
        if files.contains_key(path) {
            return Err(FsError::new("create", path, ErrorKind::AlreadyExists.into()));
        }
        let file = Arc::new(MemoryFile {
            path: path.to_owned(),
            bytes: RwLock::default(),
        });
        files.insert(path.to_owned(), file.clone());
        Ok(file)
    }

    fn open_read(&self, path: &Path) -> Result<Arc<dyn File>, FsError> {
        Ok(self.find("open", path)?)
    }

    fn open_write(&self, path: &Path) -> Result<Arc<dyn File>, FsError> {
        self.open_read(path)
    }

    fn open_view(&self, path: &Path, _mmap: bool) -> Result<Arc<FileView>, FsError> {
        FileView::unmapped(path, self.open_read(path)?)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), FsError> {
        let mut files = self.files();
        let Some(file) = files.remove(from) else {
            return Err(FsError::new("rename", from, ErrorKind::NotFound.into()));
        };
        // Files are renamed when they are whole.
        file.bytes
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .shrink_to_fit();
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, path: &Path) -> Result<(), FsError> {
        let removed = self.files().remove(path);
        removed
            .map(drop)
            .ok_or_else(|| FsError::new("remove", path, ErrorKind::NotFound.into()))
    }

    fn remove_dir(&self, _path: &Path) -> Result<(), FsError> {
        Ok(())
    }

    fn hard_link(&self, from: &Path, to: &Path) -> Result<(), FsError> {
        let file = self.find("link", from)?;
        self.files().insert(to.to_owned(), file);
        Ok(())
    }

    fn create_dir_all(&self, _path: &Path) -> Result<(), FsError> {
        Ok(())
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>, FsError> {
        let files = self.files();
        let within = files.keys().filter(|path| parent(path) == dir);
        let names = within.filter_map(|path| path.file_name());
        Ok(names.map(|name| name.to_string_lossy().into_owned()).collect())
    }

    fn exists(&self, path: &Path) -> Result<bool, FsError> {
        Ok(self.files().contains_key(path))
    }

    fn file_len(&self, path: &Path) -> Result<u64, FsError> {
        self.find("inspect", path)?.size()
    }

    fn sync_dir(&self, _dir: &Path) -> Result<(), FsError> {
        Ok(())
    }

    /// The system decides what fits in memory.
    fn available_bytes(&self, _dir: &Path) -> Result<u64, FsError> {
        Ok(u64::MAX)
    }

    fn try_lock(&self, _path: &Path) -> Result<Box<dyn LockGuard>, FsError> {
        Ok(Box::new(Nobody))
    }
}

/// No other process can see the files, so there is nobody to keep out.
#[derive(Debug)]
struct Nobody;

impl LockGuard for Nobody {}

impl MemoryFile {
    fn write(&self, change: impl FnOnce(&mut Vec<u8>)) {
        change(&mut self.bytes.write().unwrap_or_else(PoisonError::into_inner));
    }
}

impl File for MemoryFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), FsError> {
        let bytes = self.bytes.read().unwrap_or_else(PoisonError::into_inner);
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let found = bytes.get(start..start.saturating_add(buffer.len()));
        let found = found.ok_or_else(|| FsError::short_read(&self.path, offset, buffer.len()))?;
        buffer.copy_from_slice(found);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), FsError> {
        let start = offset as usize;
        self.write(|all| {
            all.resize(all.len().max(start + bytes.len()), 0);
            all[start..start + bytes.len()].copy_from_slice(bytes);
        });
        Ok(())
    }

    fn preallocate(&self, len: u64) -> Result<(), FsError> {
        self.write(|all| all.resize(all.len().max(len as usize), 0));
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), FsError> {
        self.write(|all| all.resize(len as usize, 0));
        Ok(())
    }

    fn sync_data(&self) -> Result<(), FsError> {
        Ok(())
    }

    fn size(&self) -> Result<u64, FsError> {
        let bytes = self.bytes.read().unwrap_or_else(PoisonError::into_inner);
        Ok(bytes.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::{read_file, write_file};

    #[test]
    fn files_have_names_and_bytes_and_nothing_else() {
        let fs: Arc<dyn Fs> = Arc::new(MemoryFs::default());
        let (dir, path) = (Path::new("db"), Path::new("db/b"));
        let file = fs.create_new(path).unwrap();
        assert!(fs.create_new(path).unwrap_err().is_already_exists());
        file.write_at(3, b"abc").unwrap();
        file.preallocate(8).unwrap();
        file.preallocate(4).unwrap();
        assert_eq!(read_file(&*fs, path).unwrap(), b"\0\0\0abc\0\0");
        file.set_len(5).unwrap();
        let error = file.read_at(4, &mut [0; 2]).unwrap_err();
        assert_eq!(error.source.kind(), ErrorKind::UnexpectedEof);
        fs.rename(path, Path::new("db/a")).unwrap();
        write_file(&fs, Path::new("elsewhere/c"), b"c").unwrap();
        assert_eq!(fs.list(dir).unwrap(), ["a"]);
        assert!(!fs.exists(path).unwrap());
        assert_eq!(fs.file_len(Path::new("db/a")).unwrap(), 5);
        fs.hard_link(Path::new("db/a"), path).unwrap();
        let view = fs.open_view(path, true).unwrap();
        fs.remove(Path::new("db/a")).unwrap();
        fs.remove(path).unwrap();
        assert!(fs.remove(path).unwrap_err().is_not_found());
        assert!(fs.open_read(path).unwrap_err().is_not_found());
        assert_eq!(
            &*view.region(0..5).unwrap(),
            b"\0\0\0ab",
            "a reader keeps its file"
        );
    }
}

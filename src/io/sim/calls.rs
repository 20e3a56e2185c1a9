//! The calls of a simulated disk: [`Fs`] and [`File`] on its state.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{DataOp, NameOp, Node, is_root};
use super::{Call, Fault, SimFile, SimFs, SimLock};
use crate::io::{File, FileView, Fs, FsError, LockGuard, parent};

impl Fs for SimFs {
    fn create_new(&self, path: &Path) -> Result<Arc<dyn File>, FsError> {
        let mut state = self.enter(Call::CreateNew, "create", path)?;
        state.check_free("create", path)?;
        let inode = state.disk.create_file(path);
        Ok(self.handle(&mut state, path, inode, true))
    }

    fn open_read(&self, path: &Path) -> Result<Arc<dyn File>, FsError> {
        self.open(Call::OpenRead, path, false)
    }

    fn open_write(&self, path: &Path) -> Result<Arc<dyn File>, FsError> {
        self.open(Call::OpenWrite, path, true)
    }

    fn open_view(&self, path: &Path, _mmap: bool) -> Result<Arc<FileView>, FsError> {
        FileView::unmapped(path, self.open(Call::OpenView, path, false)?)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), FsError> {
        let mut state = self.enter(Call::Rename, "rename", from)?;
        let node = state.disk.names.get(from).copied();
        let Some(node) = node else {
            return Err(FsError::new("rename", from, io::ErrorKind::NotFound.into()));
        };
        state.check_dir("rename", parent(to))?;
        match (node, state.disk.names.get(to)) {
            (_, None) | (Node::File(_), Some(Node::File(_))) => {}
            (Node::Dir, Some(Node::Dir)) if state.disk.children(to).is_empty() => {}
            _ => return Err(FsError::new("rename", to, io::ErrorKind::AlreadyExists.into())),
        }
        state
            .disk
            .change_names(NameOp::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> Result<(), FsError> {
        let mut state = self.enter(Call::Remove, "remove", path)?;
        state.file("remove", path)?;
        state.disk.change_names(NameOp::Unlink(path.to_owned()));
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> Result<(), FsError> {
        let mut state = self.enter(Call::RemoveDir, "remove", path)?;
        state.check_dir("remove", path)?;
        if is_root(path) || !state.disk.children(path).is_empty() {
            return Err(FsError::new(
                "remove",
                path,
                io::ErrorKind::DirectoryNotEmpty.into(),
            ));
        }
        state.disk.change_names(NameOp::Unlink(path.to_owned()));
        Ok(())
    }

    fn hard_link(&self, from: &Path, to: &Path) -> Result<(), FsError> {
        let mut state = self.enter(Call::HardLink, "link", from)?;
        let inode = state.file("link", from)?;
        state.check_free("link", to)?;
        state
            .disk
            .change_names(NameOp::Link(to.to_owned(), Node::File(inode)));
        Ok(())
    }

    fn create_dir_all(&self, path: &Path) -> Result<(), FsError> {
        let mut state = self.enter(Call::CreateDirAll, "create", path)?;
        let mut missing: Vec<PathBuf> = Vec::new();
        for dir in path.ancestors().take_while(|dir| !state.disk.is_dir(dir)) {
            if state.disk.names.contains_key(dir) {
                return Err(FsError::new("create", dir, io::ErrorKind::AlreadyExists.into()));
            }
            missing.push(dir.to_owned());
        }
        for dir in missing.into_iter().rev() {
            state.disk.change_names(NameOp::Link(dir, Node::Dir));
        }
        Ok(())
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>, FsError> {
        let state = self.enter(Call::List, "list", dir)?;
        state.check_dir("list", dir)?;
        Ok(state.disk.children(dir))
    }

    fn exists(&self, path: &Path) -> Result<bool, FsError> {
        let state = self.enter(Call::Exists, "inspect", path)?;
        Ok(is_root(path) || state.disk.names.contains_key(path))
    }

    fn file_len(&self, path: &Path) -> Result<u64, FsError> {
        let state = self.enter(Call::FileLen, "inspect", path)?;
        Ok(state.disk.inode(state.file("inspect", path)?).live.len())
    }

    fn sync_dir(&self, dir: &Path) -> Result<(), FsError> {
        let mut state = self.enter(Call::SyncDir, "sync", dir)?;
        state.check_dir("sync", dir)?;
        state.disk.sync_dir(dir);
        state.collect();
        state.record(Call::SyncDir, true);
        Ok(())
    }

    fn available_bytes(&self, dir: &Path) -> Result<u64, FsError> {
        let state = self.enter(Call::AvailableBytes, "inspect", dir)?;
        state.check_dir("inspect", dir)?;
        Ok(state.disk.available_bytes())
    }

    fn try_lock(&self, path: &Path) -> Result<Box<dyn LockGuard>, FsError> {
        let mut state = self.enter(Call::TryLock, "lock", path)?;
        if !state.disk.names.contains_key(path) {
            state.check_free("lock", path)?;
            state.disk.create_file(path);
        }
        state.file("lock", path)?;
        if !state.locks.insert(path.to_owned()) {
            return Err(FsError::new("lock", path, io::ErrorKind::WouldBlock.into()));
        }
        Ok(Box::new(SimLock {
            fs: self.clone(),
            path: path.to_owned(),
        }))
    }
}

impl SimFile {
    fn error<T>(&self, op: &'static str, fault: Fault) -> Result<T, FsError> {
        Err(FsError::new(op, &self.path, fault.error()))
    }

    fn check_writable(&self, op: &'static str) -> Result<(), FsError> {
        if self.is_writable {
            return Ok(());
        }
        Err(FsError::new(
            op,
            &self.path,
            io::ErrorKind::PermissionDenied.into(),
        ))
    }

    fn resize(&self, call: Call, op: &'static str, change: DataOp) -> Result<(), FsError> {
        let mut state = self.fs.enter(call, op, &self.path)?;
        self.check_writable(op)?;
        if !state.disk.has_room(self.inode, &change) {
            return self.error(op, Fault::Enospc);
        }
        state.disk.change_data(self.inode, change);
        Ok(())
    }
}

impl File for SimFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), FsError> {
        let (state, fault) = self.fs.begin(Call::ReadAt);
        match fault {
            Some(Fault::ShortRead) => return Err(FsError::short_read(&self.path, offset, buffer.len())),
            Some(fault) => return self.error("read", fault),
            None => {}
        }
        if !state.disk.inode(self.inode).live.read(offset, buffer) {
            return Err(FsError::short_read(&self.path, offset, buffer.len()));
        }
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), FsError> {
        let (mut state, fault) = self.fs.begin(Call::WriteAt);
        self.check_writable("write")?;
        let whole = DataOp::Write(offset, bytes.into());
        let fault = match fault {
            None if !state.disk.has_room(self.inode, &whole) => Some(Fault::Enospc),
            other => other,
        };
        let Some(fault) = fault else {
            state.disk.change_data(self.inode, whole);
            return Ok(());
        };
        let half = DataOp::Write(offset, bytes[..bytes.len() / 2].into());
        if state.disk.has_room(self.inode, &half) {
            state.disk.change_data(self.inode, half);
        }
        self.error("write", fault)
    }

    fn preallocate(&self, len: u64) -> Result<(), FsError> {
        self.resize(Call::Preallocate, "preallocate", DataOp::Extend(len))
    }

    fn set_len(&self, len: u64) -> Result<(), FsError> {
        self.resize(Call::SetLen, "resize", DataOp::SetLen(len))
    }

    fn sync_data(&self) -> Result<(), FsError> {
        let (mut state, fault) = self.fs.begin(Call::SyncData);
        if let Some(fault) = fault {
            state.disk.fail_sync(self.inode);
            return self.error("sync", fault);
        }
        state.disk.sync_data(self.inode);
        state.record(Call::SyncData, true);
        Ok(())
    }

    fn size(&self) -> Result<u64, FsError> {
        let state = self.fs.enter(Call::Size, "inspect", &self.path)?;
        Ok(state.disk.inode(self.inode).live.len())
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut state = self.fs.state();
        if let Some(count) = state.open.get_mut(&self.inode) {
            *count -= 1;
            if *count == 0 {
                state.open.remove(&self.inode);
                state.collect();
            }
        }
    }
}

impl LockGuard for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.fs.state().locks.remove(&self.path);
    }
}

//! The state of the simulated disk: names and files, each as the system shows it and as the platter has it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::image::Image;
use crate::io::parent;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Node {
    Dir,
    /// Number of the inode.
    File(u64),
}

pub(super) type Names = BTreeMap<PathBuf, Node>;

/// A change of names that no folder sync has covered yet.
#[derive(Debug, Clone)]
pub(super) enum NameOp {
    Link(PathBuf, Node),
    Unlink(PathBuf),
    Rename(PathBuf, PathBuf),
}

/// A change of a file that no sync has covered yet.
#[derive(Debug, Clone)]
pub(super) enum DataOp {
    Write(u64, Arc<[u8]>),
    Extend(u64),
    SetLen(u64),
}

/// An operation and its place in the order of all operations.
#[derive(Debug, Clone)]
pub(super) struct Pending<T> {
    pub(super) sequence: u64,
    pub(super) op: T,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Inode {
    pub(super) live: Image,
    pub(super) durable: Image,
    pub(super) pending: Vec<Pending<DataOp>>,
}

/// Everything a power loss or the death of a process leaves behind. Cloning shares all bytes.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk {
    pub(super) names: Arc<Names>,
    pub(super) durable_names: Arc<Names>,
    pub(super) pending_names: Vec<Pending<NameOp>>,
    pub(super) inodes: Arc<BTreeMap<u64, Arc<Inode>>>,
    pub(super) next_inode: u64,
    pub(super) next_sequence: u64,
    pub(super) capacity_bytes: Option<u64>,
}

impl DataOp {
    pub(super) fn apply(&self, image: &mut Image) {
        match self {
            Self::Write(offset, bytes) => image.write(*offset, bytes),
            Self::Extend(len) => image.extend(*len),
            Self::SetLen(len) => image.set_len(*len),
        }
    }

    fn end(&self) -> u64 {
        match self {
            Self::Write(offset, bytes) => offset + bytes.len() as u64,
            Self::Extend(len) | Self::SetLen(len) => *len,
        }
    }
}

impl NameOp {
    pub(super) fn apply(&self, names: &mut Names) {
        match self {
            Self::Link(path, node) => drop(names.insert(path.clone(), *node)),
            Self::Unlink(path) => drop(names.remove(path)),
            Self::Rename(from, to) => {
                let moved: Vec<PathBuf> = names
                    .keys()
                    .filter(|path| path.starts_with(from))
                    .cloned()
                    .collect();
                for path in moved {
                    let (Some(node), Ok(rest)) = (names.remove(&path), path.strip_prefix(from)) else {
                        continue;
                    };
                    let target = if rest.as_os_str().is_empty() {
                        to.clone()
                    } else {
                        to.join(rest)
                    };
                    names.insert(target, node);
                }
            }
        }
    }

    fn touches(&self, dir: &Path) -> bool {
        match self {
            Self::Link(path, _) | Self::Unlink(path) => parent(path) == dir,
            Self::Rename(from, to) => parent(from) == dir || parent(to) == dir,
        }
    }
}

/// The root and the current folder are always there.
pub(super) fn is_root(path: &Path) -> bool {
    path.parent().is_none()
}

impl Disk {
    pub(super) fn sequence(&mut self) -> u64 {
        self.next_sequence += 1;
        self.next_sequence
    }

    pub(super) fn is_dir(&self, path: &Path) -> bool {
        is_root(path) || self.names.get(path) == Some(&Node::Dir)
    }

    pub(super) fn children(&self, dir: &Path) -> Vec<String> {
        let below = self.names.range(dir.to_owned()..).map(|(path, _)| path);
        let below = below
            .skip_while(|path| *path == dir)
            .take_while(|path| path.starts_with(dir));
        let mut names: Vec<String> = below
            .filter(|path| parent(path) == dir)
            .filter_map(|path| path.file_name()?.to_str().map(str::to_owned))
            .collect();
        names.sort_unstable();
        names
    }

    pub(super) fn change_names(&mut self, op: NameOp) {
        op.apply(Arc::make_mut(&mut self.names));
        let sequence = self.sequence();
        self.pending_names.push(Pending { sequence, op });
    }

    pub(super) fn sync_dir(&mut self, dir: &Path) {
        let names = Arc::make_mut(&mut self.durable_names);
        self.pending_names.retain(|pending| {
            let is_synced = pending.op.touches(dir);
            if is_synced {
                pending.op.apply(names);
            }
            !is_synced
        });
    }

    pub(super) fn create_file(&mut self, path: &Path) -> u64 {
        self.next_inode += 1;
        let inode = self.next_inode;
        Arc::make_mut(&mut self.inodes).insert(inode, Arc::default());
        self.change_names(NameOp::Link(path.to_owned(), Node::File(inode)));
        inode
    }

    pub(super) fn inode(&self, inode: u64) -> &Inode {
        self.inodes.get(&inode).expect("BUG: an open file has an inode")
    }

    pub(super) fn inode_mut(&mut self, inode: u64) -> &mut Inode {
        let inode = Arc::make_mut(&mut self.inodes).get_mut(&inode);
        Arc::make_mut(inode.expect("BUG: an open file has an inode"))
    }

    /// Bytes of all files. Holes count, as if every file were preallocated.
    pub(super) fn used_bytes(&self) -> u64 {
        self.inodes.values().map(|inode| inode.live.len()).sum()
    }

    pub(super) fn available_bytes(&self) -> u64 {
        match self.capacity_bytes {
            Some(capacity) => capacity.saturating_sub(self.used_bytes()),
            None => 1 << 40,
        }
    }

    /// Whether the disk has room for `op`.
    pub(super) fn has_room(&self, inode: u64, op: &DataOp) -> bool {
        let growth = op.end().saturating_sub(self.inode(inode).live.len());
        growth == 0 || growth <= self.available_bytes()
    }

    pub(super) fn change_data(&mut self, inode: u64, op: DataOp) {
        let sequence = self.sequence();
        let inode = self.inode_mut(inode);
        op.apply(&mut inode.live);
        inode.pending.push(Pending { sequence, op });
    }

    pub(super) fn sync_data(&mut self, inode: u64) {
        let inode = self.inode_mut(inode);
        for pending in std::mem::take(&mut inode.pending) {
            pending.op.apply(&mut inode.durable);
        }
    }

    /// What Linux may do when a sync fails: the pages count as clean and their bytes reach the disk no more.
    pub(super) fn fail_sync(&mut self, inode: u64) {
        self.inode_mut(inode).pending.clear();
    }

    /// Frees files that have no name on either side and are not in `open`.
    pub(super) fn collect(&mut self, open: &BTreeSet<u64>) {
        let named = self.names.values().chain(self.durable_names.values()).copied();
        let pending = self.pending_names.iter().filter_map(|pending| match &pending.op {
            NameOp::Link(_, node) => Some(*node),
            NameOp::Unlink(_) | NameOp::Rename(..) => None,
        });
        let used: BTreeSet<u64> = named
            .chain(pending)
            .filter_map(|node| match node {
                Node::File(inode) => Some(inode),
                Node::Dir => None,
            })
            .collect();
        Arc::make_mut(&mut self.inodes).retain(|inode, _| used.contains(inode) || open.contains(inode));
    }
}

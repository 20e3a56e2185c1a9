//! What a power loss leaves of a simulated disk.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::disk::{DataOp, Disk, Inode, Names, Pending, is_root};
use super::image::Image;
use crate::io::parent;

/// Sectors are written whole or not at all.
const SECTOR_BYTES: u64 = 512;

/// How a power loss treats operations that no sync has covered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashMode {
    /// All are lost.
    LoseAll,
    /// All are kept.
    KeepAll,
    /// Those before a random moment are kept, the others lost; the write at that moment is torn.
    Prefix,
    /// Each write and each name is kept, lost or, for a write, torn by sectors, whatever happens to the others.
    Scatter,
    /// As `Scatter`, and a sector that was lost may hold garbage.
    Garbage,
}

impl CrashMode {
    /// Every mode.
    pub const ALL: [Self; 5] = [
        Self::LoseAll,
        Self::KeepAll,
        Self::Prefix,
        Self::Scatter,
        Self::Garbage,
    ];
}

/// SplitMix64: small, seeded and good enough to toss coins.
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }
}

struct Crash {
    mode: CrashMode,
    dice: Dice,
    /// `Prefix`: operations from this one on are lost.
    cut: u64,
    /// `Scatter`, `Garbage`: how likely an operation is kept whole.
    keep_percent: u64,
}

impl Disk {
    /// The disk as found after a power loss at this moment.
    pub(super) fn crash(&self, seed: u64, mode: CrashMode) -> Disk {
        let mut crash = Crash::new(self, seed, mode);
        let mut names = Arc::unwrap_or_clone(Arc::clone(&self.durable_names));
        for pending in &self.pending_names {
            if crash.keeps_name(pending.sequence) {
                pending.op.apply(&mut names);
            }
        }
        drop_orphans(&mut names);
        let names = Arc::new(names);
        let mut inodes = Arc::unwrap_or_clone(Arc::clone(&self.inodes));
        for inode in inodes.values_mut() {
            let image = crash.survivor(inode);
            *inode = Arc::new(Inode {
                live: image.clone(),
                durable: image,
                pending: Vec::new(),
            });
        }
        let mut disk = Disk {
            durable_names: Arc::clone(&names),
            names,
            pending_names: Vec::new(),
            inodes: Arc::new(inodes),
            next_inode: self.next_inode,
            next_sequence: self.next_sequence,
            capacity_bytes: self.capacity_bytes,
        };
        disk.collect(&BTreeSet::new());
        disk
    }
}

/// Removes names whose folder did not survive.
fn drop_orphans(names: &mut Names) {
    // Folders sort before what they contain.
    let paths: Vec<_> = names.keys().cloned().collect();
    for path in paths {
        if !is_root(parent(&path)) && !names.contains_key(parent(&path)) {
            names.remove(&path);
        }
    }
}

impl Crash {
    fn new(disk: &Disk, seed: u64, mode: CrashMode) -> Self {
        let mut dice = Dice(seed);
        let names = disk.pending_names.iter().map(|pending| pending.sequence);
        let writes = disk.inodes.values().flat_map(|inode| &inode.pending);
        let mut pending: Vec<u64> = names.chain(writes.map(|pending| pending.sequence)).collect();
        pending.sort_unstable();
        pending.push(u64::MAX);
        let cut = pending[dice.below(pending.len() as u64) as usize];
        let keep_percent = [10, 50, 90][dice.below(3) as usize];
        Self {
            mode,
            dice,
            cut,
            keep_percent,
        }
    }

    fn keeps_name(&mut self, sequence: u64) -> bool {
        match self.mode {
            CrashMode::LoseAll => false,
            CrashMode::KeepAll => true,
            CrashMode::Prefix => sequence < self.cut,
            CrashMode::Scatter | CrashMode::Garbage => self.dice.percent(self.keep_percent),
        }
    }

    fn survivor(&mut self, inode: &Inode) -> Image {
        let mut image = inode.durable.clone();
        for pending in &inode.pending {
            self.apply(pending, &mut image);
        }
        image
    }

    fn apply(&mut self, pending: &Pending<DataOp>, image: &mut Image) {
        let is_torn = match self.mode {
            CrashMode::LoseAll => return,
            CrashMode::KeepAll => false,
            CrashMode::Prefix if pending.sequence > self.cut => return,
            CrashMode::Prefix => pending.sequence == self.cut,
            CrashMode::Scatter | CrashMode::Garbage => !self.dice.percent(self.keep_percent),
        };
        match &pending.op {
            op if !is_torn => op.apply(image),
            DataOp::Write(offset, bytes) => self.tear(*offset, bytes, image),
            DataOp::Extend(_) | DataOp::SetLen(_) => {}
        }
    }

    /// Applies some sectors of a write; all, none and a prefix are among the cases.
    fn tear(&mut self, offset: u64, bytes: &[u8], image: &mut Image) {
        let end = offset + bytes.len() as u64;
        let keep_percent = [0, 50, 90][self.dice.below(3) as usize];
        let prefix_end = match self.mode {
            CrashMode::Prefix => offset + self.dice.below(end - offset),
            _ if self.dice.percent(50) => offset + self.dice.below(end - offset),
            _ => offset,
        };
        if self.mode != CrashMode::Prefix && self.dice.percent(30) {
            image.extend(end);
        }
        let mut at = offset;
        while at < end {
            let next = ((at / SECTOR_BYTES + 1) * SECTOR_BYTES).min(end);
            let sector = &bytes[(at - offset) as usize..(next - offset) as usize];
            let is_kept = next <= prefix_end
                || self.mode != CrashMode::Prefix && prefix_end == offset && self.dice.percent(keep_percent);
            if is_kept {
                image.write(at, sector);
            } else if self.mode == CrashMode::Garbage && self.dice.percent(30) {
                let garbage: Vec<u8> = sector.iter().map(|_| self.dice.next() as u8).collect();
                image.write(at, &garbage);
            }
            at = next;
        }
    }
}

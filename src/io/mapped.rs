//! Read-only views of immutable files, mapped or by positional reads; the only file of this crate with `unsafe`.
//!
//! A caller asks for a range and gets something that derefs to bytes. Whether they lie in a map or were read into
//! memory is not its concern.
//!
//! # Media errors
//!
//! Touching a mapped page whose sector cannot be read raises SIGBUS, which kills the process. So no byte of a map is
//! handed out before its 64 KiB unit was probed: `MADV_POPULATE_READ` faults the pages in and reports a bad one as an
//! error; where it is missing (Linux before 5.14, other systems) or fails, the unit is read by `pread`, which fills
//! the same page cache and gives the true error. A unit is probed once. A page that is dropped from the cache later,
//! and whose sector has gone bad meanwhile, would still raise SIGBUS: [`FileView::forget_probes`] makes the next
//! access probe again, and is called now and then by who owns the view; who wants no such window turns mapping off.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use std::fs;
use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{File, FsError};

/// Bytes probed at a time.
const UNIT_BYTES: u64 = 64 << 10;

/// A read-only view of a file that never changes again.
#[derive(Debug)]
pub struct FileView {
    path: PathBuf,
    file: Arc<dyn File>,
    len: u64,
    map: Option<Map>,
}

#[derive(Debug)]
struct Map {
    map: memmap2::Mmap,
    /// One bit per unit: its pages could be read.
    probed: Vec<AtomicU64>,
}

/// A range of a file: borrowed from its map, or read into memory.
#[derive(Debug)]
pub enum Bytes<'a> {
    /// Lies in the map.
    Borrowed(&'a [u8]),
    /// Was read.
    Owned(Vec<u8>),
}

impl Deref for Bytes<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Bytes::Borrowed(bytes) => bytes,
            Bytes::Owned(bytes) => bytes,
        }
    }
}

/// A range of a file that can be kept: it holds on to the view it came from. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Region(RegionBytes);

#[derive(Debug, Clone)]
enum RegionBytes {
    /// The range was checked to lie within the map.
    Mapped(Arc<FileView>, Range<usize>),
    Owned(Arc<[u8]>),
}

impl From<Vec<u8>> for Region {
    fn from(bytes: Vec<u8>) -> Self {
        Self(RegionBytes::Owned(bytes.into()))
    }
}

impl Deref for Region {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            RegionBytes::Mapped(view, range) => {
                let map = view.map.as_ref().map(|map| &*map.map);
                map.and_then(|map| map.get(range.clone())).unwrap_or(&[])
            }
            RegionBytes::Owned(bytes) => bytes,
        }
    }
}

impl Map {
    fn new(path: &Path, file: &fs::File) -> Result<Self, FsError> {
        // SAFETY: the bytes of a map must not change under a shared reference. Only files that were renamed into
        // place after their last write are mapped; nothing in this crate writes to or truncates such a file, they
        // are replaced by rename and removed by name, and the folder is locked against a second writing process.
        #[expect(unsafe_code, reason = "the one place that maps files")]
        let map = unsafe { memmap2::Mmap::map(file) };
        let map = map.map_err(|source| FsError::new("map", path, source))?;
        let units = (map.len() as u64).div_ceil(UNIT_BYTES).div_ceil(64);
        Ok(Self {
            map,
            probed: (0..units).map(|_| AtomicU64::new(0)).collect(),
        })
    }

    fn is_probed(&self, unit: u64) -> bool {
        let word = self.probed.get((unit / 64) as usize);
        word.is_some_and(|word| word.load(Ordering::Relaxed) >> (unit % 64) & 1 == 1)
    }

    fn set_probed(&self, units: Range<u64>) {
        for unit in units {
            if let Some(word) = self.probed.get((unit / 64) as usize) {
                word.fetch_or(1 << (unit % 64), Ordering::Relaxed);
            }
        }
    }

    fn populate(&self, range: &Range<u64>) -> bool {
        #[cfg(target_os = "linux")]
        {
            let length = (range.end - range.start) as usize;
            let advice = memmap2::Advice::PopulateRead;
            self.map
                .advise_range(advice, range.start as usize, length)
                .is_ok()
        }
        #[cfg(not(target_os = "linux"))]
        {
            let _ = range;
            false
        }
    }
}

impl FileView {
    /// A view that maps `handle` and falls back on `file`, an open handle of the same file.
    pub(super) fn mapped(path: &Path, handle: &fs::File, file: Arc<dyn File>) -> Result<Arc<Self>, FsError> {
        let map = Map::new(path, handle)?;
        Ok(Arc::new(Self {
            path: path.to_owned(),
            file,
            len: map.map.len() as u64,
            map: Some(map),
        }))
    }

    /// A view that reads what it is asked for.
    pub(super) fn unmapped(path: &Path, file: Arc<dyn File>) -> Result<Arc<Self>, FsError> {
        let len = file.size()?;
        Ok(Arc::new(Self {
            path: path.to_owned(),
            file,
            len,
            map: None,
        }))
    }

    /// Length of the file in bytes.
    pub fn size(&self) -> u64 {
        self.len
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether ranges are borrowed from a map.
    pub fn is_mapped(&self) -> bool {
        self.map.is_some()
    }

    /// The bytes of `range`.
    #[inline]
    pub fn bytes(&self, range: Range<u64>) -> Result<Bytes<'_>, FsError> {
        match &self.map {
            Some(map) => Ok(Bytes::Borrowed(self.mapped_bytes(map, range)?)),
            None => Ok(Bytes::Owned(self.read(range)?)),
        }
    }

    /// The bytes of `range` in a form that can be kept.
    pub fn region(self: &Arc<Self>, range: Range<u64>) -> Result<Region, FsError> {
        let Some(map) = &self.map else {
            return Ok(Region(RegionBytes::Owned(self.read(range)?.into())));
        };
        self.mapped_bytes(map, range.clone())?;
        let range = range.start as usize..range.end as usize;
        Ok(Region(RegionBytes::Mapped(Arc::clone(self), range)))
    }

    /// Makes the next access to each unit of a map probe it again.
    pub fn forget_probes(&self) {
        for word in self.map.iter().flat_map(|map| &map.probed) {
            word.store(0, Ordering::Relaxed);
        }
    }

    fn check(&self, range: &Range<u64>) -> Result<(), FsError> {
        if range.start > range.end || range.end > self.len {
            let length = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
            return Err(FsError::short_read(&self.path, range.start, length));
        }
        Ok(())
    }

    fn read(&self, range: Range<u64>) -> Result<Vec<u8>, FsError> {
        self.check(&range)?;
        let mut bytes = vec![0; (range.end - range.start) as usize];
        self.file.read_at(range.start, &mut bytes)?;
        Ok(bytes)
    }

    #[inline]
    fn mapped_bytes<'a>(&'a self, map: &'a Map, range: Range<u64>) -> Result<&'a [u8], FsError> {
        self.check(&range)?;
        let units = range.start / UNIT_BYTES..range.end.div_ceil(UNIT_BYTES);
        if !range.is_empty() && !units.clone().all(|unit| map.is_probed(unit)) {
            self.probe(map, units)?;
        }
        let bytes = map.map.get(range.start as usize..range.end as usize);
        Ok(bytes.unwrap_or(&[]))
    }

    /// Reads every page of `units` in a way that reports a media error instead of raising it.
    #[cold]
    fn probe(&self, map: &Map, units: Range<u64>) -> Result<(), FsError> {
        let range = units.start * UNIT_BYTES..(units.end * UNIT_BYTES).min(self.len);
        if !map.populate(&range) {
            let mut scratch = vec![0; UNIT_BYTES as usize];
            let mut at = range.start;
            while at < range.end {
                let piece = (range.end - at).min(UNIT_BYTES);
                let piece = scratch.get_mut(..piece as usize).unwrap_or(&mut []);
                self.file.read_at(at, piece)?;
                at += UNIT_BYTES;
            }
        }
        map.set_probed(units);
        Ok(())
    }
}

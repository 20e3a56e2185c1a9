//! The seam to the store of records: named spaces of sorted keys, written in atomic batches, read in views.
//!
//! Two stores stand behind it: the LSM tree of `fjall` in a folder, and sorted maps for a database in memory. Nothing
//! above this file knows which one it is.

use super::error::RecordError;
use std::fmt::Debug;
use std::ops::ControlFlow;

/// A sorted map of its own within the store. The numbers stand in backups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Space {
    Meta = 0,
    Logs = 1,
    LogDevices = 2,
    Events = 3,
    EventDevices = 4,
    Columns = 5,
}

impl Space {
    pub(crate) const ALL: [Self; 6] = [
        Self::Meta,
        Self::Logs,
        Self::LogDevices,
        Self::Events,
        Self::EventDevices,
        Self::Columns,
    ];

    /// The name on disk.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Logs => "logs",
            Self::LogDevices => "log-devices",
            Self::Events => "events",
            Self::EventDevices => "event-devices",
            Self::Columns => "columns",
        }
    }

    pub(crate) fn from_u8(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|space| *space as u8 == number)
    }
}

/// One change: a value, or `None` for a key that goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) space: Space,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Option<Vec<u8>>,
}

impl Change {
    pub(crate) fn put(space: Space, key: Vec<u8>, value: Vec<u8>) -> Self {
        let value = Some(value);
        Self { space, key, value }
    }

    pub(crate) fn delete(space: Space, key: Vec<u8>) -> Self {
        Self {
            space,
            key,
            value: None,
        }
    }
}

/// Keys from the first one, included, to the second one, excluded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyRange {
    pub(crate) from: Vec<u8>,
    pub(crate) to: Vec<u8>,
}

impl KeyRange {
    pub(crate) fn all() -> Self {
        Self {
            from: Vec::new(),
            to: END.to_vec(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.from >= self.to
    }
}

/// Beyond every key: none is as long, and none begins like this.
pub(crate) const END: [u8; 24] = [0xff; 24];

/// What is done with a key and its value.
pub(crate) type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, RecordError> + 'a;

/// One state of the store.
pub(crate) trait View {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, RecordError>;

    /// Visits what is in `range` in order of keys, or backwards, until told to stop.
    fn scan(
        &self,
        space: Space,
        range: &KeyRange,
        backwards: bool,
        visit: &mut Visit<'_>,
    ) -> Result<(), RecordError>;
}

/// Something that keeps records.
pub(crate) trait Store: Debug + Send + Sync {
    /// Makes all of `changes` or none of them; no key is there twice. With `sync` it returns when they survive a power
    /// loss.
    fn apply(&self, changes: Vec<Change>, sync: bool) -> Result<(), RecordError>;

    /// Reads one state.
    fn read(&self, reader: &mut dyn FnMut(&dyn View) -> Result<(), RecordError>) -> Result<(), RecordError>;

    /// Makes everything applied so far survive a power loss.
    fn sync(&self) -> Result<(), RecordError>;

    /// Writes what a space has in memory to a file, in the background.
    fn flush(&self, space: Space) -> Result<(), RecordError>;

    /// Makes everything durable and lets go of the files.
    fn close(&self) -> Result<(), RecordError>;
}

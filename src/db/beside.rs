//! Logs, events and columns in the rhythm of the engine, and their errors in its words.

use crate::base::clock::Clock;
use crate::engine::beside::{Beside, Held as HeldBeside};
use crate::engine::error::Error;
use crate::engine::options::{Options, Precision};
use crate::io::{Fs, FsError};
use crate::records::error::RecordError;
use crate::records::{self, Held, RecordOptions, Records};
use crate::segment::reader::CorruptFile;
use std::io::Error as IoError;
use std::path::Path;
use std::sync::Arc;

/// The records of a database, with its clock.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) records: Records,
    clock: Arc<dyn Clock>,
    precision: Precision,
}

impl Keeper {
    pub(super) fn open(options: &Options, precision: Precision) -> Self {
        let units = |duration| precision.units(duration);
        let records = Records::open(RecordOptions {
            dir: options.dir.clone(),
            fs: options.fs.clone(),
            durability: options.durability,
            read_only: options.read_only,
            log_retention: options.log_retention.map(units),
            event_retention: options.event_retention.map(units),
            clock_leap_max: units(options.clock_leap_max),
            column_flush_entries: options.column_flush_entries,
        });
        Self {
            records,
            clock: options.clock.clone(),
            precision,
        }
    }

    /// Now, in the database's unit.
    pub(super) fn now(&self) -> i64 {
        self.precision.from_millis(self.clock.now_ms())
    }
}

impl Beside for Keeper {
    fn step(&self) -> Result<bool, Error> {
        match self.records.step(self.now()) {
            // It is said to whoever reads or writes; samples go on.
            Err(error) => {
                tracing::warn!(%error, "retention of logs and events failed");
                Ok(false)
            }
            Ok(is_any) => Ok(is_any),
        }
    }

    fn tick(&self) -> Result<(), Error> {
        if let Err(error) = self.records.tick() {
            tracing::debug!(%error, "records take no ticks");
        }
        Ok(())
    }

    fn hold(&self) -> Result<Option<Box<dyn HeldBeside>>, Error> {
        let held = self.records.hold()?;
        Ok(held.map(|held| Box::new(held) as Box<dyn HeldBeside>))
    }
}

impl HeldBeside for Held {
    fn copy_to(&self, target: &Path) -> Result<u64, Error> {
        Ok(Held::copy_to(self, target)?)
    }

    fn dump_to(&self, fs: &Arc<dyn Fs>, target: &Path, times: (i64, i64)) -> Result<u64, Error> {
        let records = Held::dump_to(self, fs, target, times)?;
        records::check_dump(fs, target)?;
        Ok(records)
    }
}

/// The records of a backup as those of a new database.
pub(super) fn restore(fs: &Arc<dyn Fs>, from: &Path, target: &Path) -> Result<u64, Error> {
    Ok(records::restore(fs, from, target)?)
}

impl From<RecordError> for Error {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Io { op, path, kind, text } => {
                Self::Fs(FsError::new(op, path, IoError::new(kind, text)))
            }
            RecordError::Corrupt { file, offset, what } => Self::Corrupt(CorruptFile { file, offset, what }),
            RecordError::OutOfSpace(what) => Self::OutOfSpace(what),
            RecordError::Poisoned(reason) => Self::Poisoned(reason),
            RecordError::Locked(path) => Self::Locked(path),
            RecordError::ReadOnly => Self::ReadOnly,
            RecordError::Closed => Self::Closed,
            RecordError::Invalid(what) => Self::InvalidOptions(what),
        }
    }
}

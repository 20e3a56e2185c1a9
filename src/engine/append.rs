//! A batch's way in.

use super::Engine;
use super::error::Error;
use crate::head::report::{CommitReport, Durability};
use crate::head::stage::Incoming;
use crate::wal::WalError;
use std::sync::atomic::Ordering;

impl Engine {
    /// Admits, logs and applies a batch, and returns when it is as durable as `durability` asks for. The wait covers
    /// everything the batch rests on: samples that were there already came with records before this point of the log.
    pub(crate) fn append(
        &self,
        incoming: Incoming<'_>,
        durability: Durability,
    ) -> Result<CommitReport, Error> {
        let mut report = {
            let mut writer = self.head.lock_for_commit();
            self.check_writable()?;
            let before = writer.written_bytes();
            match self.head.commit(&mut writer, incoming, self.now()) {
                Ok(report) => {
                    self.log_bytes
                        .fetch_add(writer.written_bytes() - before, Ordering::Relaxed);
                    report
                }
                Err(error) => return Err(self.append_failed(error)),
            }
        };
        report.durability = durability;
        self.counters.count(&report);
        self.wait_stored(report.lsn, durability)?;
        Ok(report)
    }

    /// Returns when everything up to `lsn` is stored as `durability` asks.
    pub(super) fn wait_stored(&self, lsn: u64, durability: Durability) -> Result<(), Error> {
        match (durability, &self.commit) {
            (Durability::Always, Some(commit)) => {
                commit
                    .wait_durable(lsn)
                    .map_err(|error| self.poisoning(error.into()))?;
            }
            (Durability::Interval(_), Some(_)) => self.sync_wanted.store(true, Ordering::Release),
            _ => {}
        }
        Ok(())
    }

    pub(super) fn append_failed(&self, error: crate::head::writer::CommitError) -> Error {
        match error.source {
            // Samples were applied whose record is not in the log: only a new replay makes both one again.
            source if error.is_applied => {
                self.poison(&source.to_string());
                Error::Poisoned(source.to_string())
            }
            WalError::Poisoned(source) => {
                self.poison(&source.to_string());
                Error::Poisoned(source.to_string())
            }
            source => source.into(),
        }
    }
}

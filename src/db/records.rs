//! The handles of logs and events.

use super::Db;
use crate::engine::error::Error;
use crate::records::events::{EventGroup, EventPage, EventPoint, EventQuery};
use crate::records::logs::{LogGroup, LogPage, LogPoint, LogQuery};

/// The logs of a database; see [`Db::logs`].
#[derive(Debug, Clone, Copy)]
pub struct Logs<'a> {
    db: &'a Db,
}

/// The events of a database; see [`Db::events`].
#[derive(Debug, Clone, Copy)]
pub struct Events<'a> {
    db: &'a Db,
}

impl Db {
    /// The logs. They are kept beside the samples in a store of their own, which appears with the first write; a
    /// database that is open for reading only does not have them.
    pub fn logs(&self) -> Logs<'_> {
        Logs { db: self }
    }

    /// The events, kept as [`Db::logs`] are.
    pub fn events(&self) -> Events<'_> {
        Events { db: self }
    }
}

impl Logs<'_> {
    /// Writes logs, all or none, and returns when they are stored as the database's durability says. Two logs of one time
    /// both stay; those without a time get that of the database's clock.
    pub fn write(&self, logs: &[LogPoint]) -> Result<(), Error> {
        let keeper = self.db.keeper();
        Ok(keeper.records.write_logs(logs, keeper.now())?)
    }

    /// A page of the logs that are asked for.
    pub fn query(&self, query: &LogQuery) -> Result<LogPage, Error> {
        Ok(self.db.keeper().records.query_logs(query)?)
    }

    /// How many of them there are in each interval that has any, by its beginning, oldest first. Intervals are of the
    /// unit of the database and begin at multiples of their length. The query's limit, order and cursor do not count.
    pub fn count_per_interval(&self, query: &LogQuery, interval: i64) -> Result<Vec<(i64, u64)>, Error> {
        Ok(self.db.keeper().records.count_logs(query, interval)?)
    }

    /// The times of all of them, by device and level. The query's limit, order and cursor do not count.
    pub fn groups(&self, query: &LogQuery) -> Result<Vec<LogGroup>, Error> {
        Ok(self.db.keeper().records.log_groups(query)?)
    }

    /// The devices that have logs, sorted.
    pub fn devices(&self) -> Result<Vec<String>, Error> {
        Ok(self.db.keeper().records.log_devices()?)
    }
}

impl Events<'_> {
    /// Writes events, all or none, and returns when they are stored as the database's durability says. Two events of one
    /// time both stay; those without a time get that of the database's clock.
    pub fn write(&self, events: &[EventPoint]) -> Result<(), Error> {
        let keeper = self.db.keeper();
        Ok(keeper.records.write_events(events, keeper.now())?)
    }

    /// A page of the events that are asked for.
    pub fn query(&self, query: &EventQuery) -> Result<EventPage, Error> {
        Ok(self.db.keeper().records.query_events(query)?)
    }

    /// How many of them there are in each interval that has any, by its beginning, oldest first. Intervals are of the
    /// unit of the database and begin at multiples of their length. The query's limit, order and cursor do not count.
    pub fn count_per_interval(&self, query: &EventQuery, interval: i64) -> Result<Vec<(i64, u64)>, Error> {
        Ok(self.db.keeper().records.count_events(query, interval)?)
    }

    /// The times of all of them, by device, type and severity. The query's limit, order and cursor do not count.
    pub fn groups(&self, query: &EventQuery) -> Result<Vec<EventGroup>, Error> {
        Ok(self.db.keeper().records.event_groups(query)?)
    }

    /// The devices that have events, sorted.
    pub fn devices(&self) -> Result<Vec<String>, Error> {
        Ok(self.db.keeper().records.event_devices()?)
    }
}

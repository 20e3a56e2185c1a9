//! The handle of key-value columns, and batches over several of them.

use super::Db;
use crate::engine::error::Error;
use crate::records::Change;
use crate::records::columns::{self, ColumnValue};
use crate::records::error::RecordError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::ops::Range;

/// Key-value columns of a database; see [`Db::columns`].
#[derive(Debug, Clone, Copy)]
pub struct Columns<'a> {
    db: &'a Db,
}

/// Changes of columns that are made together or not at all. Nothing is stored before [`ColumnBatch::commit`].
#[derive(Debug)]
pub struct ColumnBatch<'a> {
    db: &'a Db,
    changes: Vec<Change>,
    /// The first change that cannot be made.
    fault: Option<RecordError>,
}

impl Db {
    /// Key-value columns, kept as [`Db::logs`] are. A column is a name with sorted keys; it is there as long as it has any.
    ///
    /// ```
    /// use narthex::{ColumnValue, Db, Options};
    ///
    /// # fn main() -> Result<(), narthex::Error> {
    /// let db = Db::open(Options::in_memory())?;
    /// db.columns().put("firmware", "pump", serde_json::json!({ "version": 3 }))?;
    /// db.columns().batch().put("seen", "pump", &b"\x01"[..]).delete("firmware", "valve").commit()?;
    /// assert_eq!(db.columns().get("seen", "pump")?, Some(ColumnValue::Bytes(vec![1])));
    /// assert_eq!(db.columns().query("firmware", "a".."q", 10)?.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn columns(&self) -> Columns<'_> {
        Columns { db: self }
    }
}

impl<'a> Columns<'a> {
    /// Writes a key, in place of what it had. Column names have at most 1024 bytes, keys 32 KiB, values 64 MiB.
    pub fn put(
        &self,
        column: &str,
        key: impl AsRef<[u8]>,
        value: impl Into<ColumnValue>,
    ) -> Result<(), Error> {
        self.batch().put(column, key, value).commit()
    }

    /// Writes a value of any type as JSON.
    pub fn put_json(&self, column: &str, key: impl AsRef<[u8]>, value: &impl Serialize) -> Result<(), Error> {
        let value = serde_json::to_value(value);
        let value = value.map_err(|error| Error::InvalidOptions(format!("no JSON: {error}")))?;
        self.put(column, key, value)
    }

    /// What a key has.
    pub fn get(&self, column: &str, key: impl AsRef<[u8]>) -> Result<Option<ColumnValue>, Error> {
        Ok(self.db.keeper().records.get_column(column, key.as_ref())?)
    }

    /// What a key has, as a type that was written as JSON; `None` also for bytes.
    pub fn get_json<T: DeserializeOwned>(
        &self,
        column: &str,
        key: impl AsRef<[u8]>,
    ) -> Result<Option<T>, Error> {
        let Some(ColumnValue::Json(value)) = self.get(column, key)? else {
            return Ok(None);
        };
        let value = serde_json::from_value(value);
        value.map_err(|error| Error::InvalidOptions(format!("JSON of another type: {error}")))
    }

    /// Removes a key; one that is not there is no error.
    pub fn delete(&self, column: &str, key: impl AsRef<[u8]>) -> Result<(), Error> {
        self.batch().delete(column, key).commit()
    }

    /// The keys from `range.start`, included, to `range.end`, excluded, in the order of their bytes, with their values; the
    /// first `limit` of them. To go on, ask again from the last key with a zero byte behind it.
    pub fn query<K: AsRef<[u8]>>(
        &self,
        column: &str,
        range: Range<K>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, ColumnValue)>, Error> {
        let (from, to) = (range.start.as_ref(), range.end.as_ref());
        let records = &self.db.keeper().records;
        Ok(records.query_column(column, from, Some(to), limit)?)
    }

    /// The keys from `from`, included, to the end of the column, as [`Columns::query`] gives them.
    pub fn query_from(
        &self,
        column: &str,
        from: impl AsRef<[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, ColumnValue)>, Error> {
        let records = &self.db.keeper().records;
        Ok(records.query_column(column, from.as_ref(), None, limit)?)
    }

    /// The columns that have keys, sorted.
    pub fn names(&self) -> Result<Vec<String>, Error> {
        Ok(self.db.keeper().records.column_names()?)
    }

    /// An empty batch.
    pub fn batch(&self) -> ColumnBatch<'a> {
        ColumnBatch {
            db: self.db,
            changes: Vec::new(),
            fault: None,
        }
    }
}

impl ColumnBatch<'_> {
    /// Adds a write. Of several changes of one key the last one counts.
    #[must_use]
    pub fn put(mut self, column: &str, key: impl AsRef<[u8]>, value: impl Into<ColumnValue>) -> Self {
        self.add(columns::change(column, key.as_ref(), Some(&value.into())));
        self
    }

    /// Adds a removal.
    #[must_use]
    pub fn delete(mut self, column: &str, key: impl AsRef<[u8]>) -> Self {
        self.add(columns::change(column, key.as_ref(), None));
        self
    }

    fn add(&mut self, change: Result<Change, RecordError>) {
        match change {
            Ok(change) => self.changes.push(change),
            Err(fault) => self.fault = self.fault.take().or(Some(fault)),
        }
    }

    /// Makes all changes, and returns when they are stored as the database's durability says. When one of them cannot be
    /// made, none is.
    pub fn commit(self) -> Result<(), Error> {
        if let Some(fault) = self.fault {
            return Err(fault.into());
        }
        Ok(self.db.keeper().records.write_columns(self.changes)?)
    }
}

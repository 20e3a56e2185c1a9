//! Columns: sorted keys with values, each column for itself, changed in batches over several of them. Bytes are described
//! in docs/format/records.md.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::Records;
use super::error::RecordError;
use super::position::{behind, name_prefix, split_name};
use super::store::{Change, KeyRange, Space};
use super::timeline;
use crate::base::bytes::{Corrupt, Cursor};
use serde_json::Value;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

/// Longest key in bytes.
const KEY_BYTES_MAX: usize = 32 << 10;
/// Largest value in bytes.
const VALUE_BYTES_MAX: usize = 64 << 20;
/// What the first byte of a value says of the rest.
const BYTES: u8 = 0;
const JSON: u8 = 1;

/// A value of a column.
#[derive(Debug, Clone, PartialEq)]
pub enum ColumnValue {
    /// Bytes that mean nothing to the database.
    Bytes(Vec<u8>),
    /// JSON.
    Json(Value),
}

impl ColumnValue {
    /// The bytes, if it is bytes.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Json(_) => None,
        }
    }

    /// The JSON, if it is JSON.
    pub fn as_json(&self) -> Option<&Value> {
        match self {
            Self::Bytes(_) => None,
            Self::Json(value) => Some(value),
        }
    }

    fn encode(&self) -> Result<Vec<u8>, RecordError> {
        let (kind, bytes) = match self {
            Self::Bytes(bytes) => (BYTES, bytes.clone()),
            Self::Json(value) => (JSON, value.to_string().into_bytes()),
        };
        if bytes.len() > VALUE_BYTES_MAX {
            return Err(RecordError::Invalid(format!(
                "a value of {} bytes, more than {VALUE_BYTES_MAX}",
                bytes.len()
            )));
        }
        Ok([&[kind], bytes.as_slice()].concat())
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Corrupt> {
        let mut cursor = Cursor::new(bytes);
        match cursor.u8("kind of a column's value")? {
            BYTES => Ok(Self::Bytes(cursor.rest().to_vec())),
            JSON => match serde_json::from_slice(cursor.rest()) {
                Ok(value) => Ok(Self::Json(value)),
                Err(_) => Err(cursor.corrupt("JSON of a column")),
            },
            _ => Err(Corrupt::new("kind of a column's value", 0)),
        }
    }
}

impl From<Value> for ColumnValue {
    fn from(value: Value) -> Self {
        Self::Json(value)
    }
}

impl From<Vec<u8>> for ColumnValue {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<&[u8]> for ColumnValue {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

/// What writes or deletes one key.
pub(crate) fn change(column: &str, key: &[u8], value: Option<&ColumnValue>) -> Result<Change, RecordError> {
    if key.len() > KEY_BYTES_MAX {
        return Err(RecordError::Invalid(format!(
            "a key of {} bytes, more than {KEY_BYTES_MAX}",
            key.len()
        )));
    }
    let key = key_in(column, key)?;
    Ok(match value {
        Some(value) => Change::put(Space::Columns, key, value.encode()?),
        None => Change::delete(Space::Columns, key),
    })
}

fn key_in(column: &str, key: &[u8]) -> Result<Vec<u8>, RecordError> {
    let mut out = name_prefix(column)?;
    out.extend_from_slice(key);
    Ok(out)
}

impl Records {
    /// Makes all changes or none.
    pub(crate) fn write_columns(&self, changes: Vec<Change>) -> Result<(), RecordError> {
        let count = changes.len() as u64;
        if count == 0 {
            return Ok(());
        }
        self.write(0, |_| changes)?;
        let Some(most) = self.options.column_flush_entries else {
            return Ok(());
        };
        if self.column_changes.fetch_add(count, Ordering::AcqRel) + count >= most {
            self.column_changes.store(0, Ordering::Release);
            self.store.flush(Space::Columns)?;
        }
        Ok(())
    }

    pub(crate) fn get_column(&self, column: &str, key: &[u8]) -> Result<Option<ColumnValue>, RecordError> {
        let key = key_in(column, key)?;
        let found = self.read(|view| view.get(Space::Columns, &key))?;
        found.map(|bytes| self.decode_column(&bytes)).transpose()
    }

    fn decode_column(&self, bytes: &[u8]) -> Result<ColumnValue, RecordError> {
        ColumnValue::decode(bytes).map_err(|error| self.corrupt_column(&error))
    }

    fn corrupt_column(&self, error: &Corrupt) -> RecordError {
        let dir = self.disk.as_ref().map(|disk| disk.dir().to_owned());
        RecordError::corrupt(&dir.unwrap_or_default(), Space::Columns.name(), error)
    }

    /// Keys from `from`, included, to `to`, excluded, with their values, at most `limit`.
    pub(crate) fn query_column(
        &self,
        column: &str,
        from: &[u8],
        to: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, ColumnValue)>, RecordError> {
        let range = KeyRange {
            from: key_in(column, from)?,
            to: match to {
                Some(to) => key_in(column, to)?,
                None => behind(&name_prefix(column)?),
            },
        };
        let mut found = Vec::new();
        if limit == 0 {
            return Ok(found);
        }
        self.read(|view| {
            view.scan(Space::Columns, &range, false, &mut |key, value| {
                let (_, key) = split_name(key).map_err(|error| self.corrupt_column(&error))?;
                found.push((key.to_vec(), self.decode_column(value)?));
                Ok(if found.len() == limit {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                })
            })
        })?;
        Ok(found)
    }

    pub(crate) fn column_names(&self) -> Result<Vec<String>, RecordError> {
        let dir = self.disk.as_ref().map(|disk| disk.dir().to_owned());
        self.read(|view| timeline::names(view, Space::Columns, &dir.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trip(bytes: Vec<u8>, text: String, number: i64) {
            for value in [ColumnValue::Bytes(bytes), ColumnValue::Json(serde_json::json!({ text: number }))] {
                let encoded = value.encode().expect("a small value");
                prop_assert_eq!(ColumnValue::decode(&encoded), Ok(value));
            }
        }

        #[test]
        fn any_bytes_return(bytes: Vec<u8>) {
            let _ = ColumnValue::decode(&bytes);
        }
    }

    #[test]
    fn what_is_too_long_is_refused() {
        assert!(change("c", &vec![0; KEY_BYTES_MAX + 1], None).is_err());
        assert!(change(&"c".repeat(2000), b"k", None).is_err());
    }
}

//! Logs: a line of text from a device, with a level. Bytes are described in docs/format/records.md.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::Records;
use super::error::RecordError;
use super::position::{Position, name_prefix};
use super::rank::Level;
use super::tags::Tags;
use super::timeline::Window;
use crate::base::bytes::{Corrupt, Cursor};
use crate::base::varint;
use memchr::memmem::Finder;
use std::collections::BTreeMap;
use std::ops::RangeBounds;

/// The layout of a value.
const VERSION: u8 = 1;

/// A log line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogPoint {
    /// Who wrote it; at most 1024 bytes.
    pub device: String,
    /// How grave it is.
    pub level: Level,
    /// The text.
    pub message: String,
    /// The part of the device that wrote it.
    pub source: Option<String>,
    /// More about it.
    pub tags: Tags,
    /// In the unit of the database. `None` is the time of writing; what was read has one.
    pub timestamp: Option<i64>,
}

impl LogPoint {
    /// A line without source, tags and time.
    pub fn new(device: impl Into<String>, level: impl Into<Level>, message: impl Into<String>) -> Self {
        Self {
            device: device.into(),
            level: level.into(),
            message: message.into(),
            ..Self::default()
        }
    }

    /// Names the part of the device that wrote it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<String>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Says more about it.
    #[must_use]
    pub fn with_tags(mut self, tags: impl Into<Tags>) -> Self {
        self.tags = tags.into();
        self
    }

    /// Says when it was, in the unit of the database.
    #[must_use]
    pub fn with_timestamp(mut self, timestamp: i64) -> Self {
        self.timestamp = Some(timestamp);
        self
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION, self.level.code()];
        if let Level::Other(text) = &self.level {
            varint::write_bytes(&mut out, text.as_bytes());
        }
        varint::write_bytes(&mut out, self.device.as_bytes());
        match &self.source {
            None => out.push(0),
            Some(source) => {
                varint::write_u64(&mut out, source.len() as u64 + 1);
                out.extend_from_slice(source.as_bytes());
            }
        }
        let mut tags = Vec::new();
        self.tags.encode(&mut tags);
        varint::write_bytes(&mut out, &tags);
        out.extend_from_slice(self.message.as_bytes());
        out
    }

    pub(super) fn decode(time: i64, bytes: &[u8]) -> Result<Self, Corrupt> {
        let raw = RawLog::decode(bytes)?;
        let start = bytes.len() - raw.message.len();
        let message = std::str::from_utf8(raw.message);
        let level = Level::from_code(raw.level, raw.level_text);
        Ok(Self {
            device: raw.device.to_owned(),
            level: level.ok_or_else(|| Corrupt::new("level of a log", 1))?,
            message: message
                .map_err(|_| Corrupt::new("text of a log", start))?
                .to_owned(),
            source: raw.source.map(str::to_owned),
            tags: Tags::decode(raw.tags)?,
            timestamp: Some(time),
        })
    }
}

/// A stored line, where it lies.
struct RawLog<'a> {
    level: u8,
    level_text: &'a str,
    device: &'a str,
    source: Option<&'a str>,
    tags: &'a [u8],
    message: &'a [u8],
}

impl<'a> RawLog<'a> {
    fn decode(bytes: &'a [u8]) -> Result<Self, Corrupt> {
        let mut cursor = Cursor::new(bytes);
        if cursor.u8("version of a log")? != VERSION {
            return Err(Corrupt::new("log of a newer version", 0));
        }
        let level = cursor.u8("level of a log")?;
        let level_text = match level {
            255 => cursor.text("level of a log")?,
            _ => "",
        };
        let device = cursor.text("device of a log")?;
        let source = optional_text(&mut cursor, "source of a log")?;
        let tags = cursor.length_prefixed("tags of a log")?;
        Ok(Self {
            level,
            level_text,
            device,
            source,
            tags,
            message: cursor.rest(),
        })
    }
}

/// Text behind its length and one, or nothing behind a zero.
pub(super) fn optional_text<'a>(
    cursor: &mut Cursor<'a>,
    what: &'static str,
) -> Result<Option<&'a str>, Corrupt> {
    let at = cursor.position();
    let length = cursor.length(cursor.remaining(), what)?;
    let Some(length) = length.checked_sub(1) else {
        return Ok(None);
    };
    let text = std::str::from_utf8(cursor.take(length, what)?);
    text.map(Some).map_err(|_| Corrupt::new(what, at))
}

/// The device of a stored line.
pub(super) fn device_of(bytes: &[u8]) -> Result<String, Corrupt> {
    Ok(RawLog::decode(bytes)?.device.to_owned())
}

/// Which logs are asked for, newest first unless said otherwise, at most 1000.
///
/// ```
/// use narthex::{Db, Level, LogPoint, LogQuery, Options};
///
/// # fn main() -> Result<(), narthex::Error> {
/// let db = Db::open(Options::in_memory())?;
/// db.logs().write(&[LogPoint::new("pump", Level::Error, "pressure lost").with_timestamp(7)])?;
/// let page = db.logs().query(&LogQuery::new(0..10).with_level(Level::Warn).with_text("lost"))?;
/// assert_eq!(page.logs[0].device, "pump");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogQuery {
    window: Window,
    level: Option<Level>,
    source: Option<String>,
    text: Option<String>,
    tags: Tags,
}

impl LogQuery {
    /// All logs in a range of time.
    pub fn new(range: impl RangeBounds<i64>) -> Self {
        Self {
            window: Window::new(&range),
            level: None,
            source: None,
            text: None,
            tags: Tags::default(),
        }
    }

    /// Of this device only.
    #[must_use]
    pub fn with_device(mut self, device: impl Into<String>) -> Self {
        self.window.device = Some(device.into());
        self
    }

    /// Of this level at least.
    #[must_use]
    pub fn with_level(mut self, level: impl Into<Level>) -> Self {
        self.level = Some(level.into());
        self
    }

    /// From this source only.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<String>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// With this text somewhere in the message, in the same case.
    #[must_use]
    pub fn with_text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// With all of these tags.
    #[must_use]
    pub fn with_tags(mut self, tags: impl Into<Tags>) -> Self {
        self.tags = tags.into();
        self
    }

    /// At most so many at a time.
    #[must_use]
    pub fn with_limit(mut self, limit: usize) -> Self {
        self.window.limit = limit;
        self
    }

    /// Oldest first.
    #[must_use]
    pub fn oldest_first(mut self) -> Self {
        self.window.is_oldest_first = true;
        self
    }

    /// Goes on behind an earlier page; everything else is as it was for that one.
    #[must_use]
    pub fn with_cursor(mut self, cursor: impl Into<String>) -> Self {
        self.window.cursor = Some(cursor.into());
        self
    }

    /// Whether a stored line is asked for. Its device was looked at before.
    fn keeper(&self) -> impl Fn(&[u8]) -> Result<bool, Corrupt> {
        let finder = self.text.as_ref().map(|text| Finder::new(text.as_bytes()));
        let rank = self.level.as_ref().map_or(0, Level::rank);
        move |bytes| {
            let log = RawLog::decode(bytes)?;
            Ok(Level::rank_of(log.level) >= rank
                && self
                    .source
                    .as_deref()
                    .is_none_or(|source| log.source == Some(source))
                && finder
                    .as_ref()
                    .is_none_or(|text| text.find(log.message).is_some())
                && self.tags.are_in(log.tags)?)
        }
    }
}

/// Some of the logs that were asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct LogPage {
    /// In the order asked for.
    pub logs: Vec<LogPoint>,
    /// What [`LogQuery::with_cursor`] takes to go on; `None` when these were the last.
    pub next: Option<String>,
}

/// The times of the logs that one device wrote with one level.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogGroup {
    /// Who wrote them.
    pub device: String,
    /// How grave they are.
    pub level: Level,
    /// When, oldest first; a time stands as often as there are logs.
    pub timestamps: Vec<i64>,
}

impl Records {
    /// Writes logs, all or none. Those without a time get `now`.
    pub(crate) fn write_logs(&self, points: &[LogPoint], now: i64) -> Result<(), RecordError> {
        let prefixes = points.iter().map(|point| name_prefix(&point.device));
        let prefixes = prefixes.collect::<Result<Vec<_>, _>>()?;
        if points.is_empty() {
            return Ok(());
        }
        self.write(points.len() as u64, |first| {
            let numbered = (first..).zip(points).zip(prefixes);
            let changes = numbered.flat_map(|((number, point), prefix)| {
                let time = point.timestamp.unwrap_or(now);
                self.logs.put(Position { time, number }, prefix, point.encode())
            });
            changes.collect()
        })
    }

    pub(crate) fn query_logs(&self, query: &LogQuery) -> Result<LogPage, RecordError> {
        let keep = query.keeper();
        let (logs, next) = self.read(|view| self.logs.page(view, &query.window, &keep, LogPoint::decode))?;
        Ok(LogPage { logs, next })
    }

    pub(crate) fn count_logs(&self, query: &LogQuery, interval: i64) -> Result<Vec<(i64, u64)>, RecordError> {
        let keep = query.keeper();
        self.read(|view| self.logs.count(view, &query.window, interval, &keep))
    }

    pub(crate) fn log_groups(&self, query: &LogQuery) -> Result<Vec<LogGroup>, RecordError> {
        let keep = query.keeper();
        let mut groups: BTreeMap<String, BTreeMap<Level, Vec<i64>>> = BTreeMap::new();
        self.read(|view| {
            self.logs.each(view, &query.window, &keep, |time, bytes| {
                let log = RawLog::decode(bytes)?;
                let level = Level::from_code(log.level, log.level_text);
                let level = level.ok_or_else(|| Corrupt::new("level of a log", 1))?;
                if !groups.contains_key(log.device) {
                    groups.insert(log.device.to_owned(), BTreeMap::new());
                }
                if let Some(levels) = groups.get_mut(log.device) {
                    levels.entry(level).or_default().push(time);
                }
                Ok(())
            })
        })?;
        let groups = groups.into_iter().flat_map(|(device, levels)| {
            levels.into_iter().map(move |(level, timestamps)| LogGroup {
                device: device.clone(),
                level,
                timestamps,
            })
        });
        Ok(groups.collect())
    }

    pub(crate) fn log_devices(&self) -> Result<Vec<String>, RecordError> {
        self.read(|view| self.logs.devices(view))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn round_trip(
            (device, level, message) in any::<(String, String, String)>(),
            source in any::<Option<String>>(),
            tags in any::<Vec<(String, String)>>(),
            time in any::<i64>(),
        ) {
            let log = LogPoint {
                source,
                tags: tags.into_iter().collect(),
                timestamp: Some(time),
                ..LogPoint::new(device, level.as_str(), message)
            };
            let bytes = log.encode();
            prop_assert_eq!(LogPoint::decode(time, &bytes), Ok(log.clone()));
            prop_assert_eq!(device_of(&bytes), Ok(log.device));
        }

        #[test]
        fn any_bytes_return(bytes: Vec<u8>) {
            let _ = LogPoint::decode(0, &bytes);
            let with_version = [&[VERSION], bytes.as_slice()].concat();
            let _ = LogPoint::decode(0, &with_version);
            let _ = LogQuery::new(..).with_tags([("a", "b")]).keeper()(&with_version);
        }
    }
}

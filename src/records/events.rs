//! Events: something that happened to a device, with a type, a severity and JSON. Bytes are described in
//! docs/format/records.md.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::Records;
use super::error::RecordError;
use super::position::{Position, name_prefix};
use super::rank::Severity;
use super::tags::Tags;
use super::timeline::Window;
use crate::base::bytes::{Corrupt, Cursor};
use crate::base::varint;
use memchr::memmem::Finder;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ops::RangeBounds;

/// The layout of a value.
const VERSION: u8 = 1;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EventPoint {
    /// To whom; at most 1024 bytes.
    pub device: String,
    /// What kind of thing, as in `door.opened`.
    pub event_type: String,
    /// What there is to say about it; `null` for nothing.
    pub data: Value,
    /// How grave it is.
    pub severity: Severity,
    /// More about it.
    pub tags: Tags,
    /// In the unit of the database. `None` is the time of writing; what was read has one.
    pub timestamp: Option<i64>,
}

impl EventPoint {
    /// An event of the lowest severity, without data, tags and time.
    pub fn new(device: impl Into<String>, event_type: impl Into<String>) -> Self {
        Self {
            device: device.into(),
            event_type: event_type.into(),
            ..Self::default()
        }
    }

    /// Says what there is to say about it.
    #[must_use]
    pub fn with_data(mut self, data: impl Into<Value>) -> Self {
        self.data = data.into();
        self
    }

    /// Says how grave it is.
    #[must_use]
    pub fn with_severity(mut self, severity: impl Into<Severity>) -> Self {
        self.severity = severity.into();
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
        let mut out = vec![VERSION, self.severity.code()];
        if let Severity::Other(text) = &self.severity {
            varint::write_bytes(&mut out, text.as_bytes());
        }
        varint::write_bytes(&mut out, self.device.as_bytes());
        varint::write_bytes(&mut out, self.event_type.as_bytes());
        let mut tags = Vec::new();
        self.tags.encode(&mut tags);
        varint::write_bytes(&mut out, &tags);
        if !self.data.is_null() {
            out.extend_from_slice(self.data.to_string().as_bytes());
        }
        out
    }

    pub(super) fn decode(time: i64, bytes: &[u8]) -> Result<Self, Corrupt> {
        let raw = RawEvent::decode(bytes)?;
        let start = bytes.len() - raw.data.len();
        let data = match raw.data {
            [] => Value::Null,
            json => serde_json::from_slice(json).map_err(|_| Corrupt::new("data of an event", start))?,
        };
        Ok(Self {
            device: raw.device.to_owned(),
            event_type: raw.event_type.to_owned(),
            data,
            severity: raw.severity()?,
            tags: Tags::decode(raw.tags)?,
            timestamp: Some(time),
        })
    }
}

/// A stored event, where it lies.
struct RawEvent<'a> {
    severity: u8,
    severity_text: &'a str,
    device: &'a str,
    event_type: &'a str,
    tags: &'a [u8],
    data: &'a [u8],
}

impl<'a> RawEvent<'a> {
    fn decode(bytes: &'a [u8]) -> Result<Self, Corrupt> {
        let mut cursor = Cursor::new(bytes);
        if cursor.u8("version of an event")? != VERSION {
            return Err(Corrupt::new("event of a newer version", 0));
        }
        let severity = cursor.u8("severity of an event")?;
        let severity_text = match severity {
            255 => cursor.text("severity of an event")?,
            _ => "",
        };
        Ok(Self {
            severity,
            severity_text,
            device: cursor.text("device of an event")?,
            event_type: cursor.text("type of an event")?,
            tags: cursor.length_prefixed("tags of an event")?,
            data: cursor.rest(),
        })
    }

    fn severity(&self) -> Result<Severity, Corrupt> {
        let severity = Severity::from_code(self.severity, self.severity_text);
        severity.ok_or_else(|| Corrupt::new("severity of an event", 1))
    }
}

/// The device of a stored event.
pub(super) fn device_of(bytes: &[u8]) -> Result<String, Corrupt> {
    Ok(RawEvent::decode(bytes)?.device.to_owned())
}

/// Which events are asked for, newest first unless said otherwise, at most 1000.
///
/// ```
/// use narthex::{Db, EventPoint, EventQuery, Options, Severity};
///
/// # fn main() -> Result<(), narthex::Error> {
/// let db = Db::open(Options::in_memory())?;
/// let event = EventPoint::new("door", "opened").with_severity("high").with_timestamp(7);
/// db.events().write(&[event.with_data(serde_json::json!({ "by": "nobody" }))])?;
/// let page = db.events().query(&EventQuery::new(..).with_severity(Severity::Warning))?;
/// assert_eq!(page.events[0].data["by"], "nobody");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventQuery {
    window: Window,
    severity: Option<Severity>,
    event_type: Option<String>,
    text: Option<String>,
    tags: Tags,
}

impl EventQuery {
    /// All events in a range of time.
    pub fn new(range: impl RangeBounds<i64>) -> Self {
        Self {
            window: Window::new(&range),
            severity: None,
            event_type: None,
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

    /// Of this severity at least.
    #[must_use]
    pub fn with_severity(mut self, severity: impl Into<Severity>) -> Self {
        self.severity = Some(severity.into());
        self
    }

    /// Of this type only.
    #[must_use]
    pub fn with_type(mut self, event_type: impl Into<String>) -> Self {
        self.event_type = Some(event_type.into());
        self
    }

    /// With this text somewhere in the data as compact JSON, in the same case.
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

    /// Whether a stored event is asked for. Its device was looked at before.
    fn keeper(&self) -> impl Fn(&[u8]) -> Result<bool, Corrupt> {
        let finder = self.text.as_ref().map(|text| Finder::new(text.as_bytes()));
        let rank = self.severity.as_ref().map_or(0, Severity::rank);
        move |bytes| {
            let event = RawEvent::decode(bytes)?;
            let is_of_type = |wanted: &str| event.event_type == wanted;
            Ok(Severity::rank_of(event.severity) >= rank
                && self.event_type.as_deref().is_none_or(is_of_type)
                && finder.as_ref().is_none_or(|text| text.find(event.data).is_some())
                && self.tags.are_in(event.tags)?)
        }
    }
}

/// Some of the events that were asked for.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct EventPage {
    /// In the order asked for.
    pub events: Vec<EventPoint>,
    /// What [`EventQuery::with_cursor`] takes to go on; `None` when these were the last.
    pub next: Option<String>,
}

/// The times of the events of one type and severity that one device had.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventGroup {
    /// Who had them.
    pub device: String,
    /// Their type.
    pub event_type: String,
    /// How grave they are.
    pub severity: Severity,
    /// When, oldest first; a time stands as often as there are events.
    pub timestamps: Vec<i64>,
}

impl Records {
    /// Writes events, all or none. Those without a time get `now`.
    pub(crate) fn write_events(&self, points: &[EventPoint], now: i64) -> Result<(), RecordError> {
        let prefixes = points.iter().map(|point| name_prefix(&point.device));
        let prefixes = prefixes.collect::<Result<Vec<_>, _>>()?;
        if points.is_empty() {
            return Ok(());
        }
        self.write(points.len() as u64, |first| {
            let numbered = (first..).zip(points).zip(prefixes);
            let changes = numbered.flat_map(|((number, point), prefix)| {
                let time = point.timestamp.unwrap_or(now);
                self.events.put(Position { time, number }, prefix, point.encode())
            });
            changes.collect()
        })
    }

    pub(crate) fn query_events(&self, query: &EventQuery) -> Result<EventPage, RecordError> {
        let keep = query.keeper();
        let (events, next) =
            self.read(|view| self.events.page(view, &query.window, &keep, EventPoint::decode))?;
        Ok(EventPage { events, next })
    }

    pub(crate) fn count_events(
        &self,
        query: &EventQuery,
        interval: i64,
    ) -> Result<Vec<(i64, u64)>, RecordError> {
        let keep = query.keeper();
        self.read(|view| self.events.count(view, &query.window, interval, &keep))
    }

    pub(crate) fn event_groups(&self, query: &EventQuery) -> Result<Vec<EventGroup>, RecordError> {
        let keep = query.keeper();
        let mut groups: BTreeMap<(String, String, Severity), Vec<i64>> = BTreeMap::new();
        self.read(|view| {
            self.events.each(view, &query.window, &keep, |time, bytes| {
                let event = RawEvent::decode(bytes)?;
                let (device, event_type) = (event.device.to_owned(), event.event_type.to_owned());
                let group = groups.entry((device, event_type, event.severity()?));
                group.or_default().push(time);
                Ok(())
            })
        })?;
        let groups = groups.into_iter().map(|(of, timestamps)| EventGroup {
            device: of.0,
            event_type: of.1,
            severity: of.2,
            timestamps,
        });
        Ok(groups.collect())
    }

    pub(crate) fn event_devices(&self) -> Result<Vec<String>, RecordError> {
        self.read(|view| self.events.devices(view))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    proptest! {
        #[test]
        fn round_trip(
            (device, event_type, severity) in any::<(String, String, String)>(),
            data in any::<Option<(String, i64, bool)>>(),
            tags in any::<Vec<(String, String)>>(),
            time in any::<i64>(),
        ) {
            let data = data.map_or(Value::Null, |(text, number, is_so)| json!({ text: [number, is_so] }));
            let event = EventPoint {
                tags: tags.into_iter().collect(),
                timestamp: Some(time),
                ..EventPoint::new(device, event_type)
                    .with_data(data)
                    .with_severity(severity.as_str())
            };
            let bytes = event.encode();
            prop_assert_eq!(EventPoint::decode(time, &bytes), Ok(event.clone()));
            prop_assert_eq!(device_of(&bytes), Ok(event.device));
        }

        #[test]
        fn any_bytes_return(bytes: Vec<u8>) {
            let _ = EventPoint::decode(0, &bytes);
            let with_version = [&[VERSION], bytes.as_slice()].concat();
            let _ = EventPoint::decode(0, &with_version);
            let _ = EventQuery::new(..).with_tags([("a", "b")]).keeper()(&with_version);
        }
    }
}

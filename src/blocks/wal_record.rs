//! What a record of Prometheus' log says: series, samples of all kinds, deletions, exemplars and metadata.
//!
//! Samples name their series by a number that a series record gave it. Records of the second version, which have start
//! timestamps, write each sample as the difference to the one before, those of the first as the difference to the first.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::wal_histogram;
use crate::base::bytes::{Corrupt, Cursor};
use crate::model::histogram::Histogram;
use crate::model::labels::{LabelError, Labels};
use crate::model::metadata::{Metadata, MetricType};

/// One thing that a record says.
#[derive(Debug)]
pub(crate) enum Entry {
    /// The series that is called by this number from here on.
    Series(u64, Result<Labels, LabelError>),
    Float(Place, u64),
    Histogram(Place, Box<Histogram>),
    /// Deleted of the series, both ends included.
    Deleted(u64, i64, i64),
    Exemplar(Place, f64, Result<Labels, LabelError>),
    Metadata(u64, Metadata),
    /// What is older stands in blocks.
    Floor(i64),
}

/// A series at a timestamp.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Place {
    pub(crate) series: u64,
    pub(crate) timestamp: i64,
    /// 0 when it is not known.
    pub(crate) start_timestamp: i64,
}

/// How samples are written of which each has a place.
#[derive(Debug)]
struct Places {
    has_starts: bool,
    first: Place,
    last: Option<Place>,
}

/// What a record says, in order. Records of a kind that this does not know say nothing, as with Prometheus.
pub(crate) fn decode(record: &[u8]) -> Result<Vec<Entry>, Corrupt> {
    let mut cursor = Cursor::new(record);
    let kind = cursor.u8("type of a record")?;
    let mut entries = Vec::new();
    let is_float = matches!(kind, 8 | 10 | 13);
    let mut places = match kind {
        2 | 4 | 7..=10 if !cursor.is_empty() => Some(Places::absolute(&mut cursor)?),
        11..=13 => Some(Places::with_starts()),
        _ => None,
    };
    while !cursor.is_empty() {
        let place = places
            .as_mut()
            .map(|places| places.next(&mut cursor))
            .transpose()?;
        let entry = match (kind, place) {
            (1, _) => Entry::Series(cursor.u64_be("number of a series")?, labels(&mut cursor)?),
            (2 | 11, Some(place)) => Entry::Float(place, cursor.u64_be("a value")?),
            (3, _) => Entry::Deleted(
                cursor.u64_be("series of a deletion")?,
                cursor.ivarint("first time of a deletion")?,
                cursor.ivarint("last time of a deletion")?,
            ),
            (4, Some(place)) => {
                let value = f64::from_bits(cursor.u64_be("value of an exemplar")?);
                Entry::Exemplar(place, value, labels(&mut cursor)?)
            }
            (6, _) => metadata(&mut cursor)?,
            (7..=10 | 12 | 13, Some(place)) => {
                Entry::Histogram(place, Box::new(wal_histogram::decode(&mut cursor, is_float)?))
            }
            (14, _) => Entry::Floor(cursor.u64_be("time of a checkpoint")? as i64),
            _ => break,
        };
        entries.push(entry);
    }
    Ok(entries)
}

impl Places {
    /// Differences to the place that stands first.
    fn absolute(cursor: &mut Cursor<'_>) -> Result<Self, Corrupt> {
        let first = Place {
            series: cursor.u64_be("first series")?,
            timestamp: cursor.u64_be("first time")? as i64,
            start_timestamp: 0,
        };
        Ok(Self {
            has_starts: false,
            first,
            last: None,
        })
    }

    fn with_starts() -> Self {
        Self {
            has_starts: true,
            first: Place::default(),
            last: None,
        }
    }

    fn next(&mut self, cursor: &mut Cursor<'_>) -> Result<Place, Corrupt> {
        let series = cursor.ivarint("series of a sample")? as u64;
        let time = cursor.ivarint("time of a sample")?;
        let place = match (self.has_starts, self.last) {
            (false, _) => Place {
                series: self.first.series.wrapping_add(series),
                timestamp: self.first.timestamp.wrapping_add(time),
                start_timestamp: 0,
            },
            (true, None) => {
                self.first = Place {
                    series,
                    timestamp: time,
                    start_timestamp: cursor.ivarint("start of a sample")?,
                };
                self.first
            }
            (true, Some(last)) => Place {
                series: last.series.wrapping_add(series),
                timestamp: self.first.timestamp.wrapping_add(time),
                start_timestamp: match cursor.u8("start of a sample")? {
                    0 => 0,
                    1 => last.start_timestamp,
                    _ => {
                        let start = cursor.ivarint("start of a sample")?;
                        self.first.start_timestamp.wrapping_add(start)
                    }
                },
            },
        };
        self.last = Some(place);
        Ok(place)
    }
}

fn labels(cursor: &mut Cursor<'_>) -> Result<Result<Labels, LabelError>, Corrupt> {
    let count = cursor.length(cursor.remaining(), "number of labels")?;
    let mut pairs = Vec::with_capacity(count);
    for _ in 0..count {
        let name = cursor.length_prefixed("name of a label")?;
        pairs.push((name, cursor.length_prefixed("value of a label")?));
    }
    Ok(Labels::from_byte_pairs(pairs))
}

fn metadata(cursor: &mut Cursor<'_>) -> Result<Entry, Corrupt> {
    let series = cursor.uvarint("series of metadata")?;
    let kind = cursor.u8("type of a metric")?;
    let mut metadata = Metadata {
        metric_type: MetricType::from_u8(kind).unwrap_or_default(),
        ..Metadata::default()
    };
    for _ in 0..cursor.length(cursor.remaining(), "number of fields")? {
        let name = cursor.length_prefixed("name of a field")?;
        let value = String::from_utf8_lossy(cursor.length_prefixed("value of a field")?).into_owned();
        match name {
            b"UNIT" => metadata.unit = value,
            b"HELP" => metadata.help = value,
            _ => {}
        }
    }
    Ok(Entry::Metadata(series, metadata))
}

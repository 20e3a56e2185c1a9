//! A sketch as bytes, cut to a budget that grows with the rows: the largest names and metrics come first and the rest is
//! left out, with the size of what is.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::hll::Hll;
use super::tally::Tally;
use super::{
    DETAIL_BITS, DETAILED_MAX, Kept, METRICS_MAX, MetricSketch, NAMES_MAX, NameSketch, PART_BITS, Sketch,
    TOP_VALUES, WHOLE_BITS,
};
use crate::base::bytes::{Corrupt, Cursor};
use crate::base::varint;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// What a sketch may take: so much, and a byte for so many rows, up to a limit.
const BUDGET_MIN: usize = 4 << 10;
const ROWS_PER_BYTE: usize = 4;
const BUDGET_MAX: usize = 1 << 20;

/// Flag of a name: every series has the label, so their registers are those of all series.
const EVERY_SERIES: u8 = 1;

fn budget(rows: u64) -> usize {
    let grown = usize::try_from(rows).unwrap_or(usize::MAX) / ROWS_PER_BYTE;
    grown.saturating_add(BUDGET_MIN).min(BUDGET_MAX)
}

/// The entries of a list that fit.
#[derive(Default)]
struct Entries {
    bytes: Vec<u8>,
    count: u64,
    cut: u64,
}

impl Entries {
    fn write(self, out: &mut Vec<u8>) {
        varint::write_u64(out, self.count);
        varint::write_u64(out, self.cut);
        out.extend_from_slice(&self.bytes);
    }
}

impl Sketch {
    /// The bytes of a sketch of rows, not of a merged one.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        varint::write_u64(&mut out, self.series.at_most);
        self.series.hll.write(&mut out);
        let budget = budget(self.series.at_most);
        let (names, places) = self.encode_names((budget / 2).saturating_sub(out.len()));
        names.write(&mut out);
        self.encode_metrics(&places, budget, out.len()).write(&mut out);
        out
    }

    fn encode_names(&self, room: usize) -> (Entries, BTreeMap<&str, u64>) {
        let mut order: Vec<_> = self.names.entries.iter().collect();
        order.sort_by_key(|(_, entry)| Reverse(entry.values.at_most));
        let mut kept = Entries {
            cut: self.names.cut,
            ..Entries::default()
        };
        let (mut places, mut bytes) = (BTreeMap::new(), Vec::new());
        for (name, entry) in order {
            bytes.clear();
            entry.encode(name, self.series.at_most, &mut bytes);
            if kept.bytes.len() + bytes.len() > room {
                kept.cut = entry.values.at_most;
                break;
            }
            places.insert(name.as_str(), kept.count);
            kept.bytes.extend_from_slice(&bytes);
            kept.count += 1;
        }
        (kept, places)
    }

    /// The values of labels get a quarter of the budget at most, so that many metrics have room.
    fn encode_metrics(&self, places: &BTreeMap<&str, u64>, budget: usize, taken: usize) -> Entries {
        let mut order: Vec<_> = self.metrics.entries.iter().collect();
        order.sort_by_key(|(_, entry)| Reverse(entry.series.at_most));
        let (mut room, mut details_room) = (budget.saturating_sub(taken), budget / 4);
        let mut kept = Entries {
            cut: self.metrics.cut,
            ..Entries::default()
        };
        let (mut bytes, mut details) = (Vec::new(), Vec::new());
        for (name, entry) in order {
            bytes.clear();
            varint::write_bytes(&mut bytes, name.as_bytes());
            varint::write_u64(&mut bytes, entry.series.at_most);
            entry.series.hll.write(&mut bytes);
            details.clear();
            entry.encode_labels(places, &mut details);
            if bytes.len() + 1 > room {
                kept.cut = entry.series.at_most;
                break;
            }
            if details.len() > details_room || bytes.len() + details.len() > room {
                details = vec![0];
            }
            details_room -= details.len().min(details_room);
            bytes.extend_from_slice(&details);
            room -= bytes.len();
            kept.bytes.extend_from_slice(&bytes);
            kept.count += 1;
        }
        kept
    }

    /// The sketch in `bytes`, all of them.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Corrupt> {
        let mut cursor = Cursor::new(bytes);
        let rows = cursor.uvarint("series of a sketch")?;
        let series = Tally::exact(rows, Hll::read(&mut cursor, WHOLE_BITS)?);
        let mut order = Vec::new();
        let names = read_kept(&mut cursor, NAMES_MAX, |cursor, name| {
            order.push(name.to_owned());
            NameSketch::read(cursor, &series)
        })?;
        let mut detailed = 0;
        let metrics = read_kept(&mut cursor, METRICS_MAX, |cursor, _| {
            let metric = MetricSketch::read(cursor, &order)?;
            detailed += usize::from(!metric.labels.is_empty());
            if detailed > DETAILED_MAX {
                return Err(cursor.corrupt("metrics with values"));
            }
            Ok(metric)
        })?;
        if !cursor.is_empty() {
            return Err(cursor.corrupt("end of a sketch"));
        }
        Ok(Self {
            series,
            names,
            metrics,
        })
    }
}

/// Entries, each behind its name, no name twice.
fn read_kept<T>(
    cursor: &mut Cursor<'_>,
    most: usize,
    mut read: impl FnMut(&mut Cursor<'_>, &str) -> Result<T, Corrupt>,
) -> Result<Kept<T>, Corrupt> {
    let count = cursor.length(most, "entries of a sketch")?;
    let cut = cursor.uvarint("what a sketch leaves out")?;
    let mut entries = BTreeMap::new();
    for _ in 0..count {
        let name = cursor.text("name in a sketch")?;
        if entries.insert(name.to_owned(), read(cursor, name)?).is_some() {
            return Err(cursor.corrupt("a name twice in a sketch"));
        }
    }
    Ok(Kept { entries, cut })
}

impl NameSketch {
    fn encode(&self, name: &str, rows: u64, out: &mut Vec<u8>) {
        varint::write_bytes(out, name.as_bytes());
        varint::write_u64(out, self.series.at_most);
        varint::write_u64(out, self.values.at_most);
        if self.series.at_most == rows {
            out.push(EVERY_SERIES);
        } else {
            out.push(0);
            self.series.hll.write(out);
        }
        self.values.hll.write(out);
        varint::write_u64(out, self.top.len() as u64);
        for (value, series) in &self.top {
            varint::write_bytes(out, value.as_bytes());
            varint::write_u64(out, *series);
        }
    }

    fn read(cursor: &mut Cursor<'_>, all: &Tally) -> Result<Self, Corrupt> {
        let series = cursor.uvarint("series of a label name")?;
        let values = cursor.uvarint("values of a label name")?;
        let registers = match cursor.u8("flags of a label name")? {
            EVERY_SERIES => all.hll.fold(PART_BITS),
            0 => Hll::read(cursor, PART_BITS)?,
            _ => return Err(cursor.corrupt("flags of a label name")),
        };
        let values = Tally::exact(values, Hll::read(cursor, PART_BITS)?);
        let mut top = BTreeMap::new();
        for _ in 0..cursor.length(TOP_VALUES, "values in a sketch")? {
            let value = cursor.text("value in a sketch")?.to_owned();
            top.insert(value, cursor.uvarint("series of a value")?);
        }
        Ok(Self {
            series: Tally::exact(series, registers),
            values,
            top,
        })
    }
}

impl MetricSketch {
    /// The values by label, as far as the names are there.
    fn encode_labels(&self, places: &BTreeMap<&str, u64>, out: &mut Vec<u8>) {
        let known = |(name, values): (&String, _)| Some((*places.get(name.as_str())?, values));
        let labels: Vec<(u64, &Hll)> = self.labels.iter().filter_map(known).collect();
        varint::write_u64(out, labels.len() as u64);
        for (place, values) in labels {
            varint::write_u64(out, place);
            values.write(out);
        }
    }

    fn read(cursor: &mut Cursor<'_>, names: &[String]) -> Result<Self, Corrupt> {
        let series = cursor.uvarint("series of a metric")?;
        let series = Tally::exact(series, Hll::read(cursor, PART_BITS)?);
        let mut labels = BTreeMap::new();
        for _ in 0..cursor.length(names.len(), "labels of a metric")? {
            let place = cursor.length(names.len(), "label of a metric")?;
            let name = names
                .get(place)
                .ok_or_else(|| cursor.corrupt("label of a metric"))?;
            labels.insert(name.clone(), Hll::read(cursor, DETAIL_BITS)?);
        }
        Ok(Self { series, labels })
    }
}

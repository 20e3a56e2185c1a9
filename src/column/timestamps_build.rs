//! Finding and making the time columns of a slice.
//!
//! Series of one scrape share their timestamps, so almost every list is a range of a column that is already there.
//! A list that differs a little (a missed scrape, a late sample, a stale marker at a time of its own) refers to the
//! column with a patch. A patch used again and again costs more than a column of its own would: then one is made.
//! A list that agrees with a column where both have rows, but begins earlier or ends later, makes the column grow;
//! rows keep their numbers, so references given before stay valid.

use super::integers_encode::IntegerWriter;
use super::time_ref::{Extra, MissingRun};
use super::{ROWS_MAX, TimeColumn, TimeRef};
use crate::base::varint;
use hashbrown::HashMap;

/// How many columns found through one timestamp are tried.
const CANDIDATES_MAX: usize = 8;

/// Bytes of a run of missing rows and of an extra timestamp, roughly.
const RUN_COST: usize = 3;
const EXTRA_COST: usize = 4;

/// Collects the timestamps of a slice, series by series, into shared columns.
#[derive(Debug, Default)]
pub(crate) struct ColumnSetBuilder {
    columns: Vec<TimeColumn>,
    /// Lists placed before, by a hash.
    seen: Chains<Seen>,
    /// Columns by some of their timestamps; see [`is_landmark`].
    landmarks: Chains<u32>,
    /// The reference given last, as an index into `seen`.
    last: Option<usize>,
    scratch: Vec<i64>,
}

#[derive(Debug)]
struct Seen {
    time: TimeRef,
    /// What a reference to this list costs, and what all of them have cost so far.
    cost: usize,
    spent: usize,
}

/// A map to many values per key, newest first.
#[derive(Debug)]
struct Chains<T> {
    heads: HashMap<u64, usize, foldhash::fast::FixedState>,
    links: Vec<(T, Option<usize>)>,
}

impl<T> Default for Chains<T> {
    fn default() -> Self {
        Self {
            heads: HashMap::default(),
            links: Vec::new(),
        }
    }
}

impl<T> Chains<T> {
    fn push(&mut self, key: u64, value: T) -> usize {
        let index = self.links.len();
        let next = self.heads.insert(key, index);
        self.links.push((value, next));
        index
    }

    fn of(&self, key: u64) -> impl Iterator<Item = (usize, &T)> {
        let mut next = self.heads.get(&key).copied();
        std::iter::from_fn(move || {
            let index = next?;
            let (value, after) = &self.links[index];
            next = *after;
            Some((index, value))
        })
    }
}

/// How a list lies against a column.
struct Fit {
    time: TimeRef,
    cost: usize,
    /// Timestamps of the list before and after the column's rows that the column shall take over.
    before: usize,
    after: usize,
}

impl ColumnSetBuilder {
    /// Finds or makes the column rows for `timestamps`: strictly increasing, at most [`ROWS_MAX`].
    pub(crate) fn place(&mut self, timestamps: &[i64]) -> TimeRef {
        debug_assert!(timestamps.is_sorted_by(|a, b| a < b) && timestamps.len() <= ROWS_MAX);
        if timestamps.is_empty() {
            return TimeRef::default();
        }
        if let Some(index) = self.last
            && self.matches(&self.seen.links[index].0.time, timestamps)
        {
            return self.seen.links[index].0.time.clone();
        }
        let key = list_key(timestamps);
        if let Some(index) = self.find_seen(key, timestamps) {
            self.last = Some(index);
            return self.reuse(index, timestamps);
        }
        let (time, cost) = match self.best_fit(timestamps) {
            Some(fit) => (self.grow(&fit, timestamps), fit.cost),
            None => (self.make_column(timestamps), 0),
        };
        let seen = Seen {
            time: time.clone(),
            cost,
            spent: cost,
        };
        self.last = Some(self.seen.push(key, seen));
        time
    }

    fn find_seen(&mut self, key: u64, timestamps: &[i64]) -> Option<usize> {
        let mut scratch = std::mem::take(&mut self.scratch);
        let found = self.seen.of(key).find(|(_, seen)| {
            if seen.cost == 0 {
                return self.matches(&seen.time, timestamps);
            }
            scratch.clear();
            let column = &self.columns[seen.time.column as usize];
            seen.time.materialize(column, &mut scratch).is_ok() && scratch == timestamps
        });
        let found = found.map(|(index, _)| index);
        self.scratch = scratch;
        found
    }

    /// Whether a reference without a patch stands for exactly these timestamps.
    fn matches(&self, time: &TimeRef, timestamps: &[i64]) -> bool {
        let column = &self.columns[time.column as usize];
        let start = (time.from - column.first_row) as usize;
        time.length as usize == timestamps.len()
            && time.missing.is_empty()
            && time.extras.is_empty()
            && column.times[start..start + timestamps.len()] == *timestamps
    }

    /// Refers to a list again; replaces its patch by a column once the patch has cost as much.
    fn reuse(&mut self, index: usize, timestamps: &[i64]) -> TimeRef {
        let seen = &mut self.seen.links[index].0;
        seen.spent += seen.cost;
        if seen.cost > 0 && seen.spent > column_cost(timestamps.len()) {
            let time = self.make_column(timestamps);
            let seen = &mut self.seen.links[index].0;
            (seen.time, seen.cost) = (time, 0);
        }
        self.seen.links[index].0.time.clone()
    }

    fn best_fit(&self, timestamps: &[i64]) -> Option<Fit> {
        let mut limit = column_cost(timestamps.len()) / 2;
        let mut best = None;
        let mut tried: Vec<u32> = Vec::with_capacity(CANDIDATES_MAX);
        let last = self.last.map(|index| self.seen.links[index].0.time.column);
        let ends = [timestamps.first(), timestamps.last()];
        let inside = timestamps.iter().filter(|time| is_landmark(**time)).take(4);
        let found = ends.into_iter().flatten().chain(inside).flat_map(|&time| {
            let columns = self.landmarks.of(time as u64).take(CANDIDATES_MAX);
            columns.map(|(_, &column)| column)
        });
        for id in last.into_iter().chain(found) {
            if tried.contains(&id) {
                continue;
            }
            tried.push(id);
            if let Some(fit) = fit(id, &self.columns[id as usize], timestamps, limit) {
                limit = fit.cost;
                best = Some(fit);
            }
            if limit == 0 {
                break;
            }
        }
        best
    }

    /// Lets the column take over what the list has before and after it.
    fn grow(&mut self, fit: &Fit, timestamps: &[i64]) -> TimeRef {
        let id = fit.time.column;
        let column = &mut self.columns[id as usize];
        let (front, back) = (
            &timestamps[..fit.before],
            &timestamps[timestamps.len() - fit.after..],
        );
        column.times.splice(0..0, front.iter().copied());
        column.first_row -= fit.before as i32;
        column.times.extend_from_slice(back);
        self.add_landmarks(id, front);
        self.add_landmarks(id, back);
        fit.time.clone()
    }

    fn make_column(&mut self, timestamps: &[i64]) -> TimeRef {
        let id = self.columns.len() as u32;
        self.columns.push(TimeColumn {
            first_row: 0,
            times: timestamps.to_vec(),
        });
        self.add_landmarks(id, timestamps);
        TimeRef {
            column: id,
            from: 0,
            length: timestamps.len() as u32,
            ..TimeRef::default()
        }
    }

    fn add_landmarks(&mut self, id: u32, rows: &[i64]) {
        for (index, &time) in rows.iter().enumerate() {
            if index == 0 || index + 1 == rows.len() || is_landmark(time) {
                self.landmarks.push(time as u64, id);
            }
        }
    }

    /// Appends all columns; the layout is that of the reader.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let base = self
            .columns
            .iter()
            .map(|column| column.times[0])
            .min()
            .unwrap_or(0);
        let (mut ends, mut bytes, mut offsets) = (Vec::new(), Vec::new(), Vec::new());
        let mut writer = IntegerWriter::default();
        for column in &self.columns {
            let times = &column.times;
            let (first, last) = (times[0], times[times.len() - 1]);
            varint::write_u64(&mut bytes, times.len() as u64);
            varint::write_u64(&mut bytes, u64::from(column.first_row.unsigned_abs()));
            varint::write_u64(&mut bytes, first.wrapping_sub(base) as u64);
            varint::write_u64(&mut bytes, last.wrapping_sub(first) as u64);
            offsets.clear();
            offsets.extend(times.iter().map(|time| time.wrapping_sub(first)));
            let choice = writer.choose_by_trying(&offsets);
            writer.encode(&offsets, choice, 0, &mut bytes);
            ends.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        }
        out.extend_from_slice(&(self.columns.len() as u32).to_le_bytes());
        out.extend_from_slice(&base.to_le_bytes());
        out.extend_from_slice(&ends);
        out.extend_from_slice(&bytes);
    }

    /// Number of columns so far.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.columns.len()
    }
}

/// About every sixteenth timestamp, chosen by its own bits: series that share rows share landmarks.
fn is_landmark(time: i64) -> bool {
    (time as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60 == 0
}

/// A hash in four lanes, so that the multiplications overlap.
fn list_key(timestamps: &[i64]) -> u64 {
    let mix = |lane: u64, time: i64| (lane.rotate_left(23) ^ time as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (fours, rest) = timestamps.as_chunks::<4>();
    let mut lanes = [1, 2, 3, timestamps.len() as u64];
    for four in fours {
        for (lane, &time) in lanes.iter_mut().zip(four) {
            *lane = mix(*lane, time);
        }
    }
    let lanes = lanes.iter().fold(0, |key, &lane| mix(key, lane as i64));
    rest.iter().fold(lanes, |key, &time| mix(key, time))
}

/// Bytes of a column of its own, roughly.
fn column_cost(rows: usize) -> usize {
    16 + rows / 4
}

/// Lays a list against a column; `None` when the patch would cost more than `limit`.
fn fit(id: u32, column: &TimeColumn, timestamps: &[i64], limit: usize) -> Option<Fit> {
    let rows = &column.times;
    let (column_first, column_last) = (*rows.first()?, *rows.last()?);
    let outside = |count: usize| {
        if count > 1 && count + rows.len() <= ROWS_MAX {
            count
        } else {
            0
        }
    };
    let mut before = outside(timestamps.partition_point(|&time| time < column_first));
    let mut after = outside(timestamps.len() - timestamps.partition_point(|&time| time <= column_last));
    if before + after + rows.len() > ROWS_MAX {
        (before, after) = (0, 0);
    }
    let inner = &timestamps[before..timestamps.len() - after];
    let (&first, &last) = (inner.first()?, inner.last()?);
    // A column that grows becomes one with the list, so the rows between must be covered up to its ends.
    let start = if before > 0 {
        0
    } else {
        rows.partition_point(|&row| row < first)
    };
    let end = if after > 0 {
        rows.len()
    } else {
        rows.partition_point(|&row| row <= last)
    };
    let patch = patch(&rows[start..end], inner, limit)?;
    let mut time = TimeRef {
        column: id,
        from: column.first_row + start as i32 - before as i32,
        length: (before + end - start + after) as u32,
        ..patch.time
    };
    time.missing.iter_mut().for_each(|run| run.start += before as u32);
    time.extras
        .iter_mut()
        .for_each(|extra| extra.skip += before as u32);
    (patch.matched > 0).then_some(Fit {
        time,
        cost: patch.cost,
        before,
        after,
    })
}

struct Patch {
    /// Only its missing rows and extras.
    time: TimeRef,
    cost: usize,
    matched: usize,
}

/// The differences of `inner` to `span`.
fn patch(span: &[i64], inner: &[i64], limit: usize) -> Option<Patch> {
    let mut patch = Patch {
        time: TimeRef::default(),
        cost: 0,
        matched: 0,
    };
    let (mut row, mut index) = (0, 0);
    while row < span.len() || index < inner.len() {
        let same = span[row..]
            .iter()
            .zip(&inner[index..])
            .take_while(|(a, b)| a == b)
            .count();
        row += same;
        index += same;
        patch.matched += same;
        let next_row = span.get(row).copied();
        let next_time = inner.get(index).copied();
        if next_row.is_none() && next_time.is_none() {
            break;
        }
        if next_time.is_none_or(|time| next_row.is_some_and(|row| row < time)) {
            let rows = span[row..]
                .iter()
                .take_while(|&&row| next_time.is_none_or(|time| row < time))
                .count();
            patch.time.missing.push(MissingRun {
                start: row as u32,
                rows: rows as u32,
            });
            patch.cost += RUN_COST;
            row += rows;
        } else if let Some(time) = next_time {
            let anchor = *span.get(row.saturating_sub(1)).or(span.first())?;
            patch.time.extras.push(Extra {
                skip: row as u32,
                offset: time.wrapping_sub(anchor),
            });
            patch.cost += EXTRA_COST;
            index += 1;
        }
        if patch.cost > limit {
            return None;
        }
    }
    Some(patch)
}

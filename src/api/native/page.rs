//! Pages of points in order of time, merged from several series in the memory of a page.

use crate::engine::series::Series;
use crate::model::labels::Labels;
use crate::model::sample::{STALE_NAN_BITS, Sample, Value};
use std::sync::Arc;

/// In which order points come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    OldestFirst,
    NewestFirst,
}

/// Where a point stands among all others of a page's series: by time, then by the key of its series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) time_ms: i64,
    pub(super) series: u128,
}

impl Place {
    /// As it stands in a cursor.
    pub(super) fn as_text(self) -> String {
        format!("{}.{:032x}", self.time_ms, self.series)
    }

    pub(super) fn of_text(text: &str) -> Option<Self> {
        let (time, series) = text.split_once('.')?;
        let is_hex = series.len() == 32 && series.bytes().all(|digit| digit.is_ascii_hexdigit());
        Some(Self {
            time_ms: time.parse().ok()?,
            series: u128::from_str_radix(series, 16).ok().filter(|_| is_hex)?,
        })
    }
}

/// A point of a page.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) place: Place,
    pub(super) labels: Arc<Labels>,
    pub(super) value: Value,
}

/// The first points of some series, in an order, behind a place.
#[derive(Debug)]
pub(super) struct Page {
    order: Order,
    after: Option<Place>,
    /// One more than it shows, to know whether there are more.
    rows_max: usize,
    rows: Vec<Row>,
}

impl Page {
    pub(super) fn new(order: Order, after: Option<Place>, limit: usize) -> Self {
        Self {
            order,
            after,
            rows_max: limit.saturating_add(1),
            rows: Vec::new(),
        }
    }

    /// Takes what may belong to the page of a series. Marks of an end are no points.
    pub(super) fn add(&mut self, series: &Series) {
        let labels = Arc::new(series.labels().clone());
        let key = labels.hash().0;
        match self.order {
            Order::OldestFirst => self.add_samples(&labels, key, series.samples()),
            Order::NewestFirst => self.add_samples(&labels, key, series.samples().rev()),
        }
        if self.rows.len() > self.rows_max.saturating_mul(4) {
            let order = self.order;
            self.rows
                .select_nth_unstable_by(self.rows_max, |a, b| compare(order, a.place, b.place));
            self.rows.truncate(self.rows_max);
        }
    }

    fn add_samples(&mut self, labels: &Arc<Labels>, series: u128, samples: impl Iterator<Item = Sample>) {
        let order = self.order;
        let after = self.after;
        let rows = samples.filter_map(|sample| {
            let place = Place {
                time_ms: sample.timestamp,
                series,
            };
            let is_behind = after.is_none_or(|after| compare(order, after, place).is_lt());
            (is_behind && !is_stale(&sample.value)).then(|| Row {
                place,
                labels: labels.clone(),
                value: sample.value,
            })
        });
        self.rows.extend(rows.take(self.rows_max));
    }

    /// The points of the page, and the cursor of the next one.
    pub(super) fn finish(mut self) -> (Vec<Row>, Option<Place>) {
        let order = self.order;
        self.rows
            .sort_unstable_by(|a, b| compare(order, a.place, b.place));
        let limit = self.rows_max - 1;
        let has_more = self.rows.len() > limit;
        self.rows.truncate(limit);
        let next = self.rows.last().filter(|_| has_more).map(|row| row.place);
        (self.rows, next)
    }
}

fn compare(order: Order, a: Place, b: Place) -> std::cmp::Ordering {
    match order {
        Order::OldestFirst => a.cmp(&b),
        Order::NewestFirst => b.cmp(&a),
    }
}

pub(super) fn is_stale(value: &Value) -> bool {
    match value {
        Value::Float(value) => value.to_bits() == STALE_NAN_BITS,
        Value::Histogram(histogram) => histogram.sum.to_bits() == STALE_NAN_BITS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::Db;
    use crate::engine::options::Options;
    use crate::labels;
    use crate::model::sample::stale_nan;
    use proptest::prelude::*;

    /// All points of a database, page by page.
    fn walk(db: &Db, order: Order, limit: usize) -> Vec<(i64, u128)> {
        let mut all = Vec::new();
        let mut after = None;
        loop {
            let mut page = Page::new(order, after, limit);
            for series in db.select(&[], ..).expect("open") {
                page.add(&series.expect("readable"));
            }
            let (rows, next) = page.finish();
            assert!(rows.len() <= limit);
            all.extend(rows.iter().map(|row| (row.place.time_ms, row.place.series)));
            let Some(next) = next else { return all };
            after = Place::of_text(&next.as_text());
            assert_eq!(after, Some(next));
        }
    }

    proptest! {
        /// Pages of any size show every point once, in order.
        #[test]
        fn pages_are_parts_of_the_whole(
            times in prop::collection::vec(prop::collection::btree_set(-50_i64..50, 0..30), 1..5),
            limit in 1_usize..40,
        ) {
            let db = Db::open(Options::in_memory().background(false)).expect("memory");
            let mut batch = db.batch();
            let mut wanted = Vec::new();
            for (number, times) in times.iter().enumerate() {
                let labels = labels! { "__name__" => "x", "n" => &number.to_string() };
                for time in times {
                    let is_stale = time % 7 == 0;
                    batch.push(&labels, *time, if is_stale { stale_nan() } else { *time as f64 });
                    wanted.extend((!is_stale).then(|| (*time, labels.hash().0)));
                }
            }
            batch.commit().expect("memory");
            wanted.sort_unstable();
            prop_assert_eq!(&walk(&db, Order::OldestFirst, limit), &wanted);
            wanted.reverse();
            prop_assert_eq!(&walk(&db, Order::NewestFirst, limit), &wanted);
        }
    }

    #[test]
    fn cursors_are_read_or_refused() {
        for text in ["", "5", "5.", "a.b", "5.00", "5.+0000000000000000000000000000001"] {
            assert_eq!(Place::of_text(text), None, "{text}");
        }
    }
}

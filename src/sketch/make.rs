//! The sketch of rows, from their label pairs and hashes: what is to be kept is chosen by exact counts, so that one
//! pass over the rows fills the registers of nothing else.

use super::hll::Hll;
use super::tally::Tally;
use super::{
    DETAIL_BITS, DETAILED_MAX, Kept, METRICS_MAX, MetricSketch, NAMES_MAX, NameSketch, PART_BITS, Sketch,
    TOP_VALUES, WHOLE_BITS,
};
use crate::base::hash;
use crate::index::{PairId, SegmentIndexWriter};
use crate::model::labels::METRIC_NAME;
use std::cmp::Reverse;

/// The place of what is not kept.
const NOWHERE: u32 = u32::MAX;

/// What becomes a [`NameSketch`].
struct Name<'a> {
    name: &'a str,
    count: u64,
    values_count: u64,
    values: Hll,
    /// Only where some rows do not have the label.
    series: Option<Hll>,
    /// Most rows first.
    top: Vec<(u32, &'a str)>,
}

/// What becomes a [`MetricSketch`].
struct Metric<'a> {
    name: &'a str,
    count: u64,
    series: Hll,
    /// Values by place of the name.
    labels: Vec<Option<Hll>>,
}

/// What is known of each pair, by its number.
#[derive(Clone, Copy)]
struct Pair {
    /// Of its name among the names that are kept.
    name: u32,
    /// Of the metric that it names among those that are kept.
    metric: u32,
    hash: u64,
}

struct Maker<'a> {
    series: Hll,
    names: Vec<Name<'a>>,
    names_cut: u64,
    metrics: Vec<Metric<'a>>,
    metrics_cut: u64,
    pairs: Vec<Pair>,
    /// The row before, and its metric.
    before: Vec<PairId>,
    before_metric: u32,
}

impl Sketch {
    /// The sketch of `rows` whose label hashes, 16 bytes each, are `hashes`.
    pub(crate) fn of(rows: &SegmentIndexWriter, hashes: &[u8]) -> Self {
        let mut maker = Maker::new(rows);
        let mut hashes = hashes.chunks_exact(size_of::<u128>());
        rows.for_each_row(|pairs| {
            let hash = hashes.next().and_then(|hash| hash.first_chunk());
            maker.push(hash.map_or(0, |hash| u64::from_le_bytes(*hash)), pairs);
        });
        maker.finish(u64::from(rows.row_count()))
    }
}

impl<'a> Maker<'a> {
    fn new(rows: &'a SegmentIndexWriter) -> Self {
        let counts = rows.pair_counts();
        let texts = rows.names();
        // Rows and values by name.
        let mut sizes = vec![(0u64, 0u64); texts.len()];
        let metric_name = texts.iter().position(|name| *name == METRIC_NAME);
        let mut metrics = Vec::new();
        for (pair, (name, value)) in rows.pairs().enumerate() {
            let size = &mut sizes[name as usize];
            *size = (size.0 + u64::from(counts[pair]), size.1 + 1);
            if Some(name as usize) == metric_name {
                metrics.push((counts[pair], value, pair));
            }
        }
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_unstable_by_key(|name| (Reverse(sizes[*name].1), texts[*name]));
        metrics.sort_unstable_by_key(|metric| (Reverse(metric.0), metric.1));
        let mut maker = Self {
            series: Hll::new(WHOLE_BITS),
            names_cut: order.get(NAMES_MAX).map_or(0, |name| sizes[*name].1),
            metrics_cut: metrics.get(METRICS_MAX).map_or(0, |metric| u64::from(metric.0)),
            names: Vec::new(),
            metrics: Vec::new(),
            pairs: Vec::with_capacity(counts.len()),
            before: Vec::new(),
            before_metric: NOWHERE,
        };
        let mut places = vec![NOWHERE; texts.len()];
        for (place, number) in (0..).zip(order.into_iter().take(NAMES_MAX)) {
            places[number] = place;
            let (count, values_count) = sizes[number];
            maker.names.push(Name {
                name: texts[number],
                count,
                values_count,
                values: Hll::new(PART_BITS),
                series: (count < u64::from(rows.row_count())).then(|| Hll::new(PART_BITS)),
                top: Vec::new(),
            });
        }
        for ((name, value), count) in rows.pairs().zip(counts) {
            maker.push_pair(places[name as usize], value, count);
        }
        for (place, (count, name, pair)) in (0..).zip(metrics.into_iter().take(METRICS_MAX)) {
            maker.pairs[pair].metric = place;
            let details = if (place as usize) < DETAILED_MAX {
                maker.names.len()
            } else {
                0
            };
            maker.metrics.push(Metric {
                name,
                count: u64::from(count),
                series: Hll::new(PART_BITS),
                labels: vec![None; details],
            });
        }
        maker
    }

    fn push_pair(&mut self, place: u32, value: &'a str, count: u32) {
        let hash = hash::checksum(value.as_bytes());
        self.pairs.push(Pair {
            name: place,
            metric: NOWHERE,
            hash,
        });
        let Some(name) = self.names.get_mut(place as usize) else {
            return;
        };
        name.values.add(hash);
        // A value that one series has tells nothing.
        let at = name
            .top
            .partition_point(|(most, text)| (Reverse(*most), *text) < (Reverse(count), value));
        if count > 1 && at < TOP_VALUES {
            name.top.truncate(TOP_VALUES - 1);
            name.top.insert(at, (count, value));
        }
    }

    #[inline]
    fn push(&mut self, hash: u64, pairs: &[PairId]) {
        self.series.add(hash);
        let mut metric = NOWHERE;
        for pair in pairs {
            let known = self.pairs[pair.0 as usize];
            if known.metric != NOWHERE {
                metric = known.metric;
            }
            let name = self.names.get_mut(known.name as usize);
            if let Some(series) = name.and_then(|name| name.series.as_mut()) {
                series.add(hash);
            }
        }
        if metric != self.before_metric {
            self.before_metric = metric;
            self.before.clear();
        }
        let Some(metric) = self.metrics.get_mut(metric as usize) else {
            return;
        };
        metric.series.add(hash);
        if !metric.labels.is_empty() {
            metric.add_values(&self.pairs, pairs, &self.before);
            self.before.clear();
            self.before.extend_from_slice(pairs);
        }
    }

    fn finish(self, rows: u64) -> Sketch {
        let all = self.series.fold(PART_BITS);
        let texts: Vec<&str> = self.names.iter().map(|name| name.name).collect();
        let metrics = self.metrics.into_iter().map(|metric| {
            let labels = texts.iter().zip(metric.labels);
            let labels = labels.filter_map(|(name, values)| Some(((*name).to_owned(), values?)));
            let sketch = MetricSketch {
                series: Tally::exact(metric.count, metric.series),
                labels: labels.collect(),
            };
            (metric.name.to_owned(), sketch)
        });
        let metrics = Kept {
            entries: metrics.collect(),
            cut: self.metrics_cut,
        };
        let names = self.names.into_iter().map(|name| {
            let top = name.top.iter();
            let sketch = NameSketch {
                series: Tally::exact(name.count, name.series.unwrap_or_else(|| all.clone())),
                values: Tally::exact(name.values_count, name.values),
                top: top
                    .map(|(count, value)| ((*value).to_owned(), u64::from(*count)))
                    .collect(),
            };
            (name.name.to_owned(), sketch)
        });
        Sketch {
            names: Kept {
                entries: names.collect(),
                cut: self.names_cut,
            },
            metrics,
            series: Tally::exact(rows, self.series),
        }
    }
}

impl Metric<'_> {
    /// Adds the values of a row, but for those that the row before had in the same column.
    fn add_values(&mut self, known: &[Pair], pairs: &[PairId], before: &[PairId]) {
        for (column, pair) in pairs.iter().enumerate() {
            if before.get(column) == Some(pair) {
                continue;
            }
            let known = known[pair.0 as usize];
            if known.metric != NOWHERE {
                continue;
            }
            if let Some(values) = self.labels.get_mut(known.name as usize) {
                values
                    .get_or_insert_with(|| Hll::new(DETAIL_BITS))
                    .add(known.hash);
            }
        }
    }
}

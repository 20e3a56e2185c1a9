//! Where a segment is cut in time, and which series stand together.

use super::writer::{Run, SeriesSource, WriteError};
use crate::model::labels::{LabelsRef, METRIC_NAME};
use std::ops::Range;

/// Samples of one series that a slice should not exceed by much.
const SLICE_SAMPLES: u64 = 2_000;
/// A slice with a series beyond this is cut again.
const SLICE_SAMPLES_MAX: u64 = 16_000;

/// The first timestamp of each slice, ascending; the first covers everything before it too.
pub(super) fn slice_starts(
    source: &dyn SeriesSource,
    time_min: i64,
    time_max: i64,
) -> Result<Vec<i64>, WriteError> {
    let mut densest = 0;
    for row in 0..source.len() {
        let mut samples = 0;
        source.runs(row, &mut |run| samples += run.samples)?;
        densest = samples.max(densest);
    }
    if densest <= SLICE_SAMPLES {
        return Ok(vec![time_min]);
    }
    let slices = densest.div_ceil(SLICE_SAMPLES).min(1 << 20) as i128;
    let span = i128::from(time_max) - i128::from(time_min) + 1;
    let start = |slice: i128| (i128::from(time_min) + span * slice / slices) as i64;
    let mut starts: Vec<i64> = (0..slices).map(start).collect();
    starts.dedup();
    cut_dense(source, &mut starts)?;
    Ok(starts)
}

/// Cuts slices in which some series has far too many samples, until there are none.
fn cut_dense(source: &dyn SeriesSource, starts: &mut Vec<i64>) -> Result<(), WriteError> {
    loop {
        let mut cuts = Vec::new();
        let mut counts = vec![0u64; starts.len()];
        let mut runs = Vec::new();
        for row in 0..source.len() {
            counts.fill(0);
            runs.clear();
            source.runs(row, &mut |run| runs.push(run))?;
            for run in &runs {
                let slice = starts
                    .partition_point(|start| *start <= run.first)
                    .saturating_sub(1);
                counts[slice] += run.samples;
            }
            for (slice, _) in counts
                .iter()
                .enumerate()
                .filter(|count| *count.1 > SLICE_SAMPLES_MAX)
            {
                cuts.extend(middle_of(&runs, starts, slice));
            }
        }
        cuts.sort_unstable();
        cuts.dedup();
        if cuts.is_empty() {
            return Ok(());
        }
        starts.extend(cuts);
        starts.sort_unstable();
        starts.dedup();
    }
}

/// A time within `slice` that halves its runs, if there is one.
fn middle_of(runs: &[Run], starts: &[i64], slice: usize) -> Option<i64> {
    let from = *starts.get(slice)?;
    let to = starts.get(slice + 1).copied().unwrap_or(i64::MAX);
    let mut firsts: Vec<i64> = runs
        .iter()
        .map(|run| run.first)
        .filter(|first| (from..to).contains(first))
        .collect();
    firsts.sort_unstable();
    let middle = *firsts.get(firsts.len() / 2)?;
    (middle > from).then_some(middle)
}

/// Label that numbers the buckets of a classic histogram.
const BUCKET: &str = "le";
/// Labels that name the target of a scrape.
const TARGET: [&str; 2] = ["instance", "job"];

/// The rows in the order in which their values are stored: by metric, then target, then the other labels, `le` last
/// and as a number, so that neighbours resemble each other.
pub(super) fn group_order(source: &dyn SeriesSource) -> Result<Vec<u32>, WriteError> {
    let mut order: Vec<u32> = Vec::with_capacity(source.len() as usize);
    let (mut metric, mut keys) = (Vec::new(), Keys::default());
    source.each_labels(&mut |row, labels| {
        let name = labels
            .iter()
            .find(|pair| pair.0 == METRIC_NAME)
            .map_or("", |pair| pair.1);
        if name.as_bytes() != metric {
            keys.sort_into(&mut order);
            metric.clear();
            metric.extend_from_slice(name.as_bytes());
        }
        keys.push(row, labels);
    })?;
    keys.sort_into(&mut order);
    Ok(order)
}

/// Sort keys of the rows of one metric. Row order is label order, so one metric's rows mostly stand together.
#[derive(Default)]
struct Keys {
    bytes: Vec<u8>,
    rows: Vec<(Range<usize>, u32)>,
}

impl Keys {
    fn push(&mut self, row: u32, labels: LabelsRef<'_>) {
        let start = self.bytes.len();
        for target in TARGET {
            let value = labels
                .iter()
                .find(|pair| pair.0 == target)
                .map_or("", |pair| pair.1);
            self.text(value);
        }
        let mut bucket = 0;
        for (name, value) in labels.iter() {
            if name == BUCKET {
                bucket = ordered_bits(value.parse().unwrap_or(f64::INFINITY));
            } else if name != METRIC_NAME && !TARGET.contains(&name) {
                self.text(name);
                self.text(value);
            }
        }
        self.bytes.extend_from_slice(&bucket.to_be_bytes());
        self.rows.push((start..self.bytes.len(), row));
    }

    fn text(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
    }

    fn sort_into(&mut self, order: &mut Vec<u32>) {
        let bytes = &self.bytes;
        self.rows
            .sort_by(|a, b| bytes[a.0.clone()].cmp(&bytes[b.0.clone()]));
        order.extend(self.rows.drain(..).map(|row| row.1));
        self.bytes.clear();
    }
}

/// Bits that compare as the numbers do.
fn ordered_bits(number: f64) -> u64 {
    let bits = number.to_bits();
    if bits >> 63 == 0 { bits | 1 << 63 } else { !bits }
}

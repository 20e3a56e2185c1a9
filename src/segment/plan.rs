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
const BUCKET: &[u8] = b"le";
/// Labels that name the target of a scrape.
const TARGET: [&[u8]; 2] = [b"instance", b"job"];

/// The rows in the order in which their values are stored: by metric, then target, then the other labels, `le` last
/// and as a number, so that neighbours resemble each other.
pub(super) fn group_order(source: &dyn SeriesSource) -> Result<Vec<u32>, WriteError> {
    let mut order: Vec<u32> = Vec::with_capacity(source.len() as usize);
    let (mut metric, mut keys) = (Vec::new(), Keys::default());
    source.each_labels(&mut |row, labels| {
        let parts = Parts::of(labels, &mut keys.rest);
        if parts.metric != metric {
            keys.sort_into(&mut order);
            metric.clear();
            metric.extend_from_slice(parts.metric);
        }
        keys.push(row, &parts);
    })?;
    keys.sort_into(&mut order);
    Ok(order)
}

/// What of a label set decides about its place.
struct Parts<'a> {
    metric: &'a [u8],
    target: [&'a [u8]; 2],
    bucket: u64,
}

impl<'a> Parts<'a> {
    /// The other labels replace what is in `rest`.
    fn of(labels: LabelsRef<'a>, rest: &mut Vec<u8>) -> Self {
        let mut parts = Self {
            metric: &[],
            target: [&[]; 2],
            bucket: 0,
        };
        rest.clear();
        for (name, value) in labels.byte_pairs() {
            if name == METRIC_NAME.as_bytes() {
                parts.metric = value;
            } else if let Some(place) = TARGET.iter().position(|target| *target == name) {
                parts.target[place] = value;
            } else if name == BUCKET {
                let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                parts.bucket = ordered_bits(number.unwrap_or(f64::INFINITY));
            } else {
                text(rest, name);
                text(rest, value);
            }
        }
        parts
    }
}

fn text(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(text);
    out.push(0);
}

/// Sort keys of the rows of one metric. Row order is label order, so one metric's rows mostly stand together.
#[derive(Default)]
struct Keys {
    bytes: Vec<u8>,
    rows: Vec<(Range<usize>, u32)>,
    /// Labels of the row at hand that are neither metric, target nor bucket.
    rest: Vec<u8>,
}

impl Keys {
    fn push(&mut self, row: u32, parts: &Parts<'_>) {
        let start = self.bytes.len();
        for target in parts.target {
            text(&mut self.bytes, target);
        }
        self.bytes.extend_from_slice(&self.rest);
        self.bytes.extend_from_slice(&parts.bucket.to_be_bytes());
        self.rows.push((start..self.bytes.len(), row));
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

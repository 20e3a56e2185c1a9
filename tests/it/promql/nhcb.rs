//! Classic histograms as native ones with custom buckets.

use narthex::{Buckets, FloatHistogram, Labels, Span};
use std::collections::BTreeMap;

/// What the series of one classic histogram have at one time.
#[derive(Debug, Default)]
struct Parts {
    /// Upper boundaries with cumulative counts, ascending.
    buckets: Vec<(f64, f64)>,
    count: Option<f64>,
    sum: f64,
}

/// Classic histograms by their labels without `le`, and time.
#[derive(Debug, Default)]
pub(super) struct ClassicHistograms {
    parts: BTreeMap<(Labels, i64), Parts>,
}

impl ClassicHistograms {
    /// Adds a sample if its series is part of a classic histogram.
    pub(super) fn add(&mut self, labels: &Labels, timestamp_ms: i64, value: f64) {
        let name = labels.metric_name();
        let suffixes = ["_bucket", "_sum", "_count"];
        let found = suffixes
            .iter()
            .find_map(|suffix| Some((*suffix, name.strip_suffix(suffix)?)));
        let Some((suffix, base)) = found else {
            return;
        };
        let boundary = labels.get("le").and_then(|le| le.parse::<f64>().ok());
        if suffix == "_bucket" && boundary.is_none_or(f64::is_nan) {
            return;
        }
        let others = labels
            .iter()
            .filter(|(name, _)| !matches!(*name, "__name__" | "le"));
        let pairs = others.chain([("__name__", base)]);
        let labels = Labels::from_pairs(pairs).expect("labels of a series");
        let parts = self.parts.entry((labels, timestamp_ms)).or_default();
        match (suffix, boundary) {
            ("_bucket", Some(boundary)) => parts.add_bucket(boundary, value),
            ("_sum", _) => parts.sum = value,
            _ => parts.count = Some(value),
        }
    }

    /// The native histograms.
    pub(super) fn convert(self) -> Result<Vec<(Labels, i64, FloatHistogram)>, String> {
        let converted = self.parts.into_iter().map(|((labels, timestamp_ms), parts)| {
            let histogram = parts.convert().map_err(|error| format!("{labels}: {error}"))?;
            Ok((labels, timestamp_ms, histogram))
        });
        converted.collect()
    }
}

impl Parts {
    fn add_bucket(&mut self, boundary: f64, count: f64) {
        let at = self.buckets.partition_point(|bucket| bucket.0 < boundary);
        // A second bucket of one boundary does not count.
        if self.buckets.get(at).is_none_or(|bucket| bucket.0 != boundary) {
            self.buckets.insert(at, (boundary, count));
        }
    }

    fn convert(mut self) -> Result<FloatHistogram, &'static str> {
        let last = self.buckets.last().copied();
        let count = self
            .count
            .or(last.map(|bucket| bucket.1))
            .ok_or("no count and no bucket")?;
        if last.is_none_or(|bucket| bucket.0 != f64::INFINITY) {
            self.buckets.push((f64::INFINITY, count));
        }
        if self.buckets.windows(2).any(|pair| pair[0].1 > pair[1].1) {
            return Err("count is not cumulative");
        }
        if self.buckets.last().is_some_and(|bucket| bucket.1 != count) {
            return Err("count mismatch");
        }
        let mut below = 0.0;
        let mut spans = Vec::new();
        let mut counts = Vec::new();
        let mut gap = 0;
        for (_, cumulative) in &self.buckets {
            let own = cumulative - below;
            below = *cumulative;
            if own == 0.0 {
                gap += 1;
                continue;
            }
            spans.push(Span {
                offset: std::mem::take(&mut gap),
                length: 1,
            });
            counts.push(own);
        }
        self.buckets.pop();
        Ok(FloatHistogram {
            schema: -53,
            count,
            sum: self.sum,
            positive: Buckets::new(&spans, counts),
            custom_values: self.buckets.iter().map(|bucket| bucket.0).collect(),
            ..FloatHistogram::default()
        })
    }
}

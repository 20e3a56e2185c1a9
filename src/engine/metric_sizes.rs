//! What each metric takes in segments: estimated from where their rows lie, without reading a sample.

use super::Engine;
use super::error::Error;
use crate::index::LabelMatcher;
use crate::model::labels::METRIC_NAME;
use crate::model::matcher::Matcher;
use crate::segment::reader::Segment;
use std::collections::BTreeMap;

/// Bytes by metric.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct MetricSizes {
    /// Estimated. Series without a name are not among them.
    pub(crate) bytes: BTreeMap<String, f64>,
    /// Why segments are left out.
    pub(crate) faults: Vec<String>,
}

impl Engine {
    /// What each metric takes in segments, its part of labels and index included.
    pub(crate) fn metric_sizes(&self) -> MetricSizes {
        let mut sizes = MetricSizes::default();
        for segment in &self.view.load_full().segments {
            match sizes_in(segment) {
                Ok(found) => {
                    for (metric, bytes) in found {
                        *sizes.bytes.entry(metric).or_default() += bytes;
                    }
                }
                Err(error) => sizes.faults.push(error.to_string()),
            }
        }
        sizes
    }
}

fn sizes_in(segment: &Segment) -> Result<Vec<(String, f64)>, Error> {
    let at = |corrupt| segment.index_error(corrupt);
    let (index, shares) = (segment.index()?, segment.row_shares()?);
    let mut sizes = Vec::new();
    let Some(mut metrics) = index.label_values(METRIC_NAME, "", None).map_err(at)? else {
        return Ok(sizes);
    };
    while let Some((metric, _)) = metrics.current().map_err(at)? {
        let matchers = LabelMatcher::compile_all(&[Matcher::eq(METRIC_NAME, metric)])?;
        let mut bytes = 0.0;
        for row in &index.select(&matchers).map_err(at)? {
            bytes += shares.of(row)?;
        }
        sizes.push((metric.to_owned(), bytes));
        metrics.advance().map_err(at)?;
    }
    Ok(sizes)
}

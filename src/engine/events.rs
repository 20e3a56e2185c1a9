//! Exemplars and metadata, from head and segments.

use super::Engine;
use super::error::Error;
use super::merge::{Join, SourceKind};
use super::select::{bounds, matching_rows};
use crate::index::LabelMatcher;
use crate::model::exemplar::Exemplar;
use crate::model::labels::Labels;
use crate::model::matcher::Matcher;
use crate::model::metadata::Metadata;
use std::collections::BTreeMap;
use std::ops::RangeBounds;

impl Engine {
    /// The exemplars of matching series in `range`.
    pub(crate) fn exemplars(
        &self,
        matchers: &[Matcher],
        range: impl RangeBounds<i64>,
    ) -> Result<Vec<(Labels, Vec<Exemplar>)>, Error> {
        let matchers = LabelMatcher::compile_all(matchers)?;
        let Some((from, to)) = bounds(&range) else {
            return Ok(Vec::new());
        };
        let (_pin, view) = self.pinned_view();
        // An exemplar need not lie within the time of the samples, so every segment is asked.
        let mut warnings = Vec::new();
        let mut join = Join::new(self.sources(&view, &matchers, i64::MIN, i64::MAX, &mut warnings));
        if !warnings.is_empty() {
            // There is no place for warnings in this answer: a segment that fails is an error.
            for segment in &view.segments {
                matching_rows(segment, &matchers, i64::MIN, i64::MAX)?;
            }
        }
        let mut by_source = Vec::new();
        for source in &join.sources {
            by_source.push(match &source.kind {
                SourceKind::Segment { segment, .. } => segment.exemplars()?,
                SourceKind::Head(_) => BTreeMap::new(),
            });
        }
        let mut all = Vec::new();
        let mut failed = Vec::new();
        while join.next(&self.head, &mut failed) {
            let mut exemplars: Vec<Exemplar> = Vec::new();
            for (source, id) in &join.current {
                if let Some(found) = by_source.get(*source).and_then(|rows| rows.get(id)) {
                    exemplars.extend_from_slice(found);
                }
                if matches!(join.sources[*source].kind, SourceKind::Head(_)) {
                    let data = view
                        .generations
                        .iter()
                        .map(|one| self.head.data(one, *id, i64::MIN, i64::MAX));
                    data.flatten().for_each(|data| exemplars.extend(data.exemplars));
                }
            }
            exemplars.retain(|exemplar| (from..=to).contains(&exemplar.timestamp));
            // A copy from another segment need not stand beside the first, so equal ones are brought together.
            let key = |one: &Exemplar| (one.timestamp, one.labels.clone(), one.value.to_bits());
            exemplars.sort_by_cached_key(key);
            exemplars.dedup_by(|a, b| key(a) == key(b));
            if !exemplars.is_empty() {
                all.push((Labels::from_canonical(join.labels()), exemplars));
            }
        }
        match failed.pop() {
            Some(error) => Err(error),
            None => Ok(all),
        }
    }

    /// What was said of metrics; of one, if named.
    pub(crate) fn metadata(&self, metric: Option<&str>) -> BTreeMap<String, Vec<(i64, Metadata)>> {
        let mut all = self.head.metadata();
        if let Some(metric) = metric {
            all.retain(|name, _| name == metric);
        }
        all
    }
}

//! Exemplars and metadata, from head and segments.

use super::Engine;
use super::error::Error;
use super::masks;
use super::merge::{Join, SourceKind};
use super::select::{bounds, matching_rows};
use super::view::View;
use crate::head::metadata::MetadataHistory;
use crate::head::slab::Generation;
use crate::model::exemplar::Exemplar;
use crate::model::labels::Labels;
use crate::model::matcher::Matcher;
use crate::model::metadata::Metadata;
use crate::segment::reader::Segment;
use std::collections::BTreeMap;
use std::ops::RangeBounds;
use std::sync::Arc;

impl Engine {
    /// The exemplars of matching series in `range`.
    pub(crate) fn exemplars(
        &self,
        matchers: &[Matcher],
        range: impl RangeBounds<i64>,
    ) -> Result<Vec<(Labels, Vec<Exemplar>)>, Error> {
        let matchers = self.patterns.compile_all(matchers)?;
        let Some((from, to)) = bounds(&range) else {
            return Ok(Vec::new());
        };
        let (_pin, view) = self.pinned_view();
        // An exemplar need not lie within the time of the samples, so every segment is asked.
        let mut warnings = Vec::new();
        let mut join = Join::new(self.sources(&view, &matchers, (i64::MIN, i64::MAX), false, &mut warnings));
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
                match &join.sources[*source].kind {
                    SourceKind::Segment { masks, .. } => {
                        let found = by_source.get(*source).and_then(|rows| rows.get(id));
                        let hidden: Vec<(i64, i64)> = masks.hidden(*id).collect();
                        let is_shown = |one: &&Exemplar| {
                            let within = |range: &(i64, i64)| (range.0..=range.1).contains(&one.timestamp);
                            !hidden.iter().any(within)
                        };
                        exemplars.extend(found.into_iter().flatten().filter(is_shown).cloned());
                    }
                    SourceKind::Head(_) => {
                        for generation in &view.generations {
                            self.head_exemplars(&view, generation, *id, &mut exemplars);
                        }
                    }
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

    /// The exemplars of a series in a generation that no deletion hides.
    fn head_exemplars(&self, view: &View, generation: &Generation, id: u32, out: &mut Vec<Exemplar>) {
        let lsn = generation.last_lsn();
        let Some(data) = self.head.data(generation, id, i64::MIN, i64::MAX) else {
            return;
        };
        let hidden = data.rare.iter().flat_map(|rare| &rare.hidden);
        let parts = hidden.map(|hidden| (hidden.lsn - 1, &hidden.data.exemplars));
        for (lsn, exemplars) in parts.chain([(lsn, &data.exemplars)]) {
            let is_shown = |one: &&Exemplar| !masks::is_hidden_in_head(view, id, lsn, one.timestamp);
            out.extend(exemplars.iter().filter(is_shown).cloned());
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

/// What segments say of metrics.
pub(super) fn metadata_in(segments: &[Arc<Segment>]) -> MetadataHistory {
    let mut all = MetadataHistory::new();
    for segment in segments {
        match segment.metadata() {
            Ok(found) => {
                for (metric, entries) in found {
                    all.entry(metric).or_default().extend(entries);
                }
            }
            Err(error) => tracing::error!(%error, "metric metadata of a segment is lost"),
        }
    }
    for entries in all.values_mut() {
        entries.sort_by_key(|entry| entry.0);
        entries.dedup_by(|later, earlier| later.1 == earlier.1);
    }
    all
}

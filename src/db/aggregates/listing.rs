//! Aggregates among the names, values and series that are listed, and what is said of their metrics.

use super::select::{beside, named};
use super::windows::Windows;
use super::{Metric, Renaming, metrics};
use crate::db::Db;
use crate::engine::error::Error;
use crate::engine::listing::{ListEnd, ListOptions, Listed, Listing};
use crate::engine::select::{Warning, bounds};
use crate::index::LabelMatcher;
use crate::model::labels::{self, Labels, METRIC_NAME};
use crate::model::matcher::Matcher;
use crate::model::metadata::{Metadata, MetricType};
use crate::promql::durations::format_duration;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeBounds;

/// Calls `each` with what is listed of stored series and of aggregates, in order, each once. The names of aggregates are among
/// the values of `__name__` whatever the matchers ask of other labels; what else is listed of them is listed where matchers name
/// them, as for a select.
pub(in crate::db) fn list(
    db: &Db,
    listed: Listed<'_>,
    matchers: &[Matcher],
    range: impl RangeBounds<i64>,
    options: ListOptions<'_>,
    each: impl FnMut(&[u8]),
) -> Result<ListEnd, Error> {
    let is_of_names = matches!(listed, Listed::Values(METRIC_NAME));
    let metrics = named(db, matchers, is_of_names)?;
    if metrics.is_empty() {
        return db.engine().list(listed, matchers, range, options, each);
    }
    let Some(range) = bounds(&range) else {
        return Ok(ListEnd::default());
    };
    let mut warnings = Vec::new();
    let mut made = Vec::new();
    for metric in &metrics {
        each_made(
            db,
            metric,
            matchers,
            range,
            (options, is_of_names),
            |labels| match listed {
                Listed::Series if labels.metric_name().starts_with(options.prefix) => {
                    made.push(labels.as_bytes().to_vec());
                }
                Listed::Series => {}
                Listed::Names => made.extend(labels.iter().map(|pair| pair.0.as_bytes().to_vec())),
                Listed::Values(name) => {
                    made.extend(labels.get(name).map(|value| value.as_bytes().to_vec()));
                }
            },
        )
        .map(|more| warnings.extend(more))?;
        compact(&mut made, listed, options.prefix);
    }
    let mut merge = Merge {
        made: made.into_iter().peekable(),
        order: order(listed),
        left: if options.limit == 0 {
            usize::MAX
        } else {
            options.limit
        },
        is_truncated: false,
        each,
    };
    let stored = match is_of_names {
        true => Some(matchers.to_vec()),
        false => beside(matchers, &metrics),
    };
    let mut end = ListEnd::default();
    if let Some(stored) = stored {
        end = db
            .engine()
            .list(listed, &stored, range.0..=range.1, options, |text| {
                merge.stored(text)
            })?;
    }
    merge.finish();
    end.is_truncated |= merge.is_truncated;
    for warning in warnings {
        if !end.warnings.contains(&warning) {
            end.warnings.push(warning);
        }
    }
    Ok(end)
}

impl Db {
    /// The same as a listing of texts.
    pub(in crate::db) fn texts(
        &self,
        listed: Listed<'_>,
        matchers: &[Matcher],
        range: impl RangeBounds<i64>,
        options: ListOptions<'_>,
    ) -> Result<Listing<String>, Error> {
        let mut items = Vec::new();
        let each = |text: &[u8]| items.push(String::from_utf8_lossy(text).into_owned());
        let end = self.list(listed, matchers, range, options, each)?;
        Ok(end.listing(items))
    }
}

/// What is said of metrics, those of aggregates among them.
pub(in crate::db) fn metadata(db: &Db, metric: Option<&str>) -> BTreeMap<String, Vec<(i64, Metadata)>> {
    let mut all = db.engine().metadata(metric);
    for of in metrics(&db.engine().options).filter(|one| metric.is_none_or(|name| name == one.name)) {
        let metadata = Metadata {
            metric_type: MetricType::Gauge,
            help: format!(
                "Aggregate: {} of each {}.",
                of.function.as_str(),
                format_duration(of.aggregate.interval)
            ),
            unit: String::new(),
        };
        all.insert(of.name, vec![(0, metadata)]);
    }
    all
}

fn order(listed: Listed<'_>) -> fn(&[u8], &[u8]) -> Ordering {
    match listed {
        Listed::Series => labels::compare,
        Listed::Names | Listed::Values(_) => |a, b| a.cmp(b),
    }
}

/// Puts what was made so far in order, each once.
fn compact(made: &mut Vec<Vec<u8>>, listed: Listed<'_>, prefix: &str) {
    if !matches!(listed, Listed::Series) {
        made.retain(|text| text.starts_with(prefix.as_bytes()));
    }
    let order = order(listed);
    made.sort_by(|a, b| order(a, b));
    made.dedup();
}

/// Calls `each` with the series of a metric that have samples in its windows; with one of them if it is for its name only.
fn each_made(
    db: &Db,
    metric: &Metric<'_>,
    matchers: &[Matcher],
    range: (i64, i64),
    (options, is_for_name): (ListOptions<'_>, bool),
    mut each: impl FnMut(&Labels),
) -> Result<Vec<Warning>, Error> {
    let Some(windows) = Windows::of(db, metric, range) else {
        return Ok(Vec::new());
    };
    let renaming = Renaming::of(metric);
    let fits = LabelMatcher::compile_all(matchers)?;
    let of_source = renaming.of_source(metric, matchers);
    let is_exact = of_source.len() >= metric.aggregate.matchers.len() + on_others(matchers);
    let mut seen = BTreeSet::new();
    let mut see = |series: &[u8]| {
        let Ok(labels) = renaming.apply(&Labels::from_canonical(series)) else {
            return;
        };
        let fits = LabelMatcher::all_match(&fits, |name| labels.get(name).unwrap_or(""));
        if fits && seen.insert(labels.as_bytes().to_vec()) {
            each(&labels);
        }
    };
    let options = ListOptions {
        prefix: "",
        limit: usize::from(is_for_name && is_exact),
        ..options
    };
    let (from, to) = windows.times();
    let engine = db.engine();
    let end = engine.list(Listed::Series, &of_source, from..=to, options, &mut see)?;
    engine.each_rolled(&of_source, (from - 1, to), |labels| see(labels.as_bytes()))?;
    Ok(end.warnings)
}

fn on_others(matchers: &[Matcher]) -> usize {
    matchers.iter().filter(|one| one.name != METRIC_NAME).count()
}

/// Passes on what is stored and what is made in one order, up to a limit.
struct Merge<F> {
    made: std::iter::Peekable<std::vec::IntoIter<Vec<u8>>>,
    order: fn(&[u8], &[u8]) -> Ordering,
    left: usize,
    is_truncated: bool,
    each: F,
}

impl<F: FnMut(&[u8])> Merge<F> {
    fn pass(&mut self, text: &[u8]) {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                (self.each)(text);
            }
            None => self.is_truncated = true,
        }
    }

    fn stored(&mut self, text: &[u8]) {
        let order = self.order;
        while let Some(made) = self.made.next_if(|made| order(made, text).is_lt()) {
            self.pass(&made);
        }
        self.made.next_if(|made| order(made, text).is_eq());
        self.pass(text);
    }

    fn finish(&mut self) {
        while let Some(made) = self.made.next() {
            self.pass(&made);
        }
    }
}

//! Which aggregates a select means, and the answer to it.

use super::made::{Held, Made};
use super::union::Union;
use super::windows::Windows;
use super::{Metric, Renaming, metrics};
use crate::db::Db;
use crate::engine::error::Error;
use crate::engine::listing::{ListOptions, Listed};
use crate::index::LabelMatcher;
use crate::model::labels::METRIC_NAME;
use crate::model::matcher::{MatchOp, Matcher};
use crate::promql::source::{Select, SeriesSet, SourceError};

/// The metrics of aggregates whose names the conditions on the name accept. Without a condition that names are asked for by, which
/// are equality and a regular expression, there are none unless `is_open`.
pub(super) fn named<'a>(db: &'a Db, matchers: &[Matcher], is_open: bool) -> Result<Vec<Metric<'a>>, Error> {
    let options = &db.engine().options;
    let on_name = || matchers.iter().filter(|one| one.name == METRIC_NAME);
    let is_asked = |one: &Matcher| matches!(one.op, MatchOp::Equal | MatchOp::Regex);
    if options.aggregates.is_empty() || !(is_open || on_name().any(is_asked)) {
        return Ok(Vec::new());
    }
    let compiled = on_name()
        .map(LabelMatcher::compile)
        .collect::<Result<Vec<_>, _>>()?;
    let accepts = |metric: &Metric<'_>| compiled.iter().all(|one| one.matches(&metric.name));
    Ok(metrics(options).filter(accepts).collect())
}

/// Whether matchers name an aggregate.
pub(in crate::db) fn is_named(db: &Db, matchers: &[Matcher]) -> Result<bool, Error> {
    Ok(!named(db, matchers, false)?.is_empty())
}

/// The conditions on stored series beside aggregates, whose names they do not have. `None` if there can be no such series.
pub(super) fn beside(matchers: &[Matcher], metrics: &[Metric<'_>]) -> Option<Vec<Matcher>> {
    let is_one = |one: &Matcher| one.name == METRIC_NAME && one.op == MatchOp::Equal;
    if matchers.iter().any(is_one) {
        return None;
    }
    let hidden = metrics
        .iter()
        .map(|metric| Matcher::ne(METRIC_NAME, metric.name.as_str()));
    Some(matchers.iter().cloned().chain(hidden).collect())
}

/// The series of a select, if it is about aggregates.
pub(in crate::db) fn select(db: &Db, select: &Select) -> Result<Option<Box<dyn SeriesSet>>, SourceError> {
    let metrics = named(db, &select.matchers, false)?;
    if metrics.is_empty() {
        return Ok(None);
    }
    let range = db.range_of_ms(select.start_ms, select.end_ms);
    let range = (*range.start(), *range.end());
    let mut union = Union::default();
    if let Some(matchers) = beside(&select.matchers, &metrics) {
        let rest = Select {
            matchers,
            ..select.clone()
        };
        union.add(crate::db::query::stored(db, &rest)?);
    }
    for metric in &metrics {
        if is_stored(db, &metric.name, range)? {
            union.warn(format!(
                "stored series are hidden by the aggregate of the same name: {}",
                metric.name
            ));
        }
        if let Some(set) = made(db, metric, &select.matchers, range)? {
            union.add(set);
        }
    }
    Ok(Some(Box::new(union)))
}

/// Whether there are stored series of a name.
fn is_stored(db: &Db, name: &str, (from, to): (i64, i64)) -> Result<bool, Error> {
    let mut is_found = false;
    let matchers = [Matcher::eq(METRIC_NAME, name)];
    let options = ListOptions::default().limit(1);
    db.engine()
        .list(Listed::Series, &matchers, from..=to, options, |_| is_found = true)?;
    Ok(is_found)
}

/// The series of a metric within a range of the database's time.
fn made(
    db: &Db,
    metric: &Metric<'_>,
    matchers: &[Matcher],
    range: (i64, i64),
) -> Result<Option<Box<dyn SeriesSet>>, SourceError> {
    let Some(windows) = Windows::of(db, metric, range) else {
        return Ok(None);
    };
    let renaming = Renaming::of(metric);
    let fits = LabelMatcher::compile_all(matchers).map_err(Error::from)?;
    let of_source = renaming.of_source(metric, matchers);
    let keeps_name = renaming.keeps_name;
    let made = Made::open(db, metric, windows, &of_source, (renaming, fits))?;
    Ok(made.map(|made| -> Box<dyn SeriesSet> {
        match keeps_name {
            true => Box::new(Held::new(made)),
            false => Box::new(made),
        }
    }))
}

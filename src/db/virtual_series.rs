//! Logs and events as series, so that PromQL can count them.
//!
//! `narthex_log_lines` has a sample of 1 for each line, `narthex_events` for each event. The same with `_total` are counters as
//! one that is scraped would be, for rates; they count from the beginning of what a query reads.

use super::Db;
use crate::index::LabelMatcher;
use crate::model::labels::{Labels, METRIC_NAME};
use crate::model::matcher::{MatchOp, Matcher};
use crate::promql::source::{Select, SeriesSamples, SeriesSet, SourceError};
use crate::records::events::EventQuery;
use crate::records::logs::LogQuery;

const LOGS: &str = "narthex_log_lines";
const EVENTS: &str = "narthex_events";
const TOTAL: &str = "_total";

/// Samples of a counter in a window, and the bounds of the time between two of them.
const SAMPLES_PER_WINDOW: i64 = 20;
const PAUSE_MS_MIN: i64 = 1_000;
const PAUSE_MS_MAX: i64 = 60_000;
/// Samples of a counter at most.
const SAMPLES_MAX: i64 = 100_000;
/// Without a window.
const PAUSE_MS: i64 = 15_000;

/// What a metric is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kind {
    is_logs: bool,
    is_total: bool,
}

/// The metric that is asked for, if it is one of these.
fn kind_of(matchers: &[Matcher]) -> Option<(Kind, &str)> {
    let name = matchers
        .iter()
        .find(|one| one.name == METRIC_NAME && one.op == MatchOp::Equal)?;
    let name = name.value.as_str();
    let base = name.strip_suffix(TOTAL).unwrap_or(name);
    let is_total = base.len() < name.len();
    match base {
        LOGS => Some((
            Kind {
                is_logs: true,
                is_total,
            },
            name,
        )),
        EVENTS => Some((
            Kind {
                is_logs: false,
                is_total,
            },
            name,
        )),
        _ => None,
    }
}

/// Whether a select is about logs or events.
pub(super) fn is_virtual(select: &Select) -> bool {
    kind_of(&select.matchers).is_some()
}

/// The series of a select, if it is about logs or events.
pub(super) fn select(db: &Db, select: &Select) -> Result<Option<Box<dyn SeriesSet>>, SourceError> {
    let Some((kind, name)) = kind_of(&select.matchers) else {
        return Ok(None);
    };
    let matchers = select.matchers.iter().map(LabelMatcher::compile);
    let matchers = matchers
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| SourceError(error.to_string()))?;
    let fits = |labels: &Labels| LabelMatcher::all_match(&matchers, |name| labels.get(name).unwrap_or(""));
    let range = db.range_of_ms(select.start_ms, select.end_ms);
    let mut series = Vec::new();
    for (labels, times) in groups(db, kind, name, range)? {
        if !fits(&labels) {
            continue;
        }
        let times_ms: Vec<i64> = times.iter().map(|time| db.to_ms(*time)).collect();
        series.push(if kind.is_total {
            counter(labels, &times_ms, select)
        } else {
            ones(labels, times_ms)
        });
    }
    series.sort_by(|a, b| a.labels.cmp(&b.labels));
    Ok(Some(Box::new(Found(series.into_iter()))))
}

type Group = (Labels, Vec<i64>);

/// The times of logs or events with the labels of their series.
fn groups(
    db: &Db,
    kind: Kind,
    name: &str,
    range: std::ops::RangeInclusive<i64>,
) -> Result<Vec<Group>, SourceError> {
    let labels = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter().copied().filter(|pair| !pair.1.is_empty());
        let named = pairs.chain([(METRIC_NAME, name)]);
        Labels::from_pairs(named).map_err(|error| SourceError(error.to_string()))
    };
    if kind.is_logs {
        let groups = db.logs().groups(&LogQuery::new(range))?.into_iter();
        let group = |one: crate::records::logs::LogGroup| {
            let labels = labels(&[("device", &one.device), ("level", one.level.as_str())])?;
            Ok((labels, one.timestamps))
        };
        return groups.map(group).collect();
    }
    let groups = db.events().groups(&EventQuery::new(range))?.into_iter();
    let group = |one: crate::records::events::EventGroup| {
        let severity = one.severity.as_str();
        let labels = labels(&[
            ("device", &one.device),
            ("type", &one.event_type),
            ("severity", severity),
        ])?;
        Ok((labels, one.timestamps))
    };
    groups.map(group).collect()
}

/// A sample of 1 at each time.
fn ones(labels: Labels, times_ms: Vec<i64>) -> SeriesSamples {
    let mut series = SeriesSamples {
        labels,
        ..SeriesSamples::default()
    };
    series.floats.values = vec![1.0; times_ms.len()];
    series.floats.timestamps_ms = times_ms;
    series
}

/// How many times there were up to each of some moments at equal distances, within what is read.
fn counter(labels: Labels, times_ms: &[i64], select: &Select) -> SeriesSamples {
    let pause_ms = match select.hints.range_ms {
        0 => PAUSE_MS,
        range_ms => (range_ms / SAMPLES_PER_WINDOW).clamp(PAUSE_MS_MIN, PAUSE_MS_MAX),
    };
    let mut series = SeriesSamples {
        labels,
        ..SeriesSamples::default()
    };
    let Some(first_ms) = times_ms.first() else {
        return series;
    };
    // However long the time is that a query asks for, a counter has no more samples than this.
    let pause_ms = pause_ms.max(select.end_ms.saturating_sub(*first_ms) / SAMPLES_MAX);
    // From before the first one, so that it is seen to come.
    let first = first_ms.div_euclid(pause_ms);
    let begin = first.max(select.start_ms.div_euclid(pause_ms));
    let end = select.end_ms.div_euclid(pause_ms);
    let mut counted = 0;
    for moment in begin..=end {
        let moment_ms = moment * pause_ms;
        while times_ms.get(counted).is_some_and(|time_ms| *time_ms <= moment_ms) {
            counted += 1;
        }
        series.floats.timestamps_ms.push(moment_ms);
        series.floats.values.push(counted as f64);
    }
    series
}

#[derive(Debug)]
struct Found(std::vec::IntoIter<SeriesSamples>);

impl SeriesSet for Found {
    fn next(&mut self, series: &mut SeriesSamples) -> Result<bool, SourceError> {
        match self.0.next() {
            Some(found) => {
                *series = found;
                Ok(true)
            }
            None => Ok(false),
        }
    }
}

//! `info`: labels of info series, like `target_info`, joined to the series of the same instance and job.

use super::error::EvalError;
use super::labels::{in_braces, kept, with};
use super::plan::References;
use super::selector::Newest;
use super::{Evaluator, Sink, mistyped};
use crate::index::LabelMatcher;
use crate::model::labels::{Labels, METRIC_NAME};
use crate::model::matcher::{MatchOp, Matcher};
use crate::promql::ast::{self, At, BinaryExpr, Expr};
use crate::promql::eval::Map;
use crate::promql::source::{Hints, Select, SeriesSamples};
use crate::promql::value::{Cell, Row, Steps};
use std::collections::{BTreeMap, BTreeSet};

/// The labels that say what an info series is about.
const IDENTIFYING: [&str; 2] = ["instance", "job"];
const TARGET_INFO: &str = "target_info";
/// How info metrics are named.
const ANY_INFO: &str = ".+_info";

/// The second argument: which info series, and which of their labels.
struct Wanted {
    /// Conditions on the name of info series.
    names: Vec<LabelMatcher>,
    /// Whether one of them says what the name is, not only what it is not.
    names_any: bool,
    /// Conditions by label; with any, only these labels are taken.
    data: BTreeMap<String, Vec<LabelMatcher>>,
    /// All of them, for the source.
    matchers: Vec<Matcher>,
}

impl Wanted {
    fn new(call: &ast::Call) -> Result<Self, EvalError> {
        let mut matchers = match call.args.get(1).map(Expr::unwrap_parens) {
            Some(Expr::Vector(selector)) => selector.matchers.clone(),
            Some(_) => return Err(mistyped("a selector")),
            None => Vec::new(),
        };
        let mut wanted = Self {
            names: Vec::new(),
            names_any: false,
            data: BTreeMap::new(),
            matchers: Vec::new(),
        };
        let compile = |matcher: &Matcher| {
            LabelMatcher::compile(matcher).map_err(|error| EvalError::execution(error.to_string()))
        };
        for matcher in &matchers {
            let compiled = compile(matcher)?;
            if matcher.name == METRIC_NAME {
                wanted.names_any |= !compiled.is_negated();
                wanted.names.push(compiled);
            } else {
                wanted
                    .data
                    .entry(matcher.name.clone())
                    .or_default()
                    .push(compiled);
            }
        }
        let default = match (wanted.names.is_empty(), wanted.names_any) {
            (true, _) => Matcher::eq(METRIC_NAME, TARGET_INFO),
            // What is only said not to be meant is an info metric all the same.
            (false, false) => Matcher::re(METRIC_NAME, ANY_INFO),
            (false, true) => {
                wanted.matchers = matchers;
                return Ok(wanted);
            }
        };
        // A selector that names no info metric does not keep its series from being enriched.
        if call.args.len() < 2 || !wanted.names.is_empty() {
            wanted.names.push(compile(&default)?);
            wanted.names_any = true;
        }
        matchers.push(default);
        wanted.matchers = matchers;
        Ok(wanted)
    }

    /// Whether a series is one of the info series itself.
    fn is_info(&self, labels: &Labels) -> bool {
        let name = labels.metric_name();
        self.names_any && self.names.iter().all(|matcher| matcher.matches(name))
    }

    fn takes(&self, label: &str) -> bool {
        label != METRIC_NAME && (self.data.is_empty() || self.data.contains_key(label))
    }

    /// Whether a series without info series stays.
    fn allows_none(&self) -> bool {
        self.data.values().flatten().all(LabelMatcher::matches_empty)
    }
}

/// What an info series is about: its name and its identifying labels.
fn signature(name: &str, labels: &Labels) -> (String, Labels) {
    (
        name.to_owned(),
        kept(labels, |label| IDENTIFYING.contains(&label)),
    )
}

impl Evaluator<'_> {
    pub(super) fn info(&self, call: &ast::Call, steps: Steps, sink: Sink<'_>) -> Result<(), EvalError> {
        let base = call.args.first().ok_or_else(|| mistyped("a call"))?;
        let wanted = Wanted::new(call)?;
        let rows = self.collect(base, steps)?;
        let infos = self.info_rows(base, &wanted, &rows.rows, steps)?;
        let index = InfoIndex::new(&infos, steps)?;
        let mut results = self.no_rows();
        for row in rows.rows {
            if wanted.is_info(&row.labels) {
                results.push(row)?;
                continue;
            }
            for row in index.enrich(&row, &wanted)? {
                results.push(row)?;
            }
        }
        super::merge_rows(results.rows)?.into_iter().try_for_each(sink)
    }

    /// The info series about the rows. Their cells are the timestamps of their samples.
    fn info_rows(
        &self,
        base: &Expr,
        wanted: &Wanted,
        rows: &[Row],
        steps: Steps,
    ) -> Result<Vec<Row>, EvalError> {
        let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for row in rows.iter().filter(|row| !wanted.is_info(&row.labels)) {
            for name in IDENTIFYING {
                if let Some(value) = row.labels.get(name) {
                    values.entry(name).or_default().insert(value);
                }
            }
        }
        if values.is_empty() {
            return Ok(Vec::new());
        }
        let alternatives = |values: &BTreeSet<&str>| {
            let escaped: Vec<String> = values.iter().map(|value| regex_syntax::escape(value)).collect();
            escaped.join("|")
        };
        let identity = values
            .iter()
            .map(|(name, values)| Matcher::new(*name, MatchOp::Regex, alternatives(values)));
        let matchers: Vec<Matcher> = identity.chain(wanted.matchers.iter().cloned()).collect();
        self.info_timestamps(matchers, base, steps)
    }

    fn info_timestamps(
        &self,
        matchers: Vec<Matcher>,
        base: &Expr,
        steps: Steps,
    ) -> Result<Vec<Row>, EvalError> {
        let (at_ms, offset_ms) = reference_of(base).unwrap_or((None, 0));
        let references = References::new(steps, at_ms.map(At::TimestampMs), offset_ms);
        let hints = Hints {
            step_ms: steps.step_ms,
            function: "info".to_owned(),
            ..Hints::default()
        };
        let select = Select {
            matchers,
            start_ms: references
                .first()
                .saturating_sub(self.options.lookback_ms)
                .saturating_add(1),
            end_ms: references.last(),
            hints,
        };
        let mut rows = Vec::new();
        self.newest_rows(&select, references, steps, &newest_time, &mut |row| {
            if row.cells.iter().any(|cell| cell.as_histogram().is_some()) {
                return Err(EvalError::execution(format!(
                    "this should be an info metric, with float samples: {}",
                    in_braces(&row.labels)
                )));
            }
            rows.push(row);
            Ok(())
        })?;
        Ok(rows)
    }
}

/// The time of a float in place of its value.
fn newest_time(series: &SeriesSamples, newest: Newest) -> Cell {
    match newest {
        Newest::Float(index) => Cell::Float(series.floats.timestamps_ms[index] as f64),
        Newest::Histogram(index) => Cell::Histogram(series.histograms.values[index].clone()),
    }
}

/// Where the first selector of an expression looks: at a moment, or at the step, and how much before. The info series
/// are looked up there, too.
fn reference_of(expr: &Expr) -> Option<(Option<i64>, i64)> {
    match expr {
        Expr::Number(_) | Expr::String(_) => None,
        Expr::Paren(inner) => reference_of(&inner.expr),
        Expr::Unary(inner) => reference_of(&inner.expr),
        Expr::Binary(inner) => {
            let chain: Vec<&BinaryExpr> = inner.spine().collect();
            let first = chain.last().map_or(&*inner.lhs, |last| &*last.lhs);
            let mut rights = chain.iter().rev().map(|operation| &*operation.rhs);
            reference_of(first).or_else(|| rights.find_map(reference_of))
        }
        Expr::Aggregate(inner) => reference_of(&inner.expr),
        Expr::Call(inner) => inner.args.iter().find_map(reference_of),
        Expr::Vector(selector) => Some((moment_of(selector.at), selector.offset_ms)),
        Expr::Matrix(selector) => Some((moment_of(selector.vector.at), selector.vector.offset_ms)),
        Expr::Subquery(subquery) => {
            let (at_ms, offset_ms) = reference_of(&subquery.expr)?;
            match at_ms {
                Some(_) => Some((at_ms, offset_ms)),
                None => Some((
                    moment_of(subquery.at),
                    offset_ms.saturating_add(subquery.offset_ms),
                )),
            }
        }
        Expr::StepInvariant(inner) => reference_of(inner),
    }
}

fn moment_of(at: Option<At>) -> Option<i64> {
    match at {
        Some(At::TimestampMs(moment_ms)) => Some(moment_ms),
        _ => None,
    }
}

/// The newest info series of each signature, at each step.
struct InfoIndex<'i> {
    infos: &'i [Row],
    /// By signature, for each step the index of the info series.
    at: Map<(String, Labels), Vec<Option<usize>>>,
    names: BTreeSet<&'i str>,
}

impl<'i> InfoIndex<'i> {
    fn new(infos: &'i [Row], steps: Steps) -> Result<Self, EvalError> {
        let mut all = Self {
            infos,
            at: Map::default(),
            names: BTreeSet::new(),
        };
        for (index, info) in infos.iter().enumerate() {
            let name = info.labels.metric_name();
            all.names.insert(name);
            let places = all.at.entry(signature(name, &info.labels));
            let places = places.or_insert_with(|| vec![None; steps.count]);
            for (step, place) in places.iter_mut().enumerate() {
                let Some(now_ms) = info.cells[step].as_float() else {
                    continue;
                };
                let known =
                    place.and_then(|known: usize| Some((known, infos[known].cells[step].as_float()?)));
                match known {
                    Some((_, known_ms)) if known_ms > now_ms => {}
                    Some((known, known_ms)) if known_ms == now_ms => {
                        return Err(EvalError::execution(format!(
                            "found duplicate series for info metric: existing {} @ {known_ms}, new {} @ {now_ms}",
                            in_braces(&infos[known].labels),
                            in_braces(&info.labels),
                        )));
                    }
                    _ => *place = Some(index),
                }
            }
        }
        Ok(all)
    }

    /// The row with the labels of its info series. When these change from step to step, it becomes several rows.
    fn enrich(&self, row: &Row, wanted: &Wanted) -> Result<Vec<Row>, EvalError> {
        let of_row = |name: &&'i str| self.at.get(&signature(name, &row.labels));
        let places: Vec<&Vec<Option<usize>>> = self.names.iter().filter_map(of_row).collect();
        let mut known: Map<Vec<Option<usize>>, Option<usize>> = Map::default();
        let mut rows: Vec<Row> = Vec::new();
        for (step, cell) in row.cells.iter().enumerate().filter(|cell| !cell.1.is_empty()) {
            let infos: Vec<Option<usize>> = places.iter().map(|places| places[step]).collect();
            let result = match known.get(&infos) {
                Some(result) => *result,
                None => {
                    let labels = self.labels_with(&row.labels, &infos, wanted)?;
                    let result = labels.map(|labels| {
                        rows.push(Row {
                            labels,
                            drop_name: row.drop_name,
                            cells: vec![Cell::Empty; row.cells.len()],
                        });
                        rows.len() - 1
                    });
                    known.insert(infos, result);
                    result
                }
            };
            if let Some(result) = result {
                rows[result].cells[step] = cell.clone();
            }
        }
        Ok(rows)
    }

    /// The labels of a series with those of its info series, or `None` when the series goes without any.
    fn labels_with(
        &self,
        base: &Labels,
        infos: &[Option<usize>],
        wanted: &Wanted,
    ) -> Result<Option<Labels>, EvalError> {
        let mut added: BTreeMap<&str, &str> = BTreeMap::new();
        for info in infos.iter().flatten() {
            for (name, value) in self.infos[*info]
                .labels
                .iter()
                .filter(|pair| wanted.takes(pair.0))
            {
                if added.get(name).is_some_and(|other| *other != value) {
                    return Err(EvalError::execution(format!("conflicting label: {name}")));
                }
                if base.get(name).is_none() {
                    added.insert(name, value);
                }
            }
        }
        if infos.iter().all(Option::is_none) && !wanted.allows_none() {
            return Ok(None);
        }
        let added: Vec<(&str, &str)> = added.into_iter().collect();
        Ok(Some(with(base, &added)))
    }
}

//! What a search is asked for. Faults are named in Prometheus' words where these are known.

use super::error::ApiError;
use super::params::Params;
use super::search_score::{Algorithm, Term};
use super::selection::Selection;
use crate::promql::quote::quote;

/// Names in an answer that names no limit, and results in a line.
const LIMIT: usize = 100;
/// The most that an answer may have.
const LIMIT_MAX: usize = 10_000;
/// The most results in a line.
const BATCH_MAX: usize = 1000;
/// Texts that may be searched for at once.
const TERMS_MAX: usize = 32;
/// The longest one.
const TERM_BYTES_MAX: usize = 1024;
/// How far back a search goes that has no start.
const HOUR_MS: i64 = 3_600_000;

/// In which order names are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sorting {
    Alphabetic,
    Backwards,
    BestFirst,
}

/// A search.
#[derive(Debug)]
pub(super) struct SearchParams {
    pub(super) selection: Selection,
    /// One of these must fit; without any, everything does.
    pub(super) terms: Vec<Term>,
    pub(super) sorting: Sorting,
    pub(super) has_score: bool,
    pub(super) has_metadata: bool,
    pub(super) limit: usize,
    /// Results in a line.
    pub(super) batch: usize,
}

impl SearchParams {
    /// `searched` is the last part of the path.
    pub(super) fn of(params: &Params, now_ms: i64, searched: &str) -> Result<Self, ApiError> {
        params.check_form()?;
        let last_hour = (now_ms.saturating_sub(HOUR_MS), now_ms);
        let selection = Selection::of(params, last_hour, ApiError::bad_data)?;
        if selection.end_ms < selection.start_ms {
            return refuse("end timestamp must not be before start timestamp");
        }
        let terms = terms(params)?;
        let has_score = boolean(params, "include_score", false)?;
        let sorting = sorting(params, searched, !terms.is_empty())?;
        let limit = number(params, "limit")?.unwrap_or(LIMIT);
        if limit > LIMIT_MAX {
            return refuse(format!("invalid limit \"{limit}\": must be at most {LIMIT_MAX}"));
        }
        let batch = number(params, "batch_size")?.unwrap_or(LIMIT).min(BATCH_MAX);
        let has_metadata = searched == "metric_names" && boolean(params, "include_metadata", false)?;
        Ok(Self {
            selection,
            terms,
            sorting,
            has_score,
            has_metadata,
            limit,
            batch,
        })
    }

    /// How well a name fits, between 0 and 1; `None` when it does not.
    pub(super) fn score(&self, name: &str) -> Option<f64> {
        if self.terms.is_empty() {
            return Some(1.0);
        }
        let scores = self.terms.iter().filter_map(|term| term.score(name));
        scores.reduce(f64::max)
    }
}

fn refuse<T>(message: impl Into<std::borrow::Cow<'static, str>>) -> Result<T, ApiError> {
    Err(ApiError::bad_data(message))
}

fn terms(params: &Params) -> Result<Vec<Term>, ApiError> {
    let text = params.get("fuzz_threshold");
    let threshold = match text.parse::<u8>() {
        Ok(percent) if percent <= 100 => percent,
        _ if text.is_empty() => 0,
        _ => {
            return refuse(format!("invalid fuzz_threshold {}: must be 0-100", quote(text)));
        }
    };
    let algorithm = match params.get("fuzz_alg") {
        "" | "subsequence" => Algorithm::Subsequence,
        "jarowinkler" => Algorithm::JaroWinkler,
        other => {
            let other = quote(other);
            return refuse(format!(
                "unsupported fuzz_alg {other}: must be one of [subsequence jarowinkler]"
            ));
        }
    };
    let has_case = boolean(params, "case_sensitive", true)?;
    let texts = || params.all("search[]");
    if texts().count() > TERMS_MAX {
        return refuse(format!("too many search[] parameters: at most {TERMS_MAX}"));
    }
    if texts().any(|text| text.len() > TERM_BYTES_MAX) {
        return refuse(format!(
            "a search[] parameter is longer than {TERM_BYTES_MAX} bytes"
        ));
    }
    Ok(texts()
        .map(|text| Term::new(text, algorithm, f64::from(threshold) / 100.0, has_case))
        .collect())
}

fn sorting(params: &Params, searched: &str, has_terms: bool) -> Result<Sorting, ApiError> {
    let (by, direction) = (params.get("sort_by"), params.get("sort_dir"));
    match (by, direction) {
        ("", "") => Ok(Sorting::Alphabetic),
        ("", _) => refuse("sort_dir is only valid when sort_by is set"),
        ("score", "") if has_terms => Ok(Sorting::BestFirst),
        ("score", "") => refuse("sort_by=score requires search[] to be set"),
        ("score", _) => refuse("sort_dir is not supported for sort_by=score"),
        (_, direction) if !matches!(direction, "" | "asc" | "dsc") => refuse(format!(
            "invalid sort_dir {}: must be \"asc\" or \"dsc\"",
            quote(direction)
        )),
        ("alpha", "dsc") => Ok(Sorting::Backwards),
        ("alpha", _) => Ok(Sorting::Alphabetic),
        (by, _) => refuse(format!(
            "invalid sort_by {} for {searched}: must be \"alpha\" or \"score\"",
            quote(by)
        )),
    }
}

/// A count; `None` without one and for 0.
fn number(params: &Params, name: &str) -> Result<Option<usize>, ApiError> {
    let text = params.get(name);
    if text.is_empty() {
        return Ok(None);
    }
    match text
        .parse::<i64>()
        .ok()
        .and_then(|count| usize::try_from(count).ok())
    {
        Some(count) => Ok(Some(count).filter(|count| *count > 0)),
        None => refuse(format!(
            "invalid {name} {}: must be non-negative integer",
            quote(text)
        )),
    }
}

/// What Go reads as a boolean.
fn boolean(params: &Params, name: &str, default: bool) -> Result<bool, ApiError> {
    match params.get(name) {
        "" => Ok(default),
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        other => refuse(format!("invalid {name} {}: must be boolean", quote(other))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_700_000_000_000;

    fn of(text: &str) -> Result<SearchParams, String> {
        SearchParams::of(&Params::of_text(text), NOW_MS, "label_names")
            .map_err(|error| error.message.into_owned())
    }

    #[test]
    fn without_parameters_the_last_hour_is_listed() {
        let search = of("").expect("a search");
        let Selection {
            sets,
            start_ms,
            end_ms,
        } = &search.selection;
        assert!(sets.is_empty() && search.terms.is_empty());
        assert_eq!((*start_ms, *end_ms), (NOW_MS - HOUR_MS, NOW_MS));
        assert_eq!((search.limit, search.batch), (LIMIT, LIMIT));
        assert_eq!(search.sorting, Sorting::Alphabetic);
        assert_eq!(search.score("anything"), Some(1.0));
        let search = of("limit=0&batch_size=5000&search[]=x&search[]=y&sort_by=score").expect("a search");
        assert_eq!((search.limit, search.batch), (LIMIT, BATCH_MAX));
        assert_eq!(
            ["x", "yes", "z"].map(|name| search.score(name)),
            [Some(1.0), Some(1.0), None]
        );
    }

    #[test]
    fn faults_are_named() {
        let long = format!("search[]={}", "x".repeat(TERM_BYTES_MAX + 1));
        let many = "search[]=x&".repeat(TERMS_MAX + 1);
        for (text, fault) in [
            (
                "fuzz_threshold=101",
                "invalid fuzz_threshold \"101\": must be 0-100",
            ),
            (
                "fuzz_threshold=-1",
                "invalid fuzz_threshold \"-1\": must be 0-100",
            ),
            (
                "fuzz_alg=x",
                "unsupported fuzz_alg \"x\": must be one of [subsequence jarowinkler]",
            ),
            (
                "case_sensitive=yes",
                "invalid case_sensitive \"yes\": must be boolean",
            ),
            ("include_score=2", "invalid include_score \"2\": must be boolean"),
            ("sort_dir=asc", "sort_dir is only valid when sort_by is set"),
            ("sort_by=score", "sort_by=score requires search[] to be set"),
            (
                "sort_by=score&sort_dir=asc",
                "sort_dir is not supported for sort_by=score",
            ),
            (
                "sort_by=alpha&sort_dir=desc",
                "invalid sort_dir \"desc\": must be \"asc\" or \"dsc\"",
            ),
            (
                "sort_by=size",
                "invalid sort_by \"size\" for label_names: must be \"alpha\" or \"score\"",
            ),
            ("limit=-1", "invalid limit \"-1\": must be non-negative integer"),
            ("limit=10001", "invalid limit \"10001\": must be at most 10000"),
            (
                "batch_size=x",
                "invalid batch_size \"x\": must be non-negative integer",
            ),
            (
                "start=5&end=4",
                "end timestamp must not be before start timestamp",
            ),
            (
                "match[]={}",
                "match[] must contain at least one non-empty matcher",
            ),
            (&*long, "a search[] parameter is longer than 1024 bytes"),
            (&*many, "too many search[] parameters: at most 32"),
            ("x=%zz", "error parsing form values: invalid URL escape \"%zz\""),
        ] {
            assert_eq!(of(text).err().as_deref(), Some(fault), "{text}");
        }
    }
}

//! Series as a whole: what there is, page by page; one name with its series; deleting them, and taking that back.

use super::edit::tags_of;
use super::points::{bad_cursor, series_key};
use super::refusal::Refusal;
use super::select::{Selected, number};
use super::unit::TimeUnit;
use super::write::time_in;
use crate::api::error::ApiError;
use crate::api::json;
use crate::api::params::{Params, unescaped_bytes};
use crate::api::selection::check_narrow;
use crate::api::state::App;
use crate::api::tenant::Tenant;
use crate::db::Db;
use crate::engine::deletions::DeletionInfo;
use crate::engine::listing::ListOptions;
use crate::model::labels::{Labels, METRIC_NAME};
use crate::model::matcher::Matcher;
use axum::Extension;
use axum::extract::{Request, State};
use axum::http::Uri;
use axum::response::Response;
use serde_json::{Value, json};
use std::sync::Arc;

const LIMIT: usize = 1000;
const LIMIT_MAX: usize = 100_000;

/// Where a page of series begins: with so many series of that name left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Begin {
    name: String,
    skipped: usize,
}

impl Begin {
    fn as_text(&self) -> String {
        format!("{}.{}", self.skipped, self.name)
    }

    fn of_text(text: &str) -> Option<Self> {
        let (skipped, name) = text.split_once('.')?;
        Some(Self {
            name: name.to_owned(),
            skipped: skipped.parse().ok()?,
        })
    }
}

/// `GET /api/v1/series` without `match[]`: all series by name, then by their tags.
pub(super) async fn list(app: &App, tenant: Arc<Tenant>, params: &Params) -> Result<Response, Refusal> {
    let limit = number(params, "limit", LIMIT, LIMIT_MAX)?;
    let prefix = params.get("prefix").to_owned();
    let begin = match params.get("cursor") {
        "" => Begin::default(),
        text => Begin::of_text(text).ok_or_else(bad_cursor)?,
    };
    let page = app.work(move || page_of(tenant.db()?, &prefix, begin, limit));
    let (series, next) = page.await?;
    let listed = series
        .iter()
        .map(|labels| json!({ "series_key": labels.metric_name(), "tags": tags_of(labels) }));
    Ok(json::success(json!({
        "series": listed.collect::<Vec<Value>>(),
        "next_cursor": next.map(|next| next.as_text()),
    })))
}

fn page_of(
    db: &Db,
    prefix: &str,
    begin: Begin,
    limit: usize,
) -> Result<(Vec<Labels>, Option<Begin>), ApiError> {
    let names = db.label_values(METRIC_NAME, &[], .., ListOptions::default().prefix(prefix))?;
    // Series without a name come first.
    let unnamed = prefix.is_empty().then(String::new);
    let names = unnamed
        .into_iter()
        .chain(names.items)
        .filter(|name| *name >= begin.name);
    let mut all = Vec::new();
    for name in names {
        let skipped = if name == begin.name { begin.skipped } else { 0 };
        let wanted = limit - all.len();
        let options = ListOptions::default().limit(skipped.saturating_add(wanted).saturating_add(1));
        let matchers = [Matcher::eq(METRIC_NAME, name.clone())];
        let listing = db.series(&matchers, .., options)?;
        let mut series = listing.items.into_iter().skip(skipped);
        all.extend(series.by_ref().take(wanted));
        if series.next().is_some() {
            let skipped = skipped + wanted;
            return Ok((all, Some(Begin { name, skipped })));
        }
    }
    Ok((all, None))
}

/// `GET /api/v1/series/{series_key}`: the series of that name with their first and last points' times.
pub(super) async fn get(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let params = Params::of_uri(&uri);
    let selected = Selected::of(series_key(uri.path())?, &params)?;
    let limit = number(&params, "limit", LIMIT, LIMIT_MAX)?;
    let described = app.work(move || {
        let db = tenant.db()?;
        let mut cursor = db.select(&selected.matchers(), selected.start_ms..=selected.end_ms)?;
        let (mut series, mut more) = (Vec::new(), 0_u64);
        for one in cursor.by_ref() {
            let one = one?;
            if series.len() == limit {
                more += 1;
                continue;
            }
            let mut times = one.samples().map(|sample| sample.timestamp);
            let first = times.next();
            let last = times.next_back().or(first);
            let time = |ms: Option<i64>| ms.map(|ms| time_in(selected.unit, ms));
            series.push(json!({
                "tags": tags_of(one.labels()),
                "points": one.len(),
                "first": time(first),
                "last": time(last),
            }));
        }
        if series.is_empty() && db.count_series(&selected.matchers(), ..)?.series == 0 {
            return Ok(Err(selected.not_found()));
        }
        let metadata = db.metadata(Some(&selected.series_key));
        let known = metadata
            .get(&selected.series_key)
            .and_then(|history| history.last());
        Ok(Ok(json!({
            "series_key": selected.series_key,
            "precision": selected.unit.name(),
            "unit": known.map(|(_, known)| known.unit.clone()),
            "help": known.map(|(_, known)| known.help.clone()),
            "series": series,
            "more": more,
        })))
    });
    Ok(json::success(described.await??))
}

/// `DELETE /api/v1/series/{series_key}`: hides the points of its series, all of them or those of the tags and the time given.
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let selected = Selected::of(series_key(uri.path())?, &Params::of_uri(&uri))?;
    let deleted = app.work(move || {
        let db = tenant.db()?;
        let matchers = selected.matchers();
        let times = selected.start_ms..=selected.end_ms;
        let series = db.count_series(&matchers, times.clone())?.series;
        if series == 0 {
            return Ok(Err(selected.not_found()));
        }
        let id = db.delete(&matchers, times)?;
        Ok(Ok(json!({ "series": series, "deletion": id.to_string() })))
    });
    Ok(json::success(deleted.await??))
}

/// `DELETE /api/v1/series` with `match[]`: hides the points of matching series within a time.
pub(super) async fn delete_matching(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
    request: Request,
) -> Result<Response, Refusal> {
    let params = Params::of_uri(request.uri());
    let in_words = |fault: String| {
        let hint = "as match[]=cpu{host=\"a\"}; a condition that all series meet is refused";
        Refusal::field("bad_matcher", "match[]", fault, hint)
    };
    let sets = params.matchers().map_err(in_words)?;
    if sets.is_empty() {
        return Err(in_words("match[] is missing".to_owned()));
    }
    check_narrow(&sets).map_err(in_words)?;
    let bounds = Selected::of(String::new(), &params)?;
    let deleted = app.work(move || {
        let db = tenant.db()?;
        let times = bounds.start_ms..=bounds.end_ms;
        let ids = sets.iter().map(|matchers| db.delete(matchers, times.clone()));
        let ids = ids.collect::<Result<Vec<u64>, _>>()?;
        let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
        Ok(json!({ "deletions": ids }))
    });
    Ok(json::success(deleted.await?))
}

/// `GET /api/v1/deletions`: what hides points or could be taken back, oldest first.
pub(super) async fn deletions(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
) -> Result<Response, Refusal> {
    let listed = app.work(move || {
        Ok(tenant
            .db()?
            .deletions()
            .iter()
            .map(described)
            .collect::<Vec<Value>>())
    });
    Ok(json::success(json!({ "deletions": listed.await? })))
}

fn described(deletion: &DeletionInfo) -> Value {
    let bound = |time: i64| match time {
        i64::MIN | i64::MAX => Value::Null,
        time => time_in(TimeUnit::Milliseconds, time),
    };
    json!({
        "deletion": deletion.id.to_string(),
        "match": super::aggregate::selector(&deletion.matchers),
        "exact": deletion.is_exact,
        "start_time": bound(deletion.from),
        "end_time": bound(deletion.to),
        "precision": "ms",
        "created_ms": deletion.created_ms,
        "withdrawn": deletion.is_withdrawn,
    })
}

/// `POST /api/v1/deletions/{deletion}/undelete`: shows again what the deletion hid and nothing has replaced.
pub(super) async fn undelete(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let part = uri.path().rsplit('/').nth(1).unwrap_or("");
    let text = unescaped_bytes(part.as_bytes(), false).unwrap_or_default();
    let text = String::from_utf8(text).unwrap_or_default();
    let id: u64 = text.parse().map_err(|_| {
        let message = format!("{text:?} is no deletion");
        let hint = "a deletion is the number that the answer to a delete has";
        Refusal::field("bad_path", "deletion", message, hint)
    })?;
    let is_undone = app.work(move || Ok(tenant.db()?.undelete(id)?)).await?;
    if is_undone {
        return Ok(json::success(
            json!({ "deletion": id.to_string(), "withdrawn": true }),
        ));
    }
    let error = ApiError::not_found(format!("there is no deletion {id} that could be withdrawn"));
    let hint = "GET /api/v1/deletions lists them; one that was withdrawn, or is too old, cannot be";
    Err(Refusal::detailed(error, "deletion_not_found", "deletion", hint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::options::Options;
    use crate::labels;

    #[test]
    fn pages_of_series_are_parts_of_the_whole() {
        let db = Db::open(Options::in_memory().background(false)).expect("memory");
        let mut batch = db.batch();
        for number in 0..23 {
            let name = format!("metric.{}", number % 4);
            batch.push(
                &labels! { "__name__" => &name, "n" => &number.to_string() },
                1,
                1.0,
            );
        }
        batch.push(&labels! { "n" => "none" }, 1, 1.0);
        batch.commit().expect("memory");
        for limit in [1, 2, 5, 6, 24, 100] {
            let mut seen = Vec::new();
            let mut begin = Begin::default();
            loop {
                let (page, next) = page_of(&db, "", begin, limit).expect("readable");
                assert!(page.len() <= limit);
                seen.extend(page);
                let Some(next) = next else { break };
                begin = Begin::of_text(&next.as_text()).expect("a cursor");
                assert_eq!(begin, next);
            }
            assert_eq!(seen.len(), 24, "{limit}");
            assert!(seen.is_sorted_by_key(|labels| labels.metric_name().to_owned()));
            seen.sort();
            seen.dedup();
            assert_eq!(seen.len(), 24, "{limit}");
        }
        let (page, _) = page_of(&db, "metric.1", Begin::default(), 100).expect("readable");
        assert_eq!(page.len(), 6);
    }
}

//! Logs and events as Grafana's annotations: by parameters, or in the body that data sources of JSON send.
//!
//! A query is words: `logs` or `events` first (events without either), then conditions as `device=pump`, `level=error`,
//! `severity=high`, `type=door`, and anything else is a text to be found.

use crate::api::error::ApiError;
use crate::api::json;
use crate::api::native::body::Arriving;
use crate::api::native::refusal::Refusal;
use crate::api::params::Params;
use crate::api::state::App;
use crate::api::tenant::Tenant;
use crate::base::civil::rfc3339_ms;
use crate::db::Db;
use crate::records::events::EventQuery;
use crate::records::logs::LogQuery;
use crate::records::tags::Tags;
use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Annotations of one answer; more than that nobody can tell apart.
const SHOWN_MAX: usize = 1000;

/// What is to be shown.
#[derive(Debug, Clone, PartialEq)]
struct Wanted {
    words: Words,
    times_ms: RangeInclusive<i64>,
    limit: usize,
    /// Given back with each annotation, which old data sources expect.
    annotation: Value,
}

/// A query in words.
#[derive(Debug, Clone, PartialEq, Default)]
struct Words {
    is_logs: bool,
    conditions: Vec<(String, String)>,
    text: Vec<String>,
}

impl Words {
    fn of(query: &str) -> Self {
        let mut words = Self::default();
        for (place, word) in query.split_whitespace().enumerate() {
            match word.split_once('=') {
                _ if place == 0 && word == "logs" => words.is_logs = true,
                _ if place == 0 && word == "events" => {}
                Some((name, value)) if !value.is_empty() => {
                    words
                        .conditions
                        .push((name.to_owned(), value.trim_matches('"').to_owned()));
                }
                _ => words.text.push(word.to_owned()),
            }
        }
        words
    }
}

/// `GET /api/v1/annotations?query=...&from=...&to=...`.
pub(super) async fn get(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let params = Params::of_uri(&uri);
    let time = |names: [&str; 2], default_ms| {
        let name = if params.get(names[0]).is_empty() {
            names[1]
        } else {
            names[0]
        };
        let text = params.get(name);
        if text.is_empty() {
            return Ok(default_ms);
        }
        // Grafana's times are milliseconds.
        let ms = text.parse().ok().or_else(|| rfc3339_ms(text));
        ms.ok_or_else(|| bad_time(name))
    };
    let wanted = Wanted {
        words: Words::of(params.get("query")),
        times_ms: time(["from", "start_time"], i64::MIN)?..=time(["to", "end_time"], i64::MAX)?,
        limit: SHOWN_MAX,
        annotation: Value::Null,
    };
    respond(&app, tenant, wanted).await
}

fn bad_time(field: &str) -> Refusal {
    let message = format!("{field} is no time");
    let hint = "Grafana sends milliseconds since 1970, as ${__from}, or a text as 2023-11-14T22:13:20Z";
    Refusal::field("bad_timestamp", field, message, hint)
}

/// `POST`: `{"range": {"from": ..., "to": ...}, "annotation": {"name": ..., "query": ...}}`.
pub(super) async fn post(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let limits = app.config.load_full().http_of(&tenant.name);
    let (text, _held) = Arriving::new(&parts.headers, body, &app.admission, &limits)?
        .whole()
        .await?;
    let wanted = wanted_of(&text)?;
    respond(&app, tenant, wanted).await
}

fn wanted_of(text: &[u8]) -> Result<Wanted, Refusal> {
    let hint = r#"as {"range": {"from": "2023-11-14T22:13:20Z", "to": ...}, "annotation": {"query": "logs level=error"}}"#;
    let bad = |what: String| Refusal::field("bad_json", "", what, hint);
    let json: Value =
        serde_json::from_slice(text).map_err(|fault| bad(format!("the body is no JSON: {fault}")))?;
    if !json.is_object() {
        return Err(bad("the body is no object".to_owned()));
    }
    let bound = |name: &str, default_ms| match &json["range"][name] {
        Value::Null => Ok(default_ms),
        Value::Number(ms) => ms.as_i64().ok_or_else(|| bad_time(name)),
        Value::String(text) => text
            .parse()
            .ok()
            .or_else(|| rfc3339_ms(text))
            .ok_or_else(|| bad_time(name)),
        _ => Err(bad_time(name)),
    };
    let annotation = json["annotation"].clone();
    let query = annotation["query"]
        .as_str()
        .or(json["query"].as_str())
        .unwrap_or("");
    let limit = annotation["limit"]
        .as_u64()
        .and_then(|limit| usize::try_from(limit).ok());
    Ok(Wanted {
        words: Words::of(query),
        times_ms: bound("from", i64::MIN)?..=bound("to", i64::MAX)?,
        limit: limit.unwrap_or(SHOWN_MAX).clamp(1, SHOWN_MAX),
        annotation,
    })
}

async fn respond(app: &App, tenant: Arc<Tenant>, wanted: Wanted) -> Result<Response, Refusal> {
    let found = app.work(move || find(tenant.db()?, &wanted));
    let body = Value::from(found.await??).to_string();
    Ok(([(header::CONTENT_TYPE, json::CONTENT_TYPE)], body).into_response())
}

/// The annotations, oldest first.
fn find(db: &Db, wanted: &Wanted) -> Result<Result<Vec<Value>, Refusal>, ApiError> {
    let found = if wanted.words.is_logs {
        logs(db, wanted)?
    } else {
        events(db, wanted)?
    };
    Ok(found.map(|mut found| {
        found.reverse();
        found
    }))
}

fn unknown(name: &str, known: &str) -> Refusal {
    let message = format!("the query has a condition {name:?}");
    Refusal::field(
        "bad_query",
        "query",
        message,
        format!("the conditions are {known}, and tag.NAME"),
    )
}

fn logs(db: &Db, wanted: &Wanted) -> Result<Result<Vec<Value>, Refusal>, ApiError> {
    let mut query = LogQuery::new(wanted.times_ms.clone()).with_limit(wanted.limit);
    let mut tags = Tags::default();
    for (name, value) in &wanted.words.conditions {
        query = match name.as_str() {
            "device" => query.with_device(value),
            "level" => query.with_level(value.as_str()),
            "source" => query.with_source(value),
            name => match name.strip_prefix("tag.") {
                Some(tag) => {
                    tags.insert(tag, value);
                    query
                }
                None => return Ok(Err(unknown(name, "device, level and source"))),
            },
        };
    }
    if !wanted.words.text.is_empty() {
        query = query.with_text(wanted.words.text.join(" "));
    }
    let page = db.logs().query(&query.with_tags(tags))?;
    let shown = page.logs.iter().map(|log| {
        let tags = [log.device.as_str(), log.level.as_str()];
        annotation(
            wanted,
            log.timestamp,
            &format!("{} {}", log.level.as_str(), log.device),
            &log.message,
            &tags,
        )
    });
    Ok(Ok(shown.collect()))
}

fn events(db: &Db, wanted: &Wanted) -> Result<Result<Vec<Value>, Refusal>, ApiError> {
    let mut query = EventQuery::new(wanted.times_ms.clone()).with_limit(wanted.limit);
    let mut tags = Tags::default();
    for (name, value) in &wanted.words.conditions {
        query = match name.as_str() {
            "device" => query.with_device(value),
            "severity" => query.with_severity(value.as_str()),
            "type" => query.with_type(value),
            name => match name.strip_prefix("tag.") {
                Some(tag) => {
                    tags.insert(tag, value);
                    query
                }
                None => return Ok(Err(unknown(name, "device, severity and type"))),
            },
        };
    }
    if !wanted.words.text.is_empty() {
        query = query.with_text(wanted.words.text.join(" "));
    }
    let page = db.events().query(&query.with_tags(tags))?;
    let shown = page.events.iter().map(|event| {
        let text = if event.data.is_null() {
            String::new()
        } else {
            event.data.to_string()
        };
        let tags = [event.device.as_str(), event.severity.as_str()];
        annotation(
            wanted,
            event.timestamp,
            &format!("{} {}", event.event_type, event.device),
            &text,
            &tags,
        )
    });
    Ok(Ok(shown.collect()))
}

fn annotation(wanted: &Wanted, time_ms: Option<i64>, title: &str, text: &str, tags: &[&str]) -> Value {
    let mut shown = json!({ "time": time_ms, "title": title, "text": text, "tags": tags });
    if !wanted.annotation.is_null() {
        shown["annotation"] = wanted.annotation.clone();
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_words() {
        let words = Words::of("logs level=error device=\"pump\" pressure lost");
        assert!(words.is_logs);
        let conditions = [
            ("level".to_owned(), "error".to_owned()),
            ("device".to_owned(), "pump".to_owned()),
        ];
        assert_eq!(
            (words.conditions, words.text.join(" ")),
            (conditions.to_vec(), "pressure lost".to_owned())
        );
        assert_eq!(Words::of(""), Words::default());
        assert!(!Words::of("events logs").is_logs);
    }

    #[test]
    fn bodies_are_those_of_data_sources() {
        let body = r#"{"range":{"from":"2023-11-14T22:13:20.000Z","to":"1700000060000"},
            "annotation":{"name":"faults","datasource":"narthex","enable":true,"query":"events severity=high","limit":5000}}"#;
        let wanted = wanted_of(body.as_bytes()).expect("a request");
        assert_eq!(wanted.times_ms, 1_700_000_000_000..=1_700_000_060_000);
        assert_eq!(
            (wanted.limit, wanted.annotation["name"].as_str()),
            (SHOWN_MAX, Some("faults"))
        );
        assert!(wanted_of(b"[]").is_err() && wanted_of(b"{\"range\":{\"from\":true}}").is_err());
    }
}

//! `/api/v1/columns`: keys with values, JSON or bytes, in named columns whose keys are in order.

use crate::api::error::ApiError;
use crate::api::json;
use crate::api::native::body::Arriving;
use crate::api::native::refusal::Refusal;
use crate::api::native::select::{number, path_part};
use crate::api::params::Params;
use crate::api::state::App;
use crate::api::tenant::Tenant;
use crate::records::columns::ColumnValue;
use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::sync::Arc;

const LIMIT: usize = 1000;
const LIMIT_MAX: usize = 100_000;
const BYTES: &str = "application/octet-stream";

/// Column and key of a path.
fn place(uri: &Uri) -> Result<(String, String), Refusal> {
    let mut parts = uri.path().rsplit('/');
    let key = path_part(parts.next().unwrap_or(""), "key")?;
    Ok((path_part(parts.next().unwrap_or(""), "column")?, key))
}

/// Whether a body is bytes rather than JSON.
fn is_bytes(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.to_ascii_lowercase().starts_with(BYTES))
}

fn no_json(fault: &serde_json::Error) -> Refusal {
    let message = format!("the value is no JSON: {fault}");
    Refusal::field(
        "bad_json",
        "",
        message,
        format!("send JSON, or bytes with Content-Type: {BYTES}"),
    )
}

/// `PUT`: the key gets the value in the body.
pub(super) async fn put(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
    request: Request,
) -> Result<StatusCode, Refusal> {
    let (parts, body) = request.into_parts();
    let (column, key) = place(&parts.uri)?;
    let limits = app.config.load_full().http_of(&tenant.name);
    let (text, held) = Arriving::new(&parts.headers, body, &app.admission, &limits)?
        .whole()
        .await?;
    let value = match is_bytes(&parts.headers) {
        true => ColumnValue::Bytes(text),
        false => ColumnValue::Json(serde_json::from_slice(&text).map_err(|fault| no_json(&fault))?),
    };
    let put = app.work(move || {
        let _held = held;
        Ok(tenant.db()?.columns().put(&column, key, value)?)
    });
    put.await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET` of a key: the value as it was put.
pub(super) async fn get(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let (column, key) = place(&uri)?;
    let missing = format!("the column {column:?} has no key {key:?}");
    let value = app.work(move || Ok(tenant.db()?.columns().get(&column, key)?));
    match value.await? {
        Some(ColumnValue::Json(value)) => {
            Ok(([(header::CONTENT_TYPE, json::CONTENT_TYPE)], value.to_string()).into_response())
        }
        Some(ColumnValue::Bytes(bytes)) => Ok(([(header::CONTENT_TYPE, BYTES)], bytes).into_response()),
        None => {
            let hint = "GET /api/v1/columns/{column} lists the keys";
            Err(Refusal::detailed(
                ApiError::not_found(missing),
                "key_not_found",
                "key",
                hint,
            ))
        }
    }
}

/// `DELETE` of a key; one that is not there is no error.
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
    uri: Uri,
) -> Result<StatusCode, Refusal> {
    let (column, key) = place(&uri)?;
    app.work(move || Ok(tenant.db()?.columns().delete(&column, key)?))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET` of a column: its keys from `from`, included, to `to`, excluded, in order.
pub(super) async fn query(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
    uri: Uri,
) -> Result<Response, Refusal> {
    let column = path_part(uri.path().rsplit('/').next().unwrap_or(""), "column")?;
    let params = Params::of_uri(&uri);
    let limit = number(&params, "limit", LIMIT, LIMIT_MAX)?;
    let (from, to) = (params.get("from").to_owned(), params.get("to").to_owned());
    let found = app.work(move || {
        let columns = tenant.db()?.columns();
        let more = limit.saturating_add(1);
        Ok(match to.is_empty() {
            true => columns.query_from(&column, from, more)?,
            false => columns.query(&column, from..to, more)?,
        })
    });
    let mut found = found.await?;
    let next = (found.len() > limit).then(|| found.pop()).flatten();
    let entries: Vec<Value> = found.iter().map(|(key, value)| shown(key, value)).collect();
    let next = next.map(|(key, _)| String::from_utf8_lossy(&key).into_owned());
    Ok(json::success(json!({ "entries": entries, "next": next })))
}

fn shown(key: &[u8], value: &ColumnValue) -> Value {
    let mut entry = match std::str::from_utf8(key) {
        Ok(key) => json!({ "key": key }),
        Err(_) => json!({ "keyBase64": STANDARD.encode(key) }),
    };
    match value {
        ColumnValue::Json(value) => entry["value"] = value.clone(),
        ColumnValue::Bytes(bytes) => entry["base64"] = STANDARD.encode(bytes).into(),
    }
    entry
}

/// The columns that have keys.
pub(super) async fn names(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
) -> Result<Response, Refusal> {
    let names = app.work(move || Ok(tenant.db()?.columns().names()?));
    Ok(json::success(json!({ "columns": names.await? })))
}

/// A change of a batch.
#[derive(Debug, PartialEq)]
struct Change {
    column: String,
    key: String,
    /// `None` removes the key.
    value: Option<ColumnValue>,
}

/// `POST /api/v1/columns/batch`: changes that are made together or not at all.
pub(super) async fn batch(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
    request: Request,
) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let limits = app.config.load_full().http_of(&tenant.name);
    let (text, held) = Arriving::new(&parts.headers, body, &app.admission, &limits)?
        .whole()
        .await?;
    let list: Vec<Value> = serde_json::from_slice(&text).map_err(|fault| no_json(&fault))?;
    let changes = list.iter().enumerate();
    let changes = changes
        .map(|(place, one)| change_of(one, place))
        .collect::<Result<Vec<_>, _>>()?;
    let made = app.work(move || {
        let _held = held;
        let count = changes.len();
        let mut batch = tenant.db()?.columns().batch();
        for change in changes {
            batch = match change.value {
                Some(value) => batch.put(&change.column, change.key, value),
                None => batch.delete(&change.column, change.key),
            };
        }
        batch.commit()?;
        Ok(count)
    });
    Ok(json::success(json!({ "changes": made.await? })))
}

fn change_of(one: &Value, place: usize) -> Result<Change, Refusal> {
    let hint =
        r#"as {"column": "a", "key": "k", "value": 1}, with "base64" for bytes, or with "delete": true"#;
    let bad = |what: &str| Refusal::field("bad_change", "", format!("change {place} {what}"), hint);
    let text = |name: &str| one[name].as_str().map(str::to_owned);
    let (Some(column), Some(key)) = (text("column"), text("key")) else {
        return Err(bad("has no column or no key"));
    };
    let given = [
        one.get("value").is_some(),
        one.get("base64").is_some(),
        one["delete"] == true,
    ];
    let value = match given {
        [true, false, false] => Some(ColumnValue::Json(one["value"].clone())),
        [false, true, false] => {
            let bytes = text("base64").and_then(|text| STANDARD.decode(text).ok());
            Some(ColumnValue::Bytes(
                bytes.ok_or_else(|| bad("has bytes that are no base64"))?,
            ))
        }
        [false, false, true] => None,
        _ => return Err(bad("has not one of value, base64 and delete")),
    };
    Ok(Change { column, key, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_read_or_refused() {
        let read = |json: Value| change_of(&json, 0).ok().map(|change| change.value);
        let bytes = ColumnValue::Bytes(vec![1, 2]);
        assert_eq!(
            read(json!({"column": "a", "key": "k", "base64": "AQI="})),
            Some(Some(bytes))
        );
        assert_eq!(
            read(json!({"column": "a", "key": "k", "value": null})),
            Some(Some(ColumnValue::Json(Value::Null)))
        );
        assert_eq!(
            read(json!({"column": "a", "key": "k", "delete": true})),
            Some(None)
        );
        for wrong in [
            json!(1),
            json!({"column": "a", "value": 1}),
            json!({"column": "a", "key": "k"}),
            json!({"column": "a", "key": "k", "value": 1, "delete": true}),
            json!({"column": "a", "key": "k", "base64": "?"}),
        ] {
            assert_eq!(read(wrong.clone()), None, "{wrong}");
        }
    }
}

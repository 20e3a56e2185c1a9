//! The envelope of Prometheus' API.

use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

pub(super) const CONTENT_TYPE: &str = "application/json";

/// An object of these fields in this order, as text.
pub(super) fn object(fields: &[(&str, Value)]) -> String {
    let fields: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("\"{name}\":{value}"))
        .collect();
    format!("{{{}}}", fields.join(","))
}

/// `{"status":"success","data":...}`.
pub(super) fn success(data: Value) -> Response {
    success_with(data, &[])
}

/// The same with warnings, if there are any.
pub(super) fn success_with(data: Value, warnings: &[String]) -> Response {
    let mut fields = vec![("status", "success".into()), ("data", data)];
    if !warnings.is_empty() {
        fields.push(("warnings", warnings.into()));
    }
    let body = object(&fields);
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], body).into_response()
}

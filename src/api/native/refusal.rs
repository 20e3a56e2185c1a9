//! What a request of the native API is answered that fails: the error as everywhere, and what a person needs to send it right.

use crate::api::error::ApiError;
use crate::api::json;
use crate::engine::error::Error;
use crate::promql::query::QueryError;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

/// A failed request: `{"status":"error","errorType":...,"error":...,"reason":...,"field":...,"hint":...}`.
#[derive(Debug, Clone)]
pub(in crate::api) struct Refusal(Box<Parts>);

#[derive(Debug, Clone)]
struct Parts {
    error: ApiError,
    details: Details,
    /// What else the answer has.
    more: Vec<(&'static str, Value)>,
}

/// What is wrong with which field, and what would be right.
#[derive(Debug, Clone)]
struct Details {
    /// A name for programs; the kind of the error without one.
    reason: &'static str,
    /// As `tags.host`, or the name of a parameter.
    field: String,
    hint: String,
}

impl Refusal {
    /// A field that is not what it must be.
    pub(in crate::api) fn field(
        reason: &'static str,
        field: impl Into<String>,
        message: String,
        hint: impl Into<String>,
    ) -> Self {
        Self::detailed(ApiError::bad_data(message), reason, field, hint)
    }

    pub(in crate::api) fn detailed(
        error: ApiError,
        reason: &'static str,
        field: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        let (field, hint) = (field.into(), hint.into());
        Self(Box::new(Parts {
            error,
            details: Details { reason, field, hint },
            more: Vec::new(),
        }))
    }

    pub(in crate::api) fn status(status: StatusCode, kind: &'static str, message: String) -> Self {
        ApiError::new(status, kind, message).into()
    }

    pub(in crate::api) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.details.hint = hint.into();
        self
    }

    pub(in crate::api) fn error(&self) -> &ApiError {
        &self.0.error
    }

    pub(in crate::api) fn with(mut self, name: &'static str, value: Value) -> Self {
        self.0.more.push((name, value));
        self
    }

    /// As it stands in the list of errors of a batch, with the number of its `place`.
    pub(in crate::api) fn as_item(&self, place: &str, number: u64) -> Value {
        let mut item = serde_json::Map::new();
        item.insert(place.to_owned(), number.into());
        for (name, value) in self.fields() {
            item.insert(name.to_owned(), value);
        }
        Value::Object(item)
    }

    fn fields(&self) -> Vec<(&'static str, Value)> {
        let details = &self.0.details;
        let reason = if details.reason.is_empty() {
            self.0.error.kind
        } else {
            details.reason
        };
        let mut fields = vec![
            ("error", self.0.error.message.as_ref().into()),
            ("reason", reason.into()),
        ];
        for (name, text) in [("field", &details.field), ("hint", &details.hint)] {
            if !text.is_empty() {
                fields.push((name, text.as_str().into()));
            }
        }
        fields
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Self {
        Self::detailed(error, "", "", "")
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        ApiError::from(error).into()
    }
}

impl From<QueryError> for Refusal {
    fn from(error: QueryError) -> Self {
        ApiError::from(error).into()
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut fields = vec![
            ("status", "error".into()),
            ("errorType", self.0.error.kind.into()),
        ];
        fields.extend(self.fields());
        let status = self.0.error.status;
        fields.extend(self.0.more);
        let body = json::object(&fields);
        (status, [(header::CONTENT_TYPE, json::CONTENT_TYPE)], body).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_say_what_is_wrong_and_what_would_be_right() {
        let refusal = Refusal::field("bad_value", "value", "value is no number".to_owned(), "send 1.5");
        let item = refusal.as_item("index", 3);
        assert_eq!(
            item,
            serde_json::json!({"index": 3, "error": "value is no number", "reason": "bad_value", "field": "value", "hint": "send 1.5"})
        );
        let refusal = Refusal::from(ApiError::not_found("no such point"));
        assert_eq!(refusal.as_item("index", 0)["reason"], "not_found");
    }
}

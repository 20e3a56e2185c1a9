//! What a request is answered that fails: one table from errors to status, type and message.

use super::json;
use crate::engine::error::Error;
use crate::promql::eval::error::EvalError;
use crate::promql::query::QueryError;
use crate::remote::outcome::RequestError;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::borrow::Cow;

/// A failed request. Answered as Prometheus' API does: `{"status":"error","errorType":...,"error":...}`. What may be
/// tried again gets its Retry-After from the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    /// Prometheus' name for the kind of error.
    pub(crate) kind: &'static str,
    pub(crate) message: Cow<'static, str>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, kind: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            kind,
            message: message.into(),
        }
    }

    /// The sender is wrong, and will be wrong again with the same request.
    pub(crate) fn bad_data(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_data", message)
    }

    /// The same request may succeed later.
    pub(crate) fn unavailable(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
    }

    pub(crate) fn internal(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }

    /// The client is gone or somebody ended its query.
    pub(crate) fn canceled() -> Self {
        let status = StatusCode::from_u16(499).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        Self::new(status, "canceled", "the request was canceled")
    }

    /// It took longer than it may.
    pub(crate) fn timeout(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", message)
    }

    pub(crate) fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub(crate) fn forbidden(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    pub(crate) fn unauthorized() -> Self {
        let message = "a user name and password or a bearer token is needed";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    pub(crate) fn body_too_large(bytes_max: usize) -> Self {
        let message = format!("the body has more than {bytes_max} bytes (http.body_bytes)");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "bad_data", message)
    }

    pub(crate) fn no_tenant(header: &str) -> Self {
        let message = format!("the request names no tenant: the header {header} is needed");
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    /// `setting` has the limit.
    pub(crate) fn over_quota(samples_per_second: u64, setting: &str, wait_s: u64) -> Self {
        let message =
            format!("more than {samples_per_second} samples a second ({setting}), come again in {wait_s} s");
        Self::new(StatusCode::TOO_MANY_REQUESTS, "over_quota", message)
    }

    pub(crate) fn slow_body() -> Self {
        let message = "the body did not arrive in time (http.body_timeout)";
        Self::new(StatusCode::REQUEST_TIMEOUT, "timeout", message)
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::OutOfSpace(_) | Error::Poisoned(_) | Error::Closed | Error::Locked(_) => {
                Self::unavailable(message)
            }
            Error::InvalidMatcher { .. } | Error::InvalidOptions(_) | Error::NotEmpty(_) => {
                Self::bad_data(message)
            }
            Error::NotFound(_) => Self::not_found(message),
            Error::ReadOnly => Self::forbidden(message),
            Error::Cancelled => Self::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", message),
            Error::Fs(_) | Error::Corrupt(_) => Self::internal(message),
        }
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        let message = error.to_string();
        match error {
            QueryError::Parse(_) | QueryError::Times(_) | QueryError::Range(_) => {
                Self::bad_data(format!("invalid parameter \"query\": {message}"))
            }
            QueryError::Eval(EvalError::Canceled) => Self {
                message: message.into(),
                ..Self::canceled()
            },
            QueryError::Eval(EvalError::Timeout) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", message)
            }
            QueryError::Eval(EvalError::Source(_)) => Self::internal(message),
            QueryError::Eval(_) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "execution", message),
        }
    }
}

impl From<RequestError> for ApiError {
    fn from(error: RequestError) -> Self {
        Self::bad_data(error.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = json::object(&[
            ("status", "error".into()),
            ("errorType", self.kind.into()),
            ("error", self.message.as_ref().into()),
        ]);
        let mut response = (self.status, [(header::CONTENT_TYPE, json::CONTENT_TYPE)], body).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Basic realm=\"narthex\", charset=\"UTF-8\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_heals_is_503_and_what_does_not_is_400() {
        for (error, status) in [
            (Error::OutOfSpace("x".into()), 503),
            (Error::Poisoned("x".into()), 503),
            (Error::Closed, 503),
            (Error::Cancelled, 503),
            (Error::InvalidOptions("x".into()), 400),
            (Error::ReadOnly, 403),
        ] {
            let text = error.to_string();
            let answered = ApiError::from(error);
            assert_eq!(
                (answered.status.as_u16(), answered.message.as_ref()),
                (status, text.as_str())
            );
        }
    }
}

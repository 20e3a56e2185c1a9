//! What stands round all routes for who asks from a browser or over a thin line: answers to other origins, and compressed ones.

use super::state::App;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use regex_automata::meta::Regex;
use std::sync::Arc;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate as _, SizeAbove};

/// Shorter answers are sent as they are.
const COMPRESSED_BYTES_MIN: u64 = 1024;
/// Every origin; its text is checked by the configuration.
const ANY_ORIGIN: &str = "^(?:.*)$";
/// Where origins matter.
const API: &str = "/api/v1/";

/// Which origins may read answers.
#[derive(Debug, Clone)]
struct Origins {
    allowed: Option<Regex>,
    is_any: bool,
}

impl Origins {
    fn new(pattern: &str) -> Self {
        Self {
            allowed: Regex::new(pattern).ok(),
            is_any: pattern == ANY_ORIGIN,
        }
    }

    /// What the answer to a request from `origin` says.
    fn answer(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        let Some(origin) = origin else { return };
        for (name, value) in [
            (
                header::ACCESS_CONTROL_ALLOW_HEADERS,
                "Accept, Authorization, Content-Type, Origin",
            ),
            (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, OPTIONS"),
            (header::ACCESS_CONTROL_EXPOSE_HEADERS, "Date"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let is_allowed = |origin: &str| {
            self.allowed
                .as_ref()
                .is_some_and(|allowed| allowed.is_match(origin))
        };
        let allowed = match self.is_any {
            true => Some(HeaderValue::from_static("*")),
            false => origin.to_str().is_ok_and(is_allowed).then(|| origin.clone()),
        };
        if let Some(allowed) = allowed {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        }
    }
}

/// Puts both round all routes. Chunks of remote read are compressed already, and events must not wait for more.
pub(super) fn surround(router: Router, app: &App) -> Router {
    let origins = Origins::new(&app.config.load().http.cors_origin);
    let is_worth_it = SizeAbove::new(COMPRESSED_BYTES_MIN)
        .and(NotForContentType::SSE)
        .and(NotForContentType::const_new("application/x-streamed-protobuf"));
    let compression = CompressionLayer::new()
        .quality(CompressionLevel::Fastest)
        .compress_when(is_worth_it);
    router
        .layer(compression)
        .layer(from_fn_with_state(Arc::new(origins), cross_origin))
}

/// A browser asks whether it may ask before it does, and without credentials.
async fn cross_origin(State(origins): State<Arc<Origins>>, request: Request, next: Next) -> Response {
    if !request.uri().path().starts_with(API) {
        return next.run(request).await;
    }
    let origin = request.headers().get(header::ORIGIN).cloned();
    let mut response = match *request.method() {
        Method::OPTIONS => StatusCode::NO_CONTENT.into_response(),
        _ => next.run(request).await,
    };
    origins.answer(origin.as_ref(), response.headers_mut());
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(pattern: &str, origin: Option<&'static str>) -> Option<String> {
        let mut headers = HeaderMap::new();
        let origin = origin.map(HeaderValue::from_static);
        Origins::new(pattern).answer(origin.as_ref(), &mut headers);
        assert_eq!(
            headers.len(),
            if origin.is_some() { 4 } else { 1 }
                + usize::from(headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN))
        );
        let allowed = headers.get(header::ACCESS_CONTROL_ALLOW_ORIGIN)?;
        Some(allowed.to_str().expect("text").to_owned())
    }

    #[test]
    fn origins_are_told_what_they_may() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(allowed(ANY_ORIGIN, None), None);
        assert_eq!(allowed(ANY_ORIGIN, Some("http://a")), some("*"));
        let mine = "^(?:https?://(a|b)\\.example)$";
        assert_eq!(allowed(mine, Some("http://a.example")), some("http://a.example"));
        assert_eq!(allowed(mine, Some("http://c.example")), None);
        assert_eq!(allowed(mine, Some("http://a.example.org")), None);
    }
}

//! `openapi.yaml`: all routes as OpenAPI 3.1, or 3.2 for who asks for it, made from the tables beside this file.
//!
//! A test holds the tables against the routes in both directions.

mod document;
mod parameters;
mod paths;

use super::error::ApiError;
use super::params::Params;
use super::state::App;
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// The versions that can be asked for.
const DEFAULT: &str = "3.1.0";
const NEWER: &str = "3.2.0";

pub(super) async fn document(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let params = Params::of(&app, request).await?;
    let version = match params.get("openapi_version") {
        "3.2" | NEWER => NEWER,
        _ => DEFAULT,
    };
    let headers = [
        (header::CONTENT_TYPE, "application/yaml; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache, no-store, must-revalidate"),
    ];
    Ok((headers, document::write(version)).into_response())
}

/// What a parameter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    /// Seconds since 1970 or RFC 3339.
    Time,
    /// Seconds or Prometheus' units.
    Duration,
    Number,
    Truth,
    /// May be given several times.
    Texts,
}

#[derive(Debug, Clone, Copy)]
struct Parameter {
    name: &'static str,
    kind: Kind,
    is_needed: bool,
    help: &'static str,
}

/// What a request or an answer is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    /// Nothing: 204.
    Nothing,
    /// Prometheus' envelope.
    Json,
    /// An object without it.
    Object,
    /// A list of annotations.
    Annotations,
    /// Whatever was put there.
    Value,
    /// An object of its own for each line.
    Lines,
    Text,
    /// Lines of JSON, or Prometheus' text format.
    Samples,
    Csv,
    Yaml,
    Protobuf,
    Events,
}

/// A route.
#[derive(Debug)]
struct Path {
    path: &'static str,
    tag: &'static str,
    /// In small letters.
    methods: &'static [&'static str],
    summary: &'static str,
    params: &'static [Parameter],
    answer: Content,
}

#[cfg(test)]
mod tests {
    use super::super::router;
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let routes: BTreeSet<&str> = router::routes().iter().map(|route| route.path).collect();
        let described: BTreeSet<&str> = paths::all().map(|path| path.path).collect();
        assert_eq!(described.len(), paths::all().count(), "a path is described twice");
        let missing: Vec<_> = routes.difference(&described).collect();
        assert!(missing.is_empty(), "not described: {missing:?}");
        let unknown: Vec<_> = described.difference(&routes).collect();
        assert!(unknown.is_empty(), "described and no route: {unknown:?}");
    }
}

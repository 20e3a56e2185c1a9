//! The routes, one line each, and the gate that every request passes.

use super::error::ApiError;
use super::self_metrics::RouteMetrics;
use super::state::App;
use super::{absent, admin, admin_tsdb, browser, doors, native, notifications, openapi};
use super::{exemplars, federate, listing, metadata, records, search};
use super::{otlp, query, query_text, remote_read, remote_write, self_metrics, status};
use crate::base::keyed;
use crate::config::credentials::Scope;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, get, post};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tracing::Instrument as _;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id that is taken over from a sender.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// Whom a route is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Whoever asks, also before the database is open.
    Open,
    /// Who has this scope, also before the database is open.
    Early(Scope),
    /// Who has this scope, once the database is open.
    Needs(Scope),
    /// The same for who puts or deletes; to ask, the scope to read is enough.
    Edits(Scope),
    /// The same for who posts as well.
    Posts(Scope),
}

/// Whose data a route is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    /// That of the tenant that the request names.
    Tenant,
    /// That of all tenants, so that a credential for one tenant is not enough.
    All,
    /// No one's.
    Nobody,
}

pub(super) const OPEN: Access = Access::Open;
pub(super) const EARLY: Access = Access::Early(Scope::Read);
pub(super) const READ: Access = Access::Needs(Scope::Read);
pub(super) const WRITE: Access = Access::Needs(Scope::Write);
pub(super) const ADMIN: Access = Access::Needs(Scope::Admin);

pub(super) struct Route {
    pub(super) path: &'static str,
    access: Access,
    of: Of,
    handler: MethodRouter<Arc<App>>,
}

pub(super) fn route(path: &'static str, access: Access, of: Of, handler: MethodRouter<Arc<App>>) -> Route {
    Route {
        path,
        access,
        of,
        handler,
    }
}

/// A route that reads data of the tenant.
fn reading(path: &'static str, handler: MethodRouter<Arc<App>>) -> Route {
    route(path, READ, Of::Tenant, handler)
}

/// Every route with whom it is for and whose data it is about.
pub(super) fn routes() -> Vec<Route> {
    let mut all = own_routes();
    all.extend(status::routes());
    all.extend(absent::routes());
    all.extend(notifications::routes());
    all.extend(admin::routes());
    all.extend(admin_tsdb::routes());
    all.extend(native::routes());
    all.extend(records::routes());
    all.extend(doors::routes());
    all
}

fn own_routes() -> Vec<Route> {
    let format_query = get(query_text::format).post(query_text::format);
    let parse_query = get(query_text::parsed).post(query_text::parsed);
    vec![
        route("/metrics", READ, Of::All, get(self_metrics::metrics)),
        route("/api/v1/write", WRITE, Of::Tenant, post(remote_write::write)),
        route("/api/v1/push", WRITE, Of::Tenant, post(remote_write::write)),
        route("/api/v1/receive", WRITE, Of::Tenant, post(remote_write::write)),
        route("/api/v1/otlp/v1/metrics", WRITE, Of::Tenant, post(otlp::metrics)),
        route("/v1/metrics", WRITE, Of::Tenant, post(otlp::metrics)),
        route("/api/v1/read", READ, Of::Tenant, post(remote_read::read)),
        route(
            "/api/v1/query",
            READ,
            Of::Tenant,
            get(query::query).post(query::query),
        ),
        route(
            "/api/v1/query_range",
            READ,
            Of::Tenant,
            get(query::query_range).post(query::query_range),
        ),
        reading(
            "/api/v1/query_exemplars",
            get(exemplars::query_exemplars).post(exemplars::query_exemplars),
        ),
        reading("/api/v1/labels", get(listing::labels).post(listing::labels)),
        reading("/api/v1/label/{name}/values", get(listing::label_values)),
        reading("/api/v1/metadata", get(metadata::metadata)),
        reading(
            "/api/v1/search/metric_names",
            get(search::metric_names).post(search::metric_names),
        ),
        reading(
            "/api/v1/search/label_names",
            get(search::label_names).post(search::label_names),
        ),
        reading(
            "/api/v1/search/label_values",
            get(search::label_values).post(search::label_values),
        ),
        reading("/federate", get(federate::federate)),
        route("/api/v1/format_query", READ, Of::Nobody, format_query),
        route("/api/v1/parse_query", READ, Of::Nobody, parse_query),
        route("/api/v1/openapi.yaml", READ, Of::Nobody, get(openapi::document)),
        route(
            "/api/v1/ingest/rejections",
            READ,
            Of::Tenant,
            get(remote_write::rejections),
        ),
        route(
            "/api/v1/ingest/replicas",
            READ,
            Of::Tenant,
            get(remote_write::replicas),
        ),
    ]
}

/// The names under which requests are counted: the routes, and what is none.
pub(super) fn route_names() -> Vec<&'static str> {
    let paths = routes().into_iter().map(|route| route.path);
    paths.chain([OTHER]).collect()
}

const OTHER: &str = "other";

/// What the gate of a route knows.
#[derive(Debug, Clone)]
struct Gate {
    app: Arc<App>,
    name: &'static str,
    access: Access,
    of: Of,
    metrics: Arc<RouteMetrics>,
}

/// All routes behind their gates.
pub(super) fn router(app: &Arc<App>) -> Router {
    let gate = |name: &'static str, access: Access, of: Of| {
        let metrics = app.metrics.route(name);
        let app = app.clone();
        from_fn_with_state(
            Gate {
                app,
                name,
                access,
                of,
                metrics,
            },
            pass,
        )
    };
    let mut router = Router::new();
    for Route {
        path,
        access,
        of,
        handler,
    } in routes()
    {
        router = router.route(path, handler.fallback(wrong_method).layer(gate(path, access, of)));
    }
    let nothing = any(|| async { ApiError::not_found("there is no such route") });
    let router = router
        .fallback_service(
            nothing
                .layer(gate(OTHER, READ, Of::Nobody))
                .with_state(app.clone()),
        )
        .with_state(app.clone());
    browser::surround(router, app)
}

async fn wrong_method() -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "bad_data",
        "the route does not have this method",
    )
}

/// What every request passes: readiness, authorization, the choice of the tenant, a request id in the span and the answer, counting.
async fn pass(State(gate): State<Gate>, mut request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let id = request_id(request.headers());
    let span = tracing::info_span!("request", id = id.to_str().unwrap_or(""), route = gate.name);
    let answered = async {
        match gate.admit(&mut request).await {
            Ok(()) => next.run(request).await,
            Err(error) => error.into_response(),
        }
    };
    let mut response = answered.instrument(span.clone()).await;
    let status = response.status();
    let took = begun.elapsed();
    gate.metrics.observe(status, took);
    span.in_scope(|| {
        let took_ms = took.as_secs_f64() * 1000.0;
        if status.is_server_error() {
            tracing::warn!(status = status.as_u16(), took_ms, "answered");
        } else {
            tracing::debug!(status = status.as_u16(), took_ms, "answered");
        }
    });
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, id);
    if status == StatusCode::SERVICE_UNAVAILABLE && !headers.contains_key(header::RETRY_AFTER) {
        let seconds = gate.app.config.load().http.retry_after.as_secs().max(1);
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

impl Gate {
    /// Lets a request in, with its caller and its tenant for the handler.
    async fn admit(&self, request: &mut Request) -> Result<(), ApiError> {
        let (scope, is_early) = match self.access {
            Access::Open => return Ok(()),
            Access::Early(scope) => (scope, true),
            Access::Needs(scope) => (scope, false),
            Access::Edits(scope) => match *request.method() {
                Method::PUT | Method::PATCH | Method::DELETE => (scope, false),
                _ => (Scope::Read, false),
            },
            Access::Posts(scope) => match *request.method() {
                Method::GET | Method::HEAD => (Scope::Read, false),
                _ => (scope, false),
            },
        };
        let headers = request.headers();
        let caller = self.app.authorize(scope, headers).await?;
        if !is_early && !self.app.tenants.has_begun() {
            return Err(ApiError::unavailable("the database is being opened"));
        }
        let tenant = match self.of {
            Of::Tenant => Some(
                self.app
                    .tenant_of(&caller, scope, request.method(), headers)
                    .await?,
            ),
            Of::All if caller.tenant.is_some() => {
                let message = format!("{} may not do this: it concerns all tenants", caller.sender());
                return Err(ApiError::forbidden(message));
            }
            Of::All | Of::Nobody => None,
        };
        request.extensions_mut().insert(caller);
        if let Some(tenant) = tenant {
            request.extensions_mut().insert(tenant);
        }
        Ok(())
    }
}

/// The sender's own id, if it is one that can stand in a log line; otherwise a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let is_sane = |id: &&HeaderValue| {
        let bytes = id.as_bytes();
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/+=".contains(byte);
        (1..=REQUEST_ID_BYTES_MAX).contains(&bytes.len()) && bytes.iter().all(is_plain)
    };
    if let Some(id) = headers.get(REQUEST_ID).filter(is_sane) {
        return id.clone();
    }
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let text = format!("{:016x}", keyed::keyed_128(&number.to_le_bytes()) as u64);
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("none"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sane_ids_are_taken_over() {
        let with = |id: &'static str| HeaderMap::from_iter([(REQUEST_ID, HeaderValue::from_static(id))]);
        assert_eq!(request_id(&with("abc-1")), "abc-1");
        let made = request_id(&HeaderMap::new());
        assert_eq!(made.len(), 16);
        assert_ne!(made, request_id(&HeaderMap::new()));
        for bad in ["", "a b", "a\"b", "{}"] {
            assert_eq!(request_id(&with(bad)).len(), 16, "{bad:?}");
        }
    }

    /// Listens and never opens its database.
    fn opening() -> (tempfile::TempDir, crate::api::Server) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("narthex.toml");
        let fs = Arc::new(crate::io::DiskFs) as Arc<dyn crate::io::Fs>;
        crate::io::write_file(&fs, &path, b"listen = \"127.0.0.1:0\"").expect("a file");
        let sources = crate::config::Sources::file(path);
        let config = sources.resolve().expect("a configuration");
        (folder, crate::api::Server::bind(config, sources).expect("a port"))
    }

    const REPLAY: &str = "/api/v1/status/walreplay";

    #[test]
    fn until_the_database_is_open_all_but_health_is_503() {
        let (_folder, server) = opening();
        let router = router(server.app());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        for route in routes() {
            for method in ["GET", "POST"] {
                let request = Request::builder()
                    .method(method)
                    .uri(route.path)
                    .body(axum::body::Body::empty());
                let asked = tower::ServiceExt::oneshot(router.clone(), request.expect("a request"));
                let response = runtime.block_on(asked).expect("an answer");
                let status = response.status().as_u16();
                match (route.path, method) {
                    ("/-/healthy" | "/health" | REPLAY, "GET") => assert_eq!(status, 200),
                    ("/-/healthy" | "/health" | "/-/ready" | REPLAY, "POST") => assert_eq!(status, 405),
                    _ => assert_eq!(
                        (status, response.headers().contains_key(header::RETRY_AFTER)),
                        (503, true)
                    ),
                }
                assert!(response.headers().contains_key(REQUEST_ID));
            }
        }
    }

    const UNDELETE: &str = "/api/v1/deletions/{deletion}/undelete";

    #[test]
    fn only_health_is_open() {
        for route in routes() {
            let is_health = matches!(route.path, "/-/healthy" | "/-/ready" | "/health");
            assert_eq!(route.access == Access::Open, is_health, "{}", route.path);
            let is_admin =
                route.path.contains("/admin/") || matches!(route.path, "/-/reload" | "/-/quit" | UNDELETE);
            assert_eq!(route.access == ADMIN, is_admin, "{}", route.path);
            assert_eq!(route.access == EARLY, route.path == REPLAY, "{}", route.path);
        }
    }

    /// Beside these, routes are about the data of one tenant.
    #[test]
    fn whose_data_a_route_is_about_is_known() {
        let all = [
            "/-/quit",
            "/-/reload",
            "/metrics",
            "config",
            "flags",
            "runtimeinfo",
            "self_metrics",
        ];
        let nobody = [
            "/-/healthy",
            "/-/ready",
            "/health",
            "/version",
            "buildinfo",
            "walreplay",
            "active_queries",
            "slow_queries",
            "kill",
            "features",
            "format_query",
            "parse_query",
            "openapi.yaml",
            "targets",
            "targets/metadata",
            "relabel_steps",
            "scrape_pools",
            "scrape_pools/config",
            "alertmanagers",
            "rules",
            "alerts",
            "notifications",
            "notifications/live",
            "/ping",
            "/query",
        ];
        let is_in = |names: &[&str], path: &str| {
            let is_one = |name: &&str| {
                path == *name || path.strip_suffix(*name).is_some_and(|rest| rest.ends_with('/'))
            };
            names.iter().any(is_one)
        };
        for route in routes() {
            let of = match () {
                () if is_in(&nobody, route.path) => Of::Nobody,
                () if is_in(&all, route.path) => Of::All,
                () => Of::Tenant,
            };
            assert_eq!(route.of, of, "{}", route.path);
        }
    }
}

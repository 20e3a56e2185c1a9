//! The native JSON API: points by the name of their series and their tags, for who scripts against narthex without PromQL.
//!
//! A series key is the name of a metric and tags are its other labels, so that PromQL, remote read and this API see the same. A
//! request that fails is told what is wrong with which field, and what would be right.

pub(super) mod aggregate;
pub(super) mod body;
mod edit;
mod fill;
mod json_point;
mod page;
pub(super) mod point;
mod points;
mod query;
pub(super) mod refusal;
pub(super) mod select;
mod series;
pub(super) mod stats;
mod text;
pub(super) mod unit;
pub(super) mod write;

use super::params::Params;
use super::router::{Access, OPEN, Of, READ, Route, WRITE, route};
use super::state::App;
use super::tenant::Tenant;
use crate::config::credentials::Scope;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post, put};
use std::sync::Arc;

/// To edit points needs the scope to write, to delete series that of an operator.
const EDITS: Access = Access::Edits(Scope::Write);
const DELETES: Access = Access::Edits(Scope::Admin);
const ADMIN: Access = Access::Needs(Scope::Admin);

/// `GET /api/v1/series` without `match[]`.
pub(super) async fn list(app: &App, tenant: Arc<Tenant>, params: &Params) -> Response {
    series::list(app, tenant, params).await.into_response()
}

pub(super) fn routes() -> Vec<Route> {
    let tenant = |path, access, handler| route(path, access, Of::Tenant, handler);
    vec![
        route("/health", OPEN, Of::Nobody, get(stats::health)),
        tenant("/stats", READ, get(stats::stats)),
        tenant("/api/v1/datapoints", WRITE, post(write::one)),
        tenant("/api/v1/datapoints/batch", WRITE, post(write::batch)),
        tenant(
            "/api/v1/series",
            DELETES,
            get(super::listing::series)
                .post(super::listing::series)
                .delete(series::delete_matching),
        ),
        tenant(
            "/api/v1/series/{series_key}",
            DELETES,
            get(series::get).delete(series::delete),
        ),
        tenant(
            "/api/v1/series/{series_key}/datapoints",
            READ,
            get(points::datapoints),
        ),
        tenant(
            "/api/v1/series/{series_key}/datapoints/{timestamp}",
            EDITS,
            put(edit::put).delete(edit::delete),
        ),
        tenant("/api/v1/query/native", READ, post(query::query)),
        tenant("/api/v1/deletions", READ, get(series::deletions)),
        tenant(
            "/api/v1/deletions/{deletion}/undelete",
            ADMIN,
            post(series::undelete),
        ),
    ]
}

//! What Prometheus has and narthex has none of: targets, scrape pools, alertmanagers, rules and alerts. Each is answered as by a
//! Prometheus without any, so that who asks goes on, and wrong questions are refused as there.

use super::error::ApiError;
use super::json;
use super::params::{Params, invalid, parse_bool};
use super::router::{Of, READ, Route, route};
use super::state::App;
use crate::promql::parse::parse_selector;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::get;
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) fn routes() -> Vec<Route> {
    vec![
        route("/api/v1/targets", READ, Of::Nobody, get(targets)),
        route(
            "/api/v1/targets/metadata",
            READ,
            Of::Nobody,
            get(targets_metadata),
        ),
        route(
            "/api/v1/targets/relabel_steps",
            READ,
            Of::Nobody,
            get(relabel_steps),
        ),
        route("/api/v1/scrape_pools", READ, Of::Nobody, get(scrape_pools)),
        route(
            "/api/v1/scrape_pools/config",
            READ,
            Of::Nobody,
            get(scrape_pool_config),
        ),
        route("/api/v1/alertmanagers", READ, Of::Nobody, get(alertmanagers)),
        route("/api/v1/rules", READ, Of::Nobody, get(rules)),
        route("/api/v1/alerts", READ, Of::Nobody, get(alerts)),
    ]
}

/// Dropped targets are counted by pool only where they are shown.
async fn targets(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let params = Params::of(&app, request).await?;
    let state = params.get("state").to_lowercase();
    let counts = match state.as_str() {
        "" | "any" | "dropped" => json!({}),
        _ => Value::Null,
    };
    Ok(json::success(json!({
        "activeTargets": [],
        "droppedTargets": [],
        "droppedTargetCounts": counts,
    })))
}

async fn targets_metadata(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let params = Params::of(&app, request).await?;
    let limit = params.get("limit");
    if !limit.is_empty() && limit.parse::<i64>().is_err() {
        return Err(ApiError::bad_data("limit must be a number"));
    }
    let selector = params.get("match_target");
    if !selector.is_empty() {
        parse_selector(selector).map_err(|error| invalid("match_target", &error.to_string()))?;
    }
    Ok(json::success(json!([])))
}

async fn relabel_steps(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let params = Params::of(&app, request).await?;
    let pool = needed_pool(&params)?;
    let labels = params.get("labels");
    if labels.is_empty() {
        return Err(ApiError::bad_data("no labels parameter provided"));
    }
    let is_object = serde_json::from_str::<std::collections::BTreeMap<String, String>>(labels).is_ok();
    if !is_object {
        return Err(ApiError::bad_data(
            "the parameter labels is no JSON object of texts",
        ));
    }
    Err(no_pool(&pool))
}

async fn scrape_pools() -> Response {
    json::success(json!({ "scrapePools": [] }))
}

async fn scrape_pool_config(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let params = Params::of(&app, request).await?;
    Err(no_pool(&needed_pool(&params)?))
}

fn needed_pool(params: &Params) -> Result<String, ApiError> {
    match params.get("scrapePool") {
        "" => Err(ApiError::bad_data("no scrapePool parameter provided")),
        pool => Ok(pool.to_owned()),
    }
}

fn no_pool(pool: &str) -> ApiError {
    ApiError::not_found(format!(
        "there is no scrape pool {pool:?}: narthex does not scrape"
    ))
}

async fn alertmanagers() -> Response {
    json::success(json!({ "activeAlertmanagers": [], "droppedAlertmanagers": [] }))
}

async fn rules(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let params = Params::of(&app, request).await?;
    params.check_form()?;
    check_rules(&params)?;
    Ok(json::success(json!({ "groups": [] })))
}

/// There are no groups of rules, so that no page begins in the middle of them.
fn check_rules(params: &Params) -> Result<(), ApiError> {
    for selector in params.all("match[]") {
        let matchers = parse_selector(selector).map_err(|error| ApiError::bad_data(error.to_string()))?;
        if matchers.is_empty() {
            return Err(ApiError::bad_data(
                "match[] must contain at least one non-empty matcher",
            ));
        }
    }
    let kind = params.get("type").to_lowercase();
    if !matches!(kind.as_str(), "" | "alert" | "record") {
        return Err(invalid("type", &format!("not supported value {kind:?}")));
    }
    let exclude = params.get("exclude_alerts");
    if !exclude.is_empty() {
        let fault = |fault: String| {
            invalid(
                "exclude_alerts",
                &format!("error converting exclude_alerts: {fault}"),
            )
        };
        parse_bool(exclude).map_err(fault)?;
    }
    let (limit, token) = (params.get("group_limit"), params.get("group_next_token"));
    match limit.parse::<i64>() {
        _ if limit.is_empty() && token.is_empty() => Ok(()),
        _ if limit.is_empty() => {
            let what = "group_limit needs to be present in order to paginate over the groups";
            Err(invalid("group_next_token", what))
        }
        Err(_) => {
            let what = format!(
                "group_limit needs to be a valid number: strconv.ParseInt: parsing {limit:?}: invalid syntax"
            );
            Err(invalid("group_limit", &what))
        }
        Ok(limit) if limit <= 0 => Err(invalid("group_limit", "group_limit needs to be greater than 0")),
        Ok(_) if !token.is_empty() => {
            let what = format!("invalid group_next_token '{token}'. were rule groups changed?");
            Err(invalid("group_next_token", &what))
        }
        Ok(_) => Ok(()),
    }
}

async fn alerts() -> Response {
    json::success(json!({ "alerts": [] }))
}

//! `GET /api/v1/status/aggregates`: the aggregates of a tenant, and how far their windows are there.

use crate::api::error::ApiError;
use crate::api::json;
use crate::api::native::aggregate::selector;
use crate::api::state::aside;
use crate::api::tenant::Tenant;
use crate::db::{AggregateInfo, Db};
use crate::promql::durations::format_duration;
use axum::Extension;
use axum::response::Response;
use serde_json::{Value, json};
use std::sync::Arc;

pub(super) async fn aggregates(Extension(tenant): Extension<Arc<Tenant>>) -> Result<Response, ApiError> {
    aside(move || {
        let db = tenant.db()?;
        let infos = db.aggregates();
        let aggregates: Vec<Value> = infos.iter().map(|info| of_aggregate(db, info)).collect();
        Ok(json::success(json!({ "aggregates": aggregates })))
    })
    .await
}

fn of_aggregate(db: &Db, info: &AggregateInfo) -> Value {
    let of = &info.aggregate;
    let functions = of.functions.iter().map(|function| function.as_str());
    json!({
        "name": of.name,
        "source": selector(&of.matchers),
        "interval": format_duration(of.interval),
        "retention": of.retention.map(format_duration),
        "functions": functions.clone().collect::<Vec<_>>(),
        "metrics": functions.map(|function| format!("{}:{function}", of.name)).collect::<Vec<_>>(),
        "from": info.from.map(|from| db.to_ms(from)),
        "to": info.to.map(|to| db.to_ms(to)),
        "coveredShare": info.covered_share,
        "beingMade": info.is_being_made,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::options::Options;
    use crate::engine::rollups::{Aggregate, AggregateFunction};
    use crate::model::matcher::Matcher;
    use std::time::Duration;

    #[test]
    fn an_aggregate_is_shown_with_its_metrics_and_how_far_it_is() {
        let aggregate = Aggregate::new(
            "cpu:15m",
            vec![Matcher::eq("__name__", "cpu")],
            Duration::from_secs(900),
        );
        let aggregate = aggregate
            .with(AggregateFunction::Avg)
            .with(AggregateFunction::Max);
        let options = Options::in_memory().background(false).aggregate(aggregate);
        let db = Db::open(options).expect("a database");
        let wanted = json!({
            "name": "cpu:15m", "source": "{\"__name__\"=\"cpu\"}", "interval": "15m", "retention": null,
            "functions": ["avg", "max"], "metrics": ["cpu:15m:avg", "cpu:15m:max"],
            "from": null, "to": null, "coveredShare": 0.0, "beingMade": false,
        });
        assert_eq!(of_aggregate(&db, &db.aggregates()[0]), wanted);
    }
}

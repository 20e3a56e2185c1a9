//! `metadata`: what was said of metrics, by metric the latest first.

use super::envelope::{self, Notes};
use super::error::ApiError;
use super::json;
use super::params::Params;
use super::pieces::answer;
use super::state::App;
use super::tenant::Tenant;
use crate::model::metadata::Metadata;
use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use std::sync::Arc;

/// `/api/v1/metadata`.
pub(super) async fn metadata(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
    request: Request,
) -> Result<Response, ApiError> {
    let params = Params::of(&app, request).await?;
    let metrics_max = count(&params, "limit")?.unwrap_or(usize::MAX);
    // Here, 0 is no limit.
    let entries_max = count(&params, "limit_per_metric")?.filter(|limit| *limit > 0);
    let metric = Some(params.get("metric").to_owned()).filter(|metric| !metric.is_empty());
    let turn = app.admission.turn(&app.config.load_full().http).await?;
    answer(json::CONTENT_TYPE, move |out| {
        let all = tenant.db()?.metadata(metric.as_deref());
        drop(turn);
        envelope::success(out, &Notes::default(), |out| {
            out.buffer().push(b'{');
            for (place, (metric, history)) in all.iter().take(metrics_max).enumerate() {
                let buffer = out.buffer();
                if place > 0 {
                    buffer.push(b',');
                }
                envelope::string(buffer, metric);
                buffer.push(b':');
                let entries = distinct(history, entries_max.unwrap_or(usize::MAX));
                envelope::list(buffer, entries, entry);
                out.flow()?;
            }
            out.buffer().push(b'}');
            Ok(())
        })
    })
    .await
}

/// A count; `None` without one and for those below zero.
fn count(params: &Params, name: &str) -> Result<Option<usize>, ApiError> {
    match params.get(name) {
        "" => Ok(None),
        text => match text.parse::<i64>() {
            Ok(count) => Ok(usize::try_from(count).ok()),
            Err(_) => Err(ApiError::bad_data(format!("{name} must be a number"))),
        },
    }
}

/// What was said, each once, the latest first.
fn distinct(history: &[(i64, Metadata)], entries_max: usize) -> Vec<&Metadata> {
    let mut entries: Vec<&Metadata> = Vec::new();
    for (_, metadata) in history.iter().rev() {
        if entries.len() == entries_max {
            break;
        }
        if !entries.contains(&metadata) {
            entries.push(metadata);
        }
    }
    entries
}

fn entry(buffer: &mut Vec<u8>, metadata: &Metadata) {
    let fields = [
        ("{\"type\":", metadata.metric_type.as_str()),
        (",\"unit\":", &metadata.unit),
        (",\"help\":", &metadata.help),
    ];
    for (name, value) in fields {
        buffer.extend_from_slice(name.as_bytes());
        envelope::string(buffer, value);
    }
    buffer.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_is_first_and_each_is_there_once() {
        let said = |help: &str| Metadata {
            help: help.to_owned(),
            ..Metadata::default()
        };
        let history = [(1, said("a")), (2, said("b")), (3, said("a"))];
        let helps = |entries_max| -> Vec<&str> {
            let entries = distinct(&history, entries_max);
            entries.iter().map(|entry| &*entry.help).collect()
        };
        assert_eq!(helps(usize::MAX), ["a", "b"]);
        assert_eq!(helps(1), ["a"]);
    }
}

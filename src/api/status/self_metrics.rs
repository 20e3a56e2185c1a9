//! `status/self_metrics`: the figures of `/metrics` as JSON, in the form that protocol buffers of a metric family have there.

use crate::api::error::ApiError;
use crate::api::exposition::{Family, Sample};
use crate::api::json;
use crate::api::params::{Params, invalid};
use crate::api::state::{App, aside};
use crate::index::LabelMatcher;
use crate::model::labels::METRIC_NAME;
use crate::model::matcher::Matcher;
use axum::extract::{Request, State};
use axum::response::Response;
use serde_json::{Map, Value, json};
use std::sync::Arc;

const PATTERN: &str = "metric_name_pattern";

pub(super) async fn families(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let params = Params::of(&app, request).await?;
    let pattern = params.get(PATTERN);
    let wanted = match pattern {
        "" => None,
        _ => Some(compile(pattern)?),
    };
    aside(move || {
        let page = app.metrics_page()?;
        let is_wanted = |family: &Family| wanted.as_ref().is_none_or(|wanted| wanted.matches(family.name));
        let families = page
            .families()
            .filter(|(family, samples)| is_wanted(family) && !samples.is_empty());
        Ok(json::success(
            families
                .map(|(family, samples)| of_family(family, samples))
                .collect(),
        ))
    })
    .await
}

/// A pattern for whole names.
fn compile(pattern: &str) -> Result<LabelMatcher, ApiError> {
    LabelMatcher::compile(&Matcher::re(METRIC_NAME, pattern))
        .map_err(|error| invalid(PATTERN, &error.to_string()))
}

fn of_family(family: &Family, samples: &[Sample]) -> Value {
    let metrics: Vec<Value> = match family.kind {
        "histogram" => histograms(family.name, samples),
        kind => samples.iter().map(|sample| of_sample(kind, sample)).collect(),
    };
    json!({
        "name": family.name,
        "help": family.help,
        "type": family.kind.to_uppercase(),
        "metric": metrics,
    })
}

fn of_sample(kind: &str, sample: &Sample) -> Value {
    let mut metric = labelled(&sample.labels);
    metric.insert(kind.to_owned(), json!({ "value": number(sample.value) }));
    Value::Object(metric)
}

/// A metric's labels; without any there is no such field.
fn labelled(labels: &[(String, String)]) -> Map<String, Value> {
    let mut metric = Map::new();
    if !labels.is_empty() {
        let pairs = labels
            .iter()
            .map(|(name, value)| json!({ "name": name, "value": value }));
        metric.insert("label".to_owned(), pairs.collect());
    }
    metric
}

/// The samples of histograms, each with its buckets before its sum and its count. The bucket of everything is its count.
fn histograms(name: &str, samples: &[Sample]) -> Vec<Value> {
    let mut found = Vec::new();
    let mut buckets = Vec::new();
    let mut sum = 0.0;
    for sample in samples {
        match sample.name.strip_prefix(name).unwrap_or("") {
            "_bucket" => {
                let bound = sample.labels.iter().find(|label| label.0 == "le");
                let bound = bound.and_then(|label| label.1.parse::<f64>().ok());
                if let Some(bound) = bound.filter(|bound| bound.is_finite()) {
                    buckets.push(json!({
                        "cumulativeCount": format!("{}", sample.value),
                        "upperBound": bound,
                    }));
                }
            }
            "_sum" => sum = sample.value,
            _ => {
                let mut metric = labelled(&sample.labels);
                let histogram = json!({
                    "sampleCount": format!("{}", sample.value),
                    "sampleSum": number(sum),
                    "bucket": std::mem::take(&mut buckets),
                });
                metric.insert("histogram".to_owned(), histogram);
                found.push(Value::Object(metric));
            }
        }
    }
    found
}

/// JSON has no numbers that are not finite; protocol buffers write them as texts.
fn number(value: f64) -> Value {
    match value {
        value if value.is_finite() => value.into(),
        f64::INFINITY => "Infinity".into(),
        f64::NEG_INFINITY => "-Infinity".into(),
        _ => "NaN".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(name: &str, labels: &[(&str, &str)], value: f64) -> Sample {
        let owned = |label: &(&str, &str)| (label.0.to_owned(), label.1.to_owned());
        Sample {
            name: name.to_owned(),
            labels: labels.iter().map(owned).collect(),
            value,
        }
    }

    #[test]
    fn families_are_written_as_protocol_buffers_are() {
        let family = |kind: &'static str| Family {
            name: "a",
            kind,
            labels: &[],
            help: "Help.",
        };
        let counter = of_family(&family("counter"), &[sample("a", &[("x", "y")], 3.0)]);
        let wanted = json!({
            "name": "a", "help": "Help.", "type": "COUNTER",
            "metric": [{ "label": [{ "name": "x", "value": "y" }], "counter": { "value": 3.0 } }],
        });
        assert_eq!(counter, wanted);
        let samples = [
            sample("a_bucket", &[("le", "0.5")], 1.0),
            sample("a_bucket", &[("le", "+Inf")], 2.0),
            sample("a_sum", &[], 7.5),
            sample("a_count", &[], 2.0),
        ];
        let histogram = of_family(&family("histogram"), &samples);
        let wanted = json!([{ "histogram": {
            "sampleCount": "2", "sampleSum": 7.5, "bucket": [{ "cumulativeCount": "1", "upperBound": 0.5 }],
        } }]);
        assert_eq!(
            (&histogram["type"], &histogram["metric"]),
            (&json!("HISTOGRAM"), &wanted)
        );
    }

    #[test]
    fn patterns_are_for_whole_names() {
        let pattern = compile("narthex_head_.*").expect("a pattern");
        assert!(pattern.matches("narthex_head_series") && !pattern.matches("x_narthex_head_series"));
        assert_eq!(compile("(").expect_err("refused").status.as_u16(), 400);
    }
}

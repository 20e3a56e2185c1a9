//! Answers of both sides in one form, and how two of them differ. Series are a set; what is refused is refused by both.

use super::known::Exactness;
use narthex::{FloatHistogram, Labels, QueryAnswer, QueryError, QueryPoint, QueryValue};
use std::collections::BTreeMap;

/// A value at a moment.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Point {
    Float(f64),
    /// Count and sum, then edges, boundaries and count of each bucket.
    Histogram(f64, f64, Vec<[f64; 4]>),
}

pub(super) type Series = BTreeMap<i64, Point>;

#[derive(Debug)]
pub(super) enum Answer {
    /// With the reason.
    Failed(String),
    Text(String),
    Series(BTreeMap<BTreeMap<String, String>, Series>),
}

fn histogram(value: &FloatHistogram) -> Point {
    let buckets = value
        .json_buckets()
        .map(|(edges, lower, upper, count)| [f64::from(edges), lower, upper, count]);
    Point::Histogram(value.count, value.sum, buckets.collect())
}

fn names(labels: &Labels) -> BTreeMap<String, String> {
    labels
        .iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

impl Answer {
    pub(super) fn of_ours(answer: Result<QueryAnswer, QueryError>) -> Self {
        let point = |point: &QueryPoint| match point {
            QueryPoint::Float(value) => Point::Float(*value),
            QueryPoint::Histogram(value) => histogram(value),
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return Self::Failed(error.to_string()),
        };
        let series = match answer.value {
            QueryValue::String { value, .. } => return Self::Text(value),
            QueryValue::Scalar { timestamp_ms, value } => {
                [(BTreeMap::new(), [(timestamp_ms, Point::Float(value))].into())].into()
            }
            QueryValue::Vector(samples) => samples
                .iter()
                .map(|sample| {
                    (
                        names(&sample.labels),
                        [(sample.timestamp_ms, point(&sample.value))].into(),
                    )
                })
                .collect(),
            QueryValue::Matrix(series) => series
                .iter()
                .map(|series| {
                    let floats = series
                        .floats
                        .iter()
                        .map(|(time_ms, value)| (*time_ms, Point::Float(*value)));
                    let histograms = series
                        .histograms
                        .iter()
                        .map(|(time_ms, value)| (*time_ms, histogram(value)));
                    (names(&series.labels), floats.chain(histograms).collect())
                })
                .collect(),
        };
        Self::Series(series)
    }

    pub(super) fn of_json(json: &serde_json::Value) -> Self {
        if json["status"] != "success" {
            return Self::Failed(json["error"].as_str().unwrap_or("").to_owned());
        }
        let data = &json["data"];
        if data["resultType"] == "string" {
            return Self::Text(data["result"][1].as_str().unwrap_or("").to_owned());
        }
        if data["resultType"] == "scalar" {
            let (time_ms, point) = float_at(&data["result"]);
            return Self::Series([(BTreeMap::new(), [(time_ms, point)].into())].into());
        }
        let result = data["result"].as_array().expect("a list");
        let series = result.iter().map(|series| {
            let labels = series["metric"].as_object().expect("labels").iter();
            let labels = labels.map(|(name, value)| (name.clone(), value.as_str().unwrap_or("").to_owned()));
            (labels.collect(), points(series))
        });
        Self::Series(series.collect())
    }

    /// The first difference.
    pub(super) fn difference(&self, theirs: &Self, exactness: Exactness) -> Option<String> {
        let (ours, theirs) = match (self, theirs) {
            (Self::Series(ours), Self::Series(theirs)) => (ours, theirs),
            (Self::Failed(_), Self::Failed(_)) => return None,
            (Self::Text(ours), Self::Text(theirs)) if ours == theirs => return None,
            (Self::Failed(why), theirs) => {
                return Some(format!("refused here ({why}), {} there", theirs.summary()));
            }
            (ours, Self::Failed(why)) => {
                return Some(format!("{} here, refused there ({why})", ours.summary()));
            }
            (ours, theirs) => return Some(format!("{} here, {} there", ours.summary(), theirs.summary())),
        };
        if let Some(more) = ours.keys().find(|labels| !theirs.contains_key(*labels)) {
            return Some(format!("only here: {more:?} {:?}", ours[more]));
        }
        for (labels, expected) in theirs {
            let Some(found) = ours.get(labels) else {
                return Some(format!("only there: {labels:?} {expected:?}"));
            };
            let times = found.keys().chain(expected.keys());
            for time_ms in times {
                let (found, expected) = (found.get(time_ms), expected.get(time_ms));
                let is_same = found
                    .zip(expected)
                    .is_some_and(|(found, expected)| is_close(found, expected, exactness));
                if !is_same {
                    return Some(format!(
                        "{labels:?} at {time_ms}: {found:?} here, {expected:?} there"
                    ));
                }
            }
        }
        None
    }

    fn summary(&self) -> String {
        match self {
            Self::Failed(_) => "refused".to_owned(),
            Self::Text(text) => format!("the text {text:?}"),
            Self::Series(series) => format!("{} series", series.len()),
        }
    }
}

fn points(series: &serde_json::Value) -> Series {
    let list = |many: &str, one: &str| -> Vec<serde_json::Value> {
        let many = series[many].as_array().cloned().unwrap_or_default();
        many.into_iter().chain(series.get(one).cloned()).collect()
    };
    let floats = list("values", "value");
    let histograms = list("histograms", "histogram");
    let histograms = histograms.iter().map(|pair| {
        let histogram = &pair[1];
        let buckets = histogram["buckets"].as_array().cloned().unwrap_or_default();
        let buckets = buckets
            .iter()
            .map(|bucket| [0, 1, 2, 3].map(|part| number(&bucket[part])));
        let point = Point::Histogram(
            number(&histogram["count"]),
            number(&histogram["sum"]),
            buckets.collect(),
        );
        (time_ms(&pair[0]), point)
    });
    floats.iter().map(float_at).chain(histograms).collect()
}

fn float_at(pair: &serde_json::Value) -> (i64, Point) {
    (time_ms(&pair[0]), Point::Float(number(&pair[1])))
}

fn time_ms(seconds: &serde_json::Value) -> i64 {
    (seconds.as_f64().expect("a time") * 1000.0).round() as i64
}

fn number(json: &serde_json::Value) -> f64 {
    let text = json.as_str().map_or_else(|| json.to_string(), str::to_owned);
    text.parse().expect("a number")
}

fn is_close(a: &Point, b: &Point, exactness: Exactness) -> bool {
    match (a, b) {
        (Point::Float(a), Point::Float(b)) => is_close_number(*a, *b, exactness),
        (Point::Histogram(count, sum, buckets), Point::Histogram(count_b, sum_b, buckets_b)) => {
            let pairs = buckets.iter().flatten().zip(buckets_b.iter().flatten());
            is_close_number(*count, *count_b, exactness)
                && is_close_number(*sum, *sum_b, exactness)
                && (buckets.len() == buckets_b.len() || exactness == Exactness::Presence)
                && pairs.into_iter().all(|(a, b)| is_close_number(*a, *b, exactness))
        }
        _ => false,
    }
}

fn is_close_number(a: f64, b: f64, exactness: Exactness) -> bool {
    if a.is_nan() && b.is_nan() || a.to_bits() == b.to_bits() {
        return true;
    }
    match exactness {
        Exactness::Presence => true,
        Exactness::Ulps(ulps) => {
            a.is_sign_positive() == b.is_sign_positive() && a.to_bits().abs_diff(b.to_bits()) <= ulps
        }
    }
}

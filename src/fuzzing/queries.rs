//! Queries and the descriptions of series, as text, with valid ones to start from.

use crate::promql::ParseOptions;
use crate::promql::parse::{parse, parse_metric, parse_selector};
use crate::promql::print::pretty;
use crate::promql::series_desc;

/// A query: what parses can be printed, and what is printed and parses is printed the same again.
pub fn query(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let _ = parse_selector(text);
    let _ = parse_metric(text);
    let Ok(expr) = parse(text, ParseOptions::default()) else {
        return;
    };
    let _ = pretty(&expr);
    let printed = expr.to_string();
    if let Ok(again) = parse(&printed, ParseOptions::default()) {
        assert_eq!(again.to_string(), printed, "printed twice");
    }
}

/// A series of a test script.
pub fn series_description(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = series_desc::parse_series_description(text);
    }
}

pub(super) fn queries() -> Vec<Vec<u8>> {
    let queries = [
        "sum by (job, \"a.b\") (rate(http_requests_total{code=~\"5..\", path!~'/x|/y'}[5m] offset 1h @ 17.5))",
        "topk(3, a + on(b) group_left(c) fill_left(-1) fill_right(Inf) d) > bool 0x1F",
        "max_over_time((a or b unless c)[1h:5m] @ end()) ^ -2 atan2 1_000.5e-1",
        "a[max_of(step(), (1m + 30) * 2) % range()] smoothed offset -(5m / 2)",
        "histogram_quantile(0.9, h >/ 1 </ 2) # comment\n* -vector(time())",
        "label_replace({\"disk.usage\"}, 'x', \"\\u00e4\\x41\\n\", `raw`, \"(.*)\")",
        "limit_ratio(0.5, a anchored @ start()) and info(b, {c=\"d\"})",
    ];
    queries.map(|query| query.as_bytes().to_vec()).to_vec()
}

pub(super) fn series_descriptions() -> Vec<Vec<u8>> {
    let descriptions = [
        "metric{l=\"v\"} 1+2x5 _ stale -1e-3x2 Inf NaN _x3",
        "{\"a.b\", c='d'}@st _ -30s-1mx2 0 1ms",
        "h {{schema:-53 sum:1 count:2 custom_values:[1 2.5] buckets:[1 1] counter_reset_hint:gauge}}x3",
        "h {{schema:1 count:1 buckets:[1] offset:-2 n_buckets:[1] n_offset:1 z_bucket:2 z_bucket_w:0.5}}+{{schema:1 count:1}}x2",
    ];
    descriptions
        .map(|description| description.as_bytes().to_vec())
        .to_vec()
}

//! What Grafana asks of a data source of the kind Prometheus, in its order: "Save & test", the probes when a page is loaded, what
//! completes queries as they are typed, panels, alerting.

use super::{FORM, form, json};
use crate::http::client::{Answer, ask};
use crate::http::served::Served;
use narthex::{Clock as _, Db, Options, SystemClock, labels};
use serde_json::{Value, json};

const AGENT: &str = "User-Agent: Grafana/12.3.0";
const JSON: &str = "Accept: application/json, text/plain, */*";

/// A call, and what its data must be.
struct Call {
    what: &'static str,
    method: &'static str,
    path: &'static str,
    form: &'static [(&'static str, &'static str)],
    is_right: fn(&Value) -> bool,
}

const fn call(
    what: &'static str,
    method: &'static str,
    path: &'static str,
    form: &'static [(&'static str, &'static str)],
    is_right: fn(&Value) -> bool,
) -> Call {
    Call {
        what,
        method,
        path,
        form,
        is_right,
    }
}

/// `FROM` and `TO` are the last hour; with `_MS` in milliseconds, as the probe for exemplars has them.
#[rustfmt::skip]
const CALLS: &[Call] = &[
    call("Save & test", "POST", "/api/v1/query", &[("query", "1+1"), ("time", "4")],
        |data| *data == json!({ "resultType": "scalar", "result": [4, "2"] })),
    call("Save & test: what is it", "GET", "/api/v1/status/buildinfo", &[],
        |data| data["version"].as_str().is_some_and(|version| version.starts_with("3.")) && data["features"].is_null()),
    call("page: probe for exemplars", "GET", "/api/v1/query_exemplars", &[("query", "test"), ("start", "FROM_MS"), ("end", "TO_MS")], |data| *data == json!([])),
    call("page: metadata", "GET", "/api/v1/metadata", &[], |data| data.is_object()),
    call("page: rules", "GET", "/api/v1/rules", &[],
        |data| data["groups"] == json!([])),
    call("complete: metrics", "GET", "/api/v1/label/__name__/values", &[("start", "FROM"), ("end", "TO"), ("limit", "40000")], |data| *data == json!(["http_requests_total"])),
    call("complete: labels", "POST", "/api/v1/labels", &[("start", "FROM"), ("end", "TO"), ("limit", "40000"), ("match[]", "{__name__=\"http_requests_total\"}")], |data| *data == json!(["__name__", "instance", "job"])),
    call("complete: values", "GET", "/api/v1/label/instance/values", &[("start", "FROM"), ("end", "TO"), ("limit", "1000"), ("match[]", "http_requests_total")], |data| *data == json!(["a:80", "b:80", "c:80"])),
    call("complete: series", "POST", "/api/v1/series", &[("match[]", "http_requests_total"), ("start", "FROM"), ("end", "TO"), ("limit", "40000")], |data| data.as_array().is_some_and(|all| all.len() == 3)),
    call("panel: range", "POST", "/api/v1/query_range", &[("query", "sum by (job) (rate(http_requests_total[5m]))"), ("start", "FROM"), ("end", "TO"), ("step", "15")],
        |data| data["resultType"] == "matrix" && data["result"][0]["metric"] == json!({ "job": "api" })
            && data["result"][0]["values"].as_array().is_some_and(|values| values.len() > 200)),
    call("panel: instant", "POST", "/api/v1/query", &[("query", "http_requests_total"), ("time", "TO")],
        |data| data["resultType"] == "vector" && data["result"].as_array().is_some_and(|result| result.len() == 3)),
    call("panel: instant with a limit of time", "POST", "/api/v1/query", &[("query", "count(http_requests_total)"), ("time", "TO"), ("timeout", "60s")],
        |data| data["result"][0]["value"][1] == "3"),
    call("panel: nothing there", "POST", "/api/v1/query_range", &[("query", "nothing_of_that_name"), ("start", "FROM"), ("end", "TO"), ("step", "60")],
        |data| data["result"] == json!([])),
    call("explore: in the way of GET", "GET", "/api/v1/query_range", &[("query", "http_requests_total"), ("start", "FROM"), ("end", "TO"), ("step", "60")],
        |data| data["result"].as_array().is_some_and(|result| result.len() == 3)),
    call("query editor: format", "GET", "/api/v1/format_query", &[("query", "sum(rate(http_requests_total[5m]))by(job)")],
        |data| data == "sum by (job) (rate(http_requests_total[5m]))"),
    call("query editor: parse", "POST", "/api/v1/parse_query", &[("query", "rate(http_requests_total[5m])")],
        |data| data["type"] == "call" && data["func"]["name"] == "rate"),
    call("alerting: rules", "GET", "/api/v1/rules", &[("type", "alert"), ("exclude_alerts", "true"), ("group_limit", "40")],
        |data| data["groups"] == json!([])),
    call("alerting: alerts", "GET", "/api/v1/alerts", &[],
        |data| data["alerts"] == json!([])),
];

fn filled(now_ms: i64) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let db = Db::open(Options::new(folder.path().join("data")).background(false)).expect("a new database");
    let mut batch = db.batch();
    for instance in ["a:80", "b:80", "c:80"] {
        let labels = labels! { "__name__" => "http_requests_total", "instance" => instance, "job" => "api" };
        for step in 0..=240 {
            batch.push(&labels, now_ms - 15_000 * (240 - step), step as f64);
        }
    }
    batch.commit().expect("a commit");
    db.close().expect("a close");
    folder
}

fn send(served: &Served, call: &Call, now_ms: i64) -> Answer {
    let fill = |text: &str| {
        let (from, to) = (now_ms - 3_600_000, now_ms);
        match text {
            "FROM" => (from / 1000).to_string(),
            "TO" => (to / 1000).to_string(),
            "FROM_MS" => from.to_string(),
            "TO_MS" => to.to_string(),
            text => text.to_owned(),
        }
    };
    let filled: Vec<(&str, String)> = call.form.iter().map(|(name, text)| (*name, fill(text))).collect();
    let pairs: Vec<(&str, &str)> = filled.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let headers = [AGENT, JSON, FORM, "X-Grafana-Org-Id: 1"];
    match call.method {
        "GET" if pairs.is_empty() => ask(served.address, "GET", call.path, &headers, ""),
        "GET" => ask(
            served.address,
            "GET",
            &format!("{}?{}", call.path, form(&pairs)),
            &headers,
            "",
        ),
        method => ask(served.address, method, call.path, &headers, &form(&pairs)),
    }
}

#[test]
fn every_call_of_grafana_is_answered() {
    let now_ms = SystemClock.now_ms();
    let served = Served::over(filled(now_ms), "").ready();
    for call in CALLS {
        let answer = send(&served, call, now_ms);
        assert_eq!(answer.status, 200, "{}: {}", call.what, answer.body);
        let body = json(&answer);
        assert_eq!(body["status"], "success", "{}", call.what);
        assert!((call.is_right)(&body["data"]), "{}: {body}", call.what);
    }
}

/// Grafana asks again with GET after 400 and 405: it must be told the same.
#[test]
fn what_is_wrong_is_wrong_both_ways() {
    let served = Served::new("").ready();
    for method in ["POST", "GET"] {
        let call = Call {
            method,
            ..call("", "", "/api/v1/query", &[("query", "sum(")], |_| true)
        };
        let answer = send(&served, &call, 0);
        assert_eq!(
            (answer.status, &json(&answer)["errorType"]),
            (400, &json!("bad_data"))
        );
    }
    let call = call("", "POST", "/api/v1/alerts", &[], |_| true);
    assert_eq!(send(&served, &call, 0).status, 405);
}

//! Series, labels, values, metadata and exemplars: whole bodies.

use super::data::{BASE_MS, metadata_request, write, write_request};
use super::{FORM, ask, body, data_of, escaped, refusal};
use crate::http::served::Served;
use crate::peers::http;
use narthex::{Db, Options, Precision, labels};
use serde_json::json;

pub(super) fn filled() -> Served {
    let served = Served::new("").ready();
    write(served.address.port(), &write_request(BASE_MS));
    served
}

#[test]
fn series_are_in_label_order_and_each_is_there_once() {
    let served = filled();
    let series = |form: &str| body(&served, "/api/v1/series", form);
    let up = "{\"__name__\":\"up\",\"instance\":\"x:1\",\"job\":\"api\"},\
              {\"__name__\":\"up\",\"instance\":\"y:1\",\"job\":\"api\"},\
              {\"__name__\":\"up\",\"job\":\"web\"}";
    assert_eq!(
        series("match[]=up"),
        format!("{{\"status\":\"success\",\"data\":[{up}]}}")
    );
    assert_eq!(
        series("match[]={job=\"web\",__name__!~\"disk.*|ended\"}&match[]=up"),
        format!("{{\"status\":\"success\",\"data\":[{up}]}}")
    );
    for form in [
        "match[]=up&limit=1",
        "match[]=up&match[]=ended&match[]=odd&limit=1",
    ] {
        let first = data_of(&served, "/api/v1/series", form);
        assert_eq!(first.as_array().map(Vec::len), Some(1), "{form}");
        assert!(series(form).ends_with("],\"warnings\":[\"results truncated due to limit\"]}"));
    }
    assert!(!series("match[]=up&limit=3").contains("warnings"));
    assert_eq!(
        series("match[]=up&start=1600000000&end=1600000001"),
        "{\"status\":\"success\",\"data\":[]}"
    );
    let form = escaped("match[]=UPPER");
    let posted = http::send(
        served.address.port(),
        "POST",
        "/api/v1/series?match[]=odd",
        FORM,
        form.as_bytes(),
    );
    let posted: serde_json::Value = serde_json::from_slice(&posted.expect("an answer").body).expect("JSON");
    assert_eq!(posted["data"].as_array().map(Vec::len), Some(3));
}

#[test]
fn label_names_and_values_are_sorted() {
    let served = filled();
    assert_eq!(
        body(&served, "/api/v1/labels", ""),
        "{\"status\":\"success\",\"data\":[\"A\",\"__name__\",\"code\",\"instance\",\"job\",\"kind\",\"mount point\",\"path\"]}"
    );
    assert_eq!(
        data_of(&served, "/api/v1/labels", "match[]=up&match[]=odd"),
        json!(["__name__", "instance", "job", "kind"])
    );
    assert_eq!(
        body(&served, "/api/v1/labels", "limit=2"),
        "{\"status\":\"success\",\"data\":[\"A\",\"__name__\"],\"warnings\":[\"results truncated due to limit\"]}"
    );
    for (name, form, wanted) in [
        ("job", "", json!(["api", "web"])),
        ("job", "match[]=disk.usage", json!(null)),
        ("job", "match[]={\"disk.usage\"}", json!(["web"])),
        (
            "job",
            "match[]=latency&match[]={\"disk.usage\"}",
            json!(["api", "web"]),
        ),
        ("job", "limit=1", json!(["api"])),
        ("U__mount_20_point", "", json!(["/data"])),
        ("mount%20point", "", json!(["/data"])),
        ("path", "", json!(["/<a>&b", "q\"\\\nü"])),
        ("none", "", json!([])),
        ("job", "end=1600000000", json!([])),
    ] {
        let place = format!("/api/v1/label/{name}/values");
        if wanted.is_null() {
            assert_eq!(
                refusal(&served, &place, form),
                (400, "1:5: parse error: unexpected character: '.'".to_owned())
            );
        } else {
            assert_eq!(data_of(&served, &place, form), wanted, "{place} {form}");
        }
    }
}

#[test]
fn a_long_answer_is_streamed() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = Db::open(Options::new(folder.path().join("data")).background(false)).expect("a database");
    let mut batch = db.batch();
    for number in 0..4000 {
        let value = format!("{number:0100}");
        batch.push(
            &labels! { "__name__" => "m", "long" => value.as_str() },
            1000,
            1.0,
        );
    }
    batch.commit().expect("a commit");
    db.close().expect("a close");
    let served = Served::over(folder, "").ready();
    for (place, form) in [("/api/v1/series", "match[]=m"), ("/api/v1/label/long/values", "")] {
        let answer = ask(&served, place, form);
        assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
        let json: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
        assert_eq!(json["data"].as_array().map(Vec::len), Some(4000), "{place}");
    }
}

#[test]
fn times_are_milliseconds_whatever_the_database_counts() {
    for (precision, units) in [
        (Precision::Seconds, 1),
        (Precision::Milliseconds, 1000),
        (Precision::Nanoseconds, 1_000_000_000),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let options = Options::new(folder.path().join("data")).precision(precision);
        let db = Db::open(options.background(false)).expect("a database");
        for (name, second) in [("early", 1000), ("late", 2000)] {
            let mut batch = db.batch();
            batch.push(&labels! { "__name__" => name }, second * units, 1.0);
            batch.commit().expect("a commit");
        }
        db.close().expect("a close");
        let served = Served::over(folder, "").ready();
        let place = "/api/v1/label/__name__/values";
        for (form, wanted) in [
            ("", json!(["early", "late"])),
            ("start=1000&end=1000", json!(["early"])),
            ("start=1000.001&end=1999.999", json!([])),
            ("start=1000.001", json!(["late"])),
            ("end=1999", json!(["early"])),
        ] {
            assert_eq!(data_of(&served, place, form), wanted, "{precision:?} {form}");
        }
        // What comes in is of milliseconds.
        let port = served.address.port();
        let point = br#"{"series_key":"a","timestamp":1000,"value":1}"#;
        for (path, body) in [("/write", &b"a v=1 1000"[..]), ("/api/v1/datapoints", point)] {
            let answer = http::send(port, "POST", path, "", body).expect("an answer");
            let is_stored = answer.status / 100 == 2;
            assert_eq!(
                is_stored,
                precision == Precision::Milliseconds,
                "{path}: {}",
                answer.text()
            );
        }
    }
}

#[test]
fn what_cannot_be_read_is_a_warning() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = Db::open(Options::new(folder.path().join("data")).background(false)).expect("a database");
    let mut batch = db.batch();
    batch.push(&labels! { "__name__" => "m" }, 1000, 1.0);
    batch.commit().expect("a commit");
    db.flush().expect("a flush");
    let segment = db.segments()[0].file.clone();
    let mut batch = db.batch();
    batch.push(&labels! { "__name__" => "n" }, 1000, 1.0);
    batch.commit().expect("a commit");
    db.close().expect("a close");
    #[expect(clippy::disallowed_methods, reason = "damages a file from outside")]
    std::fs::write(&segment, b"nothing").expect("it is written");
    let served = Served::over(folder, "").ready();
    for (place, form) in [
        ("/api/v1/series", "match[]={__name__!=\"\"}"),
        ("/api/v1/labels", ""),
        ("/api/v1/label/__name__/values", ""),
    ] {
        let body = body(&served, place, form);
        assert!(
            body.contains("\"warnings\":[\"") && !body.contains("\"m\""),
            "{body}"
        );
    }
}

#[test]
fn metadata_is_by_metric_with_the_latest_first() {
    let served = filled();
    let port = served.address.port();
    assert_eq!(
        body(&served, "/api/v1/metadata", ""),
        "{\"status\":\"success\",\"data\":{}}"
    );
    write(port, &metadata_request("Requests."));
    write(port, &metadata_request("All requests."));
    let requests = |helps: &[&str]| -> String {
        let entry = |help: &&str| format!("{{\"type\":\"counter\",\"unit\":\"\",\"help\":\"{help}\"}}");
        let entries: Vec<String> = helps.iter().map(entry).collect();
        format!("\"requests_total\":[{}]", entries.join(","))
    };
    let up = "\"up\":[{\"type\":\"gauge\",\"unit\":\"targets\",\"help\":\"1 if \\\"up\\\".\"}]";
    let both = requests(&["All requests.", "Requests."]);
    for (form, wanted) in [
        ("", format!("{both},{up}")),
        ("limit=1", both.clone()),
        ("limit=-1&limit_per_metric=0", format!("{both},{up}")),
        ("limit=0", String::new()),
        (
            "limit_per_metric=1",
            format!("{},{up}", requests(&["All requests."])),
        ),
        ("metric=up", up.to_owned()),
        ("metric=nothing", String::new()),
    ] {
        let wanted = format!("{{\"status\":\"success\",\"data\":{{{wanted}}}}}");
        assert_eq!(body(&served, "/api/v1/metadata", form), wanted, "{form}");
    }
    assert_eq!(
        refusal(&served, "/api/v1/metadata", "limit_per_metric=x"),
        (400, "limit_per_metric must be a number".to_owned())
    );
}

#[test]
fn exemplars_are_those_of_all_selectors() {
    let served = filled();
    let place = "/api/v1/query_exemplars";
    let series = |code: &str, path: &str, exemplars: &str| {
        format!(
            "{{\"seriesLabels\":{{\"__name__\":\"requests_total\",\"code\":\"{code}\",\"job\":\"api\",\"path\":\"{path}\"}},\
             \"exemplars\":[{exemplars}]}}"
        )
    };
    let abc = "{\"labels\":{\"trace_id\":\"abc\"},\"value\":\"0.5\",\"timestamp\":1699999445.050}";
    let def = "{\"labels\":{\"trace_id\":\"def\"},\"value\":\"1e-07\",\"timestamp\":1699999700.050}";
    let ghi = "{\"labels\":{\"trace_id\":\"ghi\"},\"value\":\"+Inf\",\"timestamp\":1699999700.050}";
    let (good, bad) = ("/<a>&b", "q\\\"\\\\\\nü");
    for (form, wanted) in [
        (
            "query=requests_total{code=\"200\"}",
            series("200", good, &format!("{abc},{def}")),
        ),
        (
            "query=rate(requests_total{code=\"500\"}[5m]) / requests_total + requests_total&start=1699999500",
            format!("{},{}", series("200", good, def), series("500", bad, ghi)),
        ),
        ("query=up", String::new()),
        ("query=1", String::new()),
        // What Grafana asks to learn whether there are exemplars: milliseconds where seconds should be.
        ("query=test&start=1700000000000&end=1700003600000", String::new()),
    ] {
        let wanted = format!("{{\"status\":\"success\",\"data\":[{wanted}]}}");
        assert_eq!(body(&served, place, form), wanted, "{form}");
    }
    assert_eq!(
        refusal(&served, place, "query=up&start=2&end=1"),
        (400, "end timestamp must not be before start timestamp".to_owned())
    );
}

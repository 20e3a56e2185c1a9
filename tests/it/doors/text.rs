//! Prometheus' text format, OpenMetrics and CSV: read, written and read again.

use super::{BASE_MS, export_text, exported, import, refused, send, told};
use crate::http::served::Served;
use crate::peers::http::{self, escape};
use serde_json::{Value, json};

const ALL: &str = "{__name__!=\"\"}";

fn get_json(served: &Served, path: &str) -> Value {
    http::json(served.address.port(), path)
}

#[test]
fn what_federation_writes_is_read_back() {
    let (one, other) = (Served::new("").ready(), Served::new("").ready());
    // Now, since a page of federation has what is new.
    let body = "up{job=\"a\\\"\\\\\\n\"} 1.25\n{\"a.b\",\"x y\"=\"\u{fc}\"} -1e-7\ninf +Inf\nnan NaN\n";
    import(&one, "/api/v1/import/prometheus", body);
    let wanted = export_text(one.address.port(), ALL, "");
    assert_eq!(wanted.lines().count(), 4);
    for accept in [
        "text/plain;version=0.0.4;escaping=allow-utf-8",
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8",
    ] {
        let headers = format!("Accept: {accept}\r\n");
        let path = format!("/federate?match[]={}", escape(ALL));
        let page = http::send(one.address.port(), "GET", &path, &headers, b"").expect("an answer");
        let kind = format!(
            "Content-Type: {}\r\n",
            page.header("content-type").expect("a kind")
        );
        assert!(kind.contains(accept.split(';').next().unwrap_or("")), "{kind}");
        let path = "/api/v1/import/prometheus";
        // The second time all is there already with the same bits, or it would be refused.
        let answer = http::send(other.address.port(), "POST", path, &kind, &page.body).expect("an answer");
        assert_eq!(answer.status, 204, "{}", answer.text());
        assert_eq!(export_text(other.address.port(), ALL, ""), wanted);
    }
    let text = export_text(one.address.port(), ALL, "&format=prometheus");
    import(&other, "/api/v1/import/prometheus", &text);
    assert_eq!(text.lines().count(), 4, "{text}");
}

#[test]
fn the_page_of_a_server_is_read() {
    let served = Served::new("").ready();
    let page = send(served.address.port(), "GET", "/metrics", b"").text();
    import(
        &served,
        "/api/v1/import/prometheus?timestamp=1700000000123&extra_label=job=narthex",
        &page,
    );
    let samples = page
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .count();
    let stored = exported(served.address.port(), "{job=\"narthex\"}");
    assert_eq!(stored.len(), samples);
    assert!(
        stored
            .values()
            .all(|series| series.keys().eq([&1_700_000_000_123]))
    );
    let metadata = get_json(&served, "/api/v1/metadata?metric=narthex_build_info");
    assert_eq!(
        metadata["data"]["narthex_build_info"][0]["type"], "gauge",
        "{metadata}"
    );
}

#[test]
fn open_metrics_brings_seconds_metadata_and_exemplars() {
    let served = Served::new("").ready();
    let body = "# TYPE wait_seconds histogram\n# UNIT wait_seconds seconds\n# HELP wait_seconds How long.\n\
                wait_seconds_bucket{le=\"1.0\"} 7 1700000000 # {trace_id=\"abc\"} 0.5 1699999999.5\n# EOF\n";
    let kind = "Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n";
    let path = "/api/v1/import/prometheus";
    let answer = http::send(served.address.port(), "POST", path, kind, body.as_bytes()).expect("an answer");
    assert_eq!(answer.status, 204, "{}", answer.text());
    let text = export_text(served.address.port(), "wait_seconds_bucket", "&format=prometheus");
    assert_eq!(text, format!("wait_seconds_bucket{{le=\"1.0\"}} 7 {BASE_MS}\n"));
    let metadata = get_json(&served, "/api/v1/metadata");
    assert_eq!(
        metadata["data"]["wait_seconds"],
        json!([{"type": "histogram", "help": "How long.", "unit": "seconds"}])
    );
    let path = "/api/v1/query_exemplars?query=wait_seconds_bucket&start=1699999000&end=1700001000";
    let exemplars = get_json(&served, path);
    let exemplar = &exemplars["data"][0]["exemplars"][0];
    assert_eq!(
        (&exemplar["labels"], &exemplar["timestamp"]),
        (&json!({"trace_id": "abc"}), &json!(1_699_999_999.5)),
        "{exemplars}"
    );
}

#[test]
fn bad_lines_of_text_are_named() {
    let served = Served::new("").ready();
    let (status, json) = refused(
        &served,
        "/api/v1/import/prometheus",
        b"a 1 5\nb\n# ok\nc 1 x\nd 1 5\n\xff\n",
    );
    let wanted = [(2, "bad_value"), (4, "bad_timestamp"), (6, "bad_encoding")];
    assert_eq!(
        (status, told(&json)),
        (
            400,
            wanted.map(|(line, reason)| (line, reason.to_owned())).to_vec()
        )
    );
    assert_eq!(json["data"]["stored"], 2);
    let message = json["error"].as_str().expect("a text");
    assert!(message.starts_with("stored 2, refused 3; line 2: "), "{message}");
    assert_eq!(
        refused(&served, "/api/v1/import/prometheus?timestamp=soon", b"").0,
        400
    );
}

#[test]
fn columns_come_in_and_go_out() {
    let (one, other) = (Served::new("").ready(), Served::new("").ready());
    let map = "2:metric:ask,3:metric:bid,1:label:ticker,4:time:unix_s";
    let body = "ticker,ask,bid,at\nGOOG,1.23,4.56,1700000000\nMSFT,,3.21,1700000000.5\n\"a,\"\"b\",0.1,NaN,1700000001\n";
    import(&one, &format!("/api/v1/import/csv?format={map}"), body);
    let format = "__name__,ticker,__value__,__timestamp__:unix_ms";
    let path = format!("/api/v1/export/csv?format={format}&match[]={}", escape(ALL));
    let answer = send(one.address.port(), "GET", &path, b"");
    assert_eq!(answer.header("content-type"), Some("text/csv; charset=utf-8"));
    let text = answer.text();
    assert_eq!(
        text,
        format!(
            "{format}\nask,GOOG,1.23,1700000000000\nask,\"a,\"\"b\",0.1,1700000001000\nbid,GOOG,4.56,1700000000000\n\
             bid,MSFT,3.21,1700000000500\nbid,\"a,\"\"b\",NaN,1700000001000\n"
        )
    );
    let map = "1:label:__name__,2:label:ticker,3:metric:value,4:time:unix_ms";
    import(&other, &format!("/api/v1/import/csv?format={map}"), &text);
    let all = |served: &Served| exported(served.address.port(), ALL);
    assert_eq!(all(&one), all(&other));
    let (status, json) = refused(
        &one,
        &format!("/api/v1/import/csv?format={map}"),
        b"x,y,1,5\nx,y\n",
    );
    assert_eq!((status, told(&json)), (400, vec![(2, "bad_line".to_owned())]));
    let (status, json) = refused(&one, "/api/v1/import/csv", b"1\n");
    assert_eq!((status, &json["field"]), (400, &json!("format")));
}

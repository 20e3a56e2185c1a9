//! InfluxDB's clients write, and ask what they need to begin.

use super::{BASE_MS, export_text, exported, import, refused, send, told};
use crate::http::served::Served;
use serde_json::{Value, json};

#[test]
fn every_route_takes_line_protocol() {
    let served = Served::new("").ready();
    for (place, path) in ["/write", "/api/v2/write", "/influx/write", "/influx/api/v2/write"]
        .iter()
        .enumerate()
    {
        let body = format!("cpu,host=h{place} usage=0.5,idle=99i,name=\"x\" 1700000000\n");
        let answer = import(
            &served,
            &format!("{path}?precision=s&db=telegraf&extra_label=zone=eu"),
            &body,
        );
        assert_eq!(answer.header("x-narthex-left-out"), Some("1"));
    }
    let stored = exported(served.address.port(), "{db=\"telegraf\",zone=\"eu\"}");
    assert_eq!(stored.len(), 8, "{stored:?}");
    let line = export_text(served.address.port(), "cpu_idle{host=\"h3\"}", "");
    assert_eq!(
        line,
        format!(
            "{{\"metric\":{{\"__name__\":\"cpu_idle\",\"db\":\"telegraf\",\"host\":\"h3\",\"zone\":\"eu\"}},\"values\":[99],\"timestamps\":[{BASE_MS}]}}\n"
        )
    );
}

#[test]
fn what_is_wrong_is_said_in_the_words_of_both_versions() {
    let served = Served::new("").ready();
    let (status, json) = refused(
        &served,
        "/api/v2/write?bucket=b&org=o",
        b"a v=1\na v=\n\nb w=2 5\n",
    );
    assert_eq!((status, told(&json)), (400, vec![(2, "bad_value".to_owned())]));
    assert_eq!(
        (&json["code"], &json["data"]["stored"]),
        (&json!("invalid"), &json!(2))
    );
    assert_eq!(json["message"], json["error"]);
    let message = json["message"].as_str().expect("a text");
    assert!(message.starts_with("stored 2, refused 1; line 2: "), "{message}");
    let port = served.address.port();
    let headers = "Content-Encoding: br\r\n";
    let answer = crate::peers::http::send(port, "POST", "/write", headers, b"a v=1\n").expect("an answer");
    let json: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!((answer.status, &json["code"]), (415, &json!("invalid")));
    let (status, json) = refused(&served, "/write?precision=d", b"a v=1\n");
    assert_eq!(
        (status, &json["code"], &json["field"]),
        (400, &json!("invalid"), &json!("precision"))
    );
}

#[test]
fn clients_are_told_what_they_need_to_begin() {
    let served = Served::new("").ready();
    let port = served.address.port();
    for method in ["GET", "HEAD"] {
        let ping = send(port, method, "/ping", b"");
        assert_eq!(
            (ping.status, ping.header("x-influxdb-version")),
            (204, Some("1.8.0"))
        );
    }
    let ask = |query: &str| {
        let answer = send(port, "POST", &format!("/query?q={query}"), b"");
        (
            answer.status,
            serde_json::from_slice::<Value>(&answer.body).expect("JSON"),
        )
    };
    assert_eq!(
        ask("CREATE+DATABASE+%22telegraf%22"),
        (200, json!({"results": [{"statement_id": 0}]}))
    );
    let (status, json) = ask("show+databases");
    assert_eq!(
        (status, &json["results"][0]["series"][0]["name"]),
        (200, &json!("databases"))
    );
    let (status, json) = ask("SELECT+*+FROM+cpu");
    assert_eq!((status, &json["code"]), (400, &json!("invalid")));
}

/// Their word for a token is one of their own.
#[test]
fn tokens_are_taken_as_these_clients_send_them() {
    let hash = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
    let token = format!("[[auth.tokens]]\nname = \"t\"\nsha256 = \"{hash}\"\nscopes = [\"write\"]\n");
    let served = Served::new(&token).ready();
    let write = |headers: &str| {
        let port = served.address.port();
        let answer = crate::peers::http::send(port, "POST", "/api/v2/write", headers, b"a v=1\n");
        answer.expect("an answer").status
    };
    assert_eq!(write("Authorization: Token secret\r\n"), 204);
    assert_eq!(write("Authorization: Token other\r\n"), 401);
    assert_eq!(write(""), 401);
}

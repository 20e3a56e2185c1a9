//! JSON lines: from one narthex to another to the bit, and lines that are none.

use super::{BASE_MS, export_text, import, refused, send, told};
use crate::http::served::Served;
use crate::peers::http;
use crate::peers::wire;
use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message as _;
use serde_json::json;
use std::io::Write as _;

const ALL: &str = "{__name__!=\"\"}";

#[test]
fn samples_move_to_another_server_to_the_bit() {
    let (one, other) = (Served::new("").ready(), Served::new("").ready());
    let values =
        "[0.1,-0,5e-324,1.7976931348623157e308,null,\"Infinity\",\"-Infinity\",null,null,123456789.125]";
    let times: Vec<i64> = (0..10).map(|place| BASE_MS + place * 997).collect();
    let line = format!(
        "{{\"metric\":{{\"__name__\":\"x.y\",\"l\":\"\\u00fc\\\"\\n\"}},\"values\":{values},\"timestamps\":{times:?},\
         \"nan_bits\":{{\"7ff0000000000002\":[7],\"fff8000000000123\":[8]}}}}\n{{\"metric\":{{\"__name__\":\"early\"}},\"values\":[1],\"timestamps\":[-5]}}\n"
    );
    import(&one, "/api/v1/import", &line);
    let out = export_text(one.address.port(), ALL, "");
    assert!(
        out.contains("\"nan_bits\":{\"7ff0000000000002\":[7],\"fff8000000000123\":[8]}"),
        "{out}"
    );
    import(&other, "/api/v1/import", &out);
    assert_eq!(export_text(other.address.port(), ALL, ""), out);
    // To send it again changes nothing and refuses nothing, which it would if one bit were another.
    import(&one, "/api/v1/import", &out);
    let one_each = export_text(one.address.port(), ALL, "&max_rows_per_line=1");
    assert_eq!(one_each.lines().count(), 11);
    import(&other, "/api/v1/import", &one_each);
}

#[test]
fn selectors_times_and_forms_choose_what_is_exported() {
    let served = Served::new("").ready();
    let port = served.address.port();
    import(
        &served,
        "/api/v1/import?extra_label=zone=eu",
        "{\"metric\":{\"__name__\":\"a\",\"zone\":\"us\"},\"values\":[1,2,3],\"timestamps\":[1000,2000,3000]}\n\
         {\"metric\":{\"__name__\":\"b\"},\"values\":[4],\"timestamps\":[2000]}",
    );
    let line = "{\"metric\":{\"__name__\":\"a\",\"zone\":\"eu\"},\"values\":[2],\"timestamps\":[2000]}\n";
    assert_eq!(export_text(port, "a", "&start=1.5&end=2"), line);
    let both = export_text(port, "a", "&match[]=%7Bzone%3D%22eu%22%7D");
    assert_eq!(both.lines().count(), 2, "each series once: {both}");
    let form = "match[]=b&end=1970-01-01T00:00:02Z";
    let headers = "Content-Type: application/x-www-form-urlencoded\r\nAccept-Encoding: gzip\r\n";
    let answer = http::send(port, "POST", "/api/v1/export", headers, form.as_bytes()).expect("an answer");
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    assert!(
        answer.text().starts_with("{\"metric\":{\"__name__\":\"b\""),
        "{}",
        answer.text()
    );
    for path in [
        "/api/v1/export",
        "/api/v1/export?match[]={}",
        "/api/v1/export?match[]=a{",
        "/api/v1/export?match[]=a&start=soon",
        "/api/v1/export?match[]=a&format=xml",
        "/api/v1/export?match[]=a&max_rows_per_line=-1",
        "/api/v1/export/csv?match[]=a",
    ] {
        let answer = send(port, "GET", path, b"");
        let json: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
        assert_eq!(
            (answer.status, json["errorType"].as_str()),
            (400, Some("bad_data")),
            "{path}"
        );
    }
}

#[test]
fn bad_lines_are_named_and_good_ones_stored() {
    let served = Served::new("").ready();
    let line = |name: &str, value: i64, time: i64| {
        format!("{{\"metric\":{{\"__name__\":\"{name}\"}},\"values\":[{value}],\"timestamps\":[{time}]}}\n")
    };
    let body = [
        line("a", 1, BASE_MS),
        "junk\n\n".to_owned(),
        line("a", 2, BASE_MS),
        line("a", 1, BASE_MS + 1),
        "{\"metric\":{},\"values\":[1],\"timestamps\":[1]}\n".to_owned(),
        line("late", 1, 33_000_000_000_000),
    ]
    .concat();
    let (status, json) = refused(&served, "/api/v1/import", body.as_bytes());
    assert_eq!(status, 400);
    let wanted = [
        (2, "bad_json"),
        (4, "conflict"),
        (6, "bad_labels"),
        (7, "too_far_in_future"),
    ];
    assert_eq!(
        told(&json),
        wanted.map(|(line, reason)| (line, reason.to_owned()))
    );
    assert_eq!(
        (&json["data"]["stored"], &json["data"]["failed"]),
        (&json!(2), &json!(4))
    );
    let stored = export_text(served.address.port(), ALL, "");
    assert_eq!(
        stored.matches(&format!("[{BASE_MS},{}]", BASE_MS + 1)).count(),
        1,
        "{stored}"
    );
    // What was refused stands in the journal as well.
    let journal = send(served.address.port(), "GET", "/api/v1/ingest/rejections", b"").text();
    assert!(
        journal.contains("too_far_in_future") && journal.contains("conflict"),
        "{journal}"
    );
    let (status, json) = refused(&served, "/api/v1/import?extra_label=x", b"");
    assert_eq!((status, &json["field"]), (400, &json!("extra_label")));
}

/// Far more than a body may have, in each encoding; the last line has no end.
#[test]
fn bodies_have_no_end_but_lines_have() {
    let served = Served::new("[http]\nbody_bytes = \"1MiB\"\n").ready();
    let port = served.address.port();
    let text: Vec<String> = (0..40_000_i64)
        .map(|number| {
            let (host, time) = (number % 10, BASE_MS + number);
            format!("{{\"metric\":{{\"__name__\":\"many\",\"host\":\"{host}\"}},\"values\":[{number}],\"timestamps\":[{time}]}}")
        })
        .collect();
    let text = text.join("\n");
    assert!(text.len() > 3 << 20);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(text.as_bytes()).expect("a vector");
    let gzip = gzip.finish().expect("a vector");
    let zstd = zstd::encode_all(text.as_bytes(), 1).expect("a vector");
    for (encoding, body) in [("identity", text.as_bytes()), ("gzip", &gzip), ("zstd", &zstd)] {
        let headers = format!("Content-Encoding: {encoding}\r\n");
        let answer = http::send(port, "POST", "/api/v1/import", &headers, body).expect("an answer");
        assert_eq!(answer.status, 204, "{encoding}: {}", answer.text());
        assert_eq!(answer.header("x-narthex-durability"), Some("fsync"));
    }
    let out = export_text(port, "many", "");
    let samples = out.lines().map(|line| {
        line.split("\"timestamps\"")
            .nth(1)
            .map_or(0, |times| times.matches(',').count() + 1)
    });
    assert_eq!(samples.sum::<usize>(), 40_000);
    // A line of one series with all of its samples is cut in the export, and longer ones than may be are refused.
    let long = format!(
        "{}\n{}",
        text.lines().next().expect("a line"),
        "x".repeat(11 << 20)
    );
    let (status, json) = refused(&served, "/api/v1/import", long.as_bytes());
    assert_eq!(
        (status, &json["reason"], &json["stored"]),
        (400, &json!("bad_line"), &json!(1)),
        "{json}"
    );
}

/// What JSON lines have no words for is counted: in a header of a short answer, in a trailer of a long one.
#[test]
fn native_histograms_are_left_out_and_counted() {
    let served = Served::new("").ready();
    let port = served.address.port();
    let histogram = |timestamp| wire::Histogram {
        count: Some(wire::histogram::Count::CountInt(3)),
        positive_spans: vec![wire::BucketSpan { offset: 1, length: 2 }],
        positive_deltas: vec![1, 1],
        timestamp,
        ..Default::default()
    };
    let name = wire::Label {
        name: "__name__".into(),
        value: "wait".into(),
    };
    let request = wire::WriteRequest {
        timeseries: vec![wire::TimeSeries {
            labels: vec![name],
            histograms: (0..3).map(|place| histogram(BASE_MS + place)).collect(),
            ..Default::default()
        }],
        metadata: Vec::new(),
    };
    let block = snap::raw::Encoder::new().compress_vec(&request.encode_to_vec());
    let headers = "Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n";
    let answer = http::send(port, "POST", "/api/v1/write", headers, &block.expect("a block"));
    assert_eq!(answer.expect("an answer").status, 204);
    let path = format!("/api/v1/export?match[]={}", http::escape(ALL));
    let answer = send(port, "GET", &path, b"");
    assert_eq!(
        (answer.status, answer.header("x-narthex-left-out")),
        (200, Some("3")),
        "{}",
        answer.text()
    );
    assert_eq!(answer.text(), "");
    let times: Vec<i64> = (0..40_000).map(|place| BASE_MS + place).collect();
    let line =
        json!({"metric": {"__name__": "many"}, "values": vec![0.125; times.len()], "timestamps": times});
    import(&served, "/api/v1/import", &line.to_string());
    let answer = http::send(port, "GET", &path, "TE: trailers\r\n", b"").expect("an answer");
    assert!(answer.body.len() > 512 << 10, "{}", answer.body.len());
    assert_eq!(answer.header("trailer"), Some("x-narthex-left-out"));
    assert_eq!(answer.header("x-narthex-left-out"), Some("3"));
}

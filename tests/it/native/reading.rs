//! What is read: pages in either order, aggregations, listings, queries; edits of one point; what the server says of itself.

use super::{BASE_S, ask, data, refusal};
use crate::http::served::Served;
use serde_json::{Value, json};

/// Two hosts with a point every ten seconds for two minutes: 0, 1, ... of `a`, ten times as much of `b`.
fn filled() -> Served {
    let served = Served::new("").ready();
    let mut points = Vec::new();
    for step in 0..12 {
        for (host, factor) in [("a", 1), ("b", 10)] {
            points.push(json!({
                "series_key": "load",
                "timestamp": BASE_S + 10 * step,
                "value": factor * step,
                "tags": {"host": host},
            }));
        }
    }
    let stored = data(
        &served,
        "POST",
        "/api/v1/datapoints/batch",
        &Value::from(points).to_string(),
    );
    assert_eq!(stored["stored"], 24);
    served
}

/// Times behind the base and values.
fn pairs(data: &Value) -> Vec<(i64, f64)> {
    let points = data["datapoints"].as_array().expect("points");
    let pair = |point: &Value| {
        let time = point["timestamp"].as_i64().expect("a time");
        (time - BASE_S, point["value"].as_f64().unwrap_or(f64::NAN))
    };
    points.iter().map(pair).collect()
}

#[test]
fn points_come_in_pages() {
    let served = filled();
    for order in ["asc", "desc"] {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/api/v1/series/load/datapoints?precision=s&order={order}&limit=5{cursor}");
            let page = data(&served, "GET", &path, "");
            all.extend(pairs(&page));
            let Some(next) = page["next_cursor"].as_str() else {
                break;
            };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(all.len(), 24);
        let times: Vec<i64> = all.iter().map(|point| point.0).collect();
        match order {
            "asc" => assert!(times.is_sorted()),
            _ => assert!(times.iter().rev().is_sorted()),
        }
    }
    let (start, end) = (BASE_S + 30, BASE_S + 50);
    let path = format!("/api/v1/series/load/datapoints?start_time={start}&end_time={end}&host=a");
    let page = data(&served, "GET", &path, "");
    assert_eq!(
        (&page["precision"], pairs(&page)),
        (&json!("s"), vec![(30, 3.0), (40, 4.0), (50, 5.0)])
    );
    let missing = refusal(&served, "GET", "/api/v1/series/nothing/datapoints", "");
    assert_eq!(missing, (404, "series_not_found".into(), "series_key".into()));
    for (query, field) in [
        ("limit=0", "limit"),
        ("order=up", "order"),
        ("cursor=x", "cursor"),
        ("fill=null", "agg"),
    ] {
        let refused = refusal(
            &served,
            "GET",
            &format!("/api/v1/series/load/datapoints?{query}"),
            "",
        );
        assert_eq!((refused.0, refused.2.as_str()), (400, field));
    }
}

#[test]
fn intervals_have_the_points_from_their_begin_on() {
    let served = filled();
    let bounds = format!("start_time={BASE_S}&end_time={}", BASE_S + 120);
    let ask = |what: &str| {
        let path = format!("/api/v1/series/load/datapoints?{bounds}&host=a&{what}");
        pairs(&data(&served, "GET", &path, ""))
    };
    assert_eq!(ask("agg=avg&interval=60"), [(0, 2.5), (60, 8.5)]);
    assert_eq!(ask("agg=sum&interval=1m"), [(0, 15.0), (60, 51.0)]);
    assert_eq!(ask("agg=min&interval=1m"), [(0, 0.0), (60, 6.0)]);
    assert_eq!(ask("agg=max&interval=1m"), [(0, 5.0), (60, 11.0)]);
    assert_eq!(ask("agg=count&interval=1m"), [(0, 6.0), (60, 6.0)]);
    assert_eq!(ask("agg=first&interval=1m"), [(0, 0.0), (60, 6.0)]);
    assert_eq!(ask("agg=last&interval=1m"), [(0, 5.0), (60, 11.0)]);
    assert_eq!(ask("agg=p50&interval=1m"), [(0, 2.5), (60, 8.5)]);
    let gaps = ask("agg=avg&interval=5s&fill=linear");
    assert_eq!(gaps[..4], [(0, 0.0), (5, 0.5), (10, 1.0), (15, 1.5)]);
    assert_eq!(
        ask("agg=avg&interval=5s&fill=previous")[..3],
        [(0, 0.0), (5, 0.0), (10, 1.0)]
    );
    assert_eq!(ask("agg=avg&interval=5s").len(), 12);
    // Without bounds, from the first point to the last one.
    let all = data(
        &served,
        "GET",
        "/api/v1/series/load/datapoints?agg=count&interval=1m&precision=s",
        "",
    );
    assert_eq!(pairs(&all), [(0, 6.0), (0, 6.0), (60, 6.0), (60, 6.0)]);
    for (query, field) in [
        ("agg=mode&interval=1m", "agg"),
        ("agg=avg", "interval"),
        ("agg=avg&interval=0", "interval"),
        ("agg=avg&interval=1m&fill=zero", "fill"),
        ("agg=avg&interval=1ms", "interval"),
    ] {
        let path = format!("/api/v1/series/load/datapoints?{bounds}&{query}");
        assert_eq!(refusal(&served, "GET", &path, "").2, field, "{query}");
    }
}

#[test]
fn a_query_in_json_is_one_of_promql() {
    let served = filled();
    let query = json!({
        "series_key": "load",
        "start_time": BASE_S,
        "end_time": BASE_S + 120,
        "aggregation": {"function": "max", "interval": "1m"},
        "group_by": [],
        "group_function": "sum",
    });
    let found = data(&served, "POST", "/api/v1/query/native", &query.to_string());
    assert_eq!(
        found["query"],
        r#"sum by () (max_over_time({"__name__"="load"}[60000ms]))"#
    );
    assert_eq!(pairs(&found["series"][0]), [(0, 55.0), (60, 121.0)]);
    let raw = json!({"series_key": "load", "matchers": [{"name": "host", "op": "=~", "value": "b|c"}], "limit": 2, "precision": "s"});
    let found = data(&served, "POST", "/api/v1/query/native", &raw.to_string());
    assert_eq!(
        (&found["cut"], pairs(&found["series"][0])),
        (&json!(true), vec![(0, 0.0), (10, 10.0)])
    );
    assert_eq!(found["series"][0]["tags"], json!({"host": "b"}));
    assert_eq!(
        refusal(&served, "POST", "/api/v1/query/native", "{}").2,
        "series_key"
    );
}

#[test]
fn one_point_is_corrected_or_deleted() {
    let served = filled();
    let place = format!("/api/v1/series/load/datapoints/{BASE_S}");
    let (status, json) = ask(&served, "PUT", &place, r#"{"value": 7}"#);
    assert_eq!((status, &json["reason"]), (409, &json!("ambiguous")));
    assert_eq!(json["candidates"], json!([{"host": "a"}, {"host": "b"}]));
    let corrected = data(&served, "PUT", &format!("{place}?host=a"), r#"{"value": 7}"#);
    assert_eq!(
        (&corrected["value"], &corrected["created"]),
        (&json!(7.0), &json!(false))
    );
    let absent = format!("/api/v1/series/load/datapoints/{}?host=a", BASE_S + 5);
    let refused = refusal(&served, "PUT", &absent, r#"{"value": 1}"#);
    assert_eq!(refused, (404, "point_not_found".into(), "timestamp".into()));
    assert_eq!(ask(&served, "PUT", &format!("{absent}&upsert=true"), "1").0, 201);
    let deleted = data(&served, "DELETE", &format!("{place}?host=a"), "");
    assert_eq!(refusal(&served, "DELETE", &format!("{place}?host=a"), "").0, 404);
    let points = data(
        &served,
        "GET",
        "/api/v1/series/load/datapoints?host=a&precision=s",
        "",
    );
    assert_eq!(pairs(&points)[..2], [(5, 1.0), (10, 1.0)]);
    let id = deleted["deletion"].as_str().expect("an id");
    assert_eq!(
        data(&served, "POST", &format!("/api/v1/deletions/{id}/undelete"), "")["withdrawn"],
        true
    );
    let points = data(
        &served,
        "GET",
        "/api/v1/series/load/datapoints?host=a&precision=s",
        "",
    );
    assert_eq!(pairs(&points)[..2], [(0, 7.0), (5, 1.0)]);
    assert_eq!(
        refusal(&served, "POST", &format!("/api/v1/deletions/{id}/undelete"), "").0,
        404
    );
}

#[test]
fn series_are_listed_and_deleted() {
    let served = filled();
    let listed = data(&served, "GET", "/api/v1/series?limit=1", "");
    assert_eq!(
        listed["series"],
        json!([{"series_key": "load", "tags": {"host": "a"}}])
    );
    let next = listed["next_cursor"].as_str().expect("there is more");
    let listed = data(
        &served,
        "GET",
        &format!("/api/v1/series?limit=1&cursor={next}"),
        "",
    );
    assert_eq!(
        (&listed["series"][0]["tags"]["host"], &listed["next_cursor"]),
        (&json!("b"), &Value::Null)
    );
    assert_eq!(
        data(&served, "GET", "/api/v1/series?prefix=lo", "")["series"]
            .as_array()
            .map(Vec::len),
        Some(2)
    );
    assert_eq!(
        data(&served, "GET", "/api/v1/series?prefix=x", "")["series"],
        json!([])
    );
    // With conditions it is Prometheus' endpoint.
    assert_eq!(
        data(&served, "GET", "/api/v1/series?match[]=load", "")
            .as_array()
            .map(Vec::len),
        Some(2)
    );
    let one = data(&served, "GET", "/api/v1/series/load?host=b&precision=s", "");
    assert_eq!(
        one["series"],
        json!([{"tags": {"host": "b"}, "points": 12, "first": BASE_S, "last": BASE_S + 110}])
    );
    let deleted = data(&served, "DELETE", "/api/v1/series/load?host=b", "");
    assert_eq!(deleted["series"], 1);
    assert_eq!(refusal(&served, "GET", "/api/v1/series/load?host=b", "").0, 404);
    let known = data(&served, "GET", "/api/v1/deletions", "");
    assert_eq!(known["deletions"][0]["deletion"], deleted["deletion"]);
    assert_eq!(
        refusal(&served, "DELETE", "/api/v1/series?match[]={}", "").2,
        "match[]"
    );
    let path = format!("/api/v1/series?match[]=load&start_time={}", BASE_S + 50);
    assert_eq!(
        data(&served, "DELETE", &path, "")["deletions"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    assert_eq!(
        data(&served, "GET", "/api/v1/series/load", "")["series"][0]["points"],
        5
    );
    assert_eq!(data(&served, "DELETE", "/api/v1/series/load", "")["series"], 1);
    assert_eq!(refusal(&served, "DELETE", "/api/v1/series/load", "").0, 404);
}

#[test]
fn the_server_says_what_it_holds() {
    let served = filled();
    let (status, health) = ask(&served, "GET", "/health", "");
    assert_eq!(
        (status, &health["status"], &health["ready"]),
        (200, &json!("healthy"), &json!(true))
    );
    let stats = data(&served, "GET", "/stats", "");
    for (name, value) in [
        ("series", 2),
        ("points", 24),
        ("segments", 0),
        ("sstable_count", 0),
        ("memtable_points", 24),
    ] {
        assert_eq!(stats[name], value, "{name}: {stats}");
    }
    data(&served, "POST", "/api/v1/admin/flush", "");
    let stats = data(&served, "GET", "/stats", "");
    assert_eq!(
        (
            &stats["points"],
            &stats["sstable_count"],
            &stats["memtable_points"]
        ),
        (&json!(24), &json!(1), &json!(0))
    );
    let largest = stats["largest_metrics"].as_array().expect("a list");
    let bytes: u64 = largest
        .iter()
        .filter_map(|one| one["bytes_estimated"].as_u64())
        .sum();
    let all = stats["segment_bytes"].as_u64().expect("a number");
    assert!(bytes.abs_diff(all) <= largest.len() as u64, "{stats}");
    let one = data(&served, "GET", "/stats?limit=1", "");
    assert_eq!(one["largest_metrics"].as_array().map(Vec::len), Some(1));
    assert_eq!(one["largest_metrics"][0], largest[0]);
    for limit in ["0", "1001", "many", "-1"] {
        let refused = refusal(&served, "GET", &format!("/stats?limit={limit}"), "");
        assert_eq!(
            refused,
            (400, "bad_limit".to_owned(), "limit".to_owned()),
            "{limit}"
        );
    }
    assert!(stats["wal_bytes"].as_u64() > Some(0) && stats["compression_ratio"].as_f64() > Some(0.0));
}

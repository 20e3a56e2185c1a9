//! What the server says of itself and of a series: every figure of the statistics, unit and help.

use super::{BASE_S, data};
use crate::http::served::Served;
use narthex::{Db, Metadata, Options, labels};
use serde_json::{Value, json};

/// A database with a metric of which unit and help are known, and one of which nothing is.
fn described() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let db = Db::open(Options::new(folder.path().join("data")).background(false)).expect("a new database");
    let mut batch = db.batch();
    let metadata = Metadata {
        unit: "celsius".into(),
        help: "How warm it is.".into(),
        ..Metadata::default()
    };
    batch.push_metadata("temperature", &metadata);
    for name in ["temperature", "other"] {
        for second in 0..100 {
            let time = (BASE_S + second) * 1000;
            batch.push(&labels! { "__name__" => name, "room" => "attic" }, time, 20.0);
        }
    }
    batch.commit().expect("a commit");
    db.close().expect("a close");
    folder
}

#[test]
fn a_series_is_shown_with_unit_and_help() {
    let served = Served::over(described(), "").ready();
    let shown = data(&served, "GET", "/api/v1/series/temperature?precision=s", "");
    assert_eq!(
        (&shown["unit"], &shown["help"]),
        (&json!("celsius"), &json!("How warm it is."))
    );
    assert_eq!(
        shown["series"],
        json!([{"tags": {"room": "attic"}, "points": 100, "first": BASE_S, "last": BASE_S + 99}])
    );
    let shown = data(&served, "GET", "/api/v1/series/other", "");
    assert_eq!((&shown["unit"], &shown["help"]), (&Value::Null, &Value::Null));
}

#[test]
fn statistics_have_every_figure() {
    let served = Served::over(described(), "").ready();
    data(&served, "POST", "/api/v1/admin/flush", "");
    let stats = data(&served, "GET", "/stats", "");
    for name in [
        "series",
        "points",
        "segments",
        "sstable_count",
        "disk_bytes",
        "segment_bytes",
    ] {
        assert!(stats[name].as_u64() > Some(0), "{name}: {stats}");
    }
    for name in ["memtable_points", "wal_bytes", "uptime_seconds"] {
        assert!(stats[name].as_u64().is_some(), "{name}: {stats}");
    }
    assert!(stats["compression_ratio"].as_f64() > Some(0.0), "{stats}");
    assert!(
        stats["metrics"]
            .as_array()
            .is_some_and(|metrics| metrics.len() == 2),
        "{stats}"
    );
}

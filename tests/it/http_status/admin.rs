//! Prometheus' admin API: deletes, their end on the disk, snapshots; and an end for the server.

use super::{FORM, get_form, json, post_form};
use crate::http::client::{ask, connect, get, post, read_to_close, request_text};
use crate::http::served::Served;
use narthex::{Db, Matcher, Options, Precision, labels};
use serde_json::json;
use std::io::Write as _;

const ON: &str = "[http]\nadmin_api = true\n";
const DELETE: &str = "/api/v1/admin/tsdb/delete_series";

/// 10 series with a sample each second for 100 seconds, in a database of seconds.
fn filled() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let options = Options::new(folder.path().join("data")).background(false);
    let db = Db::open(options.precision(Precision::Seconds)).expect("a new database");
    let mut batch = db.batch();
    for host in 0..10 {
        let labels = labels! { "__name__" => "up", "host" => &host.to_string() };
        for second in 0..100 {
            batch.push(&labels, second, 1.0);
        }
    }
    assert_eq!(batch.commit().expect("a commit").accepted, 1000);
    db.close().expect("a close");
    folder
}

fn samples(served: &Served) -> serde_json::Value {
    let query = "sum(count_over_time(up[200s]))";
    let answer = get_form(served, "/api/v1/query", &[("query", query), ("time", "99")]);
    json(&answer)["data"]["result"][0]["value"][1].clone()
}

#[test]
fn it_is_off_unless_it_is_on() {
    let served = Served::new("").ready();
    for path in [
        DELETE,
        "/api/v1/admin/tsdb/clean_tombstones",
        "/api/v1/admin/tsdb/snapshot",
    ] {
        for method in ["POST", "PUT"] {
            let answer = ask(served.address, method, path, &[], "");
            assert_eq!(
                (answer.status, &json(&answer)["errorType"]),
                (500, &json!("unavailable")),
                "{path}"
            );
        }
        assert_eq!(get(served.address, path).status, 405, "{path}");
    }
    served.rewrite(ON);
    assert_eq!(post(served.address, "/-/reload", "").status, 200);
    assert_eq!(post(served.address, DELETE, "").status, 400);
    assert_eq!(
        json(&get(served.address, "/api/v1/features"))["data"]["api"]["admin"],
        true
    );
}

#[test]
fn samples_are_deleted_by_selectors_and_times() {
    let served = Served::over(filled(), ON).ready();
    assert_eq!(samples(&served), "1000");
    let delete = |pairs: &[(&str, &str)]| post_form(&served, DELETE, pairs).status;
    assert_eq!(
        delete(&[("match[]", "up{host=\"1\"}"), ("start", "10"), ("end", "19.5")]),
        204
    );
    assert_eq!(samples(&served), "990");
    assert_eq!(
        delete(&[("match[]", "up{host=\"2\"}"), ("match[]", "up{host=~\"[34]\"}")]),
        204
    );
    assert_eq!(samples(&served), "690");
    assert_eq!(delete(&[("match[]", "up"), ("start", "20"), ("end", "10")]), 204);
    for bad in [
        [("match[]", "up{"), ("start", "1")],
        [("match[]", "{}"), ("start", "1")],
        [("match[]", "up"), ("start", "yesterday")],
    ] {
        assert_eq!(delete(&bad), 400, "{bad:?}");
    }
    assert_eq!(delete(&[]), 400);
    assert_eq!(samples(&served), "690");
    let put = ask(served.address, "PUT", DELETE, &[FORM], "match[]=up{host=\"5\"}");
    assert_eq!((put.status, samples(&served)), (204, json!("590")));
    let clean = post(served.address, "/api/v1/admin/tsdb/clean_tombstones", "");
    assert_eq!((clean.status, samples(&served)), (204, json!("590")));
}

#[test]
fn a_snapshot_is_a_database_of_its_own() {
    let served = Served::over(filled(), ON).ready();
    let mut names = Vec::new();
    for query in ["", "?skip_head=true", "?skip_head=0"] {
        let answer = post(served.address, &format!("/api/v1/admin/tsdb/snapshot{query}"), "");
        assert_eq!(answer.status, 200, "{}", answer.body);
        names.push(json(&answer)["data"]["name"].as_str().expect("a text").to_owned());
    }
    let bad = post(served.address, "/api/v1/admin/tsdb/snapshot?skip_head=maybe", "");
    assert_eq!(bad.status, 400);
    assert!(names[0] != names[1] && names[0].len() == "20261127T153057Z-1716c057ef73be07".len());
    assert_eq!(post_form(&served, DELETE, &[("match[]", "up")]).status, 204);
    let folder = served.stop();
    let data = folder.path().join("data");
    for name in &names {
        let db = Db::open_read_only(data.join("snapshots").join(name)).expect("it opens");
        let found = db
            .select(&[Matcher::eq("__name__", "up")], ..)
            .expect("a selection");
        assert_eq!(
            found
                .map(|series| series.expect("a series").samples().count())
                .sum::<usize>(),
            1000
        );
    }
    // The folder of the database is as sound as before.
    let diagnosis = Db::doctor(&Options::new(&data)).expect("a diagnosis");
    assert!(diagnosis.findings.is_empty(), "{:?}", diagnosis.findings);
    drop(diagnosis);
    Db::open(Options::new(&data))
        .expect("it opens again")
        .close()
        .expect("a close");
}

#[test]
fn the_server_ends_only_where_it_may_be_told_to() {
    let served = Served::new("").ready();
    assert_eq!(post(served.address, "/-/quit", "").status, 403);
    assert_eq!(get(served.address, "/-/quit").status, 405);
    served.rewrite("[http]\nlifecycle = true\n");
    assert_eq!(post(served.address, "/-/reload", "").status, 200);
    let answer = post(served.address, "/-/quit", "");
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (200, "narthex is stopping\n")
    );
    assert!(served.ended().is_ok());
}

#[test]
fn health_answers_head() {
    let served = Served::new("").ready();
    for path in ["/-/healthy", "/-/ready"] {
        let mut stream = connect(served.address);
        let text = request_text("HEAD", path, &["Connection: close"], "");
        stream.write_all(text.as_bytes()).expect("the server reads");
        let answer = String::from_utf8(read_to_close(&mut stream)).expect("text");
        assert!(
            answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\n"),
            "{answer}"
        );
    }
}

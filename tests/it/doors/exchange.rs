//! Beside the real VictoriaMetrics: what it exports is imported, what it imports is exported, and the same bodies make the same series.

use super::{BASE_MS, Exported, chance, export_text, exported, send};
use crate::http::served::Served;
use crate::peers::http::{escape, wait_until};
use crate::peers::processes::Victoria;
use crate::random::Random;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);
const ALL: &str = "{__name__!=\"\"}";

/// Waits until it shows what it took, which it does in its own time.
fn shown(victoria: &Victoria, series: usize) -> Exported {
    let mut all = Exported::new();
    wait_until("VictoriaMetrics shows what it took", PATIENCE, || {
        all = exported(victoria.port, ALL);
        all.len() >= series
    });
    all
}

/// Sends the same body to both.
fn send_both(victoria: &Victoria, served: &Served, path: &str, body: &str) {
    for port in [victoria.port, served.address.port()] {
        let answer = send(port, "POST", path, body.as_bytes());
        assert_eq!(answer.status, 204, "{path} {body}: {}", answer.text());
    }
}

#[test]
fn line_protocol_makes_the_same_series() {
    let folder = tempfile::tempdir().expect("a folder");
    let (victoria, served) = (Victoria::start(folder.path()), Served::new("").ready());
    for (path, body) in [
        (
            "/write?db=mydb&precision=ns",
            "cpu,host=a\\ b,dc=x\\,y\\=z usage=1.5,idle=2i,steal=3u,up=true,down=F 1700000000000000000",
        ),
        ("/write?precision=ms&db=d", "disk value=1,other=2 1700000000000"),
        ("/write?precision=s&db=d", "own,db=own value=1 1700000000"),
        ("/write?precision=u", "micro v=1 1700000000000000"),
        ("/write?precision=m", "minutes v=1 28333333"),
        ("/write?precision=h", "hours v=1 472222"),
        (
            "/write",
            "guess_ns v=1 1700000000000000000\nguess_us v=1 1700000000000000\nguess_ms v=1 1700000000000\nguess_s v=1 1700000000",
        ),
        (
            "/api/v2/write?bucket=b&org=o",
            "two,e= value=1 1700000000000000000",
        ),
        (
            "/influx/write",
            "\\,odd\\ name,ta\\,g\\ k\\==v f\\,i\\=e\\ ld=1e3 1700000000000000000",
        ),
        ("/influx/api/v2/write", ",host=a nameless=1 1700000000000000000"),
        (
            "/write",
            "inf a=inf,b=-Inf,c=.5 1700000000000000000\n# a comment\n\nback,t=a\\\\b,u=\"q v=1 1700000000000000000",
        ),
        (
            "/write?extra_label=zone=eu",
            "extra,zone=us v=1 1700000000000000000",
        ),
    ] {
        send_both(&victoria, &served, path, body);
    }
    let ours = exported(served.address.port(), ALL);
    assert_eq!(ours.len(), 23, "{ours:#?}");
    assert_eq!(shown(&victoria, ours.len()), ours);
}

#[test]
fn text_and_columns_make_the_same_series() {
    let folder = tempfile::tempdir().expect("a folder");
    let (victoria, served) = (Victoria::start(folder.path()), Served::new("").ready());
    let text = "# TYPE a counter\na{x=\"q\\\"\\\\\\n\"} 1 1700000000000\nb 2.5\n{\"c.d\", \"x y\"=\"z\"} -Inf 1700000000000\ne 1 1700000000.5\n";
    send_both(
        &victoria,
        &served,
        "/api/v1/import/prometheus?timestamp=1700000000123&extra_label=job=j",
        text,
    );
    let map = "2:metric:ask,3:metric:bid,1:label:ticker,4:time:";
    for (format, row) in [
        ("unix_s", "GOOG,1.25,4.5,1700000000\nMSFT,,3.25,1700000000"),
        ("unix_ms", "\"A,\"\"x\",5,6,1700000000250"),
        ("unix_ns", "ns,5,6,1700000000250999999"),
        ("rfc3339", "rfc,5,6,2023-11-14T22:13:20.5+01:00"),
    ] {
        send_both(
            &victoria,
            &served,
            &format!("/api/v1/import/csv?format={map}{format}"),
            row,
        );
    }
    let ours = exported(served.address.port(), ALL);
    assert_eq!(ours.len(), 13, "{ours:#?}");
    assert_eq!(shown(&victoria, ours.len()), ours);
    // Columns out, in the order of either.
    let format = "__name__,ticker,__value__,__timestamp__:unix_ms,__timestamp__:rfc3339";
    let path = format!(
        "/api/v1/export/csv?format={format}&match[]={}&start=0",
        escape("{ticker!=\"\"}")
    );
    let rows = |port| {
        let text = send(port, "GET", &path, b"").text();
        // In cells that need quotes VictoriaMetrics escapes them as Go does, which is no CSV.
        let plain = text.lines().filter(|row| !row.contains('"'));
        let mut rows: Vec<String> = plain.map(str::to_owned).collect();
        rows.sort();
        assert_eq!(rows.len(), 8, "{text}");
        rows
    };
    assert_eq!(rows(served.address.port()), rows(victoria.port));
}

#[test]
fn random_lines_make_the_same_series() {
    let folder = tempfile::tempdir().expect("a folder");
    let (victoria, served) = (Victoria::start(folder.path()), Served::new("").ready());
    let mut random = Random::new(1);
    for (path, body) in [
        ("/write?db=q", chance::influx(&mut random)),
        ("/api/v1/import/prometheus", chance::prometheus(&mut random)),
        (
            "/api/v1/import/csv?format=1:label:l,2:metric:c,4:time:unix_ms",
            chance::csv(&mut random),
        ),
    ] {
        send_both(&victoria, &served, path, &body);
    }
    let ours = exported(served.address.port(), ALL);
    assert!(ours.len() > 2 * chance::LINES, "{} series only", ours.len());
    let theirs = shown(&victoria, ours.len());
    for (series, samples) in &ours {
        assert_eq!(theirs.get(series), Some(samples), "{series}");
    }
    assert_eq!(theirs.len(), ours.len());
}

/// Our lines go into VictoriaMetrics, and what it makes of them comes back as what is there.
#[test]
fn json_lines_go_there_and_come_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let (victoria, served) = (Victoria::start(folder.path()), Served::new("").ready());
    let times: Vec<i64> = (0..6).map(|place| BASE_MS + place * 1000).collect();
    let body = format!(
        "{{\"metric\":{{\"__name__\":\"a\",\"l\":\"\\u00fc\\\"\"}},\"values\":[1.5,null,\"Infinity\",\"-Infinity\",null,2],\
         \"timestamps\":{times:?},\"nan_bits\":{{\"7ff0000000000002\":[4]}}}}\n\
         {{\"metric\":{{\"__name__\":\"b\"}},\"values\":[0.25,-3,100000],\"timestamps\":{:?}}}\n",
        &times[..3]
    );
    super::import(&served, "/api/v1/import", &body);
    let ours = export_text(served.address.port(), ALL, "");
    assert!(ours.contains("nan_bits"), "{ours}");
    let answer = send(victoria.port, "POST", "/api/v1/import", ours.as_bytes());
    assert_eq!(answer.status, 204, "{}", answer.text());
    let theirs = shown(&victoria, 2);
    // It stores no NaN, marks of an end included; all else is as it was.
    let mut wanted = exported(served.address.port(), ALL);
    for series in wanted.values_mut() {
        series.retain(|_, value| value != "null");
    }
    assert_eq!(theirs, wanted);
    // And back: the same samples again, with the same bits, are as good as once.
    let back = export_text(victoria.port, ALL, "&start=0");
    assert_eq!(back.lines().count(), 2, "{back}");
    super::import(&served, "/api/v1/import", &back);
    assert_eq!(export_text(served.address.port(), ALL, ""), ours);
}

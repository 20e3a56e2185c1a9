//! `narthex query`, run as a program: of a folder that the library wrote, and of a server that answers as Prometheus does.

#![expect(
    clippy::disallowed_methods,
    reason = "writes files and serves a socket for the program"
)]

use narthex::{Counts, Db, Histogram, Options, ResetHint, Span, labels};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::thread::JoinHandle;

const START_MS: i64 = 1_700_000_000_000;
const START: &str = "2023-11-14T22:13:20Z";

/// What a run of the program left: exit code and both outputs.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

fn query(arguments: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_narthex"));
    command.arg("query").args(arguments).env_remove("COLUMNS");
    let output = command.output().expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is text");
    let ran = Ran {
        code: output.status.code().expect("it exits by itself"),
        out: text(output.stdout),
        err: text(output.stderr),
    };
    assert!(!ran.err.contains("panicked"), "{}", ran.err);
    ran
}

/// What a query that succeeds prints, with nothing said on stderr.
fn shown(arguments: &[&str]) -> String {
    let ran = query(arguments);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{arguments:?}");
    ran.out
}

/// Why a query fails; it prints nothing else.
fn refused(arguments: &[&str]) -> String {
    let ran = query(arguments);
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (1, ""),
        "{arguments:?}: {}",
        ran.err
    );
    ran.err
}

fn histogram(count: f64) -> Histogram {
    Histogram {
        reset_hint: ResetHint::Gauge,
        schema: 0,
        zero_threshold: 0.5,
        sum: 1.5e6,
        positive_spans: vec![Span { offset: 1, length: 2 }],
        negative_spans: Vec::new(),
        custom_values: Vec::new(),
        counts: Counts::Float {
            count,
            zero_count: 1.0,
            positive: vec![count - 2.0, 1.0],
            negative: Vec::new(),
        },
    }
}

/// Two gauges and a counter over ten minutes, a sample each minute, half of them in a segment; a native histogram, and
/// names that need quotes.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let db = Db::open(Options::new(folder.path()).background(false)).expect("a new database");
    for half in [0..5, 5..11] {
        let mut batch = db.batch();
        for minute in half {
            let at = START_MS + minute * 60_000;
            let busy = |host| labels! { "__name__" => "busy", "host" => host };
            batch.push(&busy("a"), at, minute as f64 / 2.0);
            batch.push(&busy("b"), at, -(minute as f64));
            batch.push(
                &labels! { "__name__" => "requests_total" },
                at,
                minute as f64 * 60.0,
            );
        }
        batch.commit().expect("a commit");
        db.flush().expect("a flush");
    }
    let mut batch = db.batch();
    batch.push_histogram(
        &labels! { "__name__" => "sizes", "job" => "api" },
        START_MS,
        &histogram(4.0),
    );
    let disk = labels! { "__name__" => "disk.usage", "mount" => "/a,\"b\"" };
    batch.push(&disk, START_MS, 1e21);
    batch.commit().expect("a commit");
    db.close().expect("a clean close");
    folder
}

/// Arguments that ask the folder at the start of its data.
fn at_start<'a>(folder: &'a Path, expr: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let folder = folder.to_str().expect("a plain path");
    [&[expr, "--data", folder, "--time", START], more].concat()
}

#[test]
fn an_instant_is_a_table() {
    let folder = folder();
    let table = |expr| shown(&at_start(folder.path(), expr, &[]));
    assert_eq!(
        table("{__name__=~\"busy|sizes|disk.*\"}"),
        "\
SERIES                            VALUE                                                   TIME
busy{host=\"a\"}                    0                                                       2023-11-14T22:13:20Z
busy{host=\"b\"}                    -0                                                      2023-11-14T22:13:20Z
{\"disk.usage\", mount=\"/a,\\\"b\\\"\"}  1e+21                                                   2023-11-14T22:13:20Z
sizes{job=\"api\"}                  {count:4, sum:1.5e+06, [-0.5,0.5]:1, (1,2]:2, (2,4]:1}  2023-11-14T22:13:20Z
"
    );
    assert_eq!(table("1 / 3"), "0.3333333333333333  2023-11-14T22:13:20Z\n");
    assert_eq!(table("\"a text\""), "a text  2023-11-14T22:13:20Z\n");
    assert_eq!(table("nothing"), "no series\n");
}

#[test]
fn a_range_is_a_block_for_each_series() {
    let folder = folder();
    let dir = folder.path().to_str().expect("a plain path");
    let range = [
        "busy > 4 or busy < -8",
        "--data",
        dir,
        "--start",
        START,
        "--end",
        "1700000600",
        "--step",
        "60",
    ];
    assert_eq!(
        shown(&range),
        "\
busy{host=\"a\"}
  2023-11-14T22:22:20Z  4.5
  2023-11-14T22:23:20Z  5

busy{host=\"b\"}
  2023-11-14T22:22:20Z  -9
  2023-11-14T22:23:20Z  -10
"
    );
    let window = shown(&[
        "busy{host=\"a\"}[90s]",
        "--data",
        dir,
        "--time",
        "2023-11-14T22:14:20.500Z",
    ]);
    assert_eq!(
        window,
        "\
busy{host=\"a\"}
  2023-11-14T22:13:20Z  0
  2023-11-14T22:14:20Z  0.5
"
    );
}

#[test]
fn json_is_what_prometheus_answers() {
    let folder = folder();
    let json = |expr| shown(&at_start(folder.path(), expr, &["--format", "json"]));
    assert_eq!(
        json("busy"),
        concat!(
            r#"{"status":"success","data":{"resultType":"vector","result":["#,
            r#"{"metric":{"__name__":"busy","host":"a"},"value":[1700000000,"0"]},"#,
            r#"{"metric":{"__name__":"busy","host":"b"},"value":[1700000000,"-0"]}]}}"#,
            "\n"
        )
    );
    assert_eq!(
        json("sizes"),
        concat!(
            r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"sizes","job":"api"},"#,
            r#""histogram":[1700000000,{"count":"4","sum":"1500000","#,
            r#""buckets":[[3,"-0.5","0.5","1"],[0,"1","2","2"],[0,"2","4","1"]]}]}]}}"#,
            "\n"
        )
    );
    let dir = folder.path().to_str().expect("a plain path");
    let range = [
        "requests_total",
        "--data",
        dir,
        "--start",
        START,
        "--end",
        "1700000060",
        "--step",
        "1m",
        "--format",
        "json",
    ];
    assert_eq!(
        shown(&range),
        concat!(
            r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"requests_total"},"#,
            r#""values":[[1700000000,"0"],[1700000060,"60"]]}]}}"#,
            "\n"
        )
    );
}

#[test]
fn csv_has_a_column_for_each_label() {
    let folder = folder();
    let csv = |expr| shown(&at_start(folder.path(), expr, &["--format", "csv"]));
    assert_eq!(
        csv("{__name__=~\"busy|sizes|disk.*\"}"),
        "\
__name__,host,job,mount,timestamp,value\r
busy,a,,,2023-11-14T22:13:20Z,0\r
busy,b,,,2023-11-14T22:13:20Z,-0\r
disk.usage,,,\"/a,\"\"b\"\"\",2023-11-14T22:13:20Z,1e+21\r
sizes,,api,,2023-11-14T22:13:20Z,\"{count:4, sum:1.5e+06, [-0.5,0.5]:1, (1,2]:2, (2,4]:1}\"\r
"
    );
    assert_eq!(csv("2"), "timestamp,value\r\n2023-11-14T22:13:20Z,2\r\n");
    assert_eq!(csv("nothing"), "timestamp,value\r\n");
    let dir = folder.path().to_str().expect("a plain path");
    let range = [
        "busy{host=\"b\"}",
        "--data",
        dir,
        "--start",
        START,
        "--end",
        "1700000060",
        "--step",
        "1m",
        "--format",
        "csv",
    ];
    assert_eq!(
        shown(&range),
        "__name__,host,timestamp,value\r\nbusy,b,2023-11-14T22:13:20Z,-0\r\nbusy,b,2023-11-14T22:14:20Z,-1\r\n"
    );
}

#[test]
fn a_range_is_drawn() {
    let folder = folder();
    let dir = folder.path().to_str().expect("a plain path");
    let range = [
        "busy",
        "--data",
        dir,
        "--start",
        START,
        "--end",
        "1700000600",
        "--step",
        "60",
        "--format",
        "chart",
        "--width",
        "60",
    ];
    assert_eq!(
        shown(&range),
        "  5┤                                            ⢀⣀⣀⠤⠤⠔⠒⠒⠊⠉ a
   │                                 ⢀⣀⣀⡠⠤⠤⠒⠒⠒⠉⠉⠁
   │                        ⢀⣀⡠⠤⠔⠒⠒⠉⠉⠁
   │               ⣀⣀⡠⠤⠤⠔⠒⠊⠉⠁
   │    ⢀⣀⣀⠤⠤⠔⠒⠒⠉⠉⠉
  0┤⠒⠮⢍⡉⠁
   │   ⠈⠉⠒⠢⢄⣀
   │         ⠉⠒⠢⢄⡀
   │             ⠈⠑⠢⠤⣀⡀
   │                  ⠈⠑⠒⠤⢄⣀
 -5┤                        ⠉⠒⠢⠤⣀
   │                             ⠉⠑⠢⠤⣀⡀
   │                                  ⠈⠑⠒⠤⢄⡀
   │                                       ⠈⠑⠢⢄⣀
   │                                            ⠉⠒⠢⢄⣀
-10┤                                                 ⠉⠑⠢⠤⣀ b
   └┬────────────────┬─────────────────┬─────────────────┬
22:13:20         22:16:40          22:20:00       22:23:20
2023-11-14T22:13:20Z to 2023-11-14T22:23:20Z, every 60 s
  a busy{host=\"a\"}  last 5
  b busy{host=\"b\"}  last -10
"
    );
    let short = [
        "busy{host=\"a\"}",
        "--data",
        dir,
        "--start",
        START,
        "--end",
        "1700000600",
        "--format",
        "chart",
        "--width",
        "1",
    ];
    assert!(shown(&short).lines().all(|line| line.chars().count() <= 60));
}

#[test]
fn an_instant_is_drawn_as_bars() {
    let folder = folder();
    let dir = folder.path().to_str().expect("a plain path");
    let chart = |expr| {
        query(&[
            expr,
            "--data",
            dir,
            "--time",
            "1700000600",
            "--format",
            "chart",
            "--width",
            "50",
        ])
    };
    assert_eq!(
        chart("busy").out,
        "\
busy{host=\"a\"}    5                     █████████▋
busy{host=\"b\"}  -10  ███████████████████
"
    );
    assert_eq!(
        chart("count(busy)").out,
        "{}  2  ███████████████████████████████████████████\n"
    );
    let ran = query(&at_start(folder.path(), "sizes", &["--format", "chart"]));
    assert_eq!((ran.code, ran.out.as_str()), (0, "nothing to draw\n"));
    assert!(
        ran.err.starts_with("info: native histograms are not drawn"),
        "{}",
        ran.err
    );
    assert_eq!(chart("3").out, "3  2023-11-14T22:23:20Z\n");
}

#[test]
fn warnings_and_infos_go_to_stderr() {
    let folder = folder();
    let dir = folder.path().to_str().expect("a plain path");
    let doubtful = "rate(busy[5m]) or quantile(2, busy)";
    let ran = query(&[doubtful, "--data", dir, "--time", "1700000600"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let lines: Vec<&str> = ran.err.lines().collect();
    assert_eq!(
        lines,
        [
            "warning: PromQL warning: quantile value should be between 0 and 1, got 2 (1:28)",
            "info: PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: \"busy\" (1:6)",
        ]
    );
    let ran = query(&at_start(folder.path(), "busy", &["--limit", "1"]));
    assert_eq!(ran.err, "warning: results truncated due to limit\n");
    assert_eq!(ran.out.lines().count(), 2);
}

#[test]
fn what_is_wrong_is_said() {
    let folder = folder();
    assert_eq!(
        refused(&at_start(folder.path(), "sum(busy", &[])),
        "narthex: 1:9: parse error: unclosed left parenthesis\n  sum(busy\n          ^\n"
    );
    assert_eq!(
        refused(&at_start(folder.path(), "busy +\n  * 2", &[])),
        "narthex: 2:3: parse error: unexpected <op:*>\n    * 2\n    ^\n"
    );
    let error = refused(&at_start(folder.path(), "busy + on (nothing) busy", &[]));
    assert!(
        error.contains("found duplicate series for the match group {}"),
        "{error}"
    );
    let dir = folder.path().to_str().expect("a plain path");
    let error = refused(&[
        "busy",
        "--data",
        dir,
        "--start",
        "1700000000",
        "--end",
        "1600000000",
    ]);
    assert_eq!(error, "narthex: the end of a range query is before its start\n");
    let error = refused(&["busy", "--data", &format!("{dir}/nowhere")]);
    assert!(error.contains("nowhere"), "{error}");
    for arguments in [
        &["busy", "--time", "yesterday"][..],
        &["busy", "--step", "15s"],
        &["busy", "--start", "-1h", "--step", "0"],
        &["busy", "--start", "-1h", "--time", "now"],
        &["busy", "--data", dir, "--url", "http://127.0.0.1:1"],
        &["busy", "--format", "xml"],
        &["busy", "--user", "me"],
        &[],
    ] {
        let ran = query(arguments);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{arguments:?}");
    }
}

/// A server that answers one request, and hands back what it was sent: the first line, the headers in lower case, the body.
fn serve(answer: &'static str) -> (String, JoinHandle<(String, Vec<String>, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("its address"));
    let served = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a connection");
        let mut reader = BufReader::new(stream);
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).expect("a line");
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let first = lines.remove(0);
        let headers: Vec<String> = lines.iter().map(|line| line.to_lowercase()).collect();
        let length = headers
            .iter()
            .find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().expect("a number"))];
        reader.read_exact(&mut body).expect("the body");
        reader.get_mut().write_all(answer.as_bytes()).expect("an answer");
        (first, headers, String::from_utf8(body).expect("a form"))
    });
    (url, served)
}

#[test]
fn a_server_is_asked_as_prometheus_is() {
    let answer = concat!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
        "59\r\n",
        r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"up","j"#,
        "\r\n4c\r\n",
        r#"ob":"api"},"value":[1700000000.5,"1"]}]},"infos":["an info (1:1)"]}         "#,
        "\r\n0\r\n\r\n",
    );
    let (url, served) = serve(answer);
    let ran = query(&[
        "up{job=\"api\"} + 1",
        "--url",
        &format!("{url}/prefix/"),
        "--time",
        "1700000000.5",
    ]);
    let (first, headers, body) = served.join().expect("the server ends");
    assert_eq!(first, "POST /prefix/api/v1/query HTTP/1.1");
    assert!(
        headers.contains(&"content-type: application/x-www-form-urlencoded".to_owned()),
        "{headers:?}"
    );
    assert_eq!(
        body,
        "query=up%7Bjob%3D%22api%22%7D%20%2B%201&time=1700000000.500"
    );
    assert_eq!(
        (ran.code, ran.out.as_str(), ran.err.as_str()),
        (
            0,
            "SERIES         VALUE  TIME\nup{job=\"api\"}  1      2023-11-14T22:13:20.500Z\n",
            "info: an info (1:1)\n"
        )
    );
}

#[test]
fn a_range_is_asked_of_a_server_with_credentials() {
    let answer = concat!(
        "HTTP/1.1 200 OK\r\nContent-Length: 131\r\n\r\n",
        r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"a":"b"},"values":[[1700000000,"1"],[1700000015,"NaN"]]}]}} "#
    );
    let secret = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(secret.path(), "s3cret\n").expect("a write");
    let file = secret.path().to_str().expect("a plain path");
    let (url, served) = serve(answer);
    let range = [
        "up",
        "--url",
        &url,
        "--start",
        "1700000000",
        "--end",
        "1700003600",
        "--limit",
        "2",
        "--bearer-file",
        file,
        "--tenant",
        "team-a",
    ];
    assert_eq!(
        shown(&range),
        "{a=\"b\"}\n  2023-11-14T22:13:20Z  1\n  2023-11-14T22:13:35Z  NaN\n"
    );
    let (first, headers, body) = served.join().expect("the server ends");
    assert_eq!(first, "POST /api/v1/query_range HTTP/1.1");
    assert_eq!(
        body,
        "query=up&start=1700000000.000&end=1700003600.000&step=15.000&limit=2"
    );
    for header in ["authorization: bearer s3cret", "x-scope-orgid: team-a"] {
        assert!(headers.contains(&header.to_owned()), "{headers:?}");
    }
    let (url, served) = serve(answer);
    let code = query(&["up", "--url", &url, "--user", "me", "--password-file", file]).code;
    let (_, headers, _) = served.join().expect("the server ends");
    assert_eq!(code, 0);
    assert!(
        headers.contains(&"authorization: basic bwu6cznjcmv0".to_owned()),
        "{headers:?}"
    );
}

#[test]
fn a_server_that_does_not_answer_a_query_is_named() {
    let (url, served) = serve(concat!(
        "HTTP/1.1 400 Bad Request\r\nContent-Length: 109\r\n\r\n",
        r#"{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": 1:5: parse error: unexpected"} "#
    ));
    assert_eq!(
        refused(&["sum(+", "--url", &url]),
        "narthex: invalid parameter \"query\": 1:5: parse error: unexpected\n  sum(+\n      ^\n"
    );
    served.join().expect("the server ends");
    let (url, served) = serve("HTTP/1.1 404 Not Found\r\nContent-Length: 10\r\n\r\nnot found\n");
    let error = refused(&["up", "--url", &url]);
    assert!(
        error.contains("status 404, no answer to a query") && error.ends_with(": not found\n"),
        "{error}"
    );
    served.join().expect("the server ends");
    let (url, served) = serve("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
    let error = refused(&["up", "--url", &url]);
    assert!(
        error.contains("--user") && error.contains("--bearer-file"),
        "{error}"
    );
    served.join().expect("the server ends");
    let free = TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("its address");
    let error = refused(&["up", "--url", &format!("http://{free}")]);
    assert!(
        error.contains("cannot be reached") && error.contains("narthex serve"),
        "{error}"
    );
    let error = refused(&["up", "--url", "https://localhost"]);
    assert_eq!(error, "narthex: https://localhost: only http:// can be asked\n");
}

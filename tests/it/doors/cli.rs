//! `narthex import` and `narthex export`, run as programs against a server.

use super::{BASE_MS, export_text};
use crate::http::served::Served;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

const ALL: &str = "{__name__!=\"\"}";

/// Exit code and both outputs.
fn narthex(served: &Served, arguments: &[&str], input: &str) -> (i32, String, String) {
    let url = format!("http://127.0.0.1:{}", served.address.port());
    let mut child = Command::new(env!("CARGO_BIN_EXE_narthex"))
        .args(arguments)
        .args(["--url", &url])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input.as_bytes()).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    let code = output.status.code().expect("it exits by itself");
    (code, text(output.stdout), text(output.stderr))
}

#[expect(clippy::disallowed_methods, reason = "the files of an operator")]
fn write(path: &Path, bytes: &[u8]) -> String {
    std::fs::write(path, bytes).expect("a file");
    path.to_str().expect("text").to_owned()
}

#[test]
fn samples_move_through_files_to_the_bit() {
    let (one, other) = (Served::new("").ready(), Served::new("").ready());
    let mut text = String::new();
    for number in 0..30_000_i64 {
        let time = BASE_MS + number * 1000;
        text += &format!("cpu,host=h{} usage={}.5 {time}000000\n", number % 3, number);
    }
    text += "cpu,host=h0 usage=1e-300,name=\"x\" 1600000000000000000\n";
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(text.as_bytes()).expect("a vector");
    let file = write(&one.path("lines.gz"), &gzip.finish().expect("a vector"));
    let (code, out, err) = narthex(
        &one,
        &["import", "influx", "--db", "d", "--precision", "ns", &file],
        "",
    );
    assert_eq!(
        (code, out),
        (0, format!("{file}: stored 30,001 samples, left out 1 texts\n")),
        "{err}"
    );
    assert!(err.contains(" (100 %), 30,001 lines"), "{err}");
    let (code, lines, err) = narthex(&one, &["export", "jsonl"], "");
    assert_eq!(code, 0, "{err}");
    assert!(
        err.starts_with("export: ") && err.contains(" 30,001 samples"),
        "{err}"
    );
    let file = write(&other.path("lines.jsonl"), lines.as_bytes());
    let (code, out, err) = narthex(&other, &["import", "jsonl", &file], "");
    assert_eq!(
        (code, out),
        (0, format!("{file}: stored 30,001 samples\n")),
        "{err}"
    );
    let (one, other) = (one.address.port(), other.address.port());
    assert_eq!(export_text(one, ALL, ""), export_text(other, ALL, ""));
}

#[test]
fn each_format_goes_in_and_out() {
    let served = Served::new("").ready();
    let import = |arguments: &[&str], input: &str| {
        let arguments = [&["import"], arguments, &["-"]].concat();
        let (code, out, err) = narthex(&served, &arguments, input);
        assert_eq!(
            (code, out.as_str()),
            (0, "-: stored 1 samples\n"),
            "{arguments:?}: {err}"
        );
    };
    import(
        &["prometheus", "--extra-label", "job=a b"],
        "up 1 1700000000000\n",
    );
    import(&["openmetrics"], "om 2 1700000000\n# EOF\n");
    import(
        &["csv", "--columns", "1:label:l,2:metric:csv,3:time:unix_s"],
        "x,3,1700000000",
    );
    let export = |arguments: &[&str]| {
        let (code, out, err) = narthex(&served, &[&["export"], arguments].concat(), "");
        assert_eq!(code, 0, "{arguments:?}: {err}");
        out
    };
    assert_eq!(
        export(&["prometheus"]),
        "csv{l=\"x\"} 3 1700000000000\nom{} 2 1700000000000\nup{job=\"a b\"} 1 1700000000000\n"
    );
    let columns = "__name__,__value__,__timestamp__:unix_s";
    let rows = export(&[
        "csv",
        "--columns",
        columns,
        "--match",
        "up",
        "--match",
        "{l=\"x\"}",
    ]);
    assert_eq!(rows, format!("{columns}\nup,1,1700000000\ncsv,3,1700000000\n"));
    assert_eq!(export(&["jsonl", "--end", "2020-01-01T00:00:00Z"]), "");
    assert_eq!(export(&["prometheus", "--start", "1700000000.001"]), "");
}

#[test]
fn what_is_wrong_is_said_with_the_line_and_exits_with_1() {
    let served = Served::new("").ready();
    let bad: String = (0..30).map(|number| format!("good{number} 1 5\nbad\n")).collect();
    let (code, out, _) = narthex(&served, &["import", "prometheus", "-"], &bad);
    assert_eq!(code, 1);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(
        (lines.len(), lines[0], lines[11]),
        (12, "-: stored 30 samples, refused 30", "-: and 20 more")
    );
    assert!(
        lines[1].starts_with("-:2: the value is no number: \"\" (send a number"),
        "{out}"
    );
    for (arguments, wanted) in [
        (
            &["import", "jsonl", "absent.jsonl"][..],
            "absent.jsonl: No such file",
        ),
        (
            &["import", "influx", "--precision", "d", "-"],
            "precision is not one of ns",
        ),
        (&["export", "jsonl", "--match", "up{"], "parse error"),
        (
            &["export", "csv", "--columns", "__timestamp__:x"],
            "is not one of unix_s",
        ),
    ] {
        let (code, _, err) = narthex(&served, arguments, "");
        assert_eq!(code, 1, "{arguments:?}: {err}");
        assert!(err.contains(wanted), "{arguments:?}: {err}");
    }
    let (code, _, err) = narthex(&served, &["import", "csv", "-"], "");
    assert_eq!(code, 2, "the columns are needed: {err}");
    let broken = write(&served.path("broken.gz"), b"no gzip");
    let (code, _, err) = narthex(&served, &["import", "prometheus", &broken], "");
    assert_eq!(code, 1);
    assert!(err.contains("broken.gz: "), "{err}");
}

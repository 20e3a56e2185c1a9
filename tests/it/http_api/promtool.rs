//! promtool's queries to both servers.

use super::data::BASE_MS;
use super::differential::Pair;
use crate::peers::processes::peer;
use std::process::Command;

const FROM: &str = "--start=1699999000";
const TO: &str = "--end=1700000400";

/// Status, stdout and stderr.
fn run(port: u16, arguments: &[&str]) -> (bool, Vec<String>, String) {
    let server = format!("http://127.0.0.1:{port}");
    let arguments = arguments
        .iter()
        .map(|argument| if *argument == "SERVER" { &*server } else { argument });
    let output = Command::new(peer("promtool"))
        .arg("query")
        .args(arguments)
        .output()
        .expect("promtool runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(&server, "SERVER");
    // Series come in no order that is promised.
    let mut lines: Vec<String> = text(&output.stdout).lines().map(str::to_owned).collect();
    lines.sort_unstable();
    (output.status.success(), lines, text(&output.stderr))
}

/// What is asked, and how many lines it is answered with.
const CALLS: &[(&[&str], usize)] = &[
    (&["instant", "--time=1700000000", "SERVER", "up"], 3),
    (
        &[
            "instant",
            "--time=1700000000",
            "SERVER",
            "rate(requests_total[5m])",
        ],
        2,
    ),
    (&["instant", "--time=1700000000", "SERVER", "latency"], 1),
    (&["instant", "--time=1700000000", "SERVER", "1 + 1"], 1),
    (&["instant", "--time=1700000000", "SERVER", "up{"], 0),
    (
        &[
            "instant",
            "--time=1700000000",
            "-o",
            "json",
            "SERVER",
            "sort_desc(requests_total)",
        ],
        1,
    ),
    (
        &[
            "range",
            "--start=1699999900",
            "--end=1700000000",
            "--step=50s",
            "SERVER",
            "up",
        ],
        12,
    ),
    (
        &[
            "range",
            "--start=1699999900",
            "--end=1700000000",
            "--step=50s",
            "SERVER",
            "up[5m]",
        ],
        0,
    ),
    (
        &[
            "series",
            FROM,
            TO,
            "--match=up",
            "--match={job=\"web\"}",
            "SERVER",
        ],
        5,
    ),
    (
        &[
            "series",
            "--match=up",
            "--start=1600000000",
            "--end=1600000001",
            "SERVER",
        ],
        0,
    ),
    (&["series", FROM, TO, "--match=up{", "SERVER"], 0),
    (&["labels", FROM, TO, "SERVER", "job"], 2),
    (
        &["labels", FROM, TO, "--match={\"disk.usage\"}", "SERVER", "job"],
        1,
    ),
    (&["labels", FROM, TO, "SERVER", "mount point"], 1),
    (&["labels", FROM, TO, "SERVER", "none"], 0),
];

#[test]
fn promtool_says_the_same_of_both() {
    let pair = Pair::start(BASE_MS);
    for (arguments, lines) in CALLS {
        let ours = run(pair.served.address.port(), arguments);
        let theirs = run(pair.prometheus.port, arguments);
        assert_eq!(ours, theirs, "{arguments:?}");
        assert_eq!(ours.1.len(), *lines, "{arguments:?}: {:?}", ours.1);
    }
}

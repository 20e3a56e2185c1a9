//! Queries beside the real Prometheus: the same made data in both, random expressions of a grammar and queries of dashboards, at
//! moments and over ranges. Answers are the same bit for bit, but for what [`known`] names; a failure is shrunk to the smallest
//! expression that still fails. Each query is asked twice here: of samples in memory, and of a database in a folder.
//!
//! `NARTHEX_DIFFERENTIAL` is the number of random expressions, `NARTHEX_SEED` the seed, which each run prints.

mod answer;
mod blocks;
mod dashboards;
mod data;
mod database;
mod fleet;
mod grammar;
mod known;

use crate::peers::http::{self, escape};
use crate::peers::processes::Prometheus;
use crate::random::Random;
use answer::Answer;
use data::{BASE_MS, Data, INTERVAL_MS};
use grammar::Tree;
use known::Exactness;
use narthex::testing::promql::{Source, query, query_range};
use narthex::{Db, QueryOptions};

const EXPRESSIONS: u64 = 300;
const SEED: u64 = 20_261_127;
const CONFIG: &str = "global: {scrape_interval: 1h}\n";

/// When a query is asked for, in milliseconds.
#[derive(Debug, Clone, Copy)]
enum When {
    Instant(i64),
    Range(i64, i64, i64),
}

/// What is asked here.
#[derive(Debug, Clone, Copy)]
enum Ours {
    Memory,
    Folder,
}

/// The same data in Prometheus, in memory and in a database.
struct Sides {
    prometheus: Prometheus,
    data: Data,
    db: Db,
    _folder: tempfile::TempDir,
}

impl Sides {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let flags = [
            "--web.enable-remote-write-receiver",
            "--enable-feature=native-histograms,promql-experimental-functions",
        ];
        let prometheus = Prometheus::start(folder.path(), "oracle", CONFIG, &flags);
        let data = Data::make();
        let headers = "Content-Encoding: snappy\r\nContent-Type: application/x-protobuf\r\n";
        for body in data.write_requests() {
            let answer = http::send(prometheus.port, "POST", "/api/v1/write", headers, &body);
            let answer = answer.expect("an answer");
            assert!(answer.status < 300, "{}: {}", answer.status, answer.text());
        }
        Self {
            prometheus,
            db: database::filled(&folder.path().join("narthex"), &data),
            data,
            _folder: folder,
        }
    }

    fn ours(&self, ours: Ours, expression: &str, when: When) -> Answer {
        let mut options = QueryOptions::default();
        options.experimental = true;
        let source: &dyn Source = match ours {
            Ours::Memory => &self.data.storage,
            Ours::Folder => &self.db,
        };
        let answer = match when {
            When::Instant(time_ms) => query(source, expression, time_ms, &options),
            When::Range(start_ms, end_ms, step_ms) => {
                query_range(source, expression, (start_ms, end_ms), step_ms, &options)
            }
        };
        Answer::of_ours(answer)
    }

    fn theirs(&self, expression: &str, when: When) -> Answer {
        let expression = escape(expression);
        let seconds = |time_ms: i64| format!("{}.{:03}", time_ms / 1000, time_ms % 1000);
        let path = match when {
            When::Instant(time_ms) => format!("/api/v1/query?query={expression}&time={}", seconds(time_ms)),
            When::Range(start_ms, end_ms, step_ms) => format!(
                "/api/v1/query_range?query={expression}&start={}&end={}&step={}",
                seconds(start_ms),
                seconds(end_ms),
                seconds(step_ms)
            ),
        };
        Answer::of_json(&http::json(self.prometheus.port, &path))
    }

    /// How the answers differ, unless they may.
    fn difference(&self, expression: &str, when: When) -> Option<String> {
        let theirs = self.theirs(expression, when);
        let exactness = known::exactness(expression);
        [Ours::Memory, Ours::Folder].into_iter().find_map(|ours| {
            let difference = self.ours(ours, expression, when).difference(&theirs, exactness)?;
            let is_known = known::reason(expression, &difference).is_some();
            (!is_known).then(|| format!("{ours:?}: {difference}"))
        })
    }
}

/// Moments and ranges, of each one that falls on scrapes and one that does not.
fn times(random: &mut Random) -> [When; 4] {
    let moment = BASE_MS + INTERVAL_MS * random.below(150) as i64;
    let aligned = BASE_MS + INTERVAL_MS * random.below(100) as i64;
    let aligned_step = INTERVAL_MS * (1 + random.below(4)) as i64;
    let start = BASE_MS + random.below(1_500_000) as i64;
    let step = random.pick(&[15_000, 60_000, 37_123, 7_001]);
    let steps = |random: &mut Random| 1 + random.below(40) as i64;
    [
        When::Instant(moment),
        When::Instant(moment + 1 + random.below(14_000) as i64),
        When::Range(aligned, aligned + aligned_step * steps(random), aligned_step),
        When::Range(start, start + step * steps(random), step),
    ]
}

/// The smallest expression made by leaving parts out that still has a difference.
fn shrink(sides: &Sides, mut tree: Tree, when: When) -> Tree {
    loop {
        let smaller = tree.smaller().into_iter();
        let failing = smaller
            .take(200)
            .find(|smaller| sides.difference(&smaller.text(), when).is_some());
        match failing {
            Some(failing) => tree = failing,
            None => return tree,
        }
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

#[test]
fn answers_are_those_of_prometheus() {
    let sides = Sides::start();
    let seed = setting("NARTHEX_SEED", SEED);
    eprintln!("seed {seed}");
    let mut random = Random::new(seed);
    let mut failures = Vec::new();
    let mut asked = 0;
    let mut failed_in_both = 0;
    for (file, expression) in dashboards::all() {
        for when in times(&mut random) {
            asked += 1;
            if let Some(difference) = sides.difference(expression, when) {
                failures.push(format!("{file}: {expression}\n  at {when:?}: {difference}"));
            }
        }
    }
    for _ in 0..setting("NARTHEX_DIFFERENTIAL", EXPRESSIONS) {
        let tree = grammar::vector(&mut random, 4);
        let expression = tree.text();
        for when in times(&mut random) {
            asked += 1;
            failed_in_both += usize::from(matches!(
                sides.ours(Ours::Memory, &expression, when),
                Answer::Failed(_)
            ));
            if sides.difference(&expression, when).is_none() {
                continue;
            }
            let smallest = shrink(&sides, tree.clone(), when).text();
            let difference = sides.difference(&smallest, when).unwrap_or_default();
            failures.push(format!(
                "{smallest}\n  at {when:?}: {difference}\n  shrunk from {expression}"
            ));
            break;
        }
    }
    eprintln!("{asked} queries, {failed_in_both} refused");
    assert!(
        failed_in_both * 2 < asked,
        "the grammar makes too many queries that fail"
    );
    let shown: Vec<_> = failures.iter().take(40).cloned().collect();
    assert!(
        failures.is_empty(),
        "{} of {asked} differ, seed {seed}:\n{}",
        failures.len(),
        shown.join("\n")
    );
}

/// A wrong answer would be seen: by value, by label, by time, by a series that is missing.
#[test]
fn differences_are_seen() {
    let answer = |text: &str| Answer::of_json(&serde_json::from_str(text).expect("JSON"));
    let vector = |labels: &str, value: &str| {
        answer(&format!(
            r#"{{"status":"success","data":{{"resultType":"vector","result":[{{"metric":{labels},"value":[1,"{value}"]}}]}}}}"#
        ))
    };
    let one = vector(r#"{"a":"b"}"#, "1");
    assert_eq!(
        one.difference(&vector(r#"{"a":"b"}"#, "1"), Exactness::Ulps(0)),
        None
    );
    let failed = answer(r#"{"status":"error","error":"x"}"#);
    let others = [
        vector(r#"{"a":"c"}"#, "1"),
        vector(r#"{"a":"b"}"#, "1.0000000000000002"),
        vector(r#"{"a":"b"}"#, "NaN"),
        answer(r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#),
        failed,
    ];
    for other in &others {
        assert!(one.difference(other, Exactness::Ulps(0)).is_some());
    }
    assert_eq!(one.difference(&others[1], Exactness::Ulps(1)), None);
}

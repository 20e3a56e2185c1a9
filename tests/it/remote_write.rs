//! Remote write over HTTP: every rule of the protocol, and bodies that mean harm. Status, counts and text of the answer are
//! compared exactly, and what is stored is read back.

use crate::peers::http::{self, Answer};
use crate::peers::processes::Narthex;
use crate::peers::wire as v1;
use crate::peers::wire_v2 as v2;
use narthex::{Clock as _, Db, Matcher, SystemClock, Value};
use prost::Message as _;

const V1: &str = "Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n";
const V2: &str = "Content-Type: application/x-protobuf;proto=io.prometheus.write.v2.Request\r\nContent-Encoding: snappy\r\n";
const WRITTEN: [&str; 3] = [
    "x-prometheus-remote-write-samples-written",
    "x-prometheus-remote-write-histograms-written",
    "x-prometheus-remote-write-exemplars-written",
];

/// A server with a folder of its own.
struct Server {
    narthex: Narthex,
    _folder: tempfile::TempDir,
}

impl Server {
    fn start(flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self {
            narthex: Narthex::start(folder.path(), flags),
            _folder: folder,
        }
    }

    fn post(&self, headers: &str, message: &[u8]) -> Answer {
        let body = snap::raw::Encoder::new().compress_vec(message).expect("a block");
        self.post_raw(headers, &body)
    }

    fn post_raw(&self, headers: &str, body: &[u8]) -> Answer {
        http::send(self.narthex.port, "POST", "/api/v1/write", headers, body).expect("an answer")
    }

    /// Floats of a metric, by time.
    fn floats(&self, metric: &str) -> Vec<(String, i64, u64, i64)> {
        let db = Db::open_read_only(self.narthex.data()).expect("a database");
        let mut found = Vec::new();
        for series in db
            .select(&[Matcher::eq("__name__", metric)], ..)
            .expect("a cursor")
        {
            let series = series.expect("a series");
            for sample in series.samples() {
                if let Value::Float(value) = sample.value {
                    let labels = series.labels().to_string();
                    found.push((labels, sample.timestamp, value.to_bits(), sample.start_timestamp));
                }
            }
        }
        found
    }
}

fn now_ms() -> i64 {
    SystemClock.now_ms()
}

/// A request of 2.0 under construction.
#[derive(Default)]
struct Request {
    message: v2::Request,
}

impl Request {
    fn reference(&mut self, text: &str) -> u32 {
        let symbols = &mut self.message.symbols;
        if symbols.is_empty() {
            symbols.push(String::new());
        }
        let known = symbols.iter().position(|symbol| symbol == text);
        let place = known.unwrap_or_else(|| {
            symbols.push(text.to_owned());
            symbols.len() - 1
        });
        place as u32
    }

    fn references(&mut self, pairs: &[(&str, &str)]) -> Vec<u32> {
        let texts: Vec<&str> = pairs.iter().flat_map(|pair| [pair.0, pair.1]).collect();
        texts.into_iter().map(|text| self.reference(text)).collect()
    }

    /// Adds a series with what `fill` gives it.
    fn series(mut self, pairs: &[(&str, &str)], fill: impl FnOnce(&mut Self, &mut v2::TimeSeries)) -> Self {
        let mut series = v2::TimeSeries {
            labels_refs: self.references(pairs),
            ..Default::default()
        };
        fill(&mut self, &mut series);
        self.message.timeseries.push(series);
        self
    }

    fn float(self, pairs: &[(&str, &str)], timestamp: i64, value: f64) -> Self {
        self.series(pairs, |_, series| series.samples.push(sample(timestamp, value)))
    }
}

fn sample(timestamp: i64, value: f64) -> v2::Sample {
    v2::Sample {
        value,
        timestamp,
        start_timestamp: 0,
    }
}

fn metric(name: &str) -> [(&str, &str); 2] {
    [("__name__", name), ("job", "test")]
}

/// Sends a request of 2.0 twice: the second time all of it is there and counts all the same.
fn check(server: &Server, what: &str, request: &Request, status: u16, written: [usize; 3]) -> Answer {
    let message = request.message.encode_to_vec();
    for _ in 0..2 {
        let answer = server.post(V2, &message);
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        let counts = WRITTEN.map(|name| answer.header(name).and_then(|count| count.parse().ok()));
        assert_eq!(counts, written.map(Some), "{what}: {}", answer.text());
        assert_eq!(answer.body.is_empty(), status == 204, "{what}: {}", answer.text());
        assert!(answer.body.len() <= 1024, "{what}: {}", answer.text());
    }
    server.post(V2, &message)
}

fn histogram(timestamp: i64) -> v2::Histogram {
    v2::Histogram {
        count: Some(v2::histogram::Count::CountInt(14)),
        sum: 30.5,
        schema: 2,
        zero_threshold: 0.001,
        zero_count: Some(v2::histogram::ZeroCount::ZeroCountInt(2)),
        positive_spans: vec![v2::BucketSpan { offset: 0, length: 3 }],
        positive_deltas: vec![1, 1, 1],
        negative_spans: vec![v2::BucketSpan { offset: 0, length: 3 }],
        negative_deltas: vec![1, 1, 1],
        timestamp,
        ..Default::default()
    }
}

#[test]
fn the_headers_decide_before_the_body_is_read() {
    let server = Server::start(&[]);
    for headers in [
        "Content-Type: application/json\r\n",
        "Content-Type: image/png\r\nContent-Encoding: snappy\r\n",
        "Content-Type: application/x-protobuf;proto=something.Else\r\nContent-Encoding: snappy\r\n",
        "Content-Type: application/x-protobuf\r\nContent-Encoding: gzip\r\n",
        "Content-Type: application/x-protobuf\r\nContent-Encoding: deflate\r\n",
    ] {
        let answer = server.post_raw(headers, b"\xff no message");
        assert_eq!(answer.status, 415, "{headers}: {}", answer.text());
    }
    // The body never comes, and the answer does.
    let head = "Content-Type: text/plain\r\nExpect: 100-continue\r\n";
    assert_eq!(
        http::send(server.narthex.port, "POST", "/api/v1/write", head, b"")
            .expect("an answer")
            .status,
        415
    );
    let get = http::get(server.narthex.port, "/api/v1/write").expect("an answer");
    assert_eq!(get.status, 405);
    for headers in [V1, V2] {
        let answer = server.post_raw(headers, b"\xff no message");
        assert_eq!(answer.status, 400);
        assert!(answer.text().contains("snappy"), "{}", answer.text());
        let answer = server.post(headers, b"\xff no message");
        assert_eq!(answer.status, 400);
        assert!(answer.text().contains("protobuf"), "{}", answer.text());
        assert_eq!(answer.header(WRITTEN[0]), (headers == V2).then_some("0"));
    }
}

#[test]
fn version_1_stores_and_tells_no_counts() {
    let server = Server::start(&["--durability", "interval"]);
    let now = now_ms();
    let label = |name: &str, value: &str| v1::Label {
        name: name.into(),
        value: value.into(),
    };
    let mut request = v1::WriteRequest {
        timeseries: vec![v1::TimeSeries {
            labels: vec![label("zone", "a"), label("__name__", "old"), label("empty", "")],
            samples: vec![
                v1::Sample {
                    value: 1.5,
                    timestamp: now,
                },
                v1::Sample {
                    value: 2.0,
                    timestamp: 0,
                },
            ],
            ..Default::default()
        }],
        metadata: Vec::new(),
    };
    for path in ["/api/v1/write", "/api/v1/push", "/api/v1/receive"] {
        let body = snap::raw::Encoder::new()
            .compress_vec(&request.encode_to_vec())
            .expect("a block");
        let answer = http::send(
            server.narthex.port,
            "POST",
            path,
            "X-Narthex-Durability: fsync\r\n",
            &body,
        )
        .expect("an answer");
        assert_eq!(
            (answer.status, answer.header("x-narthex-durability")),
            (204, Some("fsync")),
            "{path}"
        );
        assert_eq!(WRITTEN.map(|name| answer.header(name)), [None; 3]);
    }
    let expected = |time: i64, value: f64| ("old{zone=\"a\"}".to_owned(), time, value.to_bits(), 0);
    assert_eq!(server.floats("old"), [expected(0, 2.0), expected(now, 1.5)]);
    // Metadata comes alone.
    request.timeseries.clear();
    request.metadata.push(v1::MetricMetadata {
        r#type: 1,
        metric_family_name: "old".into(),
        help: "Of old.".into(),
        unit: String::new(),
    });
    let answer = server.post(V1, &request.encode_to_vec());
    assert_eq!(
        (answer.status, answer.header("x-narthex-durability")),
        (204, Some("os"))
    );
    let db = Db::open_read_only(server.narthex.data()).expect("a database");
    assert_eq!(db.metadata(Some("old"))["old"][0].1.help, "Of old.");
}

#[test]
fn version_2_samples() {
    let server = Server::start(&[]);
    let now = now_ms();
    for (number, value) in [
        0.0,
        1.0,
        -1e300,
        f64::INFINITY,
        f64::from_bits(narthex::STALE_NAN_BITS),
    ]
    .into_iter()
    .enumerate()
    {
        let names = [
            format!("plain_{number}"),
            format!("with.dots.{number}"),
            format!("with spaces {number}"),
        ];
        for name in &names {
            let request =
                Request::default().float(&[("__name__", name), ("a", "x\ny"), ("naïve", "é")], now, value);
            check(&server, name, &request, 204, [1, 0, 0]);
            assert_eq!(server.floats(name)[0].2, value.to_bits(), "{name}");
        }
    }
    for labels in [&[][..], &[("a", "b")], &[("__name__", "")]] {
        let request = Request::default().float(labels, now, 1.0);
        let answer = check(&server, "no name", &request, 400, [0, 0, 0]);
        assert!(answer.text().contains("no metric name"), "{}", answer.text());
    }
    let four = |names: [&str; 4]| {
        names.iter().fold(Request::default(), |request, name| {
            request.float(&metric(name), now, 2.0)
        })
    };
    check(&server, "four", &four(["m1", "m2", "m3", "m4"]), 204, [4, 0, 0]);
    check(
        &server,
        "one of four",
        &four(["n1", "", "n3", "n4"]),
        400,
        [3, 0, 0],
    );
    assert_eq!(server.floats("n4").len(), 1, "what is valid is stored");
}

#[test]
fn labels_and_times_that_are_put_right_or_refused() {
    let server = Server::start(&[]);
    let now = now_ms();
    check(
        &server,
        "first",
        &Request::default().float(&metric("m1"), now, 2.0),
        204,
        [1, 0, 0],
    );
    let unsorted = Request::default().float(
        &[("z", "1"), ("__name__", "unsorted"), ("a", "2"), ("empty", "")],
        now,
        1.0,
    );
    check(&server, "unsorted", &unsorted, 204, [1, 0, 0]);
    assert_eq!(server.floats("unsorted")[0].0, "unsorted{a=\"2\", z=\"1\"}");
    let twice = Request::default().float(&[("__name__", "twice"), ("a", "1"), ("a", "2")], now, 1.0);
    assert!(
        check(&server, "twice", &twice, 400, [0, 0, 0])
            .text()
            .contains("\"a\" stands twice")
    );
    let other = Request::default().float(&metric("m1"), now, 3.0);
    assert!(
        check(&server, "conflict", &other, 400, [0, 0, 0])
            .text()
            .contains("1 conflict")
    );
    let future = Request::default().float(&metric("future"), now + 3_600_000, 3.0);
    assert!(
        check(&server, "future", &future, 400, [0, 0, 0])
            .text()
            .contains("1 too_far_in_future")
    );
    let many = (0..50).fold(Request::default(), |request, n| {
        request.float(&metric("many"), now - n * 1000, n as f64)
    });
    check(&server, "many", &many, 204, [50, 0, 0]);
    assert_eq!(server.floats("many").len(), 50);
}

#[test]
fn start_timestamps_in_both_places() {
    let server = Server::start(&[]);
    let now = now_ms();
    let request = Request::default().series(&metric("starts"), |_, series| {
        series.samples.push(sample(now, 1.0));
        series.samples.push(v2::Sample {
            start_timestamp: now - 5,
            ..sample(now + 1, 2.0)
        });
        series.created_timestamp = now - 9;
    });
    check(&server, "starts", &request, 204, [2, 0, 0]);
    let starts: Vec<i64> = server.floats("starts").iter().map(|one| one.3).collect();
    assert_eq!(starts, [now - 9, now - 5]);
}

#[test]
fn version_2_histograms() {
    let server = Server::start(&[]);
    let now = now_ms();
    let with = |name: &str, change: &dyn Fn(&mut v2::Histogram)| {
        Request::default().series(&metric(name), |_, series| {
            let mut one = histogram(now);
            change(&mut one);
            series.histograms.push(one);
        })
    };
    check(&server, "basic", &with("basic", &|_| {}), 204, [0, 1, 0]);
    let custom = |one: &mut v2::Histogram| {
        *one = v2::Histogram {
            count: Some(v2::histogram::Count::CountInt(6)),
            schema: -53,
            custom_values: vec![1.0, 2.0],
            positive_spans: vec![v2::BucketSpan { offset: 0, length: 3 }],
            positive_deltas: vec![1, 1, 1],
            sum: 9.0,
            timestamp: now,
            ..Default::default()
        };
    };
    check(&server, "custom", &with("custom", &custom), 204, [0, 1, 0]);
    let float = |one: &mut v2::Histogram| {
        one.count = Some(v2::histogram::Count::CountFloat(14.5));
        one.zero_count = Some(v2::histogram::ZeroCount::ZeroCountFloat(2.5));
        (one.positive_deltas, one.negative_deltas) = (Vec::new(), Vec::new());
        (one.positive_counts, one.negative_counts) = (vec![1.0, 2.0, 3.0], vec![1.0, 2.0, 3.0]);
    };
    check(&server, "float", &with("float", &float), 204, [0, 1, 0]);
    let positive = |one: &mut v2::Histogram| {
        one.count = Some(v2::histogram::Count::CountInt(8));
        (one.negative_spans, one.negative_deltas) = (Vec::new(), Vec::new());
    };
    check(&server, "positive", &with("positive", &positive), 204, [0, 1, 0]);
    let negative = |one: &mut v2::Histogram| {
        one.count = Some(v2::histogram::Count::CountInt(8));
        (one.positive_spans, one.positive_deltas) = (Vec::new(), Vec::new());
    };
    check(&server, "negative", &with("negative", &negative), 204, [0, 1, 0]);
    let empty = |one: &mut v2::Histogram| {
        *one = v2::Histogram {
            timestamp: now,
            ..Default::default()
        };
    };
    check(&server, "empty", &with("empty", &empty), 204, [0, 1, 0]);
    let wrong = |one: &mut v2::Histogram| one.count = Some(v2::histogram::Count::CountInt(99));
    let answer = check(&server, "wrong count", &with("wrong", &wrong), 400, [0, 0, 0]);
    assert!(answer.text().contains("invalid_histogram"), "{}", answer.text());
    let fine = |one: &mut v2::Histogram| one.schema = 52;
    check(&server, "schema 52", &with("fine", &fine), 204, [0, 1, 0]);
    let both = Request::default().series(&metric("both"), |_, series| {
        series.samples.push(sample(now, 1.0));
        series.histograms.push(histogram(now));
    });
    check(&server, "both kinds", &both, 400, [0, 0, 0]);
    let many = (0..50).fold(Request::default(), |request, n| {
        request.series(&metric("many"), |_, series| {
            series.histograms.push(histogram(now - n))
        })
    });
    check(&server, "many", &many, 204, [0, 50, 0]);
}

#[test]
fn exemplars_and_metadata() {
    let server = Server::start(&[]);
    let now = now_ms();
    let exemplars: [&[(&str, &str)]; 6] = [
        &[("trace_id", "abc")],
        &[("span_id", "def")],
        &[],
        &[("a", "1"), ("b", "2"), ("c", "3")],
        &[("special", "a\"b\\c\n")],
        &[("unicode", "тест")],
    ];
    for (number, pairs) in exemplars.into_iter().enumerate() {
        let name = format!("exemplar_{number}");
        let request = Request::default().series(&metric(&name), |request, series| {
            series.samples.push(sample(now, 1.0));
            for (back, value) in [(3_600_000, f64::NAN), (60_000, f64::INFINITY), (0, -1e-10)] {
                series.exemplars.push(v2::Exemplar {
                    labels_refs: request.references(pairs),
                    value,
                    timestamp: now - back,
                });
            }
        });
        check(&server, &name, &request, 204, [1, 0, 3]);
    }
}

#[test]
fn what_comes_without_samples_and_metadata() {
    let server = Server::start(&[]);
    let now = now_ms();
    let alone = Request::default().series(&metric("alone"), |request, series| {
        series.exemplars.push(v2::Exemplar {
            labels_refs: request.references(&[("trace_id", "x")]),
            value: 1.0,
            timestamp: now,
        });
    });
    check(
        &server,
        "an exemplar alone, as Prometheus sends them",
        &alone,
        204,
        [0, 0, 1],
    );
    for kind in 0..8 {
        let name = format!("kind_{kind}");
        let request = Request::default().series(&metric(&name), |request, series| {
            series.samples.push(sample(now, 1.0));
            series.metadata = Some(v2::Metadata {
                r#type: kind,
                help_ref: request.reference("Helps\nwith \"quotes\"."),
                unit_ref: request.reference("bytes"),
            });
        });
        check(&server, &name, &request, 204, [1, 0, 0]);
        let db = Db::open_read_only(server.narthex.data()).expect("a database");
        let found = &db.metadata(Some(&name))[&name];
        assert_eq!(
            (found.len(), found[0].1.metric_type as i32, &*found[0].1.unit),
            (1, kind, "bytes")
        );
    }
    let classic = Request::default().series(&metric("classic_bucket"), |request, series| {
        series.samples.push(sample(now, 1.0));
        series.metadata = Some(v2::Metadata {
            r#type: 3,
            help_ref: request.reference("A family."),
            unit_ref: 0,
        });
    });
    check(&server, "a part of a classic histogram", &classic, 204, [1, 0, 0]);
    let db = Db::open_read_only(server.narthex.data()).expect("a database");
    assert_eq!(db.metadata(Some("classic"))["classic"][0].1.help, "A family.");
    let said = Request::default().series(&metric("said"), |request, series| {
        series.metadata = Some(v2::Metadata {
            r#type: 1,
            help_ref: request.reference("Said."),
            unit_ref: 0,
        });
    });
    check(&server, "metadata without a sample", &said, 400, [0, 0, 0]);
}

#[test]
fn bodies_that_mean_harm() {
    let server = Server::start(&["--http-body-bytes", "1MiB", "--http-decoded-bytes", "8MiB"]);
    let now = now_ms();
    let mut bomb = Vec::new();
    prost::encoding::encode_varint(u64::from(u32::MAX), &mut bomb);
    let answer = server.post_raw(V2, &bomb);
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("allowed are 8388608"), "{}", answer.text());
    let zeros = snap::raw::Encoder::new()
        .compress_vec(&vec![0; 9 << 20])
        .expect("a block");
    assert_eq!(server.post_raw(V2, &zeros).status, 400);
    assert_eq!(server.post_raw(V2, &vec![0; 2 << 20]).status, 413);

    for reference in [99, u32::MAX] {
        let mut request = Request::default()
            .float(&metric("good"), now, 1.0)
            .float(&metric("bad"), now, 1.0);
        request.message.timeseries[1].labels_refs[3] = reference;
        let answer = check(&server, "reference", &request, 400, [1, 0, 0]);
        assert!(answer.text().contains("symbols"), "{}", answer.text());
    }
    let mut odd = Request::default().float(&metric("odd"), now, 1.0);
    odd.message.timeseries[0].labels_refs.pop();
    assert!(check(&server, "odd", &odd, 400, [0, 0, 0]).text().contains("odd"));
    let mut first = Request::default().float(&metric("first"), now, 1.0);
    first.message.symbols[0] = "not empty".into();
    check(&server, "first symbol", &first, 400, [0, 0, 0]);
}

#[test]
fn labels_that_mean_harm() {
    let server = Server::start(&[]);
    let now = now_ms();
    let names: Vec<String> = (0..10_000).map(|number| format!("label_{number}")).collect();
    let mut pairs: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "x")).collect();
    pairs.push(("__name__", "wide"));
    let mut wide = Request::default();
    wide.message.symbols = [vec![String::new(), "x".into()], names.clone()].concat();
    let wide = wide
        .float(&metric("beside"), now, 1.0)
        .series(&[("__name__", "wide")], |_, series| {
            series
                .labels_refs
                .extend((0..10_000).flat_map(|number| [number + 2, 1]));
            series.samples.push(sample(now, 1.0));
        });
    assert!(
        check(&server, "10,000 labels", &wide, 400, [1, 0, 0])
            .text()
            .contains("too_many_labels")
    );
    let long = "x".repeat(1 << 20);
    let long = Request::default()
        .float(&[("__name__", "long"), ("a", &long)], now, 1.0)
        .float(&metric("beside"), now, 1.0);
    assert!(
        check(&server, "1 MiB label", &long, 400, [1, 0, 0])
            .text()
            .contains("label_value_too_long")
    );
    let answer = http::json(server.narthex.port, "/api/v1/ingest/rejections");
    let reasons: Vec<&str> = answer["data"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| one["reason"].as_str())
        .collect();
    assert!(
        reasons.contains(&"too_many_labels") && reasons.contains(&"label_value_too_long"),
        "{answer}"
    );
    check(
        &server,
        "still there",
        &Request::default().float(&metric("still"), now, 1.0),
        204,
        [1, 0, 0],
    );
}

#[test]
fn rules_between_request_and_database() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("narthex.toml");
    let text = "[ha]\ncluster_label = \"cluster\"\nreplica_label = \"__replica__\"\n\n[ingest]\nsamples_per_second = 1000\n\n\
                [[ingest.relabel]]\nsource_labels = [\"__name__\"]\nregex = \"go_.*\"\naction = \"drop\"\n\n\
                [[ingest.relabel]]\nregex = \"pod_(.+)\"\nreplacement = \"$1\"\naction = \"labelmap\"\n";
    #[expect(
        clippy::disallowed_methods,
        reason = "a configuration is outside of the database"
    )]
    std::fs::write(&config, text).expect("a file");
    let path = config.display().to_string();
    let server = Server::start(&["--config", &path]);
    let now = now_ms();
    let pair = |replica: &str, value: f64| {
        let labels = [
            ("__name__", "up"),
            ("cluster", "eu"),
            ("__replica__", replica),
            ("pod_name", "p"),
        ];
        Request::default().float(&labels, now, value)
    };
    check(&server, "the elected", &pair("a", 1.0), 204, [1, 0, 0]);
    check(
        &server,
        "the other counts as written",
        &pair("b", 2.0),
        204,
        [1, 0, 0],
    );
    let stored = server.floats("up");
    assert_eq!(stored.len(), 1);
    assert_eq!(
        (stored[0].0.as_str(), stored[0].2),
        ("up{cluster=\"eu\", name=\"p\", pod_name=\"p\"}", 1f64.to_bits())
    );
    check(
        &server,
        "dropped",
        &Request::default().float(&metric("go_gc"), now, 1.0),
        204,
        [1, 0, 0],
    );
    assert_eq!(server.floats("go_gc"), []);
    let replicas = http::json(server.narthex.port, "/api/v1/ingest/replicas");
    assert_eq!(replicas["data"][0]["replica"], "a");
    let many = (0..5_000).fold(Request::default(), |request, n| {
        request.float(&metric("many"), now - n, 1.0)
    });
    assert_eq!(
        server.post(V2, &many.message.encode_to_vec()).status,
        204,
        "let in, and owed"
    );
    let answer = server.post(V2, &pair("a", 1.0).message.encode_to_vec());
    assert_eq!(answer.status, 429, "{}", answer.text());
}

//! Tenants over HTTP: nothing of one is seen, changed or limited by a call for another one.

use super::served::{Served, wait_until};
use crate::peers::http::{Answer, send};
use crate::peers::processes::Narthex;
use crate::peers::wire;
use narthex::{Clock as _, SystemClock};
use prost::Message as _;
use serde_json::Value;
use std::fs;

const ON: &str = "[tenants]\nenabled = true\n";
const PROTOBUF: &str = "Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n";

fn now_ms() -> i64 {
    SystemClock.now_ms()
}

fn block(message: &impl prost::Message) -> Vec<u8> {
    let bytes = message.encode_to_vec();
    snap::raw::Encoder::new().compress_vec(&bytes).expect("a block")
}

/// The header that names a tenant; the empty name is no header.
fn scope(tenant: &str) -> String {
    match tenant {
        "" => String::new(),
        name => format!("X-Scope-OrgID: {name}\r\n"),
    }
}

/// A server's port, and headers that are sent with everything.
struct Client {
    port: u16,
    headers: &'static str,
}

impl Client {
    fn new(served: &Served) -> Self {
        Self {
            port: served.address.port(),
            headers: "",
        }
    }

    fn ask(&self, tenant: &str, method: &str, path: &str, body: &[u8]) -> Answer {
        let headers = format!("{PROTOBUF}{}{}", self.headers, scope(tenant));
        send(self.port, method, path, &headers, body).expect("an answer")
    }

    /// Writes one series with these labels beside its name.
    fn write(&self, tenant: &str, labels: &[(&str, &str)], samples: &[(i64, f64)]) -> Answer {
        let label = |(name, value): &(&str, &str)| wire::Label {
            name: (*name).into(),
            value: (*value).into(),
        };
        let sample = |(timestamp, value): &(i64, f64)| wire::Sample {
            value: *value,
            timestamp: *timestamp,
        };
        let request = wire::WriteRequest {
            timeseries: vec![wire::TimeSeries {
                labels: [("__name__", "m")].iter().chain(labels).map(label).collect(),
                samples: samples.iter().map(sample).collect(),
                ..Default::default()
            }],
            ..Default::default()
        };
        self.ask(tenant, "POST", "/api/v1/write", &block(&request))
    }

    /// All values that are stored, series by series.
    fn read(&self, tenant: &str) -> Vec<f64> {
        let request = wire::ReadRequest {
            queries: vec![wire::Query {
                start_timestamp_ms: 0,
                end_timestamp_ms: i64::MAX / 2,
                matchers: vec![wire::LabelMatcher {
                    r#type: wire::label_matcher::Type::Eq.into(),
                    name: "__name__".into(),
                    value: "m".into(),
                }],
                hints: None,
            }],
            accepted_response_types: Vec::new(),
        };
        let answer = self.ask(tenant, "POST", "/api/v1/read", &block(&request));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let body = snap::raw::Decoder::new()
            .decompress_vec(&answer.body)
            .expect("a block");
        let response = wire::ReadResponse::decode(body.as_slice()).expect("a message");
        let series = response.results.into_iter().flat_map(|result| result.timeseries);
        series
            .flat_map(|series| series.samples)
            .map(|sample| sample.value)
            .collect()
    }

    /// `data` of an answer in JSON.
    fn data(&self, tenant: &str, method: &str, path: &str) -> Value {
        let answer = self.ask(tenant, method, path, b"");
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
        body["data"].clone()
    }

    fn refusals(&self, tenant: &str) -> usize {
        let list = self.data(tenant, "GET", "/api/v1/ingest/rejections");
        list.as_array().expect("a list").len()
    }

    fn metric(&self, line: &str) -> Option<f64> {
        let page = self.ask("", "GET", "/metrics", b"").text();
        let found = page
            .lines()
            .find_map(|one| one.strip_prefix(line)?.strip_prefix(' '));
        found.map(|value| value.parse().expect("a number"))
    }
}

#[test]
fn no_call_crosses() {
    let ha = "[ha]\ncluster_label = \"cluster\"\nreplica_label = \"replica\"\n";
    let served = Served::new(&format!("{ON}{ha}")).ready();
    let client = Client::new(&served);
    let now = now_ms();
    for (tenant, value) in [("", 0.0), ("a", 1.0), ("b", 2.0), ("A", 3.0)] {
        assert_eq!(client.write(tenant, &[], &[(now, value)]).status, 204, "{tenant}");
    }
    for (tenant, value) in [("", 0.0), ("anonymous", 0.0), ("a", 1.0), ("b", 2.0), ("A", 3.0)] {
        assert_eq!(client.read(tenant), [value], "{tenant}");
    }
    let conflict = client.write("a", &[], &[(now, 9.0)]);
    assert_eq!(conflict.status, 400, "{}", conflict.text());
    let refusals = ["", "a", "b", "A"].map(|tenant| client.refusals(tenant));
    assert_eq!(refusals, [0, 1, 0, 0]);
    for (tenant, replica) in [("a", "1"), ("b", "2")] {
        let labels = [("cluster", "eu"), ("replica", replica)];
        assert_eq!(client.write(tenant, &labels, &[(now, 5.0)]).status, 204);
        let elected = client.data(tenant, "GET", "/api/v1/ingest/replicas");
        assert_eq!(elected[0]["replica"], replica, "{elected}");
    }
    assert_eq!(
        client.read("b"),
        [2.0, 5.0],
        "what is elected of a's pairs is nothing to b"
    );
    let flushed = client.data("a", "POST", "/api/v1/admin/flush");
    assert_eq!(
        (&flushed["segments"], &flushed["headSamples"]),
        (&1.into(), &0.into())
    );
    let other = client.data("b", "POST", "/api/v1/admin/compact");
    assert_eq!(
        (&other["segments"], &other["headSamples"]),
        (&0.into(), &2.into())
    );
}

#[test]
fn a_tenant_that_is_not_there_is_empty_and_stays_so() {
    let served = Served::new(ON).ready();
    let client = Client::new(&served);
    assert_eq!(client.read("nobody"), [0.0; 0]);
    assert_eq!(client.refusals("nobody"), 0);
    let flush = client.ask("nobody", "POST", "/api/v1/admin/flush", b"");
    assert_eq!(flush.status, 404, "{}", flush.text());
    assert_eq!(client.ask("nobody", "GET", "/api/v1/write", b"").status, 404);
    assert!(!served.path("data/tenants").exists(), "nothing was made");
    assert_eq!(client.write("somebody", &[], &[(now_ms(), 1.0)]).status, 204);
    assert!(served.path("data/tenants/tenant-somebody/MANIFEST").exists());
}

#[test]
fn without_tenants_the_header_means_nothing() {
    let served = Served::new("").ready();
    let client = Client::new(&served);
    assert_eq!(client.write("a", &[], &[(now_ms(), 1.0)]).status, 204);
    assert_eq!(client.read("../b"), [1.0]);
    assert_eq!(client.metric("narthex_tenants{state=\"open\"}"), None);
    assert!(!served.path("data/tenants").exists());
}

/// SHA-256 of `a` and of `any`, the tokens' texts.
const BOUND: &str = r#"
[[auth.tokens]]
name = "of a"
sha256 = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
scopes = ["read", "write", "admin"]
tenant = "a"

[[auth.tokens]]
name = "of all"
sha256 = "d6a7cd2a7371b1a15d543196979ff74fdb027023ebf187d5d329be11055c77fd"
scopes = ["read", "write", "admin"]
"#;

#[test]
fn a_bound_credential_is_good_for_one_tenant() {
    let served = Served::new(&format!("{ON}{BOUND}")).ready();
    let of = |headers| Client {
        headers,
        ..Client::new(&served)
    };
    let (bound, any) = (
        of("Authorization: Bearer a\r\n"),
        of("Authorization: Bearer any\r\n"),
    );
    let now = now_ms();
    assert_eq!(bound.write("", &[], &[(now, 1.0)]).status, 204);
    assert_eq!(bound.write("a", &[], &[(now + 1, 2.0)]).status, 204);
    assert_eq!(any.write("b", &[], &[(now, 3.0)]).status, 204);
    assert_eq!(any.read("a"), [1.0, 2.0]);
    assert_eq!(bound.read(""), [1.0, 2.0]);
    for (method, path) in [
        ("POST", "/api/v1/write"),
        ("POST", "/api/v1/read"),
        ("GET", "/api/v1/ingest/rejections"),
        ("GET", "/api/v1/ingest/replicas"),
        ("GET", "/api/v1/labels"),
        ("GET", "/api/v1/search/label_names"),
        ("GET", "/federate"),
        ("POST", "/api/v1/admin/flush"),
        ("POST", "/api/v1/admin/compact"),
    ] {
        for other in ["b", "anonymous", "A"] {
            assert_eq!(
                bound.ask(other, method, path, b"").status,
                403,
                "{path} as {other}"
            );
        }
        assert_eq!(Client::new(&served).ask("a", method, path, b"").status, 401);
    }
    for (method, path) in [("GET", "/metrics"), ("POST", "/-/reload")] {
        assert_eq!(
            bound.ask("a", method, path, b"").status,
            403,
            "{path} is about all"
        );
        assert_eq!(any.ask("a", method, path, b"").status, 200, "{path}");
    }
    assert_eq!(bound.ask("", "GET", "/version", b"").status, 200);
}

#[test]
fn a_bound_credential_needs_tenants() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("narthex.toml");
    #[expect(clippy::disallowed_methods, reason = "the file of an operator")]
    fs::write(&path, BOUND).expect("it is written");
    let error = narthex::server::Sources::file(path)
        .resolve()
        .expect_err("a fault");
    assert!(error.to_string().contains("needs tenants.enabled"), "{error}");
}

#[test]
fn bad_names_are_400_and_a_missing_one_may_be_401() {
    let served = Served::new(&format!("{ON}default = \"\"\n")).ready();
    let client = Client::new(&served);
    let long = "x".repeat(151);
    for bad in [".", "..", "a/b", "../a", "a|b", "a b", "a~", &long] {
        let answer = client.ask(bad, "GET", "/api/v1/ingest/rejections", b"");
        assert_eq!(answer.status, 400, "{bad}: {}", answer.text());
        assert_eq!(client.write(bad, &[], &[(now_ms(), 1.0)]).status, 400, "{bad}");
    }
    let twice = "a\r\nX-Scope-OrgID: b";
    assert_eq!(
        client.ask(twice, "GET", "/api/v1/ingest/rejections", b"").status,
        400
    );
    let answer = client.write("", &[], &[(now_ms(), 1.0)]);
    assert_eq!(answer.status, 401);
    assert!(
        answer.text().contains("X-Scope-OrgID is needed"),
        "{}",
        answer.text()
    );
    for good in [&long[..150], "!-_.*'()", "...", "a.B"] {
        assert_eq!(client.write(good, &[], &[(now_ms(), 1.0)]).status, 204, "{good}");
        assert_eq!(client.read(good), [1.0], "{good}");
    }
}

const LIMITS: &str = r#"
count = 3
samples_per_second = 100

[[tenants.overrides]]
name = "a"
samples_per_second = 2
series = 1
body_bytes = "1KiB"
retention = "1h"

[[tenants.overrides]]
name = "b"
samples_per_second = 0
"#;

#[test]
fn limits_are_a_tenants_own() {
    let served = Served::new(&format!("{ON}{LIMITS}")).ready();
    let client = Client::new(&served);
    let now = now_ms();
    let many: Vec<(i64, f64)> = (0..1000).map(|number| (now - number, number as f64)).collect();
    for (tenant, first, second) in [("a", 413, 204), ("b", 204, 204), ("c", 204, 429)] {
        assert_eq!(client.write(tenant, &[], &many).status, first, "{tenant}");
        let one = client.write(tenant, &[], &[(now + 1, 1.0)]);
        assert_eq!(one.status, second, "{tenant}: {}", one.text());
    }
    let over = client.write("a", &[("x", "1")], &[(now, 1.0)]);
    assert_eq!(over.status, 400);
    assert!(over.text().contains("series_limit"), "{}", over.text());
    assert_eq!(client.write("b", &[("x", "1")], &[(now, 1.0)]).status, 204);
    let three = [(now + 2, 1.0), (now + 3, 1.0), (now + 4, 1.0)];
    let statuses = [(); 4].map(|()| client.write("a", &[], &three).status);
    assert!(statuses.contains(&429), "{statuses:?}");
    let answer = client.write("d", &[], &[(now, 1.0)]);
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains("tenants.count"), "{}", answer.text());
}

#[test]
fn a_write_creates_only_what_it_may() {
    let settings = format!("{ON}create = false\n[[tenants.overrides]]\nname = \"a\"\n");
    let served = Served::new(&settings).ready();
    let client = Client::new(&served);
    let answer = client.write("b", &[], &[(now_ms(), 1.0)]);
    assert_eq!(answer.status, 403);
    assert!(answer.text().contains("tenants.create"), "{}", answer.text());
    assert!(!served.path("data/tenants").exists());
    for tenant in ["a", ""] {
        assert_eq!(
            client.write(tenant, &[], &[(now_ms(), 1.0)]).status,
            204,
            "{tenant}"
        );
    }
}

#[test]
fn a_restart_has_them_all_and_one_without_tenants_the_anonymous_one() {
    let served = Served::new(ON).ready();
    let client = Client::new(&served);
    for (tenant, value) in [("", 0.0), ("a", 1.0), ("b.C", 2.0)] {
        assert_eq!(client.write(tenant, &[], &[(now_ms(), value)]).status, 204);
    }
    let served = Served::over(served.stop(), ON).ready();
    let client = Client::new(&served);
    assert_eq!(client.metric("narthex_tenants{state=\"open\"}"), Some(3.0));
    for (tenant, value) in [("", 0.0), ("a", 1.0), ("b.C", 2.0)] {
        assert_eq!(client.read(tenant), [value], "{tenant}");
    }
    let served = Served::over(served.stop(), "").ready();
    assert_eq!(Client::new(&served).read("a"), [0.0]);
    let served = Served::over(served.stop(), ON).ready();
    assert_eq!(Client::new(&served).read("a"), [1.0]);
}

#[test]
fn kill_9_takes_nothing_of_anyone() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut narthex = Narthex::start(folder.path(), &["--tenants-enabled", "true"]);
    let client = Client {
        port: narthex.port,
        headers: "",
    };
    let now = now_ms();
    for round in 0..3 {
        for (tenant, value) in [("", 0.0), ("a", 1.0), ("b", 2.0)] {
            assert_eq!(client.write(tenant, &[], &[(now + round, value)]).status, 204);
        }
        narthex.kill_and_restart();
        for (tenant, value) in [("", 0.0), ("a", 1.0), ("b", 2.0)] {
            let expected = vec![value; round as usize + 1];
            assert_eq!(client.read(tenant), expected, "{tenant} after {round}");
        }
    }
}

#[test]
fn a_reload_is_for_all_tenants() {
    let served = Served::new(ON).ready();
    let client = Client::new(&served);
    let now = now_ms();
    assert_eq!(client.write("a", &[], &[(now, 1.0)]).status, 204);
    let rule = "[[ingest.relabel]]\nsource_labels = [\"drop\"]\nregex = \"yes\"\naction = \"drop\"\n";
    let own = "[[tenants.overrides]]\nname = \"a\"\nbody_bytes = \"1KiB\"\nretention = \"1d\"\n";
    served.rewrite(&format!("{ON}default = \"a\"\ncount = 1\n{own}{rule}"));
    let done = client.data("", "POST", "/-/reload");
    let listed = |field: &str| done[field].as_array().expect("a list").clone();
    let keys = [
        "ingest.relabel",
        "tenants.default",
        "tenants.count",
        "tenants.overrides",
    ];
    assert_eq!(listed("applied"), keys);
    assert_eq!(listed("needsRestart"), ["tenants.overrides"], "its retention");
    for tenant in ["a", "anonymous"] {
        assert_eq!(
            client.write(tenant, &[("drop", "yes")], &[(now, 2.0)]).status,
            204
        );
    }
    assert_eq!(
        client.read(""),
        [1.0],
        "a is the default, and has no dropped series"
    );
    assert_eq!(client.read("anonymous"), [0.0; 0]);
    assert_eq!(client.write("b", &[], &[(now, 1.0)]).status, 403);
    let long = "x".repeat(2000);
    assert_eq!(
        client.write("a", &[("long", &long)], &[(now, 1.0)]).status,
        204,
        "snappy makes it short"
    );
    // No run of it comes twice.
    let noise: String = (1..2_000_u32)
        .map(|number| char::from(b'!' + (number.wrapping_mul(2_654_435_761) >> 16) as u8 % 89))
        .collect();
    assert_eq!(client.write("a", &[("long", &noise)], &[(now, 1.0)]).status, 413);
    served.rewrite("[tenants]\nenabled = false\n");
    let done = client.data("", "POST", "/-/reload");
    assert!(
        done["needsRestart"].to_string().contains("tenants.enabled"),
        "{done}"
    );
    assert_eq!(client.read("a"), [1.0, 1.0], "they are parted still");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "damages a file on purpose")]
fn damage_in_one_keeps_no_other_from_opening() {
    let served = Served::new(ON).ready();
    let client = Client::new(&served);
    for tenant in ["a", "b"] {
        assert_eq!(client.write(tenant, &[], &[(now_ms(), 1.0)]).status, 204);
    }
    let folder = served.stop();
    let manifest = folder.path().join("data/tenants/tenant-a/MANIFEST");
    let whole = fs::read(&manifest).expect("a manifest");
    fs::write(&manifest, b"damage").expect("it is written");
    fs::create_dir(folder.path().join("data/tenants/lost+found")).expect("a folder of no tenant");
    let served = Served::over(folder, ON).ready();
    let client = Client::new(&served);
    let ready = client.ask("", "GET", "/-/ready", b"").text();
    assert!(ready.contains("these tenants do not open: a\n"), "{ready}");
    assert_eq!(client.read("b"), [1.0]);
    for (method, path) in [("GET", "/api/v1/ingest/rejections"), ("POST", "/api/v1/write")] {
        let answer = client.ask("a", method, path, b"");
        assert_eq!(
            (answer.status, answer.header("retry-after")),
            (503, Some("5")),
            "{}",
            answer.text()
        );
    }
    assert_eq!(client.metric("narthex_tenants{state=\"failed\"}"), Some(1.0));
    fs::write(&manifest, whole).expect("it is mended");
    client.data("", "POST", "/-/reload");
    wait_until("it is open", || {
        client.ask("a", "GET", "/api/v1/ingest/rejections", b"").status == 200
    });
    assert_eq!(client.read("a"), [1.0]);
}

#[test]
fn metrics_are_sums_and_a_few_by_tenant() {
    let served = Served::new(ON).ready();
    let client = Client::new(&served);
    let now = now_ms();
    for (tenant, count) in [("", 1), ("a", 2), ("b", 3)] {
        let samples: Vec<(i64, f64)> = (0..count).map(|number| (now - number, 1.0)).collect();
        assert_eq!(client.write(tenant, &[], &samples).status, 204);
    }
    assert_eq!(client.write("b", &[], &[(now, 2.0)]).status, 400);
    let metric = |line: &str| client.metric(line);
    assert_eq!(metric("narthex_ingest_samples_total{type=\"float\"}"), Some(6.0));
    assert_eq!(metric("narthex_head_series"), Some(3.0));
    assert_eq!(metric("narthex_tenant_samples_total{tenant=\"b\"}"), Some(3.0));
    assert_eq!(metric("narthex_tenant_rejected_total{tenant=\"b\"}"), Some(1.0));
    assert_eq!(metric("narthex_tenant_series{tenant=\"anonymous\"}"), Some(1.0));
    assert!(metric("narthex_tenant_disk_bytes{tenant=\"a\"}") > Some(0.0));
    let syncs = metric("narthex_wal_fsync_seconds_count");
    assert!(syncs >= Some(3.0), "{syncs:?}");
    assert_eq!(metric("narthex_wal_fsync_seconds_bucket{le=\"+Inf\"}"), syncs);
    assert!(metric("narthex_wal_fsync_seconds_bucket{le=\"10\"}") <= syncs);
}

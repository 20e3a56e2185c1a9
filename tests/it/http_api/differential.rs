//! Every request of the table to the real Prometheus and to narthex, over the same data.

use super::compare::{Expect, complaint};
use super::data::{BASE_MS, write, write_request};
use super::requests::{DIFFERENT, POSTS, RAW, SAME};
use super::{FORM, escaped, path};
use crate::http::served::Served;
use crate::peers::http;
use crate::peers::processes::Prometheus;

const SETTINGS: &str = "external_labels = { region = \"eu\" }\nenable_feature = \"promql-per-step-stats\"\n";

/// Both with the same data.
pub(super) struct Pair {
    pub(super) served: Served,
    pub(super) prometheus: Prometheus,
    _folder: tempfile::TempDir,
}

impl Pair {
    /// `last_ms` is the time of the last samples.
    pub(super) fn start(last_ms: i64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let flags = [
            "--web.enable-remote-write-receiver",
            "--enable-feature=native-histograms,exemplar-storage,promql-experimental-functions,promql-per-step-stats",
        ];
        let config = "global: {scrape_interval: 1h, external_labels: {region: eu}}\n";
        let prometheus = Prometheus::start(folder.path(), "oracle", config, &flags);
        let served = Served::new(SETTINGS).ready();
        let request = write_request(last_ms);
        for port in [prometheus.port, served.address.port()] {
            write(port, &request);
        }
        Self {
            served,
            prometheus,
            _folder: folder,
        }
    }

    fn complaint(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
        expect: Expect,
    ) -> Option<String> {
        let send = |port| http::send(port, method, path, headers, body.as_bytes()).expect("an answer");
        let (ours, theirs) = (send(self.served.address.port()), send(self.prometheus.port));
        let complaint = complaint(&ours, &theirs, expect)?;
        Some(format!("{method} {path} {body}: {complaint}"))
    }
}

#[test]
fn requests_are_answered_as_prometheus_does() {
    let pair = Pair::start(BASE_MS);
    let mut asked = 0;
    let mut complaints = Vec::new();
    let mut ask = |method: &str, path: &str, headers: &str, body: &str, expect| {
        asked += 1;
        complaints.extend(pair.complaint(method, path, headers, body, expect));
    };
    for (place, forms) in SAME {
        for form in *forms {
            ask("GET", &path(place, form), "", "", Expect::Same);
            let has_post = !place.contains("/label/") && *place != "/api/v1/metadata";
            if has_post {
                ask("POST", place, FORM, &escaped(form), Expect::Same);
            }
        }
    }
    for path in RAW {
        ask("GET", path, "", "", Expect::Same);
    }
    for (path, kind, body) in POSTS {
        ask(
            "POST",
            path,
            &format!("Content-Type: {kind}\r\n"),
            body,
            Expect::Same,
        );
    }
    for (method, place, form, expect) in DIFFERENT {
        ask(method, &path(place, form), "", "", *expect);
    }
    assert!(
        complaints.is_empty(),
        "{} of {asked} requests:\n{}",
        complaints.len(),
        complaints.join("\n")
    );
}

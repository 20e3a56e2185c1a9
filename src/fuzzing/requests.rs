//! Decoders of what comes over the network: the messages behind the snappy block, which would hide them from a fuzzer.

use crate::db::Db;
use crate::engine::options::Options;
use crate::labels;
use crate::remote::read::{ReadError, ReadOptions};
use crate::remote::read_request::ReadRequest;
use crate::remote::wire::prometheus as wire;
use prost::Message as _;
use std::ops::ControlFlow;
use std::sync::OnceLock;

/// A database with a few series, the same for all inputs.
fn database() -> &'static Db {
    static DATABASE: OnceLock<Db> = OnceLock::new();
    DATABASE.get_or_init(|| {
        let options = Options::in_memory().background(false);
        let db = Db::open(options).expect("BUG: the disk in memory opens");
        let mut batch = db.batch();
        for tick in 0..300 {
            batch.push(
                &labels! { "__name__" => "up", "job" => "api" },
                tick * 15_000,
                tick as f64,
            );
            batch.push(&labels! { "__name__" => "up", "zone" => "b" }, -tick, 1.0);
        }
        batch.commit().expect("BUG: the disk in memory takes all");
        db
    })
}

/// A read request, answered in both forms, which must agree.
pub fn read_request(bytes: &[u8]) {
    let options = ReadOptions {
        external_labels: labels! { "zone" => "a" },
        samples_max: 10_000,
        ..ReadOptions::default()
    };
    let Ok(request) = ReadRequest::from_message(bytes, &options) else {
        return;
    };
    let streamed = request.stream(database(), &options, |frame| {
        assert!(
            frame.len() <= options.frame_bytes_max + 64,
            "BUG: a frame that is too large"
        );
        ControlFlow::Continue(())
    });
    let streamed = streamed.expect("BUG: an understood request is answered");
    match request.samples(database(), &options) {
        Ok((_, samples)) => assert_eq!(samples, streamed, "BUG: the two forms differ"),
        Err(ReadError::SampleLimit(_)) => {}
        Err(error) => panic!("BUG: an understood request is answered: {error}"),
    }
}

/// Requests as clients send them.
pub(super) fn read_requests() -> Vec<Vec<u8>> {
    let query = |matchers: &[(i32, &str, &str)], func: &str| wire::Query {
        start_timestamp_ms: -5_000,
        end_timestamp_ms: 3_600_000,
        matchers: matchers
            .iter()
            .map(|(kind, name, value)| wire::LabelMatcher {
                r#type: *kind,
                name: (*name).into(),
                value: (*value).into(),
            })
            .collect(),
        hints: Some(wire::ReadHints {
            step_ms: 15_000,
            func: func.into(),
            start_ms: 60_000,
            end_ms: 1_800_000,
            grouping: vec!["job".into()],
            by: true,
            range_ms: 300_000,
        }),
    };
    let requests = [
        (
            vec![query(&[(0, "__name__", "up"), (2, "job", "a.*|b")], "rate")],
            vec![1, 0],
        ),
        (
            vec![
                query(&[(3, "zone", "[b-x]+")], "series"),
                query(&[(1, "job", "")], ""),
            ],
            vec![],
        ),
        (vec![query(&[(0, "zone", "a")], "max")], vec![7, 1]),
    ];
    let messages = requests.map(|(queries, accepted_response_types)| {
        let message = wire::ReadRequest {
            queries,
            accepted_response_types,
        };
        message.encode_to_vec()
    });
    messages.to_vec()
}

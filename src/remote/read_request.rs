//! A read request: what is asked for, and in which form.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::outcome::RequestError;
use super::proto::{Field, Message, repeated_varint, text_at};
use super::read::{ReadError, ReadOptions};
use super::snappy;
use crate::base::bytes::Corrupt;
use crate::index::LabelMatcher;
use crate::model::labels::Labels;
use crate::model::matcher::{MatchOp, Matcher};
use std::ops::Range;

/// A client asks one query, or one for each selector of an expression.
const QUERIES_MAX: usize = 256;
/// Matchers of all queries together.
const MATCHERS_MAX: usize = 1_024;
/// The function in the hints of those who want to know of series only.
const FUNC_SERIES: &[u8] = b"series";

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResponseType {
    /// One message with all samples, in a snappy block.
    Samples = 0,
    /// A stream of frames with Prometheus' chunks.
    StreamedXorChunks = 1,
}

impl ResponseType {
    fn from_number(number: u64) -> Option<Self> {
        match number {
            0 => Some(Self::Samples),
            1 => Some(Self::StreamedXorChunks),
            _ => None,
        }
    }

    /// The header `Content-Type` of such an answer.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Samples => "application/x-protobuf",
            Self::StreamedXorChunks => {
                "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse"
            }
        }
    }

    /// The header `Content-Encoding` of such an answer.
    pub const fn content_encoding(self) -> Option<&'static str> {
        match self {
            Self::Samples => Some("snappy"),
            Self::StreamedXorChunks => None,
        }
    }
}

/// A request that was understood, with matchers that compile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadRequest {
    pub(super) queries: Vec<Query>,
    response_type: ResponseType,
}

/// What is selected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) matchers: Vec<Matcher>,
    /// Both ends included; empty when `from` is larger.
    pub(super) from: i64,
    pub(super) to: i64,
    /// Otherwise the series alone.
    pub(super) wants_samples: bool,
}

impl ReadRequest {
    /// Reads a request: a message in one snappy block.
    pub fn decode(block: &[u8], options: &ReadOptions) -> Result<Self, ReadError> {
        let mut buffer = Vec::new();
        let body = snappy::decompress(block, options.request_bytes_max, &mut buffer)?;
        Self::from_message(body, options)
    }

    /// The form of the answer: the first of those that the client accepts which there is.
    pub fn response_type(&self) -> ResponseType {
        self.response_type
    }

    pub(crate) fn from_message(body: &[u8], options: &ReadOptions) -> Result<Self, ReadError> {
        let mut message = Message::new(body);
        let (mut queries, mut accepted) = (Vec::new(), Accepted::default());
        let mut matchers_left = MATCHERS_MAX;
        loop {
            let at = message.clone();
            match message.next("field of a read request").map_err(corrupt)? {
                None => break,
                Some((1, Field::Range(range))) => {
                    if queries.len() == QUERIES_MAX {
                        let text = format!("the request has more than {QUERIES_MAX} queries");
                        return Err(ReadError::BadRequest(text));
                    }
                    let query = query(body, range, &mut matchers_left)?;
                    queries.push(query.finish(queries.len(), &options.external_labels)?);
                }
                Some((2, field)) => {
                    repeated_varint(body, field, "response type", |number| {
                        accepted.push(number, options.is_streaming);
                    })
                    .map_err(corrupt)?;
                }
                Some((1, _)) => return Err(corrupt(at.corrupt("query"))),
                Some(_) => {}
            }
        }
        Ok(Self {
            queries,
            response_type: accepted.negotiate()?,
        })
    }
}

fn corrupt(error: Corrupt) -> ReadError {
    RequestError::Protobuf(error).into()
}

/// The response types that a client accepts, in order of preference.
#[derive(Default)]
struct Accepted {
    first_supported: Option<ResponseType>,
    first_unsupported: Option<u64>,
}

impl Accepted {
    fn push(&mut self, number: u64, is_streaming: bool) {
        let is_offered = |kind: &ResponseType| is_streaming || *kind == ResponseType::Samples;
        match ResponseType::from_number(number).filter(is_offered) {
            Some(known) => self.first_supported = self.first_supported.or(Some(known)),
            None => self.first_unsupported = self.first_unsupported.or(Some(number)),
        }
    }

    fn negotiate(self) -> Result<ResponseType, ReadError> {
        match (self.first_supported, self.first_unsupported) {
            (Some(supported), _) => Ok(supported),
            (None, None) => Ok(ResponseType::Samples),
            (None, Some(number)) => Err(ReadError::BadRequest(format!(
                "no accepted response type is supported, the first is {number}; supported are 0 (SAMPLES) and 1 \
                 (STREAMED_XOR_CHUNKS)"
            ))),
        }
    }
}

/// A query as it was sent.
#[derive(Default)]
struct SentQuery {
    from: i64,
    to: i64,
    matchers: Vec<Matcher>,
    hints: Hints,
}

/// What of the hints is of use: the others are about what the client will do with the samples.
#[derive(Default)]
struct Hints {
    from: i64,
    to: i64,
    is_series: bool,
}

fn query(body: &[u8], range: Range<usize>, matchers_left: &mut usize) -> Result<SentQuery, ReadError> {
    let mut message = Message::within(body, range);
    let mut query = SentQuery::default();
    loop {
        let at = message.clone();
        match message.next("field of a query").map_err(corrupt)? {
            None => return Ok(query),
            Some((1, Field::Varint(value))) => query.from = value as i64,
            Some((2, Field::Varint(value))) => query.to = value as i64,
            Some((3, Field::Range(range))) => {
                *matchers_left = matchers_left.checked_sub(1).ok_or_else(|| {
                    ReadError::BadRequest(format!("the request has more than {MATCHERS_MAX} matchers"))
                })?;
                query.matchers.push(matcher(body, range)?);
            }
            Some((4, Field::Range(range))) => hints(body, range, &mut query.hints).map_err(corrupt)?,
            Some((1..=4, _)) => return Err(corrupt(at.corrupt("field of a query"))),
            Some(_) => {}
        }
    }
}

fn matcher(body: &[u8], range: Range<usize>) -> Result<Matcher, ReadError> {
    let mut message = Message::within(body, range);
    let (mut kind, mut name, mut value) = (0, "", "");
    loop {
        let at = message.clone();
        match message.next("field of a matcher").map_err(corrupt)? {
            None => break,
            Some((1, Field::Varint(number))) => kind = number,
            Some((2, Field::Range(range))) => {
                name = text_at(body, range, "matcher's name that is not UTF-8").map_err(corrupt)?;
            }
            Some((3, Field::Range(range))) => {
                value = text_at(body, range, "matcher's value that is not UTF-8").map_err(corrupt)?;
            }
            Some((1..=3, _)) => return Err(corrupt(at.corrupt("field of a matcher"))),
            Some(_) => {}
        }
    }
    let op = match kind {
        0 => MatchOp::Equal,
        1 => MatchOp::NotEqual,
        2 => MatchOp::Regex,
        3 => MatchOp::NotRegex,
        _ => {
            let text = format!("matcher of label {name:?} has the unknown type {kind}");
            return Err(ReadError::BadRequest(text));
        }
    };
    Ok(Matcher::new(name, op, value))
}

fn hints(body: &[u8], range: Range<usize>, hints: &mut Hints) -> Result<(), Corrupt> {
    let mut message = Message::within(body, range);
    while let Some((number, field)) = message.next("field of hints")? {
        match (number, field) {
            (2, Field::Range(range)) => hints.is_series = body.get(range) == Some(FUNC_SERIES),
            (3, Field::Varint(value)) => hints.from = value as i64,
            (4, Field::Varint(value)) => hints.to = value as i64,
            _ => {}
        }
    }
    Ok(())
}

impl SentQuery {
    /// A condition that an external label meets is met by every series that lacks the label, since it is added to them.
    fn finish(mut self, number: usize, external_labels: &Labels) -> Result<Query, ReadError> {
        for matcher in &mut self.matchers {
            if matcher.op == MatchOp::Equal && external_labels.get(&matcher.name) == Some(&matcher.value) {
                matcher.value.clear();
            }
        }
        LabelMatcher::compile_all(&self.matchers)
            .map_err(|error| ReadError::BadRequest(format!("query {number}: {error}")))?;
        let (from, to) = self.range();
        Ok(Query {
            from,
            to,
            wants_samples: !self.hints.is_series,
            matchers: self.matchers,
        })
    }

    /// The hints narrow the range to what the selector needs, as Prometheus' own storage does. They never widen it, and hints
    /// that leave nothing of it are not believed.
    fn range(&self) -> (i64, i64) {
        let whole = (self.from, self.to);
        let hints = &self.hints;
        if (hints.from, hints.to) == (0, 0) || hints.from > hints.to {
            return whole;
        }
        let narrowed = (self.from.max(hints.from), self.to.min(hints.to));
        if narrowed.0 <= narrowed.1 { narrowed } else { whole }
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::prometheus as wire;
    use super::*;
    use crate::labels;
    use prost::Message as _;

    fn sent(start: i64, end: i64, matchers: &[(i32, &str, &str)]) -> wire::Query {
        let matchers = matchers.iter().map(|(kind, name, value)| wire::LabelMatcher {
            r#type: *kind,
            name: (*name).into(),
            value: (*value).into(),
        });
        wire::Query {
            start_timestamp_ms: start,
            end_timestamp_ms: end,
            matchers: matchers.collect(),
            hints: None,
        }
    }

    fn understood(queries: Vec<wire::Query>, accepted: &[i32]) -> Result<ReadRequest, ReadError> {
        let message = wire::ReadRequest {
            queries,
            accepted_response_types: accepted.to_vec(),
        };
        let options = ReadOptions {
            external_labels: labels! { "region" => "eu" },
            ..ReadOptions::default()
        };
        ReadRequest::from_message(&message.encode_to_vec(), &options)
    }

    fn refused(queries: Vec<wire::Query>, accepted: &[i32]) -> String {
        let error = understood(queries, accepted).unwrap_err();
        assert!(error.is_clients());
        error.to_string()
    }

    #[test]
    fn the_first_supported_response_type_wins() {
        let chosen = |accepted: &[i32]| understood(vec![], accepted).unwrap().response_type();
        assert_eq!(chosen(&[]), ResponseType::Samples);
        assert_eq!(chosen(&[0]), ResponseType::Samples);
        assert_eq!(chosen(&[1, 0]), ResponseType::StreamedXorChunks);
        assert_eq!(chosen(&[0, 1]), ResponseType::Samples);
        assert_eq!(chosen(&[7, -1, 1]), ResponseType::StreamedXorChunks);
        assert!(refused(vec![], &[2, 3]).contains("supported are 0 (SAMPLES) and 1"));
    }

    #[test]
    fn queries_keep_their_order_ranges_and_matchers() {
        let all = [(0, "a", "1"), (1, "b", ""), (2, "c", "x|y"), (3, "d", ".+")];
        let request = understood(vec![sent(-5, 70, &all), sent(9, 3, &[])], &[1]).unwrap();
        let [first, second] = &*request.queries else {
            panic!("two queries");
        };
        assert_eq!((first.from, first.to, first.wants_samples), (-5, 70, true));
        let expected = [
            Matcher::eq("a", "1"),
            Matcher::ne("b", ""),
            Matcher::re("c", "x|y"),
            Matcher::not_re("d", ".+"),
        ];
        assert_eq!(first.matchers, expected);
        assert_eq!((second.from, second.to, second.matchers.len()), (9, 3, 0));
    }

    #[test]
    fn hints_narrow_the_range_and_do_no_more() {
        let range = |start, end, hint_start, hint_end| {
            let mut query = sent(start, end, &[]);
            query.hints = Some(wire::ReadHints {
                start_ms: hint_start,
                end_ms: hint_end,
                step_ms: 60_000,
                func: "max_over_time".into(),
                grouping: vec!["a".into()],
                by: true,
                range_ms: 5,
            });
            let request = understood(vec![query], &[]).unwrap();
            assert!(request.queries[0].wants_samples);
            (request.queries[0].from, request.queries[0].to)
        };
        assert_eq!(range(10, 100, 20, 90), (20, 90));
        assert_eq!(range(10, 100, 0, 200), (10, 100), "never wider");
        assert_eq!(range(10, 100, 0, 0), (10, 100), "not set");
        assert_eq!(range(10, 100, 90, 20), (10, 100), "no range");
        assert_eq!(range(10, 100, 200, 300), (10, 100), "of something else");
        assert_eq!(range(-100, 100, -20, 0), (-20, 0), "before 1970");
    }

    #[test]
    fn external_labels_are_met_by_those_who_lack_them() {
        let asked = [
            (0, "region", "eu"),
            (0, "region", "us"),
            (1, "region", "eu"),
            (2, "region", "eu"),
        ];
        let request = understood(vec![sent(0, 1, &asked)], &[]).unwrap();
        let expected = [
            Matcher::eq("region", ""),
            Matcher::eq("region", "us"),
            Matcher::ne("region", "eu"),
            Matcher::re("region", "eu"),
        ];
        assert_eq!(request.queries[0].matchers, expected);
    }

    #[test]
    fn refusals_say_what_is_wrong() {
        let text = refused(vec![sent(0, 1, &[]), sent(0, 1, &[(2, "job", "a(")])], &[]);
        assert!(text.starts_with("query 1: ") && text.contains("a("), "{text}");
        let text = refused(vec![sent(0, 1, &[(4, "job", "a")])], &[]);
        assert_eq!(text, "matcher of label \"job\" has the unknown type 4");
        let many = vec![(0, "a", "b"); MATCHERS_MAX + 1];
        assert!(refused(vec![sent(0, 1, &many)], &[]).contains("1024 matchers"));
        assert!(understood(vec![sent(0, 1, &[]); QUERIES_MAX], &[]).is_ok());
        assert!(refused(vec![sent(0, 1, &[]); QUERIES_MAX + 1], &[]).contains("256 queries"));
    }

    #[test]
    fn broken_bodies_are_refused_with_a_place() {
        let options = ReadOptions::default();
        let text = |block: &[u8]| ReadRequest::decode(block, &options).unwrap_err().to_string();
        let compressed = |body: &[u8]| snap::raw::Encoder::new().compress_vec(body).unwrap();
        assert!(text(b"").contains("snappy"));
        assert!(text(&[0xff, 0xff, 0xff, 0xff, 0x0f]).contains("allowed are 33554432"));
        assert_eq!(
            text(&compressed(&[0x0a, 5, 1])),
            "the body is no such protobuf message: field of a read request at byte 1"
        );
        assert!(text(&compressed(&[0x08, 1])).contains("query at byte 0"));
        assert!(text(&compressed(&[0x0a, 6, 0x1a, 4, 0x12, 2, 0xff, 0xfe])).contains("not UTF-8 at byte 6"));
    }
}

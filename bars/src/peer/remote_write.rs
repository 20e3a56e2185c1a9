//! Encodes a batch as a Prometheus remote write 1.0 body: a protobuf message in one raw snappy block.
//!
//! Only the fields that are sent are written: WriteRequest.timeseries (1); TimeSeries.labels (1), .samples (2),
//! .exemplars (3), .histograms (4); Exemplar.labels (1), .value (2), .timestamp (3); and of a histogram those of integer counts with positive buckets.

use crate::adapter::Point;
use narthex::{Counts, Exemplar, Histogram, Labels, Span};

pub const HEADERS: &str = "Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n\
                           X-Prometheus-Remote-Write-Version: 0.1.0\r\n";
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;

/// The message being written. Buffers are kept from batch to batch.
#[derive(Default)]
pub struct Request {
    message: Vec<u8>,
    series: Vec<u8>,
    part: Vec<u8>,
}

impl Request {
    /// Adds one sample of one series.
    pub fn push(&mut self, labels: &Labels, timestamp_ms: i64, point: Point<'_>) {
        self.push_with(labels, timestamp_ms, point, None);
    }

    /// Adds one sample of one series, and maybe an exemplar.
    pub fn push_with(
        &mut self,
        labels: &Labels,
        timestamp_ms: i64,
        point: Point<'_>,
        exemplar: Option<&Exemplar>,
    ) {
        self.series.clear();
        for (name, value) in labels {
            label(&mut self.series, &mut self.part, name, value);
        }
        self.part.clear();
        let field = match point {
            Point::Float(value) => {
                double(&mut self.part, 1, value);
                integer(&mut self.part, 2, timestamp_ms as u64);
                2
            }
            Point::Histogram(value) => {
                histogram(&mut self.part, timestamp_ms, value);
                4
            }
        };
        bytes(&mut self.series, field, &self.part);
        if let Some(exemplar) = exemplar {
            let mut message = Vec::with_capacity(64);
            for (name, value) in &exemplar.labels {
                label(&mut message, &mut self.part, name, value);
            }
            double(&mut message, 2, exemplar.value);
            integer(&mut message, 3, exemplar.timestamp as u64);
            bytes(&mut self.series, 3, &message);
        }
        bytes(&mut self.message, 1, &self.series);
    }

    pub fn is_empty(&self) -> bool {
        self.message.is_empty()
    }

    /// The compressed body; the request is empty afterwards.
    pub fn take_body(&mut self) -> Result<Vec<u8>, snap::Error> {
        snap::raw::Encoder::new().compress_vec(&self.take_message())
    }

    /// The message; the request is empty afterwards.
    pub fn take_message(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.message)
    }
}

/// A label as field 1, put together in `part`.
fn label(out: &mut Vec<u8>, part: &mut Vec<u8>, name: &str, value: &str) {
    part.clear();
    bytes(part, 1, name.as_bytes());
    bytes(part, 2, value.as_bytes());
    bytes(out, 1, part);
}

/// The same in both versions of the protocol.
pub(super) fn histogram(out: &mut Vec<u8>, timestamp_ms: i64, histogram: &Histogram) {
    let Counts::Int {
        count,
        zero_count,
        positive,
        ..
    } = &histogram.counts
    else {
        panic!("BUG: the generators make integer histograms only");
    };
    integer(out, 1, *count);
    double(out, 3, histogram.sum);
    integer(out, 4, zigzag(i64::from(histogram.schema)));
    double(out, 5, histogram.zero_threshold);
    integer(out, 6, *zero_count);
    for span in &histogram.positive_spans {
        bytes(out, 11, &span_bytes(*span));
    }
    let mut deltas = Vec::with_capacity(positive.len() * 2);
    positive
        .iter()
        .for_each(|delta| varint(&mut deltas, zigzag(*delta)));
    bytes(out, 12, &deltas);
    integer(out, 15, timestamp_ms as u64);
}

fn span_bytes(span: Span) -> Vec<u8> {
    let mut out = Vec::new();
    integer(&mut out, 1, zigzag(i64::from(span.offset)));
    integer(&mut out, 2, u64::from(span.length));
    out
}

pub(super) fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

pub(super) fn integer(out: &mut Vec<u8>, field: u64, value: u64) {
    varint(out, field << 3 | VARINT);
    varint(out, value);
}

pub(super) fn double(out: &mut Vec<u8>, field: u64, value: f64) {
    varint(out, field << 3 | FIXED64);
    out.extend(value.to_bits().to_le_bytes());
}

pub(super) fn bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    varint(out, field << 3 | BYTES);
    varint(out, value.len() as u64);
    out.extend(value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use narthex::labels;

    #[test]
    fn a_float_sample_is_the_bytes_of_the_specification() {
        let mut request = Request::default();
        request.push(&labels! { "a" => "b" }, 300, Point::Float(1.0));
        let body = request.take_body().unwrap();
        let message = snap::raw::Decoder::new().decompress_vec(&body).unwrap();
        let label = [0x0a, 6, 0x0a, 1, b'a', 0x12, 1, b'b'];
        let sample = [0x12, 12, 0x09, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0x10, 0xac, 0x02];
        let mut expected = vec![0x0a, (label.len() + sample.len()) as u8];
        expected.extend(label);
        expected.extend(sample);
        assert_eq!(message, expected);
        assert!(request.is_empty());
    }

    #[test]
    fn integers_and_spans_are_zigzag() {
        assert_eq!(
            (zigzag(0), zigzag(-1), zigzag(1), zigzag(i64::MIN)),
            (0, 1, 2, u64::MAX)
        );
        let span = span_bytes(Span {
            offset: -3,
            length: 2,
        });
        assert_eq!(span, [0x08, 5, 0x10, 2]);
    }
}

//! Encodes a batch as a remote write 2.0 body: label texts in a table, series that refer to it, one snappy block.
//!
//! Fields that are written: Request.symbols (4), .timeseries (5); TimeSeries.labels_refs (1), .samples (2), .histograms (3),
//! .exemplars (4), .metadata (5); Exemplar.labels_refs (1), .value (2), .timestamp (3);
//! Sample.value (1), .timestamp (2); Metadata.type (1), .help_ref (3).

use super::remote_write::{bytes, double, histogram, integer, varint};
use crate::adapter::Point;
use narthex::{Exemplar, Labels};
use std::collections::HashMap;

pub const HEADERS: &str = "Content-Type: application/x-protobuf;proto=io.prometheus.write.v2.Request\r\n\
                           Content-Encoding: snappy\r\nX-Prometheus-Remote-Write-Version: 2.0.0\r\n";
/// Types of metadata.
const COUNTER: u64 = 1;
const HISTOGRAM: u64 = 3;

/// The message being written. Buffers are kept from batch to batch.
#[derive(Default)]
pub struct Request {
    symbols: HashMap<String, u64>,
    table: Vec<u8>,
    series: Vec<u8>,
    one: Vec<u8>,
    part: Vec<u8>,
}

impl Request {
    /// Adds one sample of one series, with the metadata that Prometheus sends along.
    pub fn push(&mut self, labels: &Labels, timestamp_ms: i64, value: f64) {
        self.push_with(labels, timestamp_ms, Point::Float(value), None);
    }

    /// The same for a sample of any kind, and maybe with an exemplar.
    pub fn push_with(
        &mut self,
        labels: &Labels,
        timestamp_ms: i64,
        point: Point<'_>,
        exemplar: Option<&Exemplar>,
    ) {
        if self.symbols.is_empty() {
            self.reference("");
        }
        self.one.clear();
        let references = self.references(labels);
        bytes(&mut self.one, 1, &references);
        self.part.clear();
        let kind = match point {
            Point::Float(value) => {
                double(&mut self.part, 1, value);
                integer(&mut self.part, 2, timestamp_ms as u64);
                bytes(&mut self.one, 2, &self.part);
                COUNTER
            }
            Point::Histogram(value) => {
                histogram(&mut self.part, timestamp_ms, value);
                bytes(&mut self.one, 3, &self.part);
                HISTOGRAM
            }
        };
        if let Some(exemplar) = exemplar {
            let references = self.references(&exemplar.labels);
            self.part.clear();
            bytes(&mut self.part, 1, &references);
            double(&mut self.part, 2, exemplar.value);
            integer(&mut self.part, 3, exemplar.timestamp as u64);
            bytes(&mut self.one, 4, &self.part);
        }
        let help = self.reference(labels.metric_name());
        self.part.clear();
        integer(&mut self.part, 1, kind);
        integer(&mut self.part, 3, help);
        bytes(&mut self.one, 5, &self.part);
        bytes(&mut self.series, 5, &self.one);
    }

    fn references(&mut self, labels: &Labels) -> Vec<u8> {
        let mut references = Vec::with_capacity(64);
        for (name, value) in labels {
            varint(&mut references, self.reference(name));
            varint(&mut references, self.reference(value));
        }
        references
    }

    fn reference(&mut self, text: &str) -> u64 {
        if let Some(known) = self.symbols.get(text) {
            return *known;
        }
        let reference = self.symbols.len() as u64;
        self.symbols.insert(text.to_owned(), reference);
        bytes(&mut self.table, 4, text.as_bytes());
        reference
    }

    /// The message; the request is empty afterwards.
    pub fn take_message(&mut self) -> Vec<u8> {
        let mut message = std::mem::take(&mut self.table);
        message.append(&mut self.series);
        self.symbols.clear();
        message
    }
}

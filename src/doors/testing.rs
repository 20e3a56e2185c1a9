//! A sink that remembers, for the tests of readers.

use super::{Fault, Reader, Sink};
use crate::model::labels::{Labels, LabelsRef};
use crate::model::metadata::{Metadata, MetadataRef};

/// What a reader found.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Found {
    pub(crate) lines: usize,
    /// Series as Prometheus prints them, time, bits.
    pub(crate) samples: Vec<(String, Option<i64>, u64)>,
    pub(crate) exemplars: Vec<(String, String, Option<i64>, f64)>,
    pub(crate) metadata: Vec<(String, Metadata)>,
    pub(crate) left_out: usize,
    /// With the number of the line.
    pub(crate) faults: Vec<(usize, Fault)>,
}

impl Sink for Found {
    fn line(&mut self) {
        self.lines += 1;
    }

    fn sample(&mut self, labels: LabelsRef<'_>, time_ms: Option<i64>, value: f64) {
        self.samples.push((shown(labels), time_ms, value.to_bits()));
    }

    fn exemplar(&mut self, labels: LabelsRef<'_>, own: Labels, time_ms: Option<i64>, value: f64) {
        self.exemplars
            .push((shown(labels), own.to_string(), time_ms, value));
    }

    fn metadata(&mut self, metric: &str, metadata: MetadataRef<'_>) {
        self.metadata.push((metric.to_owned(), metadata.to_owned()));
    }

    fn left_out(&mut self) {
        self.left_out += 1;
    }

    fn refuse(&mut self, fault: Fault) {
        self.faults.push((self.lines, fault));
    }
}

fn shown(labels: LabelsRef<'_>) -> String {
    let checked = LabelsRef::check(labels.as_bytes()).expect("canonical labels");
    Labels::from_canonical(checked.as_bytes()).to_string()
}

/// Everything that a reader finds in a text.
pub(crate) fn found(reader: &mut dyn Reader, text: &[u8]) -> Found {
    let mut found = Found::default();
    assert_eq!(super::read(reader, text, true, &mut found), text.len());
    found
}

/// The same when the text comes in pieces of so many bytes.
pub(crate) fn found_in_pieces(reader: &mut dyn Reader, text: &[u8], bytes: usize) -> Found {
    let (mut found, mut held) = (Found::default(), Vec::new());
    for piece in text.chunks(bytes) {
        held.extend_from_slice(piece);
        let read = super::read(reader, &held, false, &mut found);
        held.drain(..read);
    }
    super::read(reader, &held, true, &mut found);
    found
}

/// The samples as lines, for short tests.
pub(crate) fn samples(found: &Found) -> Vec<String> {
    let samples = found.samples.iter();
    let shown = samples.map(|(labels, time_ms, bits)| {
        let time = time_ms.map_or("-".to_owned(), |time| time.to_string());
        format!("{labels} {} {time}", f64::from_bits(*bits))
    });
    shown.collect()
}

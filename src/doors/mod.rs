//! Other systems' text formats, in and out, without HTTP: one file per format.
//!
//! A reader gets one line after the other and puts samples into a sink, or says what is wrong with the line. Its memory is used
//! again for each line, and what it gives away is borrowed from it. A writer appends the samples of a series to a buffer.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

pub(crate) mod csv;
pub(crate) mod graphite;
pub(crate) mod influx;
pub(crate) mod json_lines;
mod line_labels;
pub(crate) mod number;
pub(crate) mod prometheus;
mod quotes;
mod words;

use self::line_labels::LabelFault;
use crate::model::labels::{Labels, LabelsRef};
use crate::model::metadata::MetadataRef;

/// What the labels of all samples of a line may come to: a short line can say long labels many times.
const SERIES_BYTES_MAX: usize = 16 << 20;

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// A name for programs.
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    /// What would be right.
    pub(crate) hint: &'static str,
}

impl Fault {
    pub(crate) fn new(reason: &'static str, message: impl Into<String>, hint: &'static str) -> Self {
        Self {
            reason,
            message: message.into(),
            hint,
        }
    }
}

impl From<LabelFault> for Fault {
    fn from(fault: LabelFault) -> Self {
        let hint = "a series has a name, and each of its labels stands once and has a name";
        Self::new("bad_labels", fault.0, hint)
    }
}

/// What takes the lines that are read.
pub(crate) trait Sink {
    /// The next line begins.
    fn line(&mut self);

    /// A float of a series. Without a time it is of when the request says, or of now.
    fn sample(&mut self, labels: LabelsRef<'_>, time_ms: Option<i64>, value: f64);

    /// An exemplar of a series; without a time it is of when its sample is.
    fn exemplar(&mut self, labels: LabelsRef<'_>, own: Labels, time_ms: Option<i64>, value: f64);

    /// What is said of a metric.
    fn metadata(&mut self, metric: &str, metadata: MetadataRef<'_>);

    /// A value that is none of a sample, as a text.
    fn left_out(&mut self);

    /// The line is none of the format.
    fn refuse(&mut self, fault: Fault);
}

/// Reads a format line by line.
pub(crate) trait Reader {
    /// Where the line ends that `text` begins with: the place of its last byte, a line feed. `None` while it is not there, which is
    /// asked again when there is more text unless `is_end`.
    fn line_end(&self, text: &[u8], _is_end: bool) -> Option<usize> {
        memchr::memchr(b'\n', text)
    }

    /// Reads a line without its end.
    fn line(&mut self, line: &str, sink: &mut dyn Sink) -> Result<(), Fault>;

    /// There are no more lines.
    fn end(&mut self, _sink: &mut dyn Sink) {}
}

/// Reads the lines of a text that are complete, and at the end of all text what is left. Returns how many bytes were read.
pub(crate) fn read(reader: &mut dyn Reader, text: &[u8], is_end: bool, sink: &mut dyn Sink) -> usize {
    let mut read = 0;
    loop {
        let rest = text.get(read..).unwrap_or_default();
        let (line, bytes) = match reader.line_end(rest, is_end) {
            Some(end) => (rest.get(..end).unwrap_or_default(), end + 1),
            None if is_end && !rest.is_empty() => (rest, rest.len()),
            None => break,
        };
        sink.line();
        let judged = match std::str::from_utf8(line) {
            Ok(line) => reader.line(line.strip_suffix('\r').unwrap_or(line), sink),
            Err(fault) => Err(Fault::new(
                "bad_encoding",
                format!("byte {} of the line is not UTF-8", fault.valid_up_to() + 1),
                "send text in UTF-8",
            )),
        };
        if let Err(fault) = judged {
            sink.refuse(fault);
        }
        // Line feeds in quotes, so that those behind are counted as in an editor.
        memchr::memchr_iter(b'\n', line).for_each(|_| sink.line());
        read += bytes;
    }
    if is_end {
        reader.end(sink);
    }
    read
}

#[cfg(test)]
pub(crate) mod testing;

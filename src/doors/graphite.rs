//! Graphite's plaintext: `servers.a.cpu;dc=eu 1.5 1700000000`, a path with tags, a value, and seconds since 1970.

use super::line_labels::LineLabels;
use super::number::{float, seconds_ms};
use super::words::Words;
use super::{Fault, Reader, Sink};
use crate::model::labels::METRIC_NAME;

const HINT: &str = "send path;tag=value 1.5 1700000000";

/// Reads plaintext.
#[derive(Debug, Default)]
pub(crate) struct Graphite {
    labels: LineLabels,
}

impl Reader for Graphite {
    fn line(&mut self, line: &str, sink: &mut dyn Sink) -> Result<(), Fault> {
        let bad = |message: String| Fault::new("bad_line", message, HINT);
        let mut words = Words::new(line.trim_matches([' ', '\t']));
        if words.is_empty() {
            return Ok(());
        }
        let [path, value, time] = [words.word(), words.word(), words.word()];
        words.skip_blanks();
        if !words.is_empty() {
            return Err(bad(format!("{:?} stands behind the time", words.rest)));
        }
        self.labels.clear();
        let mut parts = path.split(';');
        self.labels.push(METRIC_NAME, parts.next().unwrap_or(""));
        for part in parts {
            let Some((name, value)) = part.split_once('=') else {
                return Err(bad(format!("the tag {part:?} has no value")));
            };
            self.labels.push(name, value);
        }
        let value = float(value).ok_or_else(|| bad(format!("the value is no number: {value:?}")))?;
        let time_ms = match time {
            // What clients send who have no time.
            "" | "-1" | "N" => None,
            time => Some(seconds_ms(time).ok_or_else(|| bad(format!("the time is none: {time:?}")))?),
        };
        sink.sample(self.labels.series()?, time_ms, value);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doors::testing::{found, samples};
    use proptest::prelude::*;

    #[test]
    fn lines_are_read() {
        let text = b"a.b;dc=eu;host=x=y 1.5 1700000000\r\n\n a\t2 1700000000.25\nb 3\nc 4 -1\nd nan 5";
        let found = found(&mut Graphite::default(), text);
        assert_eq!(found.faults, []);
        let wanted = [
            "a.b{dc=\"eu\", host=\"x=y\"} 1.5 1700000000000",
            "a 2 1700000000250",
            "b 3 -",
            "c 4 -",
            "d NaN 5000",
        ];
        assert_eq!(samples(&found), wanted);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, wanted) in [
            ("a", "the value is no number"),
            ("a b 5", "the value is no number: \"b\""),
            ("a 1 soon", "the time is none: \"soon\""),
            ("a 1 2 3", "stands behind the time"),
            ("a;b 1 2", "the tag \"b\" has no value"),
            (";b=c 1 2", "the series has no name"),
            ("a;b=1;b=2 1 2", "stands twice"),
        ] {
            let found = found(&mut Graphite::default(), line.as_bytes());
            assert_eq!(found.samples.len(), 0, "{line}");
            assert!(
                found.faults[0].1.message.contains(wanted),
                "{line}: {:?}",
                found.faults
            );
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(text in "[a-z0-9;= .\n-]{0,40}", bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            found(&mut Graphite::default(), text.as_bytes());
            found(&mut Graphite::default(), &bytes);
        }
    }
}

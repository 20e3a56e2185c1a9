//! The page for people beside a segment, as JSON. Nothing reads it back.

use super::meta::{SegmentMeta, ulid_text};
use crate::model::labels::Labels;
use std::fmt::Write;

/// The text of the page.
pub(crate) fn text(meta: &SegmentMeta, unit: &str, file_bytes: u64) -> String {
    let mut out = String::from("{\n");
    let samples = meta.floats + meta.histograms;
    let per_sample = if samples == 0 {
        0.0
    } else {
        file_bytes as f64 / samples as f64
    };
    let mut field = |name: &str, value: String| {
        let comma = if out.len() > 2 { ",\n" } else { "" };
        write!(out, "{comma}  \"{name}\": {value}").expect("BUG: writing to a string failed");
    };
    field("ulid", format!("\"{}\"", ulid_text(meta.ulid)));
    field("level", meta.level.to_string());
    field("timeUnit", format!("\"{unit}\""));
    field("minTs", meta.time_min.to_string());
    field("maxTs", meta.time_max.to_string());
    field("firstLsn", meta.lsn_first.to_string());
    field("lastLsn", meta.lsn_last.to_string());
    field("seriesCount", meta.series.to_string());
    field("dataPointsCount", samples.to_string());
    field("histogramCount", meta.histograms.to_string());
    field("exemplarCount", meta.exemplars.to_string());
    field("fileBytes", file_bytes.to_string());
    field("bytesPerDataPoint", format!("{per_sample:.4}"));
    field("createdMs", meta.created_ms.to_string());
    field("externalLabels", object(&meta.external_labels));
    out.push_str("\n}\n");
    out
}

fn object(labels: &Labels) -> String {
    let pairs: Vec<String> = labels
        .iter()
        .map(|(name, value)| format!("{}: {}", quoted(name), quoted(value)))
        .collect();
    format!("{{{}}}", pairs.join(", "))
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for char in text.chars() {
        match char {
            '"' | '\\' => out.extend(['\\', char]),
            char if u32::from(char) < 0x20 => {
                write!(out, "\\u{:04x}", u32::from(char)).expect("BUG: writing to a string failed");
            }
            char => out.push(char),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped() {
        assert_eq!(quoted("a\"b\\c\n"), r#""a\"b\\c\u000a""#);
        let meta = SegmentMeta {
            external_labels: crate::labels! { "a" => "b" },
            ..SegmentMeta::default()
        };
        assert!(text(&meta, "ms", 10).contains(r#""externalLabels": {"a": "b"}"#));
    }
}

//! The page of `/federate`: which format the scraper asked for, and samples in it.
//!
//! Prometheus' text format 0.0.4, or OpenMetrics 1.0 for who prefers it; names that are not plain in the scheme that was asked for.

use super::names::{Escaping, is_plain};
use super::query_json;
use crate::base::go_text::{float_g, float_open_metrics};
use crate::doors::prometheus::quote;
use crate::model::labels::{Labels, METRIC_NAME};
use axum::http::{HeaderMap, header};

/// The label that a scraper sets unless the page has it, if only empty.
const INSTANCE: &str = "instance";

/// What a scraper asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Format {
    is_open_metrics: bool,
    escaping: Escaping,
}

impl Format {
    /// Of what a scraper accepts, that which it likes most and that there is.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let accepted = headers
            .get(header::ACCEPT)
            .and_then(|accept| accept.to_str().ok());
        let mut ranges: Vec<Range<'_>> = accepted.unwrap_or("").split(',').map(Range::of).collect();
        ranges.sort_by(|one, other| other.weight.total_cmp(&one.weight));
        let mut format = Self {
            is_open_metrics: false,
            escaping: Escaping::Underscores,
        };
        for range in &ranges {
            format.escaping = range.escaping.unwrap_or(format.escaping);
            match (range.kind, range.version) {
                ("application/openmetrics-text", "1.0.0") => {
                    format.is_open_metrics = true;
                    break;
                }
                ("text/plain", "" | "0.0.4") => break,
                _ => {}
            }
        }
        format
    }

    pub(super) fn content_type(self) -> &'static str {
        match (self.is_open_metrics, self.escaping) {
            (false, Escaping::Utf8) => "text/plain; version=0.0.4; charset=utf-8; escaping=allow-utf-8",
            (false, Escaping::Underscores) => {
                "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"
            }
            (false, Escaping::Dots) => "text/plain; version=0.0.4; charset=utf-8; escaping=dots",
            (false, Escaping::Values) => "text/plain; version=0.0.4; charset=utf-8; escaping=values",
            (true, Escaping::Utf8) => {
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8"
            }
            (true, Escaping::Underscores) => {
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"
            }
            (true, Escaping::Dots) => {
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=dots"
            }
            (true, Escaping::Values) => {
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=values"
            }
        }
    }
}

/// One of the things that a header accepts.
struct Range<'h> {
    kind: &'h str,
    version: &'h str,
    escaping: Option<Escaping>,
    weight: f64,
}

impl<'h> Range<'h> {
    fn of(text: &'h str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let mut range = Self {
            kind: parts.next().unwrap_or(""),
            version: "",
            escaping: None,
            weight: 1.0,
        };
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            let value = value.trim().trim_matches('"');
            match name.trim() {
                "version" => range.version = value,
                "escaping" => range.escaping = Escaping::named(value),
                "q" => range.weight = value.parse().unwrap_or(1.0),
                _ => {}
            }
        }
        range
    }
}

/// Writes samples, those of one metric after each other.
pub(super) struct PageWriter<'l> {
    format: Format,
    /// External labels in order of name, `instance` among them.
    external: Vec<(&'l str, &'l str)>,
    metric: String,
}

impl<'l> PageWriter<'l> {
    pub(super) fn new(format: Format, external: &'l Labels) -> Self {
        let mut external: Vec<_> = external.iter().collect();
        if let Err(place) = external.binary_search_by_key(&INSTANCE, |pair| pair.0) {
            external.insert(place, (INSTANCE, ""));
        }
        Self {
            format,
            external,
            metric: String::new(),
        }
    }

    pub(super) fn sample(&mut self, out: &mut Vec<u8>, labels: &Labels, value: f64, timestamp_ms: i64) {
        let name = labels.metric_name();
        if name != self.metric {
            name.clone_into(&mut self.metric);
            out.extend_from_slice(b"# TYPE ");
            push_name(out, &self.format.escaping.escape(name));
            let kind: &[u8] = match self.format.is_open_metrics {
                true => b" unknown\n",
                false => b" untyped\n",
            };
            out.extend_from_slice(kind);
        }
        let name = self.format.escaping.escape(name);
        let is_plain = is_plain(&name);
        if is_plain {
            out.extend_from_slice(name.as_bytes());
            out.push(b'{');
        } else {
            out.push(b'{');
            push_name(out, &name);
        }
        let own = labels.iter().filter(|pair| pair.0 != METRIC_NAME);
        let lacks = |pair: &&(&str, &str)| labels.get(pair.0).is_none();
        let added = self.external.iter().filter(lacks).copied();
        for (place, (name, value)) in own.chain(added).enumerate() {
            if place > 0 || !is_plain {
                out.push(b',');
            }
            push_name(out, &self.format.escaping.escape(name));
            out.push(b'=');
            quote(out, value);
        }
        out.extend_from_slice(b"} ");
        if self.format.is_open_metrics {
            out.extend_from_slice(float_open_metrics(value).as_bytes());
            out.push(b' ');
            query_json::time(out, timestamp_ms);
        } else {
            out.extend_from_slice(float_g(value).as_bytes());
            out.push(b' ');
            out.extend_from_slice(timestamp_ms.to_string().as_bytes());
        }
        out.push(b'\n');
    }

    pub(super) fn end(self, out: &mut Vec<u8>) {
        if self.format.is_open_metrics {
            out.extend_from_slice(b"# EOF\n");
        }
    }
}

fn push_name(out: &mut Vec<u8>, name: &str) {
    match is_plain(name) {
        true => out.extend_from_slice(name.as_bytes()),
        false => quote(out, name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn accepted(accept: &'static str) -> Format {
        Format::of(&HeaderMap::from_iter([(
            header::ACCEPT,
            HeaderValue::from_static(accept),
        )]))
    }

    #[test]
    fn scrapers_get_what_they_like_most() {
        let format = |is_open_metrics, escaping| Format {
            is_open_metrics,
            escaping,
        };
        let prometheus = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
                          application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                          application/openmetrics-text;version=0.0.1;q=0.4,\
                          text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        for (accept, wanted) in [
            ("", format(false, Escaping::Underscores)),
            ("*/*", format(false, Escaping::Underscores)),
            ("text/html, text/plain", format(false, Escaping::Underscores)),
            (
                "text/plain;version=0.0.4;escaping=dots",
                format(false, Escaping::Dots),
            ),
            (
                "text/plain; q=0.5, application/openmetrics-text; version=1.0.0; escaping=values; q=0.4",
                format(false, Escaping::Underscores),
            ),
            (
                "text/plain; escaping=nothing; q=0.3, application/openmetrics-text; version=\"1.0.0\"",
                format(true, Escaping::Underscores),
            ),
            (prometheus, format(true, Escaping::Utf8)),
            (
                "text/plain;q=nan,a/b;q=-nan,c/d;q=inf,;;=,q=,\"",
                format(false, Escaping::Underscores),
            ),
        ] {
            assert_eq!(accepted(accept), wanted, "{accept}");
        }
        assert_eq!(Format::of(&HeaderMap::new()), accepted(""));
    }

    fn page(accept: &'static str) -> String {
        let external = crate::labels! { "region" => "eu" };
        let mut page = PageWriter::new(accepted(accept), &external);
        let mut out = Vec::new();
        for (labels, value) in [
            (
                crate::labels! { "__name__" => "a.b", "x y" => "q\"\\\n", "region" => "us" },
                1.5e300,
            ),
            (crate::labels! { "__name__" => "up", "instance" => "x:1" }, 0.0),
            (crate::labels! { "__name__" => "up" }, f64::INFINITY),
        ] {
            page.sample(&mut out, &labels, value, 1_700_000_000_050);
        }
        page.end(&mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn samples_are_written_as_prometheus_does() {
        assert_eq!(
            page("text/plain; escaping=allow-utf-8"),
            "# TYPE \"a.b\" untyped\n\
             {\"a.b\",region=\"us\",\"x y\"=\"q\\\"\\\\\\n\",instance=\"\"} 1.5e+300 1700000000050\n\
             # TYPE up untyped\n\
             up{instance=\"x:1\",region=\"eu\"} 0 1700000000050\n\
             up{instance=\"\",region=\"eu\"} +Inf 1700000000050\n"
        );
        assert_eq!(
            page("application/openmetrics-text; version=1.0.0"),
            "# TYPE a_b unknown\n\
             a_b{region=\"us\",x_y=\"q\\\"\\\\\\n\",instance=\"\"} 1.5e+300 1700000000.050\n\
             # TYPE up unknown\n\
             up{instance=\"x:1\",region=\"eu\"} 0.0 1700000000.050\n\
             up{instance=\"\",region=\"eu\"} +Inf 1700000000.050\n\
             # EOF\n"
        );
    }
}

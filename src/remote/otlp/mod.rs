//! OpenTelemetry's metrics as they are pushed by OTLP over HTTP, translated as Prometheus' own endpoint does it.
//!
//! `decode` and `json` walk over a request in one of its two encodings and show its parts, a point at a time, to the translator:
//! `names` and `labels` say which series a point belongs to, `histogram` what a native histogram looks like, `delta` adds up what
//! counts from the point before. docs/otlp.md has the rules for users.

mod decode;
pub(crate) mod delta;
mod histogram;
mod json;
mod labels;
mod message;
mod names;
pub(crate) mod translate;

#[cfg(test)]
mod tests;

use self::delta::Adding;
use self::translate::{Sink, Translator};
use crate::model::otlp_options::Options;

/// How a request is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Protobuf,
    Json,
}

/// Gives the samples of a request to `sink`, but for those later than `time_ms_max`, and says what is wrong where the request cannot be read any further.
pub(crate) fn read(
    encoding: Encoding,
    body: &[u8],
    options: &Options,
    time_ms_max: i64,
    deltas: &mut Adding<'_>,
    sink: &mut impl Sink,
) -> Result<(), String> {
    let mut translator = Translator::new(options, time_ms_max, deltas, sink);
    match encoding {
        Encoding::Protobuf => decode::walk(body, &mut translator).map_err(|fault| {
            format!(
                "the body is no ExportMetricsServiceRequest: {} at byte {}",
                fault.what, fault.offset
            )
        }),
        Encoding::Json => json::walk(body, &mut translator)
            .map_err(|fault| format!("the body is no ExportMetricsServiceRequest: {fault}")),
    }
}

//! The bodies of Prometheus' remote protocols, in and out, and of OpenTelemetry's metrics, without HTTP.
//!
//! A request is walked where it lies: `proto` reads fields from its bytes, `write_v1` and `write_v2` find samples in them
//! and stage them by a key of the label text, so that the labels of a series that is known are never decoded.
//!
//! Reading goes the other way: `read_request` says what is asked for, `read` answers it as one message and `read_chunked` as a
//! stream of frames, both written field by field by `proto_write`.

pub(crate) mod ha;
pub(crate) mod histogram;
pub(crate) mod intake;
pub(crate) mod journal;
pub(crate) mod labels;
mod md5;
pub(crate) mod otlp;
pub(crate) mod outcome;
pub(crate) mod proto;
pub(crate) mod proto_write;
pub(crate) mod quota;
pub(crate) mod read;
pub(crate) mod read_chunked;
pub(crate) mod read_request;
pub(crate) mod relabel;
pub(crate) mod snappy;
pub(crate) mod wire;
pub(crate) mod write;
pub(crate) mod write_v1;
pub(crate) mod write_v2;

#[cfg(test)]
mod tests;

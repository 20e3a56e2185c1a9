//! The decoders of bytes from disk and network, one function each, for fuzzers. Not part of the public interface.
//!
//! Every function takes any bytes at all and must return: no panic, no endless loop, no allocation beyond what the
//! length of the input explains. What the bytes mean does not matter. [`TARGETS`] names the functions with valid inputs
//! to start from; `fuzz/` runs them under libFuzzer, and a test here runs them on some hundred mutations of each.

mod blocks;
mod decoders;
mod files;
#[cfg(feature = "server")]
mod lines;
mod queries;
#[cfg(feature = "server")]
mod requests;
mod seeds;

#[cfg(test)]
mod tests;

pub use blocks::{block_index, block_meta, block_series, block_tombstones, log_pages, log_record};
pub use decoders::{
    batch_payload, column_group, histogram_chunk, histogram_column, index_sections, matcher, series_state,
    sketch, time_columns, xor_chunk,
};
pub use files::{backup_list, checkpoint, manifest, replay, segment, wal};
#[cfg(feature = "server")]
pub use lines::lines;
pub use queries::{query, series_description};
#[cfg(feature = "server")]
pub use requests::{otlp, read_request, write_v1, write_v2};

/// A decoder and valid inputs of it.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The name of the function and of the file in `fuzz/fuzz_targets`.
    pub name: &'static str,
    /// The function.
    pub run: fn(&[u8]),
    /// Valid inputs.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// Every decoder.
pub const TARGETS: &[Target] = &[
    target("backup_list", backup_list, seeds::backup_list),
    target("batch_payload", batch_payload, seeds::batch_payload),
    target("block_index", block_index, blocks::indexes),
    target("block_meta", block_meta, blocks::metas),
    target("block_series", block_series, blocks::series),
    target("block_tombstones", block_tombstones, blocks::tombstones),
    target("checkpoint", checkpoint, seeds::checkpoint),
    target("column_group", column_group, seeds::column_group),
    target("histogram_chunk", histogram_chunk, seeds::histogram_chunk),
    target("histogram_column", histogram_column, seeds::histogram_column),
    target("index_sections", index_sections, seeds::index_sections),
    #[cfg(feature = "server")]
    target("lines", lines, lines::texts),
    target("log_pages", log_pages, blocks::logs),
    target("log_record", log_record, blocks::records),
    target("manifest", manifest, seeds::manifest),
    target("matcher", matcher, seeds::matcher),
    #[cfg(feature = "server")]
    target("otlp", otlp, requests::otlp_requests),
    target("query", query, queries::queries),
    #[cfg(feature = "server")]
    target("read_request", read_request, requests::read_requests),
    target("replay", replay, seeds::replay),
    target("segment", segment, seeds::segment),
    target(
        "series_description",
        series_description,
        queries::series_descriptions,
    ),
    target("series_state", series_state, seeds::series_state),
    target("sketch", sketch, seeds::sketch),
    target("time_columns", time_columns, seeds::time_columns),
    target("wal", wal, seeds::wal),
    #[cfg(feature = "server")]
    target("write_v1", write_v1, requests::writes_v1),
    #[cfg(feature = "server")]
    target("write_v2", write_v2, requests::writes_v2),
    target("xor_chunk", xor_chunk, seeds::xor_chunk),
];

const fn target(name: &'static str, run: fn(&[u8]), seeds: fn() -> Vec<Vec<u8>>) -> Target {
    Target { name, run, seeds }
}

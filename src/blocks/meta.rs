//! `meta.json` of a block, and the ULID that is its name.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::BlockError;
use crate::io::{self, Fs};
use crate::segment::reader::CorruptFile;
use serde_json::{Value, json};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// The file in the folder of a block.
pub(super) const META_NAME: &str = "meta.json";
/// A block's description is a page; what is far longer is none.
const META_BYTES_MAX: u64 = 16 << 20;
/// Crockford's digits.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const ULID_DIGITS: usize = 26;
/// What Prometheus writes of a block that came from samples out of order.
const OUT_OF_ORDER: &str = "from-out-of-order";

/// A name that sorts by time: 48 bits of milliseconds, 80 bits that tell blocks apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Ulid(pub(crate) u128);

impl Ulid {
    /// The one of a moment with these bits, of which the lowest 80 count.
    pub(crate) fn new(time_ms: i64, bits: u128) -> Self {
        let time_ms = u128::from(time_ms.max(0) as u64 & 0xffff_ffff_ffff);
        Self(time_ms << 80 | bits & ((1 << 80) - 1))
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() != ULID_DIGITS {
            return None;
        }
        text.bytes()
            .try_fold(0u128, |number, byte| {
                let digit = DIGITS.iter().position(|digit| *digit == byte)?;
                // 26 digits of 5 bits are 2 bits too many.
                (number >> 123 == 0).then_some(number << 5 | digit as u128)
            })
            .map(Self)
    }
}

impl fmt::Display for Ulid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for place in (0..ULID_DIGITS).rev() {
            let digit = (self.0 >> (place * 5)) as usize & 31;
            let digit = DIGITS.get(digit).copied().unwrap_or(b'0');
            fmt::Write::write_char(f, char::from(digit))?;
        }
        Ok(())
    }
}

/// What a block says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BlockMeta {
    pub(crate) ulid: Ulid,
    /// First millisecond.
    pub(crate) time_min: i64,
    /// The millisecond after the last.
    pub(crate) time_end: i64,
    pub(crate) samples: u64,
    pub(crate) series: u64,
    pub(crate) chunks: u64,
    /// The blocks whose samples are all in this one.
    pub(crate) parents: Vec<Ulid>,
    /// Whether its samples came out of order, so that they may lie in the time of other blocks and of the head.
    pub(crate) is_out_of_order: bool,
}

impl BlockMeta {
    pub(crate) fn read(fs: &dyn Fs, block: &Path) -> Result<Self, BlockError> {
        let path = block.join(META_NAME);
        let fault = |what| CorruptFile {
            file: path.clone(),
            offset: 0,
            what,
        };
        let file = fs.open_read(&path)?;
        let length = file.size()?;
        if length > META_BYTES_MAX {
            return Err(fault("longer than a block's description can be").into());
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        file.read_at(0, &mut bytes)?;
        Ok(Self::decode(&bytes).map_err(fault)?)
    }

    /// The description, or what is wrong with it.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        let json: Value = serde_json::from_slice(bytes).map_err(|_| "not JSON")?;
        let at = |path: &str| json.pointer(path).unwrap_or(&Value::Null);
        if *at("/version") != 1 {
            return Err("not version 1 of a block's description");
        }
        let ulid = |json: &Value| json.as_str().and_then(Ulid::parse);
        let count = |path: &str| at(path).as_u64().unwrap_or(0);
        let list = |path: &str| at(path).as_array().into_iter().flatten();
        let time = |path: &str| at(path).as_i64();
        let (time_min, time_end) = time("/minTime")
            .zip(time("/maxTime"))
            .filter(|(min, end)| min <= end)
            .ok_or("minTime and maxTime are not a range of time")?;
        Ok(Self {
            ulid: ulid(at("/ulid")).ok_or("ulid is none")?,
            time_min,
            time_end,
            samples: count("/stats/numSamples"),
            series: count("/stats/numSeries"),
            chunks: count("/stats/numChunks"),
            parents: list("/compaction/parents")
                .filter_map(|parent| ulid(parent.get("ulid")?))
                .collect(),
            is_out_of_order: list("/compaction/hints").any(|hint| hint == OUT_OF_ORDER),
        })
    }

    /// Writes the file, which makes the folder a block.
    pub(super) fn write(&self, fs: &Arc<dyn Fs>, block: &Path) -> Result<(), BlockError> {
        let ulid = self.ulid.to_string();
        let document = json!({
            "ulid": ulid,
            "minTime": self.time_min,
            "maxTime": self.time_end,
            "stats": {
                "numSamples": self.samples,
                "numSeries": self.series,
                "numChunks": self.chunks,
            },
            "compaction": { "level": 1, "sources": [ulid] },
            "version": 1,
        });
        let mut text = format!("{document:#}");
        text.push('\n');
        io::write_file(fs, &block.join(META_NAME), text.as_bytes())?;
        Ok(())
    }
}

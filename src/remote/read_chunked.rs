//! Remote read: the answer as STREAMED_XOR_CHUNKS, frame by frame.
//!
//! | bytes | meaning |
//! |---|---|
//! | LEB128 | length of the message |
//! | 4 bytes, big-endian | CRC-32C (Castagnoli) of the message |
//! | the message | `ChunkedReadResponse` with one series |
//!
//! A frame is put together in one buffer: the series' labels once, its chunks behind them until the next would not fit, and
//! what stands before them last, when the lengths are known. So an answer takes the memory of a frame and of one
//! series' samples, however large it is.

use super::proto_write as write;
use super::read::{ReadError, ReadOptions, ReadSummary, write_labels};
use super::read_request::ReadRequest;
use crate::base::varint;
use crate::db::Db;
use crate::engine::chunks::{ChunkEncoder, ChunkView};
use crate::engine::series::Series;
use crate::model::labels::Labels;
use std::ops::ControlFlow;

/// Length and checksum of the message, key and length of the series in it.
const PREFIX_MAX: usize = varint::MAX_LEN + 4 + 1 + varint::MAX_LEN;
/// The key of the series in its message.
const SERIES_KEY: u8 = 1 << 3 | 2;

impl ReadRequest {
    /// Answers as STREAMED_XOR_CHUNKS: gives frame by frame to `sink`, which may stop the answer. Series are in label order,
    /// one after the other, each in one or more frames; chunks are in order of time and do not overlap.
    pub fn stream(
        &self,
        db: &Db,
        options: &ReadOptions,
        mut sink: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<ReadSummary, ReadError> {
        let mut summary = ReadSummary::default();
        let mut encoder = ChunkEncoder::default();
        let mut frame = Frame::new(options.frame_bytes_max, &mut sink);
        let mut series = Series::default();
        for (index, query) in self.queries.iter().enumerate() {
            frame.query_index = index as u64;
            let mut cursor = query.select(db)?;
            while query.next(&mut cursor, &mut series)? {
                frame.begin(series.labels(), &options.external_labels);
                encoder.encode(&series, |chunk| frame.push(&chunk))?;
                frame.send()?;
                summary.series += 1;
                summary.samples += series.len();
            }
            summary.add_warnings(cursor.warnings());
        }
        Ok(summary)
    }
}

/// The frame that is put together, and who gets it.
struct Frame<'s> {
    /// Room for what comes before the series, then the series.
    buffer: Vec<u8>,
    /// Where the labels end and the chunks begin.
    labels_end: usize,
    bytes_max: usize,
    query_index: u64,
    sink: &'s mut dyn FnMut(&[u8]) -> ControlFlow<()>,
}

impl<'s> Frame<'s> {
    fn new(bytes_max: usize, sink: &'s mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> Self {
        Self {
            buffer: Vec::new(),
            labels_end: 0,
            bytes_max,
            query_index: 0,
            sink,
        }
    }

    fn begin(&mut self, own: &Labels, external: &Labels) {
        self.buffer.clear();
        self.buffer.resize(PREFIX_MAX, 0);
        write_labels(&mut self.buffer, own, external);
        self.labels_end = self.buffer.len();
    }

    /// Adds a chunk, in a frame of its own if the one at hand would become too large.
    fn push(&mut self, chunk: &ChunkView<'_>) -> Result<(), ReadError> {
        let (from, to) = (chunk.min_time as u64, chunk.max_time as u64);
        let data_bytes = 1 + write::varint_len(chunk.bytes.len() as u64) + chunk.bytes.len();
        let bytes = write::uint_len(1, from) + write::uint_len(2, to) + 2 + data_bytes;
        let field_bytes = 1 + write::varint_len(bytes as u64) + bytes;
        if self.buffer.len() > self.labels_end && self.message_bytes(field_bytes) > self.bytes_max {
            self.send()?;
        }
        self.buffer.push(2 << 3 | 2);
        varint::write_u64(&mut self.buffer, bytes as u64);
        write::uint(&mut self.buffer, 1, from);
        write::uint(&mut self.buffer, 2, to);
        write::uint(&mut self.buffer, 3, chunk.encoding as u64);
        write::bytes(&mut self.buffer, 4, chunk.bytes);
        Ok(())
    }

    /// How long the message is with so much more in its series.
    fn message_bytes(&self, more: usize) -> usize {
        let series = self.buffer.len() - PREFIX_MAX + more;
        1 + write::varint_len(series as u64) + series + write::uint_len(2, self.query_index)
    }

    /// Gives the frame away; the next one is of the same series.
    fn send(&mut self) -> Result<(), ReadError> {
        let series_bytes = (self.buffer.len() - PREFIX_MAX) as u64;
        write::uint(&mut self.buffer, 2, self.query_index);
        let message_at = PREFIX_MAX - 1 - write::varint_len(series_bytes);
        self.put(message_at, |out| {
            out.push(SERIES_KEY);
            varint::write_u64(out, series_bytes);
        });
        let message = &self.buffer[message_at..];
        let (message_bytes, checksum) = (message.len() as u64, crc32c::crc32c(message));
        let frame_at = message_at - 4 - write::varint_len(message_bytes);
        self.put(frame_at, |out| {
            varint::write_u64(out, message_bytes);
            out.extend_from_slice(&checksum.to_be_bytes());
        });
        let flow = (self.sink)(&self.buffer[frame_at..]);
        self.buffer.truncate(self.labels_end);
        match flow {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(ReadError::Stopped),
        }
    }

    /// Writes into the room before the series, from `at` on.
    fn put(&mut self, at: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let mut prefix = Vec::with_capacity(PREFIX_MAX);
        write(&mut prefix);
        self.buffer[at..at + prefix.len()].copy_from_slice(&prefix);
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::prometheus as wire;
    use super::*;
    use crate::chunk::Encoding;
    use crate::labels;
    use proptest::prelude::*;
    use prost::Message as _;

    /// A CRC-32C bit by bit.
    fn checksum(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(u32::MAX, |sum, byte| {
            (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
                sum >> 1 ^ if sum & 1 == 1 { 0x82f6_3b78 } else { 0 }
            })
        })
    }

    /// Takes a frame apart, which must be one and no more.
    fn message(frame: &[u8]) -> (usize, wire::ChunkedReadResponse) {
        let (length, used) = varint::read_u64(frame).unwrap();
        let (sum, message) = frame[used..].split_first_chunk::<4>().unwrap();
        assert_eq!(message.len() as u64, length);
        assert_eq!(u32::from_be_bytes(*sum), checksum(message));
        let decoded = wire::ChunkedReadResponse::decode(message).unwrap();
        assert_eq!(
            decoded.encode_to_vec(),
            message,
            "nothing but what prost would write"
        );
        (message.len(), decoded)
    }

    fn view(chunk: &wire::Chunk) -> ChunkView<'_> {
        ChunkView {
            min_time: chunk.min_time_ms,
            max_time: chunk.max_time_ms,
            encoding: Encoding::from_u8(chunk.r#type as u8).unwrap(),
            bytes: &chunk.data,
        }
    }

    #[test]
    fn the_checksum_is_castagnolis() {
        assert_eq!(checksum(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
    }

    fn chunk() -> impl Strategy<Value = wire::Chunk> {
        let data = prop::collection::vec(any::<u8>(), 1..300);
        (any::<i64>(), any::<i64>(), 1..4i32, data).prop_map(|(min_time_ms, max_time_ms, r#type, data)| {
            wire::Chunk {
                min_time_ms,
                max_time_ms,
                r#type,
                data,
            }
        })
    }

    proptest! {
        #[test]
        fn frames_hold_what_was_pushed_and_no_more_than_they_may(
            chunks in prop::collection::vec(chunk(), 0..40),
            query_index in 0..300u64,
            bytes_max in 0..2_000usize,
        ) {
            let mut found = Vec::new();
            let mut sink = |bytes: &[u8]| {
                let (length, message) = message(bytes);
                assert_eq!(message.query_index as u64, query_index);
                let [series] = &*message.chunked_series else {
                    panic!("one series in a frame");
                };
                let names: Vec<_> = series.labels.iter().map(|label| (&*label.name, &*label.value)).collect();
                assert_eq!(names, [("a", "1"), ("b", "own"), ("c", "added"), ("d", "4")]);
                assert!(length <= bytes_max || series.chunks.len() <= 1);
                found.push(series.chunks.clone());
                ControlFlow::Continue(())
            };
            let mut frame = Frame::new(bytes_max, &mut sink);
            frame.query_index = query_index;
            let own = labels! { "a" => "1", "b" => "own", "d" => "4" };
            frame.begin(&own, &labels! { "b" => "external", "c" => "added" });
            for chunk in &chunks {
                frame.push(&view(chunk)).unwrap();
            }
            frame.send().unwrap();
            prop_assert_eq!(found.concat(), chunks.clone());
            prop_assert_eq!(found.iter().filter(|chunks| chunks.is_empty()).count(), usize::from(chunks.is_empty()));
            // No frame could have taken the first chunk of the next.
            for two in found.windows(2) {
                let series = wire::ChunkedSeries {
                    labels: [("a", "1"), ("b", "own"), ("c", "added"), ("d", "4")]
                        .map(|(name, value)| wire::Label { name: name.into(), value: value.into() })
                        .to_vec(),
                    chunks: [&two[0][..], &two[1][..1]].concat(),
                };
                let both = wire::ChunkedReadResponse {
                    chunked_series: vec![series],
                    query_index: query_index as i64,
                };
                prop_assert!(both.encoded_len() > bytes_max);
            }
        }
    }

    #[test]
    fn a_sink_stops_the_stream() {
        let mut calls = 0;
        let mut sink = |_: &[u8]| {
            calls += 1;
            ControlFlow::Break(())
        };
        let mut frame = Frame::new(0, &mut sink);
        frame.begin(&labels! { "a" => "1" }, &Labels::default());
        let chunk = ChunkView {
            min_time: 1,
            max_time: 2,
            encoding: Encoding::Xor,
            bytes: &[1],
        };
        frame.push(&chunk).unwrap();
        assert!(matches!(frame.push(&chunk), Err(ReadError::Stopped)));
        assert_eq!(calls, 1);
    }
}

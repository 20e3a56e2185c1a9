//! Remote read as a client: the request, and what the two kinds of answer hold. Written from the protocol alone, so that
//! what the server encodes is judged by other code than its own.

use super::chunk;
use super::protobuf::{Field, Fields};
use super::remote_write::{bytes, integer};
use anyhow::{Context, Result, bail, ensure};
use narthex::{Counts, Histogram, STALE_NAN_BITS};
use std::ops::RangeInclusive;

pub const PATH: &str = "/api/v1/read";
pub const HEADERS: &str = "Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n\
                           X-Prometheus-Remote-Read-Version: 0.1.0\r\n";

/// How an answer is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Samples,
    Streamed,
}

/// How a label is compared with a value.
#[derive(Debug, Clone, Copy)]
pub enum Compare {
    Equal,
    Regex,
}

/// One query as a body.
pub fn request(
    matchers: &[(Compare, &str, &str)],
    range: &RangeInclusive<i64>,
    mode: Mode,
) -> Result<Vec<u8>> {
    let mut query = Vec::new();
    integer(&mut query, 1, *range.start() as u64);
    integer(&mut query, 2, *range.end() as u64);
    for (compare, name, value) in matchers {
        let mut matcher = Vec::new();
        integer(&mut matcher, 1, *compare as u64 * 2);
        bytes(&mut matcher, 2, name.as_bytes());
        bytes(&mut matcher, 3, value.as_bytes());
        bytes(&mut query, 3, &matcher);
    }
    let mut message = Vec::new();
    bytes(&mut message, 1, &query);
    integer(&mut message, 2, mode as u64);
    Ok(snap::raw::Encoder::new().compress_vec(&message)?)
}

/// A value as its bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    Float(u64),
    Histogram(HistogramCell),
}

/// A histogram of integer counts without what its layout leaves open: buckets that count nothing, and reset hints.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HistogramCell {
    pub sum: u64,
    pub count: u64,
    pub zero_count: u64,
    pub schema: i64,
    /// Number of the bucket and what it counts.
    pub positive: Vec<(i64, i64)>,
}

impl HistogramCell {
    /// What is compared of a histogram that was sent.
    pub fn of(histogram: &Histogram) -> Self {
        let Counts::Int {
            count,
            zero_count,
            positive,
            ..
        } = &histogram.counts
        else {
            panic!("BUG: the generators make integer histograms only");
        };
        let mut cell = Self {
            sum: histogram.sum.to_bits(),
            count: *count,
            zero_count: *zero_count,
            schema: i64::from(histogram.schema),
            positive: Vec::new(),
        };
        let spans = histogram.positive_spans.iter();
        let spans: Vec<_> = spans
            .map(|span| (i64::from(span.offset), u64::from(span.length)))
            .collect();
        let counts = positive.iter().scan(0, |count, delta| {
            *count += delta;
            Some(*count)
        });
        cell.fill(&spans, counts);
        cell
    }

    /// `spans` are offset and length, `counts` those of the buckets one after the other.
    pub fn fill(&mut self, spans: &[(i64, u64)], counts: impl IntoIterator<Item = i64>) {
        let mut numbers = Vec::new();
        let mut next = 0;
        for (offset, length) in spans {
            next += offset;
            numbers.extend((0..*length as i64).map(|step| next + step));
            next += *length as i64;
        }
        let all = numbers.into_iter().zip(counts);
        self.positive = all.filter(|bucket| bucket.1 != 0).collect();
        // The end marker of a series has a sum and nothing else.
        if self.sum == STALE_NAN_BITS {
            *self = Self {
                sum: self.sum,
                ..Self::default()
            };
        }
    }
}

/// A series of an answer, or a part of one.
#[derive(Debug, Default)]
pub struct Series {
    /// Names and values, as they came.
    pub labels: Vec<(String, String)>,
    pub samples: Vec<(i64, Cell)>,
}

/// Shows every series of an answer of one message.
pub fn read_samples(body: &[u8], visit: &mut dyn FnMut(Series) -> Result<()>) -> Result<()> {
    let message = snap::raw::Decoder::new().decompress_vec(body)?;
    for result in Fields::new(&message).of(1) {
        for series in Fields::new(result?).of(1) {
            visit(series_of(series?)?)?;
        }
    }
    Ok(())
}

fn series_of(message: &[u8]) -> Result<Series> {
    let mut series = Series::default();
    for field in Fields::new(message) {
        match field? {
            (1, Field::Bytes(label)) => series.labels.push(label_of(label)?),
            (2, Field::Bytes(sample)) => {
                let (mut value, mut timestamp) = (0, 0);
                for field in Fields::new(sample) {
                    match field? {
                        (1, Field::Fixed(bits)) => value = bits,
                        (2, Field::Varint(time)) => timestamp = time as i64,
                        other => bail!("{other:?} in a sample"),
                    }
                }
                series.samples.push((timestamp, Cell::Float(value)));
            }
            (4, Field::Bytes(histogram)) => {
                let (timestamp, cell) = histogram_of(histogram)?;
                series.samples.push((timestamp, Cell::Histogram(cell)));
            }
            (3, Field::Bytes(_)) => {}
            other => bail!("{other:?} in a series"),
        }
    }
    // Floats come before histograms, each in order of time.
    series.samples.sort_by_key(|sample| sample.0);
    Ok(series)
}

fn label_of(message: &[u8]) -> Result<(String, String)> {
    let mut label = (String::new(), String::new());
    for field in Fields::new(message) {
        match field? {
            (1, Field::Bytes(name)) => label.0 = std::str::from_utf8(name)?.to_owned(),
            (2, Field::Bytes(value)) => label.1 = std::str::from_utf8(value)?.to_owned(),
            other => bail!("{other:?} in a label"),
        }
    }
    Ok(label)
}

fn zigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

fn histogram_of(message: &[u8]) -> Result<(i64, HistogramCell)> {
    let mut cell = HistogramCell::default();
    let (mut timestamp, mut spans, mut counts) = (0, Vec::new(), Vec::new());
    for field in Fields::new(message) {
        match field? {
            (1, Field::Varint(count)) => cell.count = count,
            (3, Field::Fixed(bits)) => cell.sum = bits,
            (4, Field::Varint(schema)) => cell.schema = zigzag(schema),
            (6, Field::Varint(count)) => cell.zero_count = count,
            (11, Field::Bytes(span)) => {
                let mut one = (0, 0);
                for field in Fields::new(span) {
                    match field? {
                        (1, Field::Varint(offset)) => one.0 = zigzag(offset),
                        (2, Field::Varint(length)) => one.1 = length,
                        other => bail!("{other:?} in a span"),
                    }
                }
                spans.push(one);
            }
            (12, Field::Bytes(deltas)) => {
                let (mut at, mut count) = (0, 0);
                while at < deltas.len() {
                    count += zigzag(super::protobuf::varint(deltas, &mut at)?);
                    counts.push(count);
                }
            }
            (12, Field::Varint(delta)) => counts.push(counts.last().unwrap_or(&0) + zigzag(delta)),
            (15, Field::Varint(time)) => timestamp = time as i64,
            (5 | 14, _) => {}
            other => bail!("{other:?} in a histogram of integers"),
        }
    }
    cell.fill(&spans, counts);
    Ok((timestamp, cell))
}

/// Cuts a streamed answer into its messages as it comes.
#[derive(Default)]
pub struct Frames {
    pending: Vec<u8>,
    frames: u64,
    /// 0 and 1 are all.
    verify_every: u64,
}

impl Frames {
    /// Verifies the checksum of one frame in `every`.
    pub fn verifying(every: u64) -> Self {
        Self {
            verify_every: every,
            ..Self::default()
        }
    }

    /// Takes what came and shows the messages that are whole.
    pub fn push(&mut self, part: &[u8], visit: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<()> {
        self.pending.extend_from_slice(part);
        let mut at = 0;
        while let Some((head, length)) = frame_head(&self.pending[at..])? {
            let start = at + head + 4;
            let Some(message) = self.pending.get(start..start + length) else {
                break;
            };
            if self.verify_every <= 1 || self.frames.is_multiple_of(self.verify_every) {
                let said = self.pending[at + head..start].iter();
                let said = said.fold(0, |all, byte| all << 8 | u32::from(*byte));
                ensure!(said == crc32c::crc32c(message), "a frame with a wrong checksum");
            }
            visit(message)?;
            self.frames += 1;
            at = start + length;
        }
        self.pending.drain(..at);
        Ok(())
    }

    /// Whether the answer ended between two frames.
    pub fn is_whole(&self) -> bool {
        self.pending.is_empty()
    }
}

/// Bytes of a frame's length, and that length, once it is there.
fn frame_head(bytes: &[u8]) -> Result<Option<(usize, usize)>> {
    if !bytes.iter().take(10).any(|byte| *byte < 0x80) {
        ensure!(bytes.len() < 10, "a frame of endless length");
        return Ok(None);
    }
    let mut at = 0;
    let length = super::protobuf::varint(bytes, &mut at)?;
    Ok(Some((at, usize::try_from(length)?)))
}

/// The series of a frame, its chunks decoded.
pub fn read_frame(message: &[u8], visit: &mut dyn FnMut(Series) -> Result<()>) -> Result<()> {
    for chunked in Fields::new(message).of(1) {
        let mut series = Series::default();
        for field in Fields::new(chunked?) {
            match field? {
                (1, Field::Bytes(label)) => series.labels.push(label_of(label)?),
                (2, Field::Bytes(one)) => {
                    let (encoding, data) = chunk_of(one)?;
                    chunk::decode(encoding, data, &mut series.samples)?;
                }
                other => bail!("{other:?} in a series of chunks"),
            }
        }
        visit(series)?;
    }
    Ok(())
}

/// How many samples the chunks of a frame say they have.
pub fn count_frame(message: &[u8]) -> Result<u64> {
    let mut samples = 0;
    for chunked in Fields::new(message).of(1) {
        for one in Fields::new(chunked?).of(2) {
            let (_, data) = chunk_of(one?)?;
            let count = data.first_chunk::<2>().context("a chunk without a count")?;
            samples += u64::from(u16::from_be_bytes(*count));
        }
    }
    Ok(samples)
}

fn chunk_of(message: &[u8]) -> Result<(u64, &[u8])> {
    let (mut encoding, mut data) = (0, &[][..]);
    for field in Fields::new(message) {
        match field? {
            (3, Field::Varint(number)) => encoding = number,
            (4, Field::Bytes(bytes)) => data = bytes,
            (1 | 2, _) => {}
            other => bail!("{other:?} in a chunk"),
        }
    }
    Ok((encoding, data))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::{Point, Policy, Setup, Store};
    use narthex::{Counts, ResetHint, STALE_NAN_BITS, Span, labels};

    fn histogram(at: i64) -> Histogram {
        let more = at as usize / 50;
        Histogram {
            reset_hint: ResetHint::Unknown,
            schema: 2,
            zero_threshold: 0.25,
            sum: if at == 77 {
                f64::from_bits(STALE_NAN_BITS)
            } else {
                at as f64 / 3.0
            },
            positive_spans: vec![
                Span {
                    offset: -2,
                    length: 2,
                },
                Span {
                    offset: 3,
                    length: 1 + more as u32,
                },
            ],
            negative_spans: Vec::new(),
            custom_values: Vec::new(),
            counts: Counts::Int {
                count: (4 * at + 5 + (1..=more as i64).map(|step| at + 2 + step).sum::<i64>()) as u64,
                zero_count: at as u64,
                positive: [vec![at, 3, -1], vec![1; more]].concat(),
                negative: Vec::new(),
            },
        }
    }

    fn float(at: i64) -> f64 {
        match at % 50 {
            7 => -0.0,
            8 => f64::from_bits(STALE_NAN_BITS),
            9 => f64::NEG_INFINITY,
            10..20 => 3.0,
            _ => at as f64 * 1.1,
        }
    }

    #[test]
    fn frames_hold_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&Setup::new(folder.path()).policy(Policy::Never).no_background()).unwrap();
        let (floats, histograms) = (labels! { "__name__" => "f" }, labels! { "__name__" => "h" });
        let times: Vec<i64> = (0..300)
            .map(|at| at * 15_000 + at % 3 + at / 100 * 70_000_000)
            .collect();
        store
            .commit_all(600, |writer| {
                for (at, time) in (0..).zip(&times) {
                    writer.push(&floats, *time, float(at));
                    writer.push_point(&histograms, *time, Point::Histogram(&histogram(at)));
                }
            })
            .unwrap();
        let request = request(
            &[(Compare::Regex, "__name__", "f|h")],
            &(0..=i64::MAX),
            Mode::Streamed,
        )
        .unwrap();
        let (mut frames, mut counted, mut read) = (Frames::default(), 0, Vec::new());
        let stored = store.stream(&request, &mut |frame| {
            // In pieces, as a socket gives them.
            for part in frame.chunks(700) {
                frames
                    .push(part, &mut |message| {
                        counted += count_frame(message)?;
                        read_frame(message, &mut |series| {
                            read.push(series);
                            Ok(())
                        })
                    })
                    .unwrap();
            }
        });
        assert_eq!(stored.unwrap(), (2, 600));
        assert!(frames.is_whole() && counted == 600);
        for series in read {
            let is_float = series.labels == [("__name__".to_owned(), "f".to_owned())];
            let expected = (0..).zip(&times).map(|(at, time)| match is_float {
                true => (*time, Cell::Float(float(at).to_bits())),
                false => (*time, Cell::Histogram(HistogramCell::of(&histogram(at)))),
            });
            assert!(series.samples.into_iter().eq(expected), "{:?}", series.labels);
        }
    }

    #[test]
    fn a_frame_that_changed_on_its_way_is_found() {
        let mut frame = vec![3];
        frame.extend(crc32c::crc32c(b"abc").to_be_bytes());
        frame.extend(b"abc");
        let mut seen = Vec::new();
        let mut take = |frame: &[u8]| {
            Frames::default().push(frame, &mut |message| {
                seen.extend_from_slice(message);
                Ok(())
            })
        };
        take(&frame).unwrap();
        *frame.last_mut().unwrap() ^= 1;
        assert!(take(&frame).is_err());
        assert_eq!(seen, b"abc");
    }
}

//! A target of the test's own: native histograms, classic ones, counters with exemplars, values that are hard to keep, and
//! series that come and go, in the protobuf exposition format.

use prost::encoding::{WireType, encode_key, encode_varint};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const CONTENT_TYPE: &str =
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

const COUNTER: u64 = 0;
const GAUGE: u64 = 1;
const HISTOGRAM: u64 = 4;

/// Serves scrapes on a thread of its own until it is dropped.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) port: u16,
    is_over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Target {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let is_over = Arc::new(AtomicBool::new(false));
        let over = is_over.clone();
        let scrapes = AtomicU64::new(0);
        let thread = std::thread::spawn(move || {
            while !over.load(Ordering::Acquire) {
                let Ok((stream, _)) = listener.accept() else {
                    return;
                };
                let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
                let mut reader = BufReader::new(stream);
                let mut line = String::new();
                while reader.read_line(&mut line).is_ok_and(|length| length > 2) {
                    line.clear();
                }
                let body = exposition(scrapes.fetch_add(1, Ordering::Relaxed));
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
                );
                // Who scraped may be gone.
                let _ = reader.get_mut().write_all(&[head.as_bytes(), &body].concat());
            }
        });
        Self {
            port,
            is_over,
            thread: Some(thread),
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        // Wakes the thread up.
        let _ = std::net::TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A message under construction.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn bytes(mut self, field: u32, bytes: &[u8]) -> Self {
        encode_key(field, WireType::LengthDelimited, &mut self.0);
        encode_varint(bytes.len() as u64, &mut self.0);
        self.0.extend_from_slice(bytes);
        self
    }

    fn message(self, field: u32, message: &Self) -> Self {
        self.bytes(field, &message.0)
    }

    fn integer(mut self, field: u32, value: u64) -> Self {
        encode_key(field, WireType::Varint, &mut self.0);
        encode_varint(value, &mut self.0);
        self
    }

    fn signed(self, field: u32, value: i64) -> Self {
        self.integer(field, (value << 1 ^ value >> 63) as u64)
    }

    fn double(mut self, field: u32, value: f64) -> Self {
        encode_key(field, WireType::SixtyFourBit, &mut self.0);
        self.0.extend_from_slice(&value.to_bits().to_le_bytes());
        self
    }
}

fn family(name: &str, help: &str, kind: u64, metrics: Vec<Message>) -> Vec<u8> {
    let mut family = Message::default()
        .bytes(1, name.as_bytes())
        .bytes(2, help.as_bytes())
        .integer(3, kind);
    for metric in metrics {
        family = family.message(4, &metric);
    }
    let mut delimited = Vec::new();
    encode_varint(family.0.len() as u64, &mut delimited);
    delimited.extend(family.0);
    delimited
}

fn labelled(pairs: &[(&str, &str)]) -> Message {
    pairs.iter().fold(Message::default(), |metric, (name, value)| {
        let pair = Message::default()
            .bytes(1, name.as_bytes())
            .bytes(2, value.as_bytes());
        metric.message(1, &pair)
    })
}

/// An exemplar of this moment.
fn exemplar(scrape: u64, value: f64) -> Message {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let time = Message::default()
        .integer(1, now.as_secs())
        .integer(2, u64::from(now.subsec_millis()) * 1_000_000);
    let trace = Message::default()
        .bytes(1, b"trace_id")
        .bytes(2, format!("{scrape:016x}").as_bytes());
    Message::default()
        .message(1, &trace)
        .double(2, value)
        .message(3, &time)
}

fn exposition(scrape: u64) -> Vec<u8> {
    let count = scrape as f64;
    let counters = (0..20)
        .map(|path| {
            let counter = Message::default()
                .double(1, count * f64::from(path + 1))
                .message(2, &exemplar(scrape, count));
            labelled(&[("path", &format!("/p{path}")), ("quote", "a\"b\\c\nd")]).message(3, &counter)
        })
        .collect();
    let odd = [
        0.0,
        1e300,
        -1.5,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        5e-324,
        0.1 * count,
    ];
    let gauges = odd
        .iter()
        .enumerate()
        .map(|(number, value)| {
            labelled(&[("n", &number.to_string())]).message(2, &Message::default().double(1, *value))
        })
        .collect();
    // A series that is there every other ten scrapes, and one that is new every fifth.
    let mut moving = vec![
        labelled(&[("round", &(scrape / 5).to_string())]).message(2, &Message::default().double(1, 1.0)),
    ];
    if (scrape / 10).is_multiple_of(2) {
        moving.push(labelled(&[("round", "even")]).message(2, &Message::default().double(1, count)));
    }
    [
        family("app_requests_total", "Requests by path.", COUNTER, counters),
        family("app_odd_values", "Values that are hard to keep.", GAUGE, gauges),
        family("app_moving", "Comes and goes.", GAUGE, moving),
        family(
            "app_latency_seconds",
            "Native.",
            HISTOGRAM,
            (0..5).map(|n| native(n, scrape)).collect(),
        ),
        family("app_size_bytes", "Classic.", HISTOGRAM, vec![classic(scrape)]),
    ]
    .concat()
}

/// An exponential histogram whose buckets fill, and that begins anew every thirty scrapes.
fn native(number: u64, scrape: u64) -> Message {
    let filled = scrape % 30 + 1;
    let counts: Vec<u64> = (0..6)
        .map(|bucket| filled * (bucket + number + 1) % 17 + filled)
        .collect();
    let (mut before, mut histogram) = (0i64, Message::default());
    let total: u64 = counts.iter().sum::<u64>() + filled;
    histogram = histogram
        .integer(1, total)
        .double(2, total as f64 * 0.25)
        .signed(5, 3)
        .double(6, 1e-128);
    histogram = histogram.integer(7, filled);
    for (offset, length) in [(-4i64, 2u64), (3, 4)] {
        histogram = histogram.message(12, &Message::default().signed(1, offset).integer(2, length));
    }
    for count in counts {
        histogram = histogram.signed(13, count as i64 - before);
        before = count as i64;
    }
    let histogram = histogram.message(16, &exemplar(scrape, 0.5));
    labelled(&[("handler", &format!("h{number}"))]).message(7, &histogram)
}

fn classic(scrape: u64) -> Message {
    let mut histogram = Message::default()
        .integer(1, scrape * 4)
        .double(2, scrape as f64 * 7.5);
    for (number, bound) in [1.0, 2.5, f64::INFINITY].into_iter().enumerate() {
        let bucket = Message::default()
            .integer(1, scrape * (number as u64 + 1))
            .double(2, bound);
        histogram = histogram.message(3, &bucket);
    }
    labelled(&[("kind", "x")]).message(7, &histogram)
}

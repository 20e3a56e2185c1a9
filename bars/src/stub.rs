//! A stand-in for the database with the same face, so that the harness runs before the library does.
//!
//! Samples stay in a map; under `interval` floats are also written to a text log, for a killed process to find.
//! To be deleted with the first line of `adapter.rs` that names it.

use narthex::{Histogram, Labels, MatchOp, Matcher, Sample, Value};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::io::Write as _;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

pub type Result<T> = std::io::Result<T>;
type Columns = BTreeMap<Labels, Vec<(i64, Value)>>;

#[derive(Debug, Clone, Copy)]
pub enum Durability {
    Always,
    Interval(#[expect(dead_code)] Duration),
    Never,
}

pub struct Options(PathBuf, bool);

impl Options {
    pub fn new(path: &Path) -> Self {
        Self(path.to_owned(), false)
    }

    pub fn durability(self, durability: Durability) -> Self {
        Self(self.0, matches!(durability, Durability::Interval(_)))
    }

    pub fn background(self, _: bool) -> Self {
        self
    }
}

struct Inner {
    series: Columns,
    log: Option<std::fs::File>,
    folder: PathBuf,
}

#[derive(Clone)]
pub struct Db(Arc<Mutex<Inner>>);

pub struct Batch<'a> {
    db: &'a Db,
    rows: Vec<(Labels, i64, Value)>,
}

pub struct Report {
    pub accepted: usize,
}

pub struct Stats {
    pub segments: usize,
}

pub struct Memory;

pub struct Series {
    labels: Labels,
    samples: Vec<(i64, Value)>,
}

/// Histograms are not in the log: a database closed and reopened in one process keeps its map.
fn closed() -> MutexGuard<'static, HashMap<PathBuf, Columns>> {
    static CLOSED: OnceLock<Mutex<HashMap<PathBuf, Columns>>> = OnceLock::new();
    CLOSED.get_or_init(Mutex::default).lock().unwrap()
}

fn replay(path: &Path) -> Columns {
    let mut series = Columns::new();
    for line in std::fs::read_to_string(path).unwrap_or_default().lines() {
        let mut words = line.split('\t').collect::<Vec<_>>();
        if words.pop() != Some(".") {
            continue;
        }
        let bits = u64::from_str_radix(words.pop().unwrap(), 16).unwrap();
        let timestamp = words.pop().unwrap().parse().unwrap();
        let labels = Labels::from_pairs(words.chunks_exact(2).map(|pair| (pair[0], pair[1]))).unwrap();
        series
            .entry(labels)
            .or_default()
            .push((timestamp, Value::Float(f64::from_bits(bits))));
    }
    series
}

/// The few shapes of regular expressions the harness asks for.
fn looks_like(value: &str, regex: &str) -> bool {
    if regex.contains('|') {
        return regex.split('|').any(|literal| literal == value);
    }
    match regex.split_once('[') {
        Some(("", _)) => value.len() > 9 && value[..9].bytes().all(|byte| matches!(byte, b'a'..=b'f')),
        Some((prefix, _)) => value.starts_with(prefix),
        None => value.contains(regex.trim_matches(['.', '*', '+'])),
    }
}

impl Db {
    pub fn open(options: Options) -> Result<Self> {
        std::fs::create_dir_all(&options.0)?;
        let path = options.0.join("wal.txt");
        let series = closed().remove(&options.0).unwrap_or_else(|| replay(&path));
        let log = std::fs::OpenOptions::new().append(true).create(true).open(path)?;
        Ok(Self(Arc::new(Mutex::new(Inner {
            series,
            log: options.1.then_some(log),
            folder: options.0,
        }))))
    }

    pub fn batch(&self) -> Batch<'_> {
        Batch {
            db: self,
            rows: Vec::new(),
        }
    }

    pub fn flush(&self) -> Result<()> {
        let inner = self.0.lock().unwrap();
        std::fs::write(inner.folder.join("segment-1"), vec![0; 1_000])
    }

    pub fn step(&self) -> Result<bool> {
        Ok(false)
    }

    pub fn close(self) -> Result<()> {
        let mut inner = self.0.lock().unwrap();
        let series = std::mem::take(&mut inner.series);
        closed().insert(inner.folder.clone(), series);
        Ok(())
    }

    pub fn stats(&self) -> Result<Stats> {
        let inner = self.0.lock().unwrap();
        let first = inner.series.values().next();
        let ticks = first.map_or(0, Vec::len);
        Ok(Stats { segments: ticks / 60 })
    }

    pub fn memory(&self) -> Memory {
        Memory
    }

    pub fn select(
        &self,
        matchers: &[Matcher],
        range: RangeInclusive<i64>,
    ) -> Result<impl Iterator<Item = Result<Series>>> {
        let inner = self.0.lock().unwrap();
        let found = inner.series.iter().filter(|(labels, _)| {
            matchers.iter().all(|matcher| {
                let value = labels.get(&matcher.name).unwrap_or("");
                match matcher.op {
                    MatchOp::Equal => value == matcher.value,
                    MatchOp::NotEqual => value != matcher.value,
                    MatchOp::Regex => looks_like(value, &matcher.value),
                    MatchOp::NotRegex => false,
                }
            })
        });
        let found = found.map(|(labels, samples)| {
            let samples = samples.iter().filter(|sample| range.contains(&sample.0));
            Series {
                labels: labels.clone(),
                samples: samples.cloned().collect(),
            }
        });
        let found: Vec<_> = found
            .filter(|series| !series.samples.is_empty())
            .map(Ok)
            .collect();
        Ok(found.into_iter())
    }
}

impl Batch<'_> {
    pub fn push(&mut self, labels: &Labels, timestamp: i64, value: f64) {
        self.rows.push((labels.clone(), timestamp, Value::Float(value)));
    }

    pub fn push_histogram(&mut self, labels: &Labels, timestamp: i64, histogram: &Histogram) {
        let value = Value::Histogram(Arc::new(histogram.clone()));
        self.rows.push((labels.clone(), timestamp, value));
    }

    pub fn commit(self) -> Result<Report> {
        let accepted = self.rows.len();
        let mut inner = self.db.0.lock().unwrap();
        let mut text = String::new();
        for (labels, timestamp, value) in self.rows {
            if let Value::Float(float) = &value {
                for (name, value) in &labels {
                    let _ = write!(text, "{name}\t{value}\t");
                }
                let _ = writeln!(text, "{timestamp}\t{:x}\t.", float.to_bits());
            }
            inner.series.entry(labels).or_default().push((timestamp, value));
        }
        if let Some(log) = &mut inner.log {
            log.write_all(text.as_bytes())?;
        }
        Ok(Report { accepted })
    }
}

impl Memory {
    pub fn parts(&self) -> Vec<(String, u64)> {
        vec![("everything".into(), 1)]
    }
}

impl Series {
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    pub fn samples(&self) -> impl Iterator<Item = Result<Sample>> + '_ {
        self.samples.iter().map(|(timestamp, value)| {
            Ok(Sample {
                timestamp: *timestamp,
                value: value.clone(),
                start_timestamp: 0,
            })
        })
    }
}

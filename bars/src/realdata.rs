//! Reads recorded scrapes of real exporters and replays them with stretched timestamps.
//!
//! The recording is a folder of two zstd files. `series.tsv.zst` has a line per series, fields separated by tabs:
//! target number, job, instance, the scrapes it was present in (`0-99,120-2249`, inclusive), and its name with labels
//! in the exposition format. `values.u64xor.zst` has, for the series in the same order, one little-endian u64 for each
//! scrape: the bits of the value XOR those of the value before it (of 0 for the first).
//!
//! Scrapes were a second apart and are replayed a step (15 s) apart; keeping every n-th scrape only (`decimate`)
//! makes the values move as much as they would over n seconds.

use crate::adapter::Point;
use crate::rng::Rng;
use crate::workload::Workload;
use anyhow::{Context, Result, ensure};
use narthex::Labels;
use std::path::Path;
use std::sync::Arc;

const BASE_MS: i64 = 1_760_000_000_000;
const STEP_MS: i64 = 15_000;
/// Targets are scraped at different moments of a step.
const TARGET_OFFSET_MS: i64 = 1_237;

struct Series {
    target: usize,
    labels: Labels,
    scrapes: Vec<u32>,
    bits: Vec<u64>,
}

/// The whole recording in memory.
pub struct Recording {
    series: Vec<Series>,
    /// The series of each target, in order of recording.
    by_target: Vec<Vec<u32>>,
    scrapes: u32,
}

impl Recording {
    pub fn load(folder: &Path) -> Result<Self> {
        let lines = String::from_utf8(unpack(&folder.join("series.tsv.zst"))?)?;
        let values = unpack(&folder.join("values.u64xor.zst"))?;
        Self::parse(&lines, &values)
    }

    fn parse(lines: &str, values: &[u8]) -> Result<Self> {
        let mut words = values.chunks_exact(8);
        let mut series = Vec::new();
        for line in lines.lines() {
            series.push(parse_series(line, &mut words).with_context(|| format!("series line {line:?}"))?);
        }
        ensure!(words.next().is_none(), "more values than the series account for");
        let targets = series.iter().map(|one| one.target + 1).max().unwrap_or(0);
        let mut by_target = vec![Vec::new(); targets];
        for (index, one) in series.iter().enumerate() {
            by_target[one.target].push(index as u32);
        }
        let last = series.iter().filter_map(|one| one.scrapes.last()).max();
        let scrapes = last.map_or(0, |last| last + 1);
        Ok(Self {
            series,
            by_target,
            scrapes,
        })
    }

    pub fn series(&self) -> usize {
        self.series.len()
    }

    pub fn samples(&self) -> usize {
        self.series.iter().map(|one| one.bits.len()).sum()
    }
}

fn unpack(path: &Path) -> Result<Vec<u8>> {
    let file = std::fs::File::open(path).with_context(|| format!("opening {}", path.display()))?;
    zstd::decode_all(file).with_context(|| format!("unpacking {}", path.display()))
}

fn parse_series<'a>(line: &str, words: &mut impl Iterator<Item = &'a [u8]>) -> Result<Series> {
    let mut fields = line.splitn(5, '\t');
    let mut field = || fields.next().context("a field is missing");
    let (target, job, instance, ranges, name) = (field()?, field()?, field()?, field()?, field()?);
    let mut scrapes = Vec::new();
    for range in ranges.split(',') {
        let (first, last) = range.split_once('-').context("not a range")?;
        scrapes.extend(first.parse::<u32>()?..=last.parse::<u32>()?);
    }
    let mut bits = Vec::with_capacity(scrapes.len());
    let mut last = 0;
    for _ in &scrapes {
        let word = words.next().context("fewer values than scrapes")?;
        last ^= u64::from_le_bytes(word.try_into()?);
        bits.push(last);
    }
    Ok(Series {
        target: target.parse()?,
        labels: parse_labels(name, job, instance)?,
        scrapes,
        bits,
    })
}

/// What Prometheus would store: the target's job and instance win, the exporter's own are renamed.
fn parse_labels(exposed: &str, job: &str, instance: &str) -> Result<Labels> {
    let (metric, mut rest) = exposed.split_once('{').unwrap_or((exposed, "}"));
    let mut pairs = vec![
        ("__name__".to_owned(), metric.to_owned()),
        ("job".to_owned(), job.to_owned()),
        ("instance".to_owned(), instance.to_owned()),
    ];
    while !rest.starts_with('}') {
        let (name, quoted) = rest.split_once("=\"").context("a label without a value")?;
        let (value, behind) = unquote(quoted)?;
        let exported = if matches!(name.trim(), "job" | "instance") {
            "exported_"
        } else {
            ""
        };
        pairs.push((format!("{exported}{}", name.trim()), value));
        rest = behind.strip_prefix(',').unwrap_or(behind);
    }
    Ok(Labels::from_pairs(pairs)?)
}

/// The value up to the closing quote, and what stands behind the quote.
fn unquote(quoted: &str) -> Result<(String, &str)> {
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Ok((value, &quoted[at + 1..])),
            '\\' => match chars.next().context("ends in a backslash")?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    anyhow::bail!("the quote is not closed")
}

/// How a recording is replayed.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Every n-th scrape is kept.
    pub decimate: u32,
    /// Every scrape is off by a few milliseconds; otherwise they are aligned and 2 % late.
    pub jitter: bool,
    /// At most so many scrapes of each target, counted after decimation.
    pub scrapes_max: u32,
}

/// Time order, one target after the other; a batch is one scrape of one target.
pub struct Replay {
    recording: Arc<Recording>,
    decimate: u32,
    scrape: u32,
    scrape_end: u32,
    target: usize,
    /// Timestamps of each target's kept scrapes.
    timestamps: Vec<Vec<i64>>,
    /// Where each series stands in its recording.
    cursors: Vec<u32>,
    /// Series and position of the batch.
    batch: Vec<(u32, u32)>,
    batch_ms: i64,
}

impl Replay {
    pub fn new(recording: &Arc<Recording>, pace: Pace) -> Self {
        let kept = recording.scrapes.div_ceil(pace.decimate).min(pace.scrapes_max);
        Self {
            decimate: pace.decimate,
            scrape: 0,
            scrape_end: (kept * pace.decimate).min(recording.scrapes),
            target: 0,
            timestamps: timestamps(recording.by_target.len(), kept as usize, pace.jitter),
            cursors: vec![0; recording.series.len()],
            batch: Vec::new(),
            batch_ms: 0,
            recording: recording.clone(),
        }
    }

    /// Takes the samples of one scrape of one target, moving their cursors also when the scrape is dropped.
    fn collect(&mut self, target: usize, scrape: u32) {
        self.batch.clear();
        for &index in &self.recording.by_target[target] {
            let cursor = &mut self.cursors[index as usize];
            let scrapes = &self.recording.series[index as usize].scrapes;
            if scrapes.get(*cursor as usize) == Some(&scrape) {
                self.batch.push((index, *cursor));
                *cursor += 1;
            }
        }
    }
}

impl Workload for Replay {
    fn advance(&mut self) -> bool {
        while self.scrape < self.scrape_end {
            let (scrape, target) = (self.scrape, self.target);
            self.target += 1;
            if self.target >= self.recording.by_target.len() {
                self.target = 0;
                self.scrape += 1;
            }
            self.collect(target, scrape);
            if scrape % self.decimate == 0 && !self.batch.is_empty() {
                self.batch_ms = self.timestamps[target][(scrape / self.decimate) as usize];
                return true;
            }
        }
        false
    }

    fn each(&self, visit: &mut dyn FnMut(&Labels, i64, Point<'_>)) {
        for &(index, position) in &self.batch {
            let series = &self.recording.series[index as usize];
            let value = f64::from_bits(series.bits[position as usize]);
            visit(&series.labels, self.batch_ms, Point::Float(value));
        }
    }
}

fn timestamps(targets: usize, scrapes: usize, jitter: bool) -> Vec<Vec<i64>> {
    let mut rng = Rng::new(1);
    let mut of_target = |target: usize| {
        let offset = target as i64 * TARGET_OFFSET_MS % STEP_MS;
        let late = |rng: &mut Rng| if jitter { jittered_ms(rng) } else { late_ms(rng) };
        let scrapes = 0..scrapes as i64;
        scrapes
            .map(|scrape| BASE_MS + offset + scrape * STEP_MS + late(&mut rng))
            .collect()
    };
    (0..targets).map(&mut of_target).collect()
}

/// What Prometheus sends: aligned, one scrape in fifty late by 3 to 42 ms.
pub fn late_ms(rng: &mut Rng) -> i64 {
    if rng.below(50) == 0 {
        3 + rng.below(40) as i64
    } else {
        0
    }
}

/// Every scrape off by a few milliseconds, one in a hundred by up to 120 more.
fn jittered_ms(rng: &mut Rng) -> i64 {
    let rare = if rng.below(100) == 0 {
        rng.below(120) as i64
    } else {
        0
    };
    (rng.normal() * 4.0).round() as i64 + rare
}

#[cfg(test)]
mod tests {
    use super::*;
    use narthex::labels;

    fn recording() -> Arc<Recording> {
        let lines = "0\tnode\th:1\t0-2,4-4\tup\n1\tdb\th:2\t1-3\tq{job=\"x\",l=\"a\\\"b\\n\",e=\"\"}\n";
        let values = [1.0f64, 1.0, 2.0, 2.0, -0.0, f64::NAN, 7.5].map(f64::to_bits);
        let mut bytes = Vec::new();
        for (index, bits) in values.iter().enumerate() {
            let before = if index == 0 || index == 4 {
                0
            } else {
                values[index - 1]
            };
            bytes.extend((bits ^ before).to_le_bytes());
        }
        Arc::new(Recording::parse(lines, &bytes).unwrap())
    }

    fn samples(pace: Pace) -> Vec<(String, i64, u64)> {
        let mut replay = Replay::new(&recording(), pace);
        let mut samples = Vec::new();
        while replay.advance() {
            replay.each(&mut |labels, timestamp, point| {
                let Point::Float(value) = point else {
                    unreachable!()
                };
                samples.push((labels.metric_name().to_owned(), timestamp, value.to_bits()));
            });
        }
        samples
    }

    #[test]
    fn labels_are_what_prometheus_stores() {
        let recording = recording();
        let expected = labels! { "__name__" => "q", "job" => "db", "instance" => "h:2", "exported_job" => "x",
        "l" => "a\"b\n" };
        assert_eq!(recording.series[1].labels, expected);
        assert_eq!(
            (recording.series(), recording.samples(), recording.scrapes),
            (2, 7, 5)
        );
        assert!(parse_labels("a{b=\"c", "j", "i").is_err());
    }

    #[test]
    fn replay_is_in_time_order_and_decimates() {
        let pace = Pace {
            decimate: 1,
            jitter: false,
            scrapes_max: u32::MAX,
        };
        let all = samples(pace);
        let names: String = all.iter().map(|sample| sample.0.as_str()).collect();
        assert_eq!(names, "upupqupqqup");
        assert_eq!(all[2].2, (-0.0f64).to_bits());
        assert_eq!(all[4].2, f64::NAN.to_bits());
        let halved = samples(Pace { decimate: 2, ..pace });
        let values: Vec<f64> = halved.iter().map(|sample| f64::from_bits(sample.2)).collect();
        assert_eq!(values.len(), 4);
        assert_eq!((values[0], values[1], values[3]), (1.0, 2.0, 2.0));
        assert_eq!(
            samples(Pace {
                scrapes_max: 1,
                ..pace
            })
            .len(),
            1
        );
    }

    #[test]
    fn timestamps_rise_and_targets_share_none() {
        for jitter in [false, true] {
            let columns = timestamps(12, 500, jitter);
            assert!(columns.iter().all(|column| column.is_sorted()));
            let off = columns[1].iter().enumerate().filter(|(scrape, timestamp)| {
                **timestamp != BASE_MS + TARGET_OFFSET_MS + *scrape as i64 * STEP_MS
            });
            let off = off.count();
            assert_eq!(off > 250, jitter, "{off} of 500 are off");
        }
    }
}

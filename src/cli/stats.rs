//! `narthex stats`: what a database holds and where its bytes are, as tables or as JSON.

use super::json::Json;
use super::text::{count, duration, table, time};
use super::{Failure, open};
use narthex::{CardinalityReport, Db, Precision, RecoveryReport, RollupInfo, SegmentInfo, Stats};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

/// Label names and metrics that are listed.
const TOP: usize = 10;

/// Everything that is shown, collected once.
struct Page {
    dir: String,
    precision: Precision,
    stats: Stats,
    segments: Vec<SegmentInfo>,
    rollups: Vec<RollupInfo>,
    cardinality: CardinalityReport,
    /// Why the cardinality is not known: an index does not decode.
    unknown: Option<String>,
    recovery: RecoveryReport,
}

/// Always `true` when it returns: statistics find no faults.
pub(super) fn run(dir: &Path, json: bool, out: &mut impl Write) -> Result<bool, Failure> {
    let db = open(dir)?;
    let page = Page::collect(dir, &db)?;
    if json {
        writeln!(out, "{}", page.json())?;
    } else {
        page.tables(out)?;
    }
    Ok(true)
}

/// The part of a path that tells segments apart.
fn file_name(segment: &SegmentInfo) -> String {
    let name = segment.file.file_name();
    name.map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

fn samples_of(segment: &SegmentInfo) -> u64 {
    segment.meta.floats + segment.meta.histograms
}

fn per_sample(bytes: u64, samples: u64) -> String {
    if samples == 0 {
        return "-".to_owned();
    }
    format!("{:.3}", bytes as f64 / samples as f64)
}

/// Bytes by part over all segments, in the order in which segments name their parts.
fn parts_of(segments: &[SegmentInfo]) -> Vec<(&'static str, u64)> {
    let mut parts: Vec<(&'static str, u64)> = Vec::new();
    for (name, bytes) in segments.iter().flat_map(|segment| &segment.parts) {
        match parts.iter_mut().find(|part| part.0 == *name) {
            Some(part) => part.1 += bytes,
            None => parts.push((name, *bytes)),
        }
    }
    parts
}

/// The entries with the largest numbers, largest first.
fn top<T>(entries: &BTreeMap<String, T>, number: impl Fn(&T) -> u64) -> Vec<(&str, &T)> {
    let mut all: Vec<_> = entries
        .iter()
        .map(|(name, entry)| (name.as_str(), entry))
        .collect();
    all.sort_by_key(|(_, entry)| Reverse(number(entry)));
    all.truncate(TOP);
    all
}

impl Page {
    fn collect(dir: &Path, db: &Db) -> Result<Self, narthex::Error> {
        let (cardinality, unknown) = match db.cardinality() {
            Ok(report) => (report, None),
            Err(error @ narthex::Error::Corrupt(_)) => {
                (CardinalityReport::default(), Some(error.to_string()))
            }
            Err(error) => return Err(error),
        };
        Ok(Self {
            dir: dir.display().to_string(),
            precision: db.precision(),
            stats: db.stats()?,
            segments: db.segments(),
            rollups: db.rollups(),
            cardinality,
            unknown,
            recovery: db.recovery().clone(),
        })
    }

    /// Smallest and largest timestamp of everything.
    fn bounds(&self) -> Option<(i64, i64)> {
        let both = [self.stats.head_bounds, self.stats.segment_bounds];
        let known = both.into_iter().flatten();
        known.reduce(|all, one| (all.0.min(one.0), all.1.max(one.1)))
    }

    fn time(&self, timestamp: i64) -> String {
        time(timestamp, self.precision)
    }

    fn files(&self) -> [(&'static str, u64); 5] {
        let stats = &self.stats;
        [
            ("segments", stats.segment_bytes),
            ("rollups", stats.rollup_bytes),
            ("log", stats.wal_bytes),
            ("checkpoint", stats.checkpoint_bytes),
            ("manifest", stats.manifest_bytes),
        ]
    }

    fn tables(&self, out: &mut impl Write) -> io::Result<()> {
        self.print_counts(out)?;
        self.print_bytes(out)?;
        self.print_segments(out)?;
        self.print_rollups(out)?;
        self.print_cardinality(out)?;
        self.print_notes(out)
    }

    fn print_counts(&self, out: &mut impl Write) -> io::Result<()> {
        let stats = &self.stats;
        writeln!(out, "{}", self.dir)?;
        writeln!(out, "  timestamps in {}", self.precision.as_str())?;
        if let Some((first, last)) = self.bounds() {
            writeln!(out, "  from {} to {}", self.time(first), self.time(last))?;
        }
        let row = |name: &str, series, samples| [name.to_owned(), count(series), count(samples)];
        let rows = [
            ["".to_owned(), "series".to_owned(), "samples".to_owned()],
            row("in the log", stats.head_series, stats.head_samples),
            row("in segments", stats.segment_series, stats.segment_samples),
        ];
        table(&rows, out)
    }

    fn print_bytes(&self, out: &mut impl Write) -> io::Result<()> {
        let stats = &self.stats;
        writeln!(out, "\nbytes by part")?;
        let mut rows = Vec::new();
        for (name, bytes) in self.files() {
            let per = if name == "segments" {
                per_sample(bytes, stats.segment_samples)
            } else {
                String::new()
            };
            rows.push([name.to_owned(), count(bytes), per]);
            if name == "segments" {
                for (part, bytes) in parts_of(&self.segments) {
                    let per = per_sample(bytes, stats.segment_samples);
                    rows.push([format!("  {part}"), count(bytes), per]);
                }
            }
        }
        rows.insert(0, ["", "bytes", "per sample"].map(str::to_owned));
        table(&rows, out)
    }

    fn print_segments(&self, out: &mut impl Write) -> io::Result<()> {
        if self.segments.is_empty() {
            return Ok(());
        }
        let head = [
            "segment", "level", "series", "samples", "bytes", "first", "last", "LSNs",
        ];
        let mut rows = vec![head.map(str::to_owned)];
        for segment in &self.segments {
            let meta = &segment.meta;
            rows.push([
                file_name(segment),
                meta.level.to_string(),
                count(meta.series),
                count(samples_of(segment)),
                count(segment.bytes),
                self.time(meta.time_min),
                self.time(meta.time_max),
                format!("{}..{}", meta.lsn_first, meta.lsn_last),
            ]);
        }
        writeln!(out)?;
        table(&rows, out)
    }

    fn print_rollups(&self, out: &mut impl Write) -> io::Result<()> {
        if self.rollups.is_empty() {
            return Ok(());
        }
        let head = ["rollup", "tiles", "series", "values", "bytes", "from", "to"];
        let mut rows = vec![head.map(str::to_owned)];
        for rollup in &self.rollups {
            let time = |bound: Option<i64>| bound.map_or_else(|| "-".to_owned(), |bound| self.time(bound));
            rows.push([
                duration(rollup.resolution),
                count(rollup.tiles as u64),
                count(rollup.series),
                count(rollup.values),
                count(rollup.bytes),
                time(rollup.bounds.map(|bounds| bounds.0)),
                time(rollup.bounds.map(|bounds| bounds.1)),
            ]);
        }
        writeln!(out)?;
        table(&rows, out)
    }

    fn print_cardinality(&self, out: &mut impl Write) -> io::Result<()> {
        let names = &self.cardinality.label_names;
        if names.is_empty() {
            return Ok(());
        }
        let mut rows = vec![["label name", "values", "series"].map(str::to_owned)];
        for (name, entry) in top(names, |entry| entry.values) {
            rows.push([name.to_owned(), count(entry.values), count(entry.series)]);
        }
        writeln!(out)?;
        table(&rows, out)?;
        let mut rows = vec![["metric", "series"].map(str::to_owned)];
        for (metric, series) in top(&self.cardinality.metrics, |series| *series) {
            rows.push([metric.to_owned(), count(*series)]);
        }
        writeln!(out)?;
        table(&rows, out)?;
        let (of_names, of_metrics) = (names.len(), self.cardinality.metrics.len());
        writeln!(
            out,
            "  of {} label names and {} metrics; what is in several segments counts once in each",
            count(of_names as u64),
            count(of_metrics as u64)
        )
    }

    fn print_notes(&self, out: &mut impl Write) -> io::Result<()> {
        let recovery = &self.recovery;
        writeln!(
            out,
            "\nopening replayed {} log records with {} samples",
            count(recovery.records),
            count(recovery.samples)
        )?;
        if recovery.torn_bytes > 0 {
            writeln!(
                out,
                "  {} bytes behind them are no whole record",
                count(recovery.torn_bytes)
            )?;
        }
        for lost in self.damage() {
            writeln!(out, "  damaged: {lost}")?;
        }
        Ok(())
    }

    /// What opening could not read, in words.
    fn damage(&self) -> impl Iterator<Item = &str> {
        let gaps = self.recovery.gaps.iter().map(String::as_str);
        let segments = self.recovery.quarantined.iter();
        let segments = segments.map(|segment| segment.reason.as_str());
        gaps.chain(segments).chain(self.unknown.as_deref())
    }

    fn json(&self) -> Json {
        let stats = &self.stats;
        let pair = |bounds: (i64, i64)| Json::from_iter([bounds.0.into(), bounds.1.into()]);
        let files = self.files().map(|(name, bytes)| (name, bytes.into()));
        let parts = parts_of(&self.segments);
        let parts = parts.into_iter().map(|(name, bytes)| (name, bytes.into()));
        let label_names = top(&self.cardinality.label_names, |entry| entry.values);
        let metrics = top(&self.cardinality.metrics, |series| *series);
        Json::Object(vec![
            ("dir", self.dir.as_str().into()),
            ("time_unit", self.precision.as_str().into()),
            ("time_range", self.bounds().map(pair).into()),
            ("log_series", stats.head_series.into()),
            ("log_samples", stats.head_samples.into()),
            ("segment_series", stats.segment_series.into()),
            ("segment_samples", stats.segment_samples.into()),
            ("bytes", Json::Object(files.into())),
            ("segment_bytes", Json::Object(parts.collect())),
            ("segments", self.segments.iter().map(segment_json).collect()),
            ("rollups", self.rollups.iter().map(rollup_json).collect()),
            ("label_names_total", self.cardinality.label_names.len().into()),
            (
                "label_names",
                label_names
                    .into_iter()
                    .map(|(name, entry)| {
                        Json::Object(vec![
                            ("name", name.into()),
                            ("values", entry.values.into()),
                            ("series", entry.series.into()),
                        ])
                    })
                    .collect(),
            ),
            ("metrics_total", self.cardinality.metrics.len().into()),
            (
                "metrics",
                metrics
                    .into_iter()
                    .map(|(name, series)| {
                        Json::Object(vec![("name", name.into()), ("series", (*series).into())])
                    })
                    .collect(),
            ),
            ("recovery", self.recovery_json()),
        ])
    }

    fn recovery_json(&self) -> Json {
        let recovery = &self.recovery;
        Json::Object(vec![
            ("log_records", recovery.records.into()),
            ("samples", recovery.samples.into()),
            ("lost_samples", recovery.lost_samples.into()),
            ("torn_bytes", recovery.torn_bytes.into()),
            ("damage", self.damage().map(Json::from).collect()),
        ])
    }
}

fn rollup_json(rollup: &RollupInfo) -> Json {
    let pair = |bounds: (i64, i64)| Json::from_iter([bounds.0.into(), bounds.1.into()]);
    Json::Object(vec![
        ("width_seconds", rollup.resolution.as_secs().into()),
        ("tiles", rollup.tiles.into()),
        ("series", rollup.series.into()),
        ("values", rollup.values.into()),
        ("bytes", rollup.bytes.into()),
        ("time_range", rollup.bounds.map(pair).into()),
        ("covered_seconds", rollup.covered.as_secs().into()),
        ("outdated_seconds", rollup.outdated.as_secs().into()),
    ])
}

fn segment_json(segment: &SegmentInfo) -> Json {
    let meta = &segment.meta;
    Json::Object(vec![
        ("file", file_name(segment).as_str().into()),
        ("level", u64::from(meta.level).into()),
        ("series", meta.series.into()),
        ("floats", meta.floats.into()),
        ("histograms", meta.histograms.into()),
        ("exemplars", meta.exemplars.into()),
        ("bytes", segment.bytes.into()),
        (
            "time_range",
            Json::from_iter([meta.time_min.into(), meta.time_max.into()]),
        ),
        (
            "lsn_range",
            Json::from_iter([meta.lsn_first.into(), meta.lsn_last.into()]),
        ),
    ])
}

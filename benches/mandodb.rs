//! The example of mandodb's README, on narthex: 81,920 series with a point each minute for 121 minutes, ten million points, in
//! batches of 16 rows.
//!
//! `cargo bench --bench mandodb [-- FOLDER]`. A series has six labels, three of them as long as a UUID; a value is one of 0 to 59 at
//! random. Labels are made before; a row's way is from the batch to the log, which is synced every 100 ms, and into memory.
//! Published are 400,000 rows a second without a log, and 28 MB on the disk. The bar is 150 ns a row.

pub(crate) mod common;

use common::{Figures, Size, ns_each};
use narthex::{Db, Durability, Error, Labels, ListOptions, Matcher, Options, Precision};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const METRICS: [&str; 16] = [
    "cpu.idle",
    "cpu.steal",
    "cpu.system",
    "cpu.user",
    "disk.busy",
    "disk.free",
    "disk.reads",
    "disk.writes",
    "mem.cached",
    "mem.free",
    "mem.swap",
    "mem.used",
    "net.drops",
    "net.errors",
    "net.received",
    "net.sent",
];
const NODES: usize = 5;
const FIRST_S: i64 = 1_627_709_713;
const MINUTE_S: i64 = 60;
/// Reads of the last 90 points of a series.
const SELECTS: usize = 20_000;

/// Pseudo-random numbers, the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    /// As long as a UUID and made like one.
    fn unique(&mut self) -> String {
        let parts = [8, 4, 4, 4, 12].map(|digits| {
            let digits = (0..digits).map(|_| char::from_digit((self.next() % 16) as u32, 16));
            digits.flatten().collect::<String>()
        });
        parts.join("-")
    }

    /// From 0 to 59.
    fn value(&mut self) -> f64 {
        (self.next() % 60) as f64
    }
}

/// The series of the example: for each node and data center one of each metric.
fn series(centers: usize, random: &mut Random) -> Result<Vec<Labels>, Box<dyn std::error::Error>> {
    let unique = METRICS.map(|_| [random.unique(), random.unique(), random.unique()]);
    let mut all = Vec::with_capacity(NODES * centers * METRICS.len());
    for node in 0..NODES {
        for center in 0..centers {
            for (metric, unique) in METRICS.iter().zip(&unique) {
                let (node, center) = (format!("vm{node}"), center.to_string());
                all.push(Labels::from_pairs([
                    ("__name__", *metric),
                    ("node", &node),
                    ("dc", &center),
                    ("foo", &unique[0]),
                    ("bar", &unique[1]),
                    ("zoo", &unique[2]),
                ])?);
            }
        }
    }
    Ok(all)
}

fn write(db: &Db, series: &[Labels], minutes: i64, random: &mut Random) -> Result<usize, Error> {
    let mut accepted = 0;
    for minute in 0..minutes {
        let time = FIRST_S + minute * MINUTE_S;
        for rows in series.chunks(METRICS.len()) {
            let mut batch = db.batch();
            for labels in rows {
                batch.push(labels, time, random.value());
            }
            accepted += batch.commit()?.accepted;
        }
    }
    Ok(accepted)
}

/// Reads the last points of one series after the other: what a read takes, and what was read.
fn select(db: &Db, series: &[Labels], since: i64, times: usize) -> Result<(f64, usize), Error> {
    let chosen: Vec<Vec<Matcher>> = series
        .iter()
        .step_by(series.len().div_ceil(500))
        .map(|labels| {
            labels
                .iter()
                .map(|(name, value)| Matcher::eq(name, value))
                .collect()
        })
        .collect();
    let (mut found, mut count) = (narthex::Series::default(), 0);
    let start = Instant::now();
    for matchers in chosen.iter().cycle().take(times) {
        let mut cursor = db.select(matchers, since..)?;
        while cursor.next_into(&mut found)? {
            count += found.len();
        }
    }
    Ok((ns_each(start.elapsed(), times), count))
}

pub(crate) fn run(
    size: Size,
    folder: &Path,
    out: &mut impl Write,
) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let (centers, minutes) = (size.of(1_024, 4), 121);
    let mut random = Random(20_261_127);
    let series = series(centers, &mut random)?;
    let options = Options::new(folder).precision(Precision::Seconds);
    let options = options.durability(Durability::Interval(Duration::from_millis(100)));
    let db = Db::open(options.background(false))?;

    let rows = series.len() * minutes as usize;
    let start = Instant::now();
    let accepted = write(&db, &series, minutes, &mut random)?;
    let took = start.elapsed();
    assert_eq!(accepted, rows);
    let mut figures = Figures {
        out,
        size,
        all_hold: true,
    };
    writeln!(
        figures.out,
        "{} series, {rows} points, in batches of {}",
        series.len(),
        METRICS.len()
    )?;
    let per_second = rows as f64 / took.as_secs_f64();
    figures.add(
        "insert, new series included",
        (ns_each(took, rows), "ns"),
        "2500 ns",
        Some(150.0),
    )?;
    figures.add("rows", (per_second / 1_000.0, "k/s"), "400 k/s", None)?;

    let since = FIRST_S + (minutes - 90) * MINUTE_S;
    let selects = size.of(SELECTS, 50);
    let (each, points) = select(&db, &series, since, selects)?;
    assert_eq!(points, selects * 90);
    figures.add(
        "select the last 90 points of a series",
        (each, "ns"),
        "nothing",
        None,
    )?;

    let start = Instant::now();
    db.flush()?;
    figures.add(
        "flush",
        (start.elapsed().as_secs_f64() * 1_000.0, "ms"),
        "nothing",
        None,
    )?;
    let bytes: u64 = db.segments().iter().map(|segment| segment.bytes).sum();
    let (megabytes, bar) = (bytes as f64 / 1e6, (size == Size::Full).then_some(28.0));
    figures.add("disk, index included", (megabytes, "MB"), "28 MB", bar)?;
    let (each, points) = select(&db, &series, since, selects)?;
    assert_eq!(points, selects * 90);
    figures.add("the same select from the disk", (each, "ns"), "nothing", None)?;
    let nodes = db.label_values("node", &[], .., ListOptions::default())?.items;
    assert_eq!(nodes, ["vm0", "vm1", "vm2", "vm3", "vm4"]);
    let exit_code = figures.exit_code();
    db.close()?;
    Ok(exit_code)
}

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let folder = match std::env::args_os()
        .skip(1)
        .find(|argument| !argument.to_string_lossy().starts_with('-'))
    {
        Some(below) => tempfile::tempdir_in(below)?,
        None => tempfile::tempdir()?,
    };
    run(Size::asked_for(), folder.path(), &mut std::io::stdout())
}

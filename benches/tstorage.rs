//! The benchmarks of tstorage, on narthex: rows inserted one by one, 90 points selected among a thousand and among a million.
//!
//! `cargo bench --bench tstorage`. Everything is in memory and in nanoseconds, as there. An insert is a batch of one row that is
//! committed, or one of a thousand; a select begins with the name of the metric and ends with the last of the points read.
//! Published are 306 ns an insert, and 222 and 292 ns a select. The bars are 150 ns a point and 1,000 ns a select.

pub(crate) mod common;

use common::{Figures, Size, ns_each};
use narthex::{Db, Error, Labels, Matcher, Options, Precision, Series, labels};
use std::hint::black_box;
use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const VALUE: f64 = 0.1;
/// Rows of a large batch.
const BATCH_ROWS: usize = 1_000;
/// Short ones, so that some of them have the machine to themselves.
const SELECT_RUNS: usize = 30;

fn open() -> Result<Db, Error> {
    Db::open(Options::in_memory().precision(Precision::Nanoseconds))
}

/// Inserts rows at 1, 2, 3 ... in batches of so many.
fn insert(db: &Db, metric: &Labels, rows: usize, batch_rows: usize) -> Result<(), Error> {
    let mut time = 1;
    while time <= rows {
        let mut batch = db.batch();
        for _ in 0..batch_rows.min(rows + 1 - time) {
            batch.push(metric, time as i64, VALUE);
            time += 1;
        }
        batch.commit()?;
    }
    Ok(())
}

/// What an insert takes into a new database, and a database with so many rows.
fn inserted(metric: &Labels, rows: usize, batch_rows: usize) -> Result<(f64, Db), Error> {
    let mut best = f64::MAX;
    let mut last = open()?;
    for _ in 0..3 {
        last = open()?;
        let start = Instant::now();
        insert(&last, metric, rows, batch_rows)?;
        best = best.min(ns_each(start.elapsed(), rows));
    }
    Ok((best, last))
}

/// Runs `work` some times and gives the shortest time: what others do on the machine only ever adds to it.
fn best_of<E>(runs: usize, mut work: impl FnMut() -> Result<(), E>) -> Result<Duration, E> {
    let mut best = Duration::MAX;
    for _ in 0..runs {
        let start = Instant::now();
        work()?;
        best = best.min(start.elapsed());
    }
    Ok(best)
}

/// Selects [10, 100) again and again, and gives what one of them takes.
fn select(db: &Db, times: usize) -> Result<f64, Error> {
    let matchers = [Matcher::eq("__name__", "metric1")];
    let mut series = Series::default();
    let took = best_of(SELECT_RUNS, || -> Result<(), Error> {
        for _ in 0..times {
            let mut cursor = db.select(&matchers, 10..100)?;
            let (mut count, mut all_bits) = (0, 0);
            while cursor.next_into(&mut series)? {
                let points = series.float_timestamps().iter().zip(series.float_bits());
                for (time, bits) in points {
                    count += 1;
                    all_bits ^= time.cast_unsigned() ^ bits;
                }
            }
            black_box(all_bits);
            assert_eq!(count, 90);
        }
        Ok(())
    })?;
    let times_seen = series.float_timestamps();
    assert_eq!((times_seen.first(), times_seen.last()), (Some(&10), Some(&99)));
    assert!(series.float_bits().iter().all(|bits| *bits == VALUE.to_bits()));
    Ok(ns_each(took, times))
}

pub(crate) fn run(size: Size, out: &mut impl Write) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let metric = labels! { "__name__" => "metric1" };
    let mut figures = Figures {
        out,
        size,
        all_hold: true,
    };
    let (rows, selects) = (size.of(1_000_000, 2_000), size.of(20_000, 20));
    let (one_by_one, million) = inserted(&metric, rows, 1)?;
    figures.add(
        "insert, a commit for each row",
        (one_by_one, "ns"),
        "306 ns",
        None,
    )?;
    let (in_batches, batched) = inserted(&metric, rows, BATCH_ROWS)?;
    let name = format!("insert, a commit for {BATCH_ROWS} rows, each row");
    figures.add(&name, (in_batches, "ns"), "306 ns", Some(150.0))?;
    let (_, thousand) = inserted(&metric, 999, 1)?;
    for (among, db, published) in [
        (999, &thousand, "222 ns"),
        (rows, &million, "292 ns"),
        (rows, &batched, "292 ns"),
    ] {
        let name = format!("select 90 points among {among} in memory");
        figures.add(&name, (select(db, selects)?, "ns"), published, Some(1_000.0))?;
    }
    Ok(figures.exit_code())
}

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    run(Size::asked_for(), &mut std::io::stdout())
}

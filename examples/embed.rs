//! The embedded default: a database in a folder, written durably and asked for the last hour.
//!
//! `cargo run --release --example embed [FOLDER]`; without an argument the folder `narthex-embed` below the system's
//! folder for temporary files is used. Running it twice changes nothing: the same bits again are a no-op.
//!
//! Output:
//!
//! ```text
//! 60 batches, 180 samples accepted, 0 refused
//! room_celsius{room="attic"}: 60 samples, last 22.8, mean 22.38
//! room_celsius{room="cellar"}: 60 samples, last 13.8, mean 13.60
//! room_celsius{room="kitchen"}: 60 samples, last 21.2, mean 20.75
//! ```

use narthex::{Db, Matcher, Options, labels};
use std::error::Error;
use std::io::Write;
use std::path::Path;

/// 2023-11-14 22:00:00 UTC, in milliseconds.
const START_MS: i64 = 1_699_999_200_000;
const MINUTE_MS: i64 = 60_000;

pub(crate) fn run(folder: &Path, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let db = Db::open(Options::new(folder))?;

    let rooms = [
        ("attic", 220, 0, 9),
        ("cellar", 134, 4, 5),
        ("kitchen", 195, 3, 28),
    ];
    let (mut accepted, mut refused) = (0, 0);
    for minute in 0..60 {
        let mut batch = db.batch();
        for (room, base, step, span) in rooms {
            let tenths = base + (minute * step + minute / 7) % span;
            let labels = labels! { "__name__" => "room_celsius", "room" => room };
            batch.push(&labels, START_MS + minute * MINUTE_MS, tenths as f64 / 10.0);
        }
        let report = batch.commit()?; // Returns when the batch survives a power loss.
        accepted += report.accepted;
        refused += report.rejected_count();
    }
    writeln!(out, "60 batches, {accepted} samples accepted, {refused} refused")?;

    let hour = START_MS..START_MS + 60 * MINUTE_MS;
    for series in db.select(&[Matcher::eq("__name__", "room_celsius")], hour)? {
        let series = series?;
        let values: Vec<f64> = series
            .samples()
            .filter_map(|sample| sample.value.as_float())
            .collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let last = values.last().copied().unwrap_or(f64::NAN);
        let labels = series.labels();
        writeln!(
            out,
            "{labels}: {} samples, last {last}, mean {mean:.2}",
            values.len()
        )?;
    }
    db.close()?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).map(Into::into);
    let folder = folder.unwrap_or_else(|| std::env::temp_dir().join("narthex-embed"));
    run(&folder, &mut std::io::stdout())
}

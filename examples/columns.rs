//! Key-value columns beside the samples: what a program wants to keep about its devices.
//!
//! `cargo run --release --example columns [FOLDER]`; without an argument the folder `narthex-columns` below the system's
//! folder for temporary files is used.
//!
//! Output:
//!
//! ```text
//! firmware of pump-2: {"stable":true,"version":4}
//! from pump-1 to pump-3: pump-1, pump-2
//! after the batch: 2 of firmware, 1 of retired
//! token of pump-1: 3 bytes
//! columns: firmware, retired, tokens
//! ```

use narthex::{ColumnValue, Db, Options};
use serde_json::json;
use std::error::Error;
use std::io::Write;
use std::path::Path;

pub(crate) fn run(folder: &Path, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let db = Db::open(Options::new(folder))?;
    let columns = db.columns();
    for (pump, version) in [("pump-1", 3), ("pump-2", 4), ("pump-3", 4)] {
        columns.put(
            "firmware",
            pump,
            json!({ "version": version, "stable": version > 3 }),
        )?;
    }
    if let Some(ColumnValue::Json(firmware)) = columns.get("firmware", "pump-2")? {
        writeln!(out, "firmware of pump-2: {firmware}")?;
    }

    // The first key is included, the second one is not.
    let found = columns.query("firmware", "pump-1".."pump-3", 10)?;
    let names: Vec<_> = found
        .iter()
        .map(|(key, _)| String::from_utf8_lossy(key))
        .collect();
    writeln!(out, "from pump-1 to pump-3: {}", names.join(", "))?;

    // Both columns change together or not at all.
    let batch = columns.batch().delete("firmware", "pump-3");
    batch.put("retired", "pump-3", json!("2026-11-27")).commit()?;
    let count = |column: &str| Ok::<_, narthex::Error>(columns.query_from(column, "", 100)?.len());
    writeln!(
        out,
        "after the batch: {} of firmware, {} of retired",
        count("firmware")?,
        count("retired")?
    )?;

    columns.put("tokens", "pump-1", &b"\x00\x01\x02"[..])?;
    if let Some(ColumnValue::Bytes(token)) = columns.get("tokens", "pump-1")? {
        writeln!(out, "token of pump-1: {} bytes", token.len())?;
    }
    writeln!(out, "columns: {}", columns.names()?.join(", "))?;
    db.close()?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).map(Into::into);
    let folder = folder.unwrap_or_else(|| std::env::temp_dir().join("narthex-columns"));
    run(&folder, &mut std::io::stdout())
}

//! `narthex verify`: every checksum read, every sample decoded, every fault named.

use super::{Failure, open, text};
use narthex::Db;
use std::io::Write;
use std::path::Path;

/// `true` when the database is sound. A folder that does not open for damage is a finding, not a failure.
pub(super) fn run(dir: &Path, out: &mut impl Write) -> Result<bool, Failure> {
    let db = match open(dir) {
        Ok(db) => db,
        Err(error @ narthex::Error::Corrupt(_)) => {
            writeln!(out, "fault: {error}")?;
            writeln!(out, "{}: 1 fault, and the database does not open", dir.display())?;
            return Ok(false);
        }
        Err(error) => return Err(error.into()),
    };
    let report = db.verify()?;
    for fault in &report.faults {
        writeln!(out, "fault: {fault}")?;
    }
    notes(&db, out)?;
    let found = match report.faults.len() {
        0 => "sound".to_owned(),
        1 => "1 fault".to_owned(),
        count => format!("{} faults", text::count(count as u64)),
    };
    let tiles = match report.tiles {
        0 => String::new(),
        tiles => format!("{} tiles of rollups, ", text::count(tiles as u64)),
    };
    writeln!(
        out,
        "{}: {found}; {} segments with {} samples that decode, {tiles}{} log records",
        dir.display(),
        text::count(report.segments as u64),
        text::count(report.samples),
        text::count(report.log_records),
    )?;
    Ok(report.is_sound())
}

/// What is worth knowing and no fault.
fn notes(db: &Db, out: &mut impl Write) -> Result<(), Failure> {
    let recovery = db.recovery();
    if recovery.torn_bytes > 0 {
        writeln!(
            out,
            "note: the log ends in {} bytes that are no whole record, as after a crash or beside a writing process; \
             nothing in them was promised",
            text::count(recovery.torn_bytes)
        )?;
    }
    if recovery.lost_samples > 0 {
        writeln!(
            out,
            "note: {} samples of whole log records lean on lost ones and cannot be read",
            text::count(recovery.lost_samples)
        )?;
    }
    Ok(())
}

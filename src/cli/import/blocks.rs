//! `narthex import blocks`: data folders and blocks of Prometheus.

use crate::cli::{Failure, progress::Progress, text};
use clap::Args;
use narthex::{BlockImport, BlockImportOptions, Db, Options};
use std::io::Write;
use std::path::PathBuf;

/// Memory of what is not in segments yet.
const HEAD_BYTES_MAX: u64 = 1 << 30;

/// What to take in, and where to.
#[derive(Debug, Args)]
pub(in crate::cli) struct Blocks {
    /// The folder of the database, which is made if need be. No server may have it open.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Data folders of Prometheus (of one that does not run), or single blocks.
    #[arg(required = true, value_name = "FOLDER")]
    folders: Vec<PathBuf>,
    /// Does not compare each block with what the database then answers.
    #[arg(long)]
    no_verify: bool,
    /// Passes over blocks that are damaged, and over the rest of damaged files of the log.
    #[arg(long)]
    skip_damaged: bool,
}

pub(super) fn run(blocks: &Blocks, out: &mut impl Write) -> Result<bool, Failure> {
    // Before a database is made for nothing.
    if let Some(missing) = blocks.folders.iter().find(|folder| !folder.is_dir()) {
        return Err(Failure::Transfer(format!("{} is no folder", missing.display())));
    }
    let db = Db::open(Options::new(&blocks.data).head_bytes_max(HEAD_BYTES_MAX))?;
    let options = BlockImportOptions::default()
        .verify(!blocks.no_verify)
        .skip_damaged(blocks.skip_damaged);
    let mut progress = Progress::start();
    let report = db.import_blocks(&blocks.folders, &options, &mut |done| progress.tell(done));
    progress.end();
    let report = report?;
    db.flush()?;
    db.close()?;
    print(&report, out)?;
    Ok(report.is_whole())
}

fn print(report: &BlockImport, out: &mut impl Write) -> Result<(), Failure> {
    for fault in &report.faults {
        writeln!(out, "damaged: {fault}")?;
    }
    for refused in &report.refused {
        let (count, reason) = (text::count(refused.count), refused.reason);
        writeln!(out, "refused: {count} samples, {reason}: {}", refused.example)?;
    }
    if let Some(difference) = &report.difference {
        let count = text::count(report.different);
        writeln!(out, "different: {count} samples; {difference}")?;
    }
    for note in &report.notes {
        writeln!(out, "note: {note}")?;
    }
    writeln!(
        out,
        "{} blocks taken in, {} were before; {} samples, {} of them from the log and {} there already",
        text::count(report.blocks as u64),
        text::count(report.blocks_known as u64),
        text::count(report.samples),
        text::count(report.log_samples),
        text::count(report.duplicates),
    )?;
    writeln!(
        out,
        "{} samples read back, {} of them different; {} deleted and {} that Prometheus would not show left out; {} exemplars",
        text::count(report.verified + report.different),
        text::count(report.different),
        text::count(report.deleted),
        text::count(report.dropped),
        text::count(report.exemplars),
    )?;
    Ok(())
}

//! Blocks of Prometheus out and in: samples per CPU second, beside promtool, which makes blocks of text and text of blocks, and vmctl,
//! which reads the same blocks into VictoriaMetrics. CPU is of all threads and, of the peers, of all their processes.

use super::Scale;
use crate::fleet::Fleet;
use crate::measure::Stopwatch;
use crate::peer::served::{Kind, Served};
use crate::report::Report;
use anyhow::{Context, Result, ensure};
use narthex::{BlockExportOptions, BlockImportOptions, Db, Durability, Options};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const SPAN: Duration = Duration::from_secs(2 * 3600);
const BATCH_SERIES: usize = 5_000;
/// CPU time is told by the kernel in these ticks a second.
const TICKS_PER_SECOND: f64 = 100.0;

/// Programs to compare with.
#[derive(Debug, Default)]
pub struct Peers {
    pub promtool: Option<PathBuf>,
    /// With its server.
    pub vmctl: Option<PathBuf>,
    pub victoria: Option<PathBuf>,
}

pub fn run(scale: &Scale, peers: &Peers) -> Result<bool> {
    let folder = scale.folder()?;
    let path = |name: &str| folder.path().join(name);
    let mut report = Report::new("blocks of Prometheus, out and in", scale.small);
    let db = open(&path("db"))?;
    let samples = fill(&db, scale)?;
    report.figure("samples", samples as f64, "");
    let rate = |seconds: f64| samples as f64 / seconds;

    for (what, is_verified) in [("export", false), ("export and verify", true)] {
        let (watch, out) = (Stopwatch::start(), path(what));
        let options = BlockExportOptions::default().span(SPAN).verify(is_verified);
        let written = db.export_blocks(&out, &[], .., &options, &mut |_| {})?;
        report.figure(what, rate(watch.cpu_s()), "samples/CPU-s");
        report.figure(what, rate(watch.wall_s()), "samples/s");
        let is_whole = written.samples == samples && written.faults.is_empty();
        report.check(is_whole, format!("{} samples written", written.samples));
    }
    let out = path("export");

    for (what, is_verified) in [("import", false), ("import and verify", true)] {
        let other = open(&path(what))?;
        let watch = Stopwatch::start();
        let options = BlockImportOptions::default().verify(is_verified);
        let read = other.import_blocks(&[&out], &options, &mut |_| {})?;
        other.flush()?;
        report.figure(what, rate(watch.cpu_s()), "samples/CPU-s");
        report.figure(what, rate(watch.wall_s()), "samples/s");
        report.check(
            read.is_whole() && read.samples == samples,
            format!("{} samples read", read.samples),
        );
        let verified = if is_verified { samples } else { 0 };
        report.check(
            read.verified == verified,
            format!("{} samples verified", read.verified),
        );
        other.close()?;
    }
    db.close()?;
    if let Some(promtool) = &peers.promtool {
        beside_promtool(promtool, &out, &path("text"), &path("blocks"), &mut report, &rate)?;
    }
    if let (Some(vmctl), Some(victoria)) = (&peers.vmctl, &peers.victoria) {
        beside_vmctl(scale, vmctl, victoria, &out, &mut report, &rate)?;
    }
    Ok(report.print())
}

fn open(dir: &Path) -> Result<Db> {
    Ok(Db::open(Options::new(dir).durability(Durability::Never))?)
}

/// Writes hosts with node exporters for some hours.
fn fill(db: &Db, scale: &Scale) -> Result<u64> {
    let mut fleet = Fleet::new(scale.of(10_000, 500), 0, 1);
    let ticks = 2 * 240;
    for _ in 0..ticks {
        fleet.advance();
        for first in (0..fleet.series()).step_by(BATCH_SERIES) {
            let mut batch = db.batch();
            for series in first..(first + BATCH_SERIES).min(fleet.series()) {
                let (timestamp, value) = fleet.sample(series);
                batch.push(fleet.labels(series), timestamp, value);
            }
            ensure!(batch.commit()?.rejected.is_empty(), "samples were refused");
        }
    }
    db.flush()?;
    Ok((fleet.series() * ticks) as u64)
}

/// Runs a program to its end and returns its CPU time.
fn cpu_of(command: &mut Command) -> Result<f64> {
    let before = children_cpu_s()?;
    let status = command.stderr(Stdio::null()).status();
    let status = status.with_context(|| format!("{command:?}"))?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(children_cpu_s()? - before)
}

/// CPU time of all processes that were started here and have ended.
fn children_cpu_s() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let behind_name = stat.rsplit_once(')').context("/proc/self/stat has no name")?.1;
    let mut fields = behind_name.split_whitespace().skip(13);
    let mut ticks = || -> Result<f64> { Ok(fields.next().context("/proc/self/stat is short")?.parse()?) };
    Ok((ticks()? + ticks()?) / TICKS_PER_SECOND)
}

fn beside_promtool(
    promtool: &Path,
    blocks: &Path,
    text: &Path,
    made: &Path,
    report: &mut Report,
    rate: &dyn Fn(f64) -> f64,
) -> Result<()> {
    // Its dumps are of data folders, which have a log.
    std::fs::create_dir_all(blocks.join("wal"))?;
    let analyze = cpu_of(
        Command::new(promtool)
            .args(["tsdb", "analyze"])
            .arg(blocks)
            .stdout(Stdio::null()),
    );
    report.check(analyze.is_ok(), "promtool tsdb analyze accepts the blocks");
    let mut dump = Command::new(promtool);
    dump.args(["tsdb", "dump-openmetrics"])
        .arg(blocks)
        .stdout(File::create(text)?);
    report.figure(
        "promtool tsdb dump-openmetrics",
        rate(cpu_of(&mut dump)?),
        "samples/CPU-s",
    );
    let mut make = Command::new(promtool);
    make.args(["tsdb", "create-blocks-from", "openmetrics"])
        .arg(text)
        .arg(made)
        .stdout(Stdio::null());
    report.figure(
        "promtool tsdb create-blocks-from",
        rate(cpu_of(&mut make)?),
        "samples/CPU-s",
    );
    Ok(())
}

fn beside_vmctl(
    scale: &Scale,
    vmctl: &Path,
    victoria: &Path,
    blocks: &Path,
    report: &mut Report,
    rate: &dyn Fn(f64) -> f64,
) -> Result<()> {
    let served = Served::start_with(Kind::VictoriaMetrics, victoria, scale.folder()?, &[], None)?;
    let before = served.cpu_s()?;
    let mut import = Command::new(vmctl);
    import
        .args(["prometheus", "-s", "--disable-progress-bar"])
        .arg(format!("--prom-snapshot={}", blocks.display()))
        .arg(format!("--vm-addr=http://127.0.0.1:{}", served.port))
        .stdout(Stdio::null());
    let client = cpu_of(&mut import)?;
    served.settle()?;
    let server = served.cpu_s()? - before;
    report.figure("vmctl prometheus", rate(client), "samples/CPU-s");
    report.figure("vmctl and its server", rate(client + server), "samples/CPU-s");
    Ok(())
}

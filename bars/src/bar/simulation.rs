//! A virtual year of 1,000 series every 15 seconds, with churn, late data, deletes, undeletes, corrections, retention with
//! a rule, and restarts, half of them kills. What is read is compared with a model throughout (see `year/`); counted
//! are segments, bytes written, scratch space and memory, all of the time.
//!
//! The bounds follow from how flushes and merges are chosen (decisions 005 and 007). A flush holds four segment spans,
//! 8 h, and a partition a tenth of the retention, 12 days:
//!
//! * **Segments.** A partition at rest is one segment, and retention keeps ten of them and parts of two more. Late hours
//!   reach the newest two, corrections the newest four, and none is let have more than 12 segments for long.
//! * **Writes of a sample.** One flush, at about twice the bytes that are kept in the end; two tiers (a day, three days);
//!   one when its partition comes to rest; two when it is old enough for compression and for the rule; and late data that
//!   comes to a partition at rest, which waits for three quiet days or until it is worth it: once, with one to spare. That
//!   makes nine times what is kept, the log apart.
//! * **Log and all.** The log takes less than a sample in plain form (16 bytes), and segments, at less than a byte a sample
//!   even when written nine times, do not make it more than a third of that.
//! * **Scratch space.** One merge runs at a time, and its result is no larger than its members, which stay until it
//!   counts: a partition, and a half for those that readers or the next step still hold.
//! * **Memory.** Two generations of 8 h at 2 bytes a sample (8 MiB). A merge keeps of each of at most 13 members 8 groups
//!   of 16 series (2 MiB) and the timestamps of 100 hosts in two slices (3 MiB): 65 MiB. What is compared here takes 40
//!   bytes a sample of a whole series: 10 MiB. The allocator may hold on to half as much again.

use super::Scale;
use crate::report::{Bar, Report};
use crate::rng::Rng;
use crate::year::life::{self, Line};
use crate::year::world::{DAY_TICKS, Size, World};
use anyhow::{Context, Result, ensure};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

const MIB: f64 = 1_048_576.0;
/// Partitions that retention keeps.
const PARTITIONS: f64 = 10.0;
const PLAIN_BYTES_PER_SAMPLE: f64 = 16.0;
/// Days at which a process ends, and whether it is killed.
const ENDS: [(i64, bool); 8] = [
    (20, true),
    (45, false),
    (60, true),
    (130, false),
    (150, true),
    (180, false),
    (260, true),
    (300, false),
];
const ENDS_SMALL: [(i64, bool); 3] = [(3, true), (7, false), (10, true)];

fn size(scale: &Scale, days: i64) -> Size {
    Size {
        hosts: scale.of(100, 10),
        days,
        retention_days: scale.of(120, 10),
        rule_days: scale.of(10, 3),
    }
}

/// What all processes together did.
#[derive(Default)]
struct Year {
    lines: Vec<Line>,
    /// The last line of each process.
    ends: Vec<Line>,
    wrong: Vec<String>,
    kills: usize,
}

impl Year {
    fn sum(&self, of: fn(&Line) -> u64) -> f64 {
        self.ends.iter().map(of).sum::<u64>() as f64
    }

    fn peak(&self, of: fn(&Line) -> u64) -> f64 {
        self.lines.iter().map(of).max().unwrap_or(0) as f64
    }

    fn acked(&self) -> i64 {
        self.lines.last().map_or(-1, |line| line.tick)
    }
}

pub fn run(scale: &Scale, days: Option<i64>) -> Result<bool> {
    let size = size(scale, days.unwrap_or(scale.of(365, 14)));
    let title = format!(
        "simulation: {} days of {} series every 15 s, restarted now and then",
        size.days,
        size.hosts * crate::year::world::SERIES_PER_HOST
    );
    let mut report = Report::new(title, scale.small);
    let folder = scale.folder()?;
    let (mut year, mut rng) = (Year::default(), Rng::new(7));
    let ends: &[_] = if scale.small { &ENDS_SMALL } else { &ENDS };
    let ends = ends.iter().copied().filter(|end| end.0 < size.days);
    for end in ends.chain([(size.days, false)]) {
        stretch(scale, &size, folder.path(), end, &mut rng, &mut year)?;
    }
    tell(&year, &size, &mut report);
    Ok(report.print())
}

/// Lets a process live until a day, and kills it a while after if it is to be.
fn stretch(
    scale: &Scale,
    size: &Size,
    folder: &Path,
    (day, is_killed): (i64, bool),
    rng: &mut Rng,
    year: &mut Year,
) -> Result<()> {
    let until = day * DAY_TICKS;
    let mut command = scale.child()?;
    let last = if is_killed { i64::MAX } else { until };
    command.arg("simulation-life").arg(folder);
    command.arg("--acked").arg(year.acked().to_string());
    command.arg("--until").arg(last.to_string());
    command.arg("--days").arg(size.days.to_string());
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let mut output = BufReader::new(child.stdout.take().context("the child has no output")?);
    let (mut text, mut own, mut is_closed, mut is_over) = (String::new(), Vec::new(), false, false);
    let mut line_at = Instant::now();
    while output.read_line(&mut text).is_ok_and(|length| length > 0) && text.ends_with('\n') {
        let words = text.trim_end();
        is_closed |= life::is_closed(words);
        year.wrong.extend(life::wrong(words).map(str::to_owned));
        if let Some(line) = Line::parse(words) {
            own.push(line);
            let line_time = line_at.elapsed();
            line_at = Instant::now();
            if is_killed && !is_over && line.tick >= until {
                is_over = true;
                std::thread::sleep(line_time.mul_f64(3.0 * rng.unit()));
                child.kill()?;
            }
        }
        text.clear();
    }
    let status = child.wait()?;
    ensure!(
        is_killed || is_closed && status.success(),
        "a process failed: {status}"
    );
    year.kills += usize::from(is_killed && !is_closed);
    year.ends.extend(own.last());
    year.lines.append(&mut own);
    Ok(())
}

fn tell(year: &Year, size: &Size, report: &mut Report) {
    let samples = year.sum(|line| line.samples);
    let Some(last) = year.lines.last() else {
        return report.check(false, "nothing was told");
    };
    let partition_days = size.retention_days as f64 / PARTITIONS;
    let partitions = size.days.min(size.retention_days) as f64 / partition_days;
    let partition_bytes = year.peak(|line| line.kept_bytes) / partitions;
    report.figure("samples written", samples, "");
    report.figure("samples compared", year.sum(|line| line.compared), "");
    report.figure(
        "all of it",
        samples / (year.sum(|line| line.cpu_ms) / 1e3),
        "samples/CPU-s",
    );
    report.bar(
        "segments, most at once",
        year.peak(|line| line.segments),
        "",
        Bar::AtMost(PARTITIONS + 2.0 + 4.0 * 12.0),
    );
    report.figure("segments, in the end", last.segments as f64, "");
    let kept = last.kept_bytes as f64 / last.kept_samples as f64;
    report.figure("segments, in the end", kept, "B/sample");
    let segments = year.sum(|line| line.segment_bytes) / samples;
    let log = year.sum(|line| line.log_bytes + line.checkpoint_bytes + line.other_bytes) / samples;
    report.bar(
        "flushes and merges, written",
        segments / kept,
        "times kept",
        Bar::AtMost(9.0),
    );
    report.figure("log, checkpoints, manifests, written", log, "B/sample");
    report.bar(
        "everything written",
        (segments + log) / PLAIN_BYTES_PER_SAMPLE,
        "of plain samples",
        Bar::AtMost(1.0 / 3.0),
    );
    report.figure("everything written", (segments + log) / kept, "times kept");
    report.bar(
        "scratch space, most",
        year.peak(|line| line.scratch_bytes) / partition_bytes,
        "partitions",
        Bar::AtMost(1.5),
    );
    memory(year, report);
    let oldest_days = year.peak(|line| line.oldest_ms as u64) / 86_400_000.0;
    let retention_days = size.retention_days as f64;
    report.bar(
        "age of the oldest sample, most",
        oldest_days,
        "days",
        Bar::AtMost(retention_days * (1.0 + 1.0 / PARTITIONS) + 1.0),
    );
    over_time(year, report);
    report.note(format!(
        "{} processes, {} of them killed; a partition is {:.1} MiB",
        year.ends.len(),
        year.kills,
        partition_bytes / MIB
    ));
    report.check(last.tick + 1 == size.days * DAY_TICKS, "not all days were lived");
    report.check(year.kills > 0, "no process was killed");
    report.check(year.wrong.is_empty(), format!("{} answers", year.wrong.len()));
    year.wrong.iter().take(5).for_each(|wrong| report.note(wrong));
}

/// A line for each ninth of the time.
fn over_time(year: &Year, report: &mut Report) {
    for lines in year.lines.chunks(year.lines.len().div_ceil(9).max(1)) {
        let peak = |of: fn(&Line) -> u64| lines.iter().map(of).max().unwrap_or(0);
        let Some(last) = lines.last() else { continue };
        report.note(format!(
            "to day {}: {} segments at most, {:.1} MiB kept, scratch {:.1} MiB, memory {:.1} MiB, head {:.1} MiB",
            (last.tick + 1) / DAY_TICKS,
            peak(|line| line.segments),
            last.kept_bytes as f64 / MIB,
            peak(|line| line.scratch_bytes) as f64 / MIB,
            peak(|line| line.memory_bytes) as f64 / MIB,
            peak(|line| line.head_bytes) as f64 / MIB,
        ));
    }
}

fn memory(year: &Year, report: &mut Report) {
    report.figure(
        "head's own budget, most",
        year.peak(|line| line.head_bytes) / MIB,
        "MiB",
    );
    let quarter = year.lines.len() / 4;
    let peak = |lines: &[Line]| {
        let bytes = lines.iter().map(|line| line.memory_bytes).max();
        bytes.unwrap_or(0) as f64 / MIB
    };
    let (first, rest) = year.lines.split_at(quarter);
    let last = &rest[rest.len() - quarter..];
    report.figure(
        "RssAnon + RssShmem, most in the first quarter",
        peak(first),
        "MiB",
    );
    report.figure("RssAnon + RssShmem, most in the last quarter", peak(last), "MiB");
    report.bar(
        "RssAnon + RssShmem, most",
        peak(&year.lines),
        "MiB",
        Bar::AtMost(128.0),
    );
}

/// The process that lives.
pub fn live(scale: &Scale, days: i64, folder: &Path, (acked, until): (i64, i64)) -> Result<bool> {
    let world = World::new(size(scale, days));
    let until = until.min(world.size.days * DAY_TICKS);
    life::live(&world, folder, acked, until)
}

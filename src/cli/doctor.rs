//! `narthex doctor`: what is wrong with a folder, what can be done about it, and, when asked to, doing it.

use super::{Failure, text};
use narthex::{Db, Diagnosis, Options, Precision, Remedy};
use std::io::Write;
use std::path::Path;

/// `true` when nothing is wrong, or everything wrong was repaired.
pub(super) fn run(
    dir: &Path,
    is_repair: bool,
    precision: Option<Precision>,
    out: &mut impl Write,
) -> Result<bool, Failure> {
    let options = Options::new(dir).read_only(!is_repair);
    let options = match precision {
        Some(precision) => options.precision(precision),
        None => options,
    };
    let diagnosis = Db::doctor(&options)?;
    print(&diagnosis, out)?;
    let (is_sound, can_repair) = (diagnosis.is_sound(), diagnosis.can_repair());
    if !is_repair || !can_repair {
        writeln!(
            out,
            "{}: {}",
            dir.display(),
            match (is_sound, can_repair) {
                (true, _) => "nothing to repair",
                (false, true) => "can be repaired, with --repair",
                (false, false) => "nothing more can be repaired",
            }
        )?;
        return Ok(is_sound);
    }
    out.flush()?;
    for line in diagnosis.repair()? {
        writeln!(out, "done: {line}")?;
    }
    let left = Db::doctor(&options)?;
    print(&left, out)?;
    writeln!(
        out,
        "{}: {}",
        dir.display(),
        if left.is_sound() {
            "repaired"
        } else {
            "repaired as far as can be"
        }
    )?;
    Ok(left.is_sound())
}

fn print(diagnosis: &Diagnosis, out: &mut impl Write) -> Result<(), Failure> {
    for finding in &diagnosis.findings {
        let kind = match finding.remedy {
            Remedy::None => "lost",
            Remedy::Opening | Remedy::LeaveAlone => "note",
            _ => "plan",
        };
        let file = finding.file.display().to_string();
        let what = finding
            .what
            .strip_prefix(&format!("{file}: "))
            .unwrap_or(&finding.what);
        write!(out, "{kind}: {file}: {what}")?;
        if let (Some((from, to)), Some(precision)) = (finding.time, diagnosis.precision)
            && from <= to
        {
            write!(
                out,
                ", {} to {}",
                text::time(from, precision),
                text::time(to, precision)
            )?;
        }
        writeln!(out, ": {}", finding.remedy)?;
    }
    for (path, bytes) in &diagnosis.quarantine {
        writeln!(
            out,
            "quarantine: {}, {} bytes",
            path.display(),
            text::count(*bytes)
        )?;
    }
    Ok(())
}

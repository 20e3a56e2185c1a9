//! Carrying out a plan. Nothing is deleted: what is replaced goes to `quarantine/`.

use super::super::error::Error;
use super::super::manifest::{Manifest, SegmentEntry};
use super::{Diagnosis, Finding, Remedy};
use crate::io::copy_file;
use crate::segment::names;
use crate::segment::reader::Segment;
use crate::segment::rebuild::Patient;
use std::path::{Path, PathBuf};

/// Does what the findings say can be done, and tells what was done.
pub(super) fn repair(diagnosis: Diagnosis) -> Result<Vec<String>, Error> {
    if diagnosis.options.read_only {
        return Err(Error::ReadOnly);
    }
    let Some(manifest) = diagnosis.manifest.clone().filter(|_| diagnosis.can_repair()) else {
        return Ok(Vec::new());
    };
    let mut repair = Repair {
        next: manifest,
        done: Vec::new(),
        replaced: Vec::new(),
        diagnosis: &diagnosis,
    };
    let mut is_changed = false;
    for finding in &diagnosis.findings {
        match &finding.remedy {
            Remedy::PutBack(from) => repair.put_back(finding, from)?,
            Remedy::RebuildSegment => is_changed |= repair.rebuild(finding)?,
            Remedy::RebuildManifest => is_changed = true,
            Remedy::PutAside => repair.replaced.push(finding.file.clone()),
            Remedy::None | Remedy::Opening | Remedy::LeaveAlone => {}
        }
    }
    if is_changed {
        repair.replace_manifest()?;
    }
    repair.put_aside()?;
    Ok(repair.done)
}

struct Repair<'a> {
    diagnosis: &'a Diagnosis,
    next: Manifest,
    done: Vec<String>,
    /// Files that nothing needs once the manifest is replaced.
    replaced: Vec<PathBuf>,
}

impl Repair<'_> {
    fn fs(&self) -> &std::sync::Arc<dyn crate::io::Fs> {
        &self.diagnosis.options.fs
    }

    /// Gives a segment its name back; what stands there is put aside.
    fn put_back(&mut self, finding: &Finding, from: &Path) -> Result<(), Error> {
        if self.fs().exists(&finding.file)? {
            self.move_to_quarantine(&finding.file)?;
        }
        self.fs().rename(from, &finding.file)?;
        self.fs().sync_dir(&self.diagnosis.dir)?;
        self.done.push(format!(
            "{}: put back from {}",
            finding.file.display(),
            from.display()
        ));
        Ok(())
    }

    /// Writes a segment anew under a number of its own, by which the next manifest names it.
    fn rebuild(&mut self, finding: &Finding) -> Result<bool, Error> {
        let options = &self.diagnosis.options;
        let path =
            |entry: &&mut SegmentEntry| names::segment(&self.diagnosis.dir, entry.sequence) == finding.file;
        let Some(entry) = self.next.segments.iter_mut().find(path) else {
            return Ok(false);
        };
        // A flush or repair that was interrupted may have left a file under the next number.
        let sequence = self.next.next_sequence.max(self.diagnosis.next_sequence()?);
        let target = names::segment(&self.diagnosis.dir, sequence);
        let patient = Patient::open(&options.fs, &finding.file, entry.sequence, options.mmap)?;
        if let Err(error) = patient.rebuild(&options.fs, &target, options.metadata_compressor) {
            match Error::from(error) {
                Error::Corrupt(error) => {
                    self.done.push(format!("not repaired: {error}"));
                    return Ok(false);
                }
                error => return Err(error),
            }
        }
        let segment = Segment::open(&options.fs, &target, sequence, options.mmap)?;
        let anew = patient.derivable().join(", ");
        self.done.push(format!(
            "{}: made anew as {}: {anew}",
            finding.file.display(),
            target.display()
        ));
        for fault in segment.verify().faults {
            self.done.push(format!("cannot be repaired: {fault}"));
        }
        let summary = names::summary(&self.diagnosis.dir, entry.sequence);
        if options.fs.exists(&summary)? {
            let to = names::summary(&self.diagnosis.dir, sequence);
            copy_file(&options.fs, &summary, &to, None)?;
            self.replaced.push(summary);
        }
        (entry.sequence, entry.bytes) = (sequence, segment.file_bytes());
        self.next.next_sequence = sequence + 1;
        self.replaced.push(finding.file.clone());
        Ok(true)
    }

    /// The old manifest is kept as a copy, so that there is one at every moment.
    fn replace_manifest(&mut self) -> Result<(), Error> {
        let path = self.diagnosis.dir.join(names::MANIFEST);
        if self.fs().exists(&path)? {
            let kept = self.free_name(&path)?;
            copy_file(self.fs(), &path, &kept, None)?;
            self.done
                .push(format!("{}: kept as {}", path.display(), kept.display()));
        }
        self.next.write(self.fs(), &self.diagnosis.dir)?;
        self.done.push(format!(
            "{}: written anew, {} segments",
            path.display(),
            self.next.segments.len()
        ));
        Ok(())
    }

    fn put_aside(&mut self) -> Result<(), Error> {
        for path in std::mem::take(&mut self.replaced) {
            if self.fs().exists(&path)? {
                self.move_to_quarantine(&path)?;
            }
        }
        Ok(())
    }

    fn move_to_quarantine(&mut self, path: &Path) -> Result<(), Error> {
        let kept = self.free_name(path)?;
        self.fs().rename(path, &kept)?;
        self.fs().sync_dir(&self.diagnosis.dir.join(names::QUARANTINE))?;
        self.fs().sync_dir(&self.diagnosis.dir)?;
        self.done
            .push(format!("{}: moved to {}", path.display(), kept.display()));
        Ok(())
    }

    /// A name in the quarantine folder that is not taken.
    fn free_name(&self, path: &Path) -> Result<PathBuf, Error> {
        let quarantine = self.diagnosis.dir.join(names::QUARANTINE);
        self.fs().create_dir_all(&quarantine)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let mut kept = quarantine.join(&*name);
        let mut number = 2;
        while self.fs().exists(&kept)? {
            kept = quarantine.join(format!("{name}.{number}"));
            number += 1;
        }
        Ok(kept)
    }
}

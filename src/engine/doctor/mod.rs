//! The doctor: what is wrong with the folder of a database that is not open, what can be done about it, and what
//! cannot.
//!
//! An examination only reads. A repair deletes nothing: what it replaces goes to `quarantine/`, and the manifest is
//! replaced last, so that an interrupted repair can be done again.

mod check;
mod manifest;
mod repair;

use super::error::Error;
use super::folder::lock_folder;
use super::manifest::Manifest;
use super::options::{Options, Precision};
use crate::io::FolderLock;
use crate::segment::names;
use std::fmt;
use std::path::{Path, PathBuf};

/// What can be done about a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remedy {
    /// Nothing: what it is about cannot be read. The rest answers, and says what it lacks.
    None,
    /// Nothing needs to be done: the next opening for writing removes the file or puts it aside.
    Opening,
    /// The manifest is made anew from what segments and log say of themselves.
    RebuildManifest,
    /// The damaged parts of a segment are made anew from the rest of it.
    RebuildSegment,
    /// The segment is there under another name, and gets its own back.
    PutBack(PathBuf),
    /// The file goes to `quarantine/`.
    PutAside,
    /// Nothing: the file is not one of a database.
    LeaveAlone,
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("cannot be repaired"),
            Self::Opening => f.write_str("the next opening sees to it"),
            Self::RebuildManifest => f.write_str("make it anew from segments and log"),
            Self::RebuildSegment => f.write_str("make that anew from the rest of the segment"),
            Self::PutBack(from) => write!(f, "put back {}", from.display()),
            Self::PutAside => f.write_str("move it to quarantine"),
            Self::LeaveAlone => f.write_str("left alone"),
        }
    }
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The file it is about.
    pub file: PathBuf,
    /// First and last timestamp that it can touch, if that is known.
    pub time: Option<(i64, i64)>,
    /// What is wrong, in words; with the offset, if there is one.
    pub what: String,
    /// What can be done.
    pub remedy: Remedy,
}

/// What an examination found. As long as it is there, no other process can open the folder for writing, unless the
/// options were read-only.
#[derive(Debug)]
#[non_exhaustive]
pub struct Diagnosis {
    /// In order of the repair.
    pub findings: Vec<Finding>,
    /// Files in `quarantine/` with their lengths. Nothing reads them; a person may.
    pub quarantine: Vec<(PathBuf, u64)>,
    /// The unit of timestamps, if the manifest or what stands in for it says.
    pub precision: Option<Precision>,
    options: Options,
    dir: PathBuf,
    /// The one that is there, or that will be.
    manifest: Option<Manifest>,
    _lock: Option<FolderLock>,
}

impl Diagnosis {
    /// Whether nothing is wrong. Leftovers that the next opening removes are nothing wrong.
    pub fn is_sound(&self) -> bool {
        let is_harmless = |remedy: &Remedy| matches!(remedy, Remedy::Opening | Remedy::LeaveAlone);
        self.findings.iter().all(|finding| is_harmless(&finding.remedy))
    }

    /// Whether there is something that [`Diagnosis::repair`] would do.
    pub fn can_repair(&self) -> bool {
        let is_idle = |remedy: &Remedy| matches!(remedy, Remedy::None | Remedy::Opening | Remedy::LeaveAlone);
        self.findings.iter().any(|finding| !is_idle(&finding.remedy))
    }

    /// Does what the findings say can be done, and tells what was done.
    pub fn repair(self) -> Result<Vec<String>, Error> {
        repair::repair(self)
    }

    fn find(&mut self, file: &Path, time: Option<(i64, i64)>, what: impl Into<String>, remedy: Remedy) {
        self.findings.push(Finding {
            file: file.to_owned(),
            time,
            what: what.into(),
            remedy,
        });
    }
}

/// Examines the folder that `options` name. Takes its lock unless they are read-only.
pub(crate) fn examine(options: &Options) -> Result<Diagnosis, Error> {
    let Some(dir) = options.dir.clone() else {
        return Err(Error::InvalidOptions("a database in memory has no files".into()));
    };
    if !options.fs.exists(&dir)? {
        return Err(Error::NotFound(dir));
    }
    let lock = if options.read_only {
        None
    } else {
        Some(lock_folder(&options.fs, &dir)?)
    };
    let mut diagnosis = Diagnosis {
        findings: Vec::new(),
        quarantine: Vec::new(),
        precision: None,
        options: options.clone(),
        dir,
        manifest: None,
        _lock: lock,
    };
    diagnosis.take_inventory()?;
    diagnosis.find_manifest()?;
    diagnosis.precision = diagnosis.manifest.as_ref().map(|manifest| manifest.precision);
    if let Some(manifest) = diagnosis.manifest.clone() {
        diagnosis.check_segments(&manifest)?;
        diagnosis.check_log(&manifest)?;
        diagnosis.check_names(&manifest)?;
    }
    Ok(diagnosis)
}

impl Diagnosis {
    fn take_inventory(&mut self) -> Result<(), Error> {
        let fs = &self.options.fs;
        let quarantine = self.dir.join(names::QUARANTINE);
        if fs.exists(&quarantine)? {
            for name in fs.list(&quarantine)? {
                let path = quarantine.join(name);
                let bytes = fs.file_len(&path)?;
                self.quarantine.push((path, bytes));
            }
        }
        Ok(())
    }
}

//! Prometheus' log as a whole: the newest checkpoint, then the files behind it.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::BlockError;
use super::wal_pages::{LogFile, Next};
use super::wal_record::{self, Entry};
use crate::base::bytes::Corrupt;
use crate::io::Fs;
use crate::segment::reader::CorruptFile;
use std::path::{Path, PathBuf};

const CHECKPOINT_PREFIX: &str = "checkpoint.";

/// The files of a log, in order.
#[derive(Debug, Default)]
pub(crate) struct Log {
    files: Vec<PathBuf>,
    /// Length of all files.
    pub(crate) bytes: u64,
}

/// What was found beside records.
#[derive(Debug, Default)]
pub(crate) struct LogEnd {
    /// Where the last file ends within a record, as after a kill: nothing in it was acknowledged.
    pub(crate) torn: Option<(PathBuf, u64)>,
    /// Damage that was passed over.
    pub(crate) faults: Vec<CorruptFile>,
}

fn numbered(names: &[String], prefix: &str) -> Vec<(u64, String)> {
    let number = |name: &String| name.strip_prefix(prefix)?.parse().ok();
    let mut found: Vec<(u64, String)> = names
        .iter()
        .filter_map(|name| number(name).map(|number| (number, name.clone())))
        .collect();
    found.sort_unstable();
    found
}

impl Log {
    /// The files of the log in `dir`, none if there is no log.
    pub(crate) fn find(fs: &dyn Fs, dir: &Path) -> Result<Self, BlockError> {
        let mut log = Self::default();
        if !fs.exists(dir)? {
            return Ok(log);
        }
        let names = fs.list(dir)?;
        let checkpoint = numbered(&names, CHECKPOINT_PREFIX).pop();
        if let Some((_, name)) = &checkpoint {
            let dir = dir.join(name);
            log.add(&dir, &numbered(&fs.list(&dir)?, ""))?;
        }
        let covered = checkpoint.map(|checkpoint| checkpoint.0);
        let mut files = numbered(&names, "");
        files.retain(|file| covered.is_none_or(|covered| file.0 > covered));
        log.add(dir, &files)?;
        for path in &log.files {
            log.bytes += fs.file_len(path)?;
        }
        Ok(log)
    }

    /// Adds files, whose numbers must follow each other.
    fn add(&mut self, dir: &Path, files: &[(u64, String)]) -> Result<(), BlockError> {
        let mut last = None;
        for (number, name) in files {
            let path = dir.join(name);
            if last.is_some_and(|last| last + 1 != *number) {
                let fault = Corrupt::new("the file of the log before this one is missing", 0);
                return Err(super::corrupt(&path, 0, &fault).into());
            }
            last = Some(*number);
            self.files.push(path);
        }
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Gives what each record says to `each`, with how many bytes of the log were read. The first damage is an error;
    /// or, if it is to be passed over, the rest of its file is.
    pub(crate) fn read<E: From<BlockError>>(
        &self,
        fs: &dyn Fs,
        pass_over_damage: bool,
        mut each: impl FnMut(Vec<Entry>, u64) -> Result<(), E>,
    ) -> Result<LogEnd, E> {
        let mut end = LogEnd::default();
        let mut read_before = 0;
        for path in &self.files {
            let mut file = LogFile::open(fs, path).map_err(BlockError::from)?;
            let is_last = self.files.last() == Some(path);
            match read_file(path, &mut file, is_last, read_before, &mut end, &mut each)? {
                Some(fault) if pass_over_damage => end.faults.push(fault),
                Some(fault) => return Err(BlockError::from(fault).into()),
                None => {}
            }
            read_before += file.bytes();
        }
        Ok(end)
    }
}

/// Reads a file up to its end or the first damage, which is returned.
fn read_file<E: From<BlockError>>(
    path: &Path,
    file: &mut LogFile,
    is_last: bool,
    read_before: u64,
    end: &mut LogEnd,
    each: &mut impl FnMut(Vec<Entry>, u64) -> Result<(), E>,
) -> Result<Option<CorruptFile>, E> {
    let fault = |offset, what| super::corrupt(path, offset, &Corrupt::new(what, 0));
    loop {
        match file.next() {
            Ok(Next::Record(offset, record)) => match wal_record::decode(record) {
                Ok(entries) => each(entries, read_before + offset)?,
                Err(corrupt) => return Ok(Some(fault(offset, corrupt.what))),
            },
            Ok(Next::Torn(offset)) if is_last => {
                end.torn = Some((path.to_owned(), offset));
                return Ok(None);
            }
            Ok(Next::Torn(offset)) => return Ok(Some(fault(offset, "the file ends within a record"))),
            Ok(Next::End) => return Ok(None),
            Err(BlockError::Corrupt(fault)) => return Ok(Some(fault)),
            Err(error) => return Err(error.into()),
        }
    }
}

//! Which blocks a database has taken in: a file `imported-blocks` in its folder, a line for each with its name and the number of its
//! samples. It only spares work; without it everything is read again, and found to be there.

use crate::blocks::{BlockMeta, Ulid};
use crate::db::Db;
use crate::engine::error::Error;
use crate::io::{Fs, write_file};
use crate::segment::names;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// The blocks that are in the database, verified or accepted without a refusal.
#[derive(Debug)]
pub(super) struct Journal {
    fs: Arc<dyn Fs>,
    /// None for a database in memory.
    path: Option<PathBuf>,
    blocks: BTreeMap<Ulid, u64>,
}

impl Journal {
    pub(super) fn open(db: &Db) -> Result<Self, Error> {
        let options = &db.engine().options;
        let mut journal = Self {
            fs: options.fs.clone(),
            path: options.dir.as_ref().map(|dir| dir.join(names::IMPORTED_BLOCKS)),
            blocks: BTreeMap::new(),
        };
        if let Some(path) = &journal.path
            && journal.fs.exists(path)?
        {
            let file = journal.fs.open_read(path)?;
            let mut bytes = vec![0; usize::try_from(file.size()?).unwrap_or(usize::MAX)];
            file.read_at(0, &mut bytes)?;
            // What does not read is done again.
            journal.blocks = String::from_utf8_lossy(&bytes)
                .lines()
                .filter_map(parse)
                .collect();
        }
        Ok(journal)
    }

    pub(super) fn has(&self, block: &BlockMeta) -> bool {
        self.blocks.get(&block.ulid) == Some(&block.samples)
    }

    /// Notes a block, all of whose samples are durable.
    pub(super) fn add(&mut self, block: &BlockMeta) -> Result<(), Error> {
        self.blocks.insert(block.ulid, block.samples);
        let Some(path) = &self.path else { return Ok(()) };
        let lines = self
            .blocks
            .iter()
            .map(|(ulid, samples)| format!("{ulid} {samples}\n"));
        let text: String = lines.collect();
        Ok(write_file(&self.fs, path, text.as_bytes())?)
    }
}

fn parse(line: &str) -> Option<(Ulid, u64)> {
    let (ulid, samples) = line.split_once(' ')?;
    Some((Ulid::parse(ulid)?, samples.parse().ok()?))
}

//! The rows of a tile, made of the samples of segments.

use super::columns::Roller;
use super::{COLUMNS, Grid};
use crate::index::{LabelMatcher, RegexError};
use crate::model::exemplar::Exemplar;
use crate::model::labels::LabelsRef;
use crate::model::matcher::Matcher;
use crate::model::metadata::Metadata;
use crate::model::samples::Samples;
use crate::segment::merge::MergeSource;
use crate::segment::meta::Windows;
use crate::segment::writer::{Run, SeriesSource, WriteError};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// The series that have samples within the stretch of a tile, rolled up.
#[derive(Debug)]
pub(crate) struct TileSource {
    samples: MergeSource,
    grid: Grid,
    windows: Windows,
    /// Rows of `samples`.
    rows: Vec<u32>,
    metadata: BTreeMap<String, Vec<(i64, Metadata)>>,
    scratch: RefCell<(Samples, Roller)>,
}

impl TileSource {
    /// Some of the series of `samples`, within a span of whole windows.
    pub(crate) fn new(
        samples: MergeSource,
        grid: Grid,
        (from, to): (i64, i64),
        about: &About,
    ) -> Result<Self, WriteError> {
        let mut rows = Vec::new();
        let mut failed = None;
        samples.each_labels(
            &mut |row, labels| match samples.is_within(row, from.saturating_add(1), to) {
                Ok(true) if about.covers(labels) => rows.push(row),
                Ok(_) => {}
                Err(error) => failed = Some(error),
            },
        )?;
        match failed {
            Some(error) => Err(error.into()),
            None => Ok(Self {
                samples,
                grid,
                windows: Windows {
                    columns: COLUMNS as u32,
                    from,
                    to,
                    matchers: about.matchers.clone(),
                },
                rows,
                metadata: BTreeMap::new(),
                scratch: RefCell::default(),
            }),
        }
    }
}

/// The series that a rollup is about.
#[derive(Debug, Default)]
pub(crate) struct About {
    /// Series match all of one set; without sets all do.
    pub(crate) matchers: Vec<Vec<Matcher>>,
    compiled: Vec<Vec<LabelMatcher>>,
}

impl About {
    pub(crate) fn new(matchers: Vec<Vec<Matcher>>) -> Result<Self, RegexError> {
        let compiled = matchers.iter().map(|set| LabelMatcher::compile_all(set));
        Ok(Self {
            compiled: compiled.collect::<Result<_, _>>()?,
            matchers,
        })
    }

    pub(crate) fn covers(&self, labels: LabelsRef<'_>) -> bool {
        let value = |name: &str| {
            let found = labels.byte_pairs().find(|(of, _)| *of == name.as_bytes());
            found
                .and_then(|(_, value)| std::str::from_utf8(value).ok())
                .unwrap_or("")
        };
        self.compiled.is_empty()
            || self
                .compiled
                .iter()
                .any(|set| LabelMatcher::all_match(set, value))
    }
}

impl SeriesSource for TileSource {
    fn len(&self) -> u32 {
        self.rows.len() as u32
    }

    fn each_labels(&self, each: &mut dyn FnMut(u32, LabelsRef<'_>)) -> Result<(), WriteError> {
        let mut next = 0;
        self.samples.each_labels(&mut |row, labels| {
            if self.rows.get(next) == Some(&row) {
                each(next as u32, labels);
                next += 1;
            }
        })
    }

    fn runs(&self, _row: u32, _each: &mut dyn FnMut(Run)) -> Result<(), WriteError> {
        Ok(())
    }

    fn samples(&self, row: u32, from: i64, to: i64, out: &mut Samples) -> Result<(), WriteError> {
        match self.rows.get(row as usize) {
            Some(row) => self.samples.samples(*row, from, to, out),
            None => {
                out.clear();
                Ok(())
            }
        }
    }

    fn windows(&self) -> Option<&Windows> {
        Some(&self.windows)
    }

    fn column_samples(&self, row: u32, _: i64, _: i64, out: &mut [Samples]) -> Result<(), WriteError> {
        let (samples, roller) = &mut *self.scratch.borrow_mut();
        let Windows { from, to, .. } = self.windows;
        self.samples(row, from.saturating_add(1), to, samples)?;
        roller.roll(samples, self.grid, (from, to), out);
        Ok(())
    }

    fn exemplars(&self, _row: u32) -> Vec<Exemplar> {
        Vec::new()
    }

    fn metadata(&self) -> &BTreeMap<String, Vec<(i64, Metadata)>> {
        &self.metadata
    }
}

//! Deletes and undeletes: how they come to be, which of them a reader has to mind, and how long they are remembered.
//!
//! A deletion hides every sample that was written before it. The live generation has it applied physically (see
//! `head/rare`); over segments, the frozen generation and hidden parts it lies as a mask, by LSN. A withdrawn deletion
//! hides nothing and stays as a mark (see `model/parts`).

use super::Engine;
use super::error::Error;
use super::manifest::{DeletionEntry, Manifest, SegmentEntry};
use super::select::bounds;
use super::view::View;
use crate::head::delete::Wanted;
use crate::head::recover::ReplayedDeletion;
use crate::head::report::Durability;
use crate::index::{LabelMatcher, RegexError};
use crate::model::deletion::{Deletion, Selector};
use crate::model::labels::Labels;
use crate::model::matcher::Matcher;
use crate::model::parts::Mark;
use crate::segment::reader::{Segment, SegmentError};
use roaring::RoaringBitmap;
use std::ops::RangeBounds;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A deletion that readers mind.
#[derive(Debug, Clone)]
pub(crate) struct Tombstone {
    pub(crate) lsn: u64,
    pub(crate) deletion: Deletion,
    /// LSN of the undelete that withdrew it.
    pub(crate) withdrawn: Option<u64>,
    matchers: Vec<LabelMatcher>,
    /// Series of the head that it is about, as of its LSN. They keep their ids while it matters: a series with samples
    /// in memory is not evicted, and none is while a generation is frozen.
    pub(super) ids: RoaringBitmap,
}

/// A deletion, as `Db::deletions` lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeletionInfo {
    /// Names it for `Db::undelete`.
    pub id: u64,
    /// What it is about; for a delete of one series, an equality matcher for each of its labels.
    pub matchers: Vec<Matcher>,
    /// Whether only the series with exactly these labels is meant.
    pub is_exact: bool,
    /// First timestamp it hides.
    pub from: i64,
    /// Last timestamp it hides.
    pub to: i64,
    /// When it was asked for, in milliseconds since 1970.
    pub created_ms: i64,
    /// Whether it was withdrawn.
    pub is_withdrawn: bool,
}

impl Tombstone {
    pub(super) fn is_in_force(&self) -> bool {
        self.withdrawn.is_none()
    }

    /// The mark that it leaves once it is withdrawn.
    pub(super) fn mark(&self) -> Option<Mark> {
        Some(Mark {
            lsn: self.lsn,
            until: self.withdrawn?,
            from: self.deletion.from,
            to: self.deletion.to,
        })
    }

    pub(super) fn overlaps(&self, from: i64, to: i64) -> bool {
        self.deletion.from <= to && self.deletion.to >= from
    }

    /// Rows of a segment that it is about.
    pub(super) fn rows(&self, segment: &Segment) -> Result<Arc<RoaringBitmap>, SegmentError> {
        segment.deleted_rows(self.lsn, || {
            let at = |corrupt| segment.index_error(corrupt);
            let index = segment.index()?;
            let mut rows = index.select(&self.matchers).map_err(at)?;
            if let Selector::Series(labels) = &self.deletion.selector {
                let (mut cursor, mut found) = (index.label_cursor(), Vec::new());
                let mut exact = RoaringBitmap::new();
                for row in rows {
                    cursor.labels(row, &mut found).map_err(at)?;
                    if found == labels.as_bytes() {
                        exact.insert(row);
                    }
                }
                rows = exact;
            }
            Ok(rows)
        })
    }

    fn wanted(&self) -> Wanted<'_> {
        wanted(&self.deletion.selector, &self.matchers)
    }

    fn info(&self) -> DeletionInfo {
        let (matchers, is_exact) = match &self.deletion.selector {
            Selector::Matchers(matchers) => (matchers.clone(), false),
            Selector::Series(labels) => (equalities(labels), true),
        };
        DeletionInfo {
            id: self.lsn,
            matchers,
            is_exact,
            from: self.deletion.from,
            to: self.deletion.to,
            created_ms: self.deletion.created_ms,
            is_withdrawn: self.withdrawn.is_some(),
        }
    }
}

fn wanted<'a>(selector: &'a Selector, matchers: &'a [LabelMatcher]) -> Wanted<'a> {
    let exact = match selector {
        Selector::Series(labels) => Some(labels),
        Selector::Matchers(_) => None,
    };
    Wanted { matchers, exact }
}

fn equalities(labels: &Labels) -> Vec<Matcher> {
    labels
        .iter()
        .map(|(name, value)| Matcher::eq(name, value))
        .collect()
}

fn compile(selector: &Selector) -> Result<Vec<LabelMatcher>, RegexError> {
    match selector {
        Selector::Matchers(matchers) => LabelMatcher::compile_all(matchers),
        Selector::Series(labels) => LabelMatcher::compile_all(&equalities(labels)),
    }
}

/// The deletions to begin with, after the log was replayed.
pub(super) fn restored(replayed: Vec<ReplayedDeletion>) -> Result<Vec<Arc<Tombstone>>, Error> {
    let mut all = Vec::with_capacity(replayed.len());
    for one in replayed {
        all.push(Arc::new(Tombstone {
            lsn: one.lsn,
            matchers: compile(&one.deletion.selector)?,
            deletion: one.deletion,
            withdrawn: one.withdrawn,
            ids: one.ids,
        }));
    }
    Ok(all)
}

/// What the manifest says of deletions up to `lsn`; those after it are in the log.
pub(super) fn entries(view: &View, lsn: u64) -> Vec<DeletionEntry> {
    let known = view.deletions.iter().filter(|tombstone| tombstone.lsn <= lsn);
    let entry = |tombstone: &Arc<Tombstone>| DeletionEntry {
        lsn: tombstone.lsn,
        withdrawn: tombstone.withdrawn.filter(|withdrawn| *withdrawn <= lsn),
        deletion: tombstone.deletion.clone(),
    };
    known.map(entry).collect()
}

/// Whether nothing is left that the deletion could hide or bring back: no older segment overlaps it, and everything
/// before it is in segments.
pub(super) fn is_spent(entry: &DeletionEntry, flushed_lsn: u64, segments: &[SegmentEntry]) -> bool {
    let latest = entry.withdrawn.unwrap_or(entry.lsn);
    entry.lsn <= flushed_lsn
        && !segments.iter().any(|segment| {
            // A rollup minds that the deletion was withdrawn, too.
            let lsn = if segment.is_tile() { latest } else { entry.lsn };
            segment.lsn_last < lsn
                && segment.time_min <= entry.deletion.to
                && segment.time_max >= entry.deletion.from
        })
}

impl Engine {
    /// Hides what matching series have within `range`. Returns the deletion's id.
    pub(crate) fn delete(
        &self,
        selector: Selector,
        range: impl RangeBounds<i64>,
        durability: Durability,
    ) -> Result<u64, Error> {
        let matchers = compile(&selector)?;
        let Some((from, to)) = bounds(&range) else {
            return Err(Error::InvalidOptions("a delete of an empty time range".into()));
        };
        if let Selector::Matchers(named) = &selector
            && named.is_empty()
        {
            return Err(Error::InvalidOptions("a delete without any matcher".into()));
        }
        let deletion = Deletion {
            selector,
            from,
            to,
            created_ms: self.options.clock.now_ms(),
        };
        let lsn = {
            let mut writer = self.head.lock_for_commit();
            self.check_writable()?;
            let wanted = wanted(&deletion.selector, &matchers);
            let before = writer.written_bytes();
            let deleted = self.head.delete(&mut writer, &deletion, &wanted);
            let (lsn, ids) = deleted.map_err(|error| self.append_failed(error))?;
            let written = writer.written_bytes() - before;
            self.log_bytes.fetch_add(written, Ordering::Relaxed);
            let tombstone = Arc::new(Tombstone {
                lsn,
                deletion,
                withdrawn: None,
                matchers,
                ids,
            });
            self.change_view(|view| {
                let mut deletions = view.deletions.to_vec();
                deletions.push(tombstone.clone());
                View {
                    deletions: deletions.into(),
                    ..view.clone()
                }
            });
            lsn
        };
        self.wait_stored(lsn, durability)?;
        Ok(lsn)
    }

    /// Withdraws a deletion. `false` when there is no such deletion in force: it was withdrawn before, or all it hid is
    /// gone.
    pub(crate) fn undelete(&self, id: u64, durability: Durability) -> Result<bool, Error> {
        let lsn = {
            let mut writer = self.head.lock_for_commit();
            self.check_writable()?;
            let view = self.view.load_full();
            let mut open = view
                .deletions
                .iter()
                .filter(|one| one.is_in_force() && !self.is_final(one));
            let Some(tombstone) = open.find(|one| one.lsn == id) else {
                return Ok(false);
            };
            let before = writer.written_bytes();
            let undeleted = self
                .head
                .undelete(&mut writer, id, &tombstone.deletion, &tombstone.wanted());
            let lsn = undeleted.map_err(|error| self.append_failed(error))?;
            let written = writer.written_bytes() - before;
            self.log_bytes.fetch_add(written, Ordering::Relaxed);
            self.change_view(|view| {
                let withdraw = |one: &Arc<Tombstone>| {
                    if one.lsn != id {
                        return one.clone();
                    }
                    Arc::new(Tombstone {
                        withdrawn: Some(lsn),
                        ..Tombstone::clone(one)
                    })
                };
                View {
                    deletions: view.deletions.iter().map(withdraw).collect(),
                    ..view.clone()
                }
            });
            lsn
        };
        self.wait_stored(lsn, durability)?;
        Ok(true)
    }

    /// Drops the deletions that are spent. One that a tile under way does not mind is not.
    pub(super) fn forget_spent(&self, next: &mut Manifest) {
        let under_way = self.tile_under_way();
        let view = self.view.load();
        // An undelete gets into the manifest with a flush only.
        let known = |entry: &DeletionEntry| {
            let tombstone = view.deletions.iter().find(|one| one.lsn == entry.lsn);
            let withdrawn = tombstone.and_then(|one| one.withdrawn).or(entry.withdrawn);
            DeletionEntry {
                withdrawn,
                ..entry.clone()
            }
        };
        let is_of_next = |entry: &DeletionEntry| {
            under_way.is_some_and(|tile| {
                tile.deletions_lsn < entry.withdrawn.unwrap_or(entry.lsn)
                    && tile.from < entry.deletion.to
                    && entry.deletion.from <= tile.to
            })
        };
        let Manifest {
            segments,
            deletions,
            flushed_lsn,
            ..
        } = next;
        deletions.retain(|entry| {
            let entry = known(entry);
            !is_spent(&entry, *flushed_lsn, segments) || is_of_next(&entry)
        });
    }

    /// The deletions of a view without those that the manifest gave up; later ones are not in it yet.
    pub(super) fn unspent(&self, view: &View) -> Arc<[Arc<Tombstone>]> {
        let manifest = self.lock_manifest();
        let is_kept = |one: &&Arc<Tombstone>| {
            one.lsn > manifest.flushed_lsn || manifest.deletions.iter().any(|entry| entry.lsn == one.lsn)
        };
        view.deletions.iter().filter(is_kept).cloned().collect()
    }

    /// The deletions that still hide something or can be withdrawn, oldest first.
    pub(crate) fn deletions(&self) -> Vec<DeletionInfo> {
        self.view.load().deletions.iter().map(|one| one.info()).collect()
    }
}

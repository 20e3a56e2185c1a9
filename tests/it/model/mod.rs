//! The oracle: random operations against a database and its twin, a plain map that follows docs/format/ordering.md.
//!
//! `NARTHEX_ORACLE_OPERATIONS` sets how many operations are played and `NARTHEX_SEED` which; the seed is printed. An
//! operation is a sample, exemplar or metadata entry that is written, a delete or undelete, a read, or one thing that
//! happens to the database. They are played in episodes, each on a disk of its own, so that segments do not pile up.

mod delete;
mod episode;
mod happen;
mod merging;
pub(crate) mod policy;
mod reads;
mod segments;
mod setup;
pub(crate) mod twin;
mod writes;

use crate::play::{Dice, from_environment};
use episode::Episode;
use std::collections::BTreeMap;

const OPERATIONS: u64 = 300_000;
const SEED: u64 = 20_240_917;
const OPERATIONS_PER_EPISODE: u64 = 2_000;

/// What is done, as counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// A sample newer than all of its series.
    Write,
    /// A sample older than the newest of its series.
    Late,
    /// The bits that a place has, once more.
    Retry,
    /// Other bits for a place that has some.
    Conflict,
    /// A place that an earlier sample of the same batch has taken.
    SameBatch,
    Correction,
    /// A sample of a series under the policy *first*, *last* or *max*.
    First,
    Last,
    Maximum,
    Histogram,
    StartTimestamp,
    /// A delete of one timestamp.
    DeletePoint,
    DeleteRange,
    Undelete,
    Exemplar,
    Metadata,
    Flush,
    /// A flush for which the disk is too full.
    FullFlush,
    /// Segments became one, or were written again without what is deleted or expired.
    Merge,
    /// A segment went for its age, or samples by a rule.
    Retention,
    Step,
    Checkpoint,
    Sync,
    Reopen,
    Kill,
    PowerLoss,
    Read,
}

const KINDS: [Kind; 27] = [
    Kind::Write,
    Kind::Late,
    Kind::Retry,
    Kind::Conflict,
    Kind::SameBatch,
    Kind::Correction,
    Kind::First,
    Kind::Last,
    Kind::Maximum,
    Kind::Histogram,
    Kind::StartTimestamp,
    Kind::DeletePoint,
    Kind::DeleteRange,
    Kind::Undelete,
    Kind::Exemplar,
    Kind::Metadata,
    Kind::Flush,
    Kind::FullFlush,
    Kind::Merge,
    Kind::Retention,
    Kind::Step,
    Kind::Checkpoint,
    Kind::Sync,
    Kind::Reopen,
    Kind::Kill,
    Kind::PowerLoss,
    Kind::Read,
];

/// The operations of the table in docs/format/ordering.md, in its order. `DeleteRange` stands for every delete.
const TABLE: [Kind; 11] = [
    Kind::Write,
    Kind::Retry,
    Kind::Late,
    Kind::Conflict,
    Kind::Correction,
    Kind::DeleteRange,
    Kind::Undelete,
    Kind::Flush,
    Kind::Merge,
    Kind::Kill,
    Kind::Reopen,
];

/// How often what was done.
#[derive(Debug, Default)]
pub(crate) struct Coverage {
    operations: u64,
    by_kind: BTreeMap<Kind, u64>,
    /// The same where a place was written more than once: what took it, and what came after.
    colliding: BTreeMap<Kind, u64>,
    /// What was done to a series, and what was done to it next: the pairs of the table.
    pairs: BTreeMap<(Kind, Kind), u64>,
    /// Power losses that took batches.
    lossy: u64,
    commits: u64,
    segments: u64,
}

impl Coverage {
    fn count(&mut self, kind: Kind) {
        self.operations += 1;
        *self.by_kind.entry(kind).or_default() += 1;
    }

    fn of(&self, kind: Kind) -> u64 {
        self.by_kind.get(&kind).copied().unwrap_or(0)
    }

    fn print(&self) {
        eprintln!(
            "oracle: {} operations in {} commits, {} segments, {} power losses took something",
            self.operations, self.commits, self.segments, self.lossy
        );
        for kind in KINDS {
            let colliding = self.colliding.get(&kind).copied().unwrap_or(0);
            eprintln!(
                "  {:<15} {:>9}, colliding {colliding:>9}",
                format!("{kind:?}"),
                self.of(kind)
            );
        }
        for first in TABLE {
            let counts = TABLE.map(|second| format!("{:>7}", self.pair(first, second)));
            eprintln!("  {:<11} then {}", format!("{first:?}"), counts.concat());
        }
    }

    fn pair(&self, first: Kind, second: Kind) -> u64 {
        self.pairs.get(&(first, second)).copied().unwrap_or(0)
    }

    /// Fails when the dice left something out.
    fn check(&self, operations: u64) {
        let wanted = 500.min(operations / 600);
        for kind in KINDS {
            assert!(self.of(kind) >= wanted, "{kind:?}: {} times", self.of(kind));
        }
        // Up to `Metadata` they are things that are written.
        let at_places =
            |kind: &Kind| *kind <= Kind::Metadata || matches!(kind, Kind::Merge | Kind::Retention);
        for kind in KINDS.into_iter().filter(at_places) {
            let colliding = self.colliding.get(&kind).copied().unwrap_or(0);
            assert!(
                colliding >= wanted,
                "{kind:?} on colliding places: {colliding} times"
            );
        }
        for (first, second) in TABLE
            .iter()
            .flat_map(|first| TABLE.map(|second| (*first, second)))
        {
            let count = self.pair(first, second);
            assert!(count >= wanted / 10, "{first:?} then {second:?}: {count} times");
        }
        assert!(self.of(Kind::Reopen) + self.of(Kind::Kill) + self.of(Kind::PowerLoss) >= 20);
        assert!(self.lossy > 0, "no power loss took anything");
    }
}

#[test]
fn a_database_and_its_twin_agree() {
    let operations = from_environment("NARTHEX_ORACLE_OPERATIONS", OPERATIONS);
    let seed = from_environment("NARTHEX_SEED", SEED);
    eprintln!("oracle: NARTHEX_SEED={seed} NARTHEX_ORACLE_OPERATIONS={operations}");
    let mut coverage = Coverage::default();
    let mut dice = Dice(seed);
    while coverage.operations < operations {
        let episode_seed = dice.next();
        let end = coverage.operations + OPERATIONS_PER_EPISODE;
        let mut episode = Episode::new(episode_seed, &mut coverage);
        episode.play(end.min(operations));
    }
    coverage.print();
    coverage.check(operations);
}

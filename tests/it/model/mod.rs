//! The oracle: random operations against a database and its twin, a plain map that follows docs/format/ordering.md.
//!
//! `NARTHEX_ORACLE_OPERATIONS` sets how many operations are played and `NARTHEX_SEED` which; the seed is printed. An
//! `NARTHEX_EPISODE` plays the one episode that a failure named. An
//! operation is a sample, exemplar or metadata entry that is written, a delete or undelete, a read, or one thing that
//! happens to the database. They are played in episodes, each on a disk of its own, so that segments do not pile up.

mod copies;
mod delete;
mod episode;
mod happen;
mod memory;
mod merging;
pub(crate) mod policy;
mod reads;
mod segments;
mod setup;
pub(crate) mod twin;
mod writes;

use crate::play::{Dice, from_environment, seen};
use episode::Episode;
use narthex::Value;
use policy::Class;
use std::collections::BTreeMap;

const OPERATIONS: u64 = 500_000;
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
    /// A snapshot that is compared, or in which the database goes on.
    Snapshot,
    Backup,
    /// A chain of backups becomes the database that goes on.
    Restore,
    Reopen,
    Kill,
    PowerLoss,
    Read,
}

const KINDS: [Kind; 30] = [
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
    Kind::Snapshot,
    Kind::Backup,
    Kind::Restore,
    Kind::Reopen,
    Kind::Kill,
    Kind::PowerLoss,
    Kind::Read,
];

/// The operations of the table in docs/format/ordering.md, in its order and with its letters. `DeleteRange` stands for
/// every delete.
const TABLE: [(char, Kind); 11] = [
    ('W', Kind::Write),
    ('R', Kind::Retry),
    ('L', Kind::Late),
    ('X', Kind::Conflict),
    ('C', Kind::Correction),
    ('D', Kind::DeleteRange),
    ('U', Kind::Undelete),
    ('F', Kind::Flush),
    ('M', Kind::Merge),
    ('K', Kind::Kill),
    ('O', Kind::Reopen),
];

/// A cell of the page's table of classes: what stands there, whether the head knows it, what comes, and whether it has
/// the same bits.
type Meeting = (Option<Class>, bool, Class, bool);

/// How often what was done.
#[derive(Debug, Default)]
pub(crate) struct Coverage {
    operations: u64,
    by_kind: BTreeMap<Kind, u64>,
    /// The same where a place was written more than once: what took it, and what came after.
    colliding: BTreeMap<Kind, u64>,
    /// What was done to a series, and what was done to it next: the pairs of the table.
    pairs: BTreeMap<(Kind, Kind), u64>,
    meetings: BTreeMap<Meeting, u64>,
    /// Power losses that took batches.
    lossy: u64,
    commits: u64,
    /// Of these, commits of a sample that may be judged in several ways.
    alone: u64,
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
            "oracle: {} operations in {} commits, {} of them not sure, {} segments, {} power losses took something",
            self.operations, self.commits, self.alone, self.segments, self.lossy
        );
        for kind in KINDS {
            let colliding = self.colliding.get(&kind).copied().unwrap_or(0);
            eprintln!(
                "  {:<15} {:>9}, colliding {colliding:>9}",
                format!("{kind:?}"),
                self.of(kind)
            );
        }
        eprintln!("oracle: pairs of docs/format/ordering.md, in one series");
        for (letter, first) in TABLE {
            let counts = TABLE.map(|(second, kind)| {
                format!("{:>11}", format!("{letter}-{second} {}", self.pair(first, kind)))
            });
            eprintln!(" {}", counts.concat());
        }
        eprintln!("oracle: the winner by class, under the policy `reject`");
        for ((there, is_in_head, comes, is_same), count) in &self.meetings {
            let there = there.map_or("nothing".to_owned(), |class| {
                format!(
                    "{class:?} {}",
                    if *is_in_head { "in the head" } else { "in segments" }
                )
            });
            let bits = if *is_same { "same bits" } else { "other bits" };
            eprintln!("  {there:<25} then {comes:?}, {bits:<10} {count:>9}");
        }
    }

    /// What meets what, at a place under the usual policy.
    fn meet(&mut self, standing: Option<(Class, &Value, bool)>, comes: Class, value: &Value) {
        let is_same = standing.is_some_and(|standing| seen(standing.1) == seen(value));
        let is_in_head = standing.is_some_and(|standing| standing.2);
        let there = standing.map(|standing| standing.0);
        *self
            .meetings
            .entry((there, is_in_head, comes, is_same))
            .or_default() += 1;
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
        for kind in KINDS {
            let colliding = self.colliding.get(&kind).copied().unwrap_or(0);
            assert!(
                colliding >= wanted,
                "{kind:?} on colliding places: {colliding} times"
            );
        }
        for ((first, one), (second, other)) in TABLE
            .iter()
            .flat_map(|first| TABLE.map(|second| (*first, second)))
        {
            let count = self.pair(one, other);
            assert!(count >= wanted / 10, "{first}-{second}: {count} times");
        }
        // Nothing, or an ordinary sample or a correction in the head or in segments; four things that may come.
        let classes = self.meetings.iter().filter(|one| one.0.0 != Some(Class::Maximum));
        let classes = classes.filter(|one| *one.1 >= wanted / 10).count();
        assert!(classes >= 2 + 4 * 4, "{:?}", self.meetings);
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
    let episode_seed = from_environment("NARTHEX_EPISODE", 0);
    if episode_seed != 0 {
        return Episode::new(episode_seed, &mut coverage).play(OPERATIONS_PER_EPISODE);
    }
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

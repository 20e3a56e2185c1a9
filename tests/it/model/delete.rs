//! Deletes of points and ranges, and undeletes, some of them twice.

use super::Kind;
use super::episode::{Episode, SERIES, TICK};
use super::twin::Deletion;
use crate::play::series;
use narthex::Durability;
use std::collections::BTreeMap;
use std::rc::Rc;

impl Episode<'_> {
    pub(super) fn delete(&mut self) {
        let number = self.dice.below(SERIES);
        let (kind, from, to) = if self.dice.percent(45) {
            let (_, time) = self.some_place(number);
            (Kind::DeletePoint, time, time)
        } else {
            let (from, to) = if self.dice.percent(15) {
                self.range()
            } else {
                let from = (self.now - self.dice.below(22) as i64) * TICK;
                (from, from + self.dice.below(8) as i64 * TICK + 1)
            };
            (Kind::DeleteRange, from, to)
        };
        let (matchers, wanted) = self.matchers();
        let is_exact = matchers.is_empty() || self.dice.percent(if from == to { 85 } else { 40 });
        let db = self.db();
        let (lsn, wanted): (_, Rc<dyn Fn(usize) -> bool>) = if is_exact {
            let one = move |other| other == number;
            (db.delete_series(&series(number), from..=to), Rc::new(one))
        } else {
            (db.delete(&matchers, from..=to), Rc::new(wanted))
        };
        let lsn = lsn.unwrap_or_else(|error| self.fail(&format!("delete: {error}")));
        let what = if is_exact {
            format!("series {number}")
        } else {
            format!("{matchers:?}")
        };
        self.note(|| format!("{kind:?} {lsn}: {what} in {from}..={to}"));
        self.coverage.count(kind);
        let deletion = Deletion {
            lsn,
            wanted,
            from,
            to,
            withdrawn: None,
            created_ms: narthex::Clock::now_ms(&*self.clock),
        };
        self.meet(&deletion, kind, Kind::DeleteRange);
        self.twin.delete(deletion);
        self.logged();
    }

    /// Withdraws the latest deletion, an older one, or one that was withdrawn before.
    pub(super) fn undelete(&mut self) {
        let count = self.twin.deletions.len();
        let in_force = |index: &usize| self.twin.deletions[*index].withdrawn.is_none();
        let index = match self.dice.below(10) {
            _ if count == 0 => return,
            0..=4 => (0..count).rev().find(in_force),
            5..=7 => (0..count).filter(in_force).nth(self.dice.below(count)),
            _ => Some(self.dice.below(count)),
        };
        let index = index.unwrap_or(count - 1);
        let deletion = self.twin.deletions[index].clone();
        let withdrawn = self.db().undelete(deletion.lsn);
        let withdrawn = withdrawn.unwrap_or_else(|error| self.fail(&format!("undelete: {error}")));
        self.note(|| format!("undelete {}: {withdrawn}", deletion.lsn));
        self.coverage.count(Kind::Undelete);
        self.meet(&deletion, Kind::Undelete, Kind::Undelete);
        let was_in_force = deletion.withdrawn.is_none();
        let is_young = self.ages().is_young(&deletion);
        if !withdrawn {
            // What hides nothing may be forgotten.
            if was_in_force && is_young && self.twin.is_above_something(&deletion) {
                self.fail(&format!("deletion {} is gone", deletion.lsn));
            }
            return;
        }
        if !was_in_force || !is_young {
            self.fail(&format!(
                "deletion {} was withdrawn twice or too late",
                deletion.lsn
            ));
        }
        let lsn = self.last_lsn();
        self.twin.last_lsn = lsn;
        self.twin.deletions[index].withdrawn = Some(lsn);
        self.logged();
    }

    /// What was logged is as durable as the database's policy says.
    fn logged(&mut self) {
        if self.setup.durability == Durability::Always {
            self.twin.all_durable();
        }
    }

    /// Notes the series that a delete or undelete is about.
    fn meet(&mut self, deletion: &Deletion, kind: Kind, row: Kind) {
        let covered = self.twin.covered(deletion);
        if !covered.is_empty() {
            *self.coverage.colliding.entry(kind).or_default() += 1;
        }
        for number in covered {
            self.follow(number, row);
        }
    }

    /// The list of deletions names all that hide something, and nothing else.
    pub(super) fn read_deletions(&self) {
        let mut known: BTreeMap<u64, &Deletion> =
            self.twin.deletions.iter().map(|one| (one.lsn, one)).collect();
        for found in self.db().deletions() {
            let Some(one) = known.remove(&found.id) else {
                self.fail(&format!("a deletion that nobody asked for: {found:?}"));
            };
            let expected = (one.from, one.to, one.withdrawn.is_some());
            if (found.from, found.to, found.is_withdrawn) != expected {
                self.fail(&format!("{found:?}, wanted {expected:?}"));
            }
        }
        for one in known.into_values() {
            if self.twin.is_above_something(one) {
                self.fail(&format!("deletion {} is gone", one.lsn));
            }
        }
    }
}

//! The rejection journal: what was refused, from whom and why, so that "where is my metric" has an answer.

use crate::head::report::{Reject, Rejection};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Most different refusals that are remembered; the tenth that was seen longest ago is forgotten when there are more.
const ENTRIES_MAX: usize = 10_000;

/// Refusals for one reason, of one metric, from one sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusals {
    pub(crate) reason: Reject,
    pub(crate) metric: String,
    pub(crate) sender: String,
    pub(crate) count: u64,
    pub(crate) first_ms: i64,
    pub(crate) last_ms: i64,
    /// The first of them, in words.
    pub(crate) example: String,
}

#[derive(Debug, Default)]
pub(crate) struct Journal {
    entries: Mutex<HashMap<(Reject, String, String), Refusals>>,
}

impl Journal {
    /// Notes what a request of `sender` was refused.
    pub(crate) fn note(&self, sender: &str, rejected: &[Rejection], now_ms: i64) {
        if rejected.is_empty() {
            return;
        }
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        for rejection in rejected {
            let named: usize = rejection.metrics.iter().map(|one| one.count).sum();
            let others = rejection.count.saturating_sub(named);
            let named = rejection
                .metrics
                .iter()
                .map(|one| (&*one.metric, one.count, &*one.example));
            for (metric, count, example) in named.chain([("", others, &*rejection.example)]) {
                if count == 0 {
                    continue;
                }
                let key = (rejection.reason, metric.to_owned(), sender.to_owned());
                let entry = entries.entry(key).or_insert_with(|| Refusals {
                    reason: rejection.reason,
                    metric: metric.to_owned(),
                    sender: sender.to_owned(),
                    count: 0,
                    first_ms: now_ms,
                    last_ms: now_ms,
                    example: example.to_owned(),
                });
                entry.count += count as u64;
                entry.last_ms = now_ms;
            }
        }
        if entries.len() > ENTRIES_MAX {
            forget_oldest(&mut entries);
        }
    }

    /// What is remembered, the latest first.
    pub(crate) fn list(&self) -> Vec<Refusals> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let mut list: Vec<Refusals> = entries.values().cloned().collect();
        drop(entries);
        list.sort_by(|a, b| {
            let by_name = || (a.reason, &a.metric, &a.sender).cmp(&(b.reason, &b.metric, &b.sender));
            b.last_ms.cmp(&a.last_ms).then_with(by_name)
        });
        list
    }
}

fn forget_oldest(entries: &mut HashMap<(Reject, String, String), Refusals>) {
    let mut times: Vec<i64> = entries.values().map(|one| one.last_ms).collect();
    let tenth = times.len() / 10;
    let (_, limit_ms, _) = times.select_nth_unstable(tenth);
    let (limit_ms, mut to_go) = (*limit_ms, tenth);
    entries.retain(|_, one| {
        let goes = to_go > 0 && one.last_ms <= limit_ms;
        to_go -= usize::from(goes);
        !goes
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::report::CommitReport;

    fn rejected(metric: &str, count: usize) -> Vec<Rejection> {
        let mut report = CommitReport::default();
        for _ in 0..count {
            report.reject(Reject::Conflict, metric, || format!("{metric} at 7"));
        }
        report.rejected
    }

    #[test]
    fn counts_by_reason_metric_and_sender() {
        let journal = Journal::default();
        journal.note("a", &rejected("up", 2), 5);
        journal.note("a", &rejected("up", 1), 9);
        journal.note("b", &rejected("up", 1), 7);
        let list = journal.list();
        let short: Vec<_> = list
            .iter()
            .map(|one| (&*one.metric, &*one.sender, one.count, one.first_ms, one.last_ms))
            .collect();
        assert_eq!(short, [("up", "a", 3, 5, 9), ("up", "b", 1, 7, 7)]);
        assert_eq!(list[0].example, "up at 7");
    }

    #[test]
    fn metrics_beyond_those_named_are_counted_together() {
        let mut report = CommitReport::default();
        for number in 0..40 {
            report.reject(Reject::Conflict, &format!("m{number}"), || "one".into());
        }
        let journal = Journal::default();
        journal.note("a", &report.rejected, 1);
        let list = journal.list();
        assert_eq!(list.iter().map(|one| one.count).sum::<u64>(), 40);
        assert!(list.iter().any(|one| one.metric.is_empty() && one.count > 1));
    }

    #[test]
    fn is_bounded_and_keeps_the_latest() {
        let journal = Journal::default();
        for number in 0..2 * ENTRIES_MAX {
            journal.note("a", &rejected(&format!("m{number}"), 1), number as i64);
        }
        let list = journal.list();
        assert!(list.len() <= ENTRIES_MAX);
        assert_eq!(list[0].metric, format!("m{}", 2 * ENTRIES_MAX - 1));
    }
}

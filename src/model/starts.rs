//! Start timestamps as runs: a counter's start changes when it restarts, not with every sample.

/// Runs of (timestamp from which it holds, start timestamp), ascending.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct StartRuns {
    runs: Vec<(i64, i64)>,
}

impl StartRuns {
    /// The start of the sample at `timestamp`, which is newer than all before; 0 = not known. Runs that begin no earlier
    /// are of samples that were taken out.
    pub(crate) fn push(&mut self, timestamp: i64, start_timestamp: i64) {
        while self.runs.last().is_some_and(|run| run.0 >= timestamp) {
            self.runs.pop();
        }
        let last = self.runs.last().map_or(0, |run| run.1);
        if last != start_timestamp {
            self.runs.push((timestamp, start_timestamp));
        }
    }

    /// The start that holds at `timestamp`.
    pub(crate) fn at(&self, timestamp: i64) -> i64 {
        let after = self.runs.partition_point(|run| run.0 <= timestamp);
        after
            .checked_sub(1)
            .and_then(|index| self.runs.get(index))
            .map_or(0, |run| run.1)
    }

    /// Continues with the runs of samples that are all newer; the first of them is at `first_timestamp`.
    pub(crate) fn append(&mut self, newer: &Self, first_timestamp: i64) {
        self.push(first_timestamp, newer.at(first_timestamp));
        for (timestamp, start_timestamp) in &newer.runs {
            if *timestamp > first_timestamp {
                self.push(*timestamp, *start_timestamp);
            }
        }
    }

    /// Forgets runs that begin after `to`.
    pub(crate) fn trim(&mut self, to: i64) {
        let kept = self.runs.partition_point(|run| run.0 <= to);
        self.runs.truncate(kept);
    }

    /// Whether no start is known anywhere.
    pub(crate) fn is_unknown(&self) -> bool {
        self.runs.is_empty()
    }

    pub(crate) fn as_slice(&self) -> &[(i64, i64)] {
        &self.runs
    }

    /// Runs read back from disk, ascending.
    pub(crate) fn from_runs(runs: Vec<(i64, i64)>) -> Self {
        Self { runs }
    }
}

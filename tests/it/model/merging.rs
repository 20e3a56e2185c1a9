//! Merges and retention passes, and what they leave.

use super::Kind;
use super::episode::Episode;
use super::segments::{Ages, Changes};
use super::setup::is_short_lived;
use narthex::{Clock, SegmentMeta};
use std::time::Duration;

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl Episode<'_> {
    pub(super) fn metas(&self) -> Vec<SegmentMeta> {
        let segments = self.db().segments();
        segments.into_iter().map(|segment| segment.meta).collect()
    }

    /// Ages are counted from the clock, which is not believed when it is far ahead of the newest sample.
    pub(super) fn ages(&self) -> Ages {
        let now_ms = self.clock.now_ms();
        let head = self.db().stats().map_or(None, |stats| stats.head_bounds);
        let in_segments = self.twin.segments.values().map(|meta| meta.time_max);
        let newest = in_segments.chain(head.map(|bounds| bounds.1)).max();
        let now = newest.map_or(i64::MIN, |newest| {
            now_ms.min(newest.saturating_add(millis(self.setup.clock_leap_max)))
        });
        let before = |age: Duration| now.saturating_sub(millis(age));
        Ages {
            now_ms,
            undelete_window_ms: millis(self.setup.undelete_window),
            oldest: self.setup.retention.map(before),
            rule: self
                .setup
                .retention_of_some
                .map(|age| (is_short_lived as super::segments::Wanted, before(age))),
        }
    }

    /// Merges all that can be merged. A flush that falls due meanwhile, also because the newest segment goes, would be
    /// merged unseen: there is nothing left to flush where that can be.
    pub(super) fn compact(&mut self) {
        if self.setup.flushes_by_itself || self.twin.frozen_lsn.is_some() {
            self.flush();
        }
        let ages = Ages {
            oldest: None,
            ..self.ages()
        };
        let compacted = self.db().compact();
        compacted.unwrap_or_else(|error| self.fail(&format!("compact: {error}")));
        self.follow_segments(&ages);
        self.read_everything();
    }

    /// Notes what became of the segments that the twin knows.
    pub(super) fn follow_segments(&mut self, ages: &Ages) {
        let now = self.metas();
        if now.len() == self.twin.segments.len()
            && now.iter().all(|meta| self.twin.segments.contains_key(&meta.ulid))
        {
            return;
        }
        let changes = self.twin.follow_segments(&now, ages);
        let changes = changes.unwrap_or_else(|error| self.fail(&error));
        self.note(|| {
            format!(
                "{changes:?} oldest {:?} rule {:?}, {} segments",
                ages.oldest,
                ages.rule.map(|r| r.1),
                now.len()
            )
        });
        let Changes {
            merges,
            settled,
            dropped,
            expired,
            expired_colliding,
        } = changes;
        for _ in 0..merges {
            self.happens(Kind::Merge);
        }
        for _ in 0..dropped.max(usize::from(expired > 0)) {
            self.happens(Kind::Retention);
        }
        *self.coverage.colliding.entry(Kind::Merge).or_default() += settled as u64;
        *self.coverage.colliding.entry(Kind::Retention).or_default() += expired_colliding as u64;
    }

    /// Once there is nothing left to do, nothing is left that is too old.
    pub(super) fn check_retained(&self) {
        let oldest = self.ages().oldest;
        let is_due = |meta: &SegmentMeta| oldest.is_some_and(|oldest| meta.time_max < oldest);
        if let Some(left) = self.twin.segments.values().find(|meta| is_due(meta)) {
            self.fail(&format!("{left:?} is too old and stays"));
        }
    }
}

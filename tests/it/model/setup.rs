//! How the database of an episode is opened: the same from its creation to its end.

use super::policy::with_rules;
use crate::play::{Dice, small_options_in};
use narthex::testing::SimFs;
use narthex::{Compressor, Durability, ManualClock, Matcher, Options};
use std::sync::Arc;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
/// After this a series leaves memory.
pub(super) const SERIES_IDLE: Duration = Duration::from_secs(15 * 60);

#[derive(Debug, Clone)]
pub(super) struct Setup {
    pub(super) durability: Durability,
    seals_often: bool,
    pub(super) flushes_by_itself: bool,
    merges_by_itself: bool,
    pub(super) undelete_window: Duration,
    pub(super) retention: Option<Duration>,
    /// Of the series of one metric.
    pub(super) retention_of_some: Option<Duration>,
    pub(super) clock_leap_max: Duration,
    compress_after: Option<Duration>,
    /// Whether some series have samples at either end of time, which is where all segments begin then.
    pub(super) has_extremes: bool,
}

/// The series that the retention rule is about.
pub(super) fn is_short_lived(number: usize) -> bool {
    number % 3 == 1
}

impl Setup {
    pub(super) fn new(dice: &mut Dice) -> Self {
        let interval = Durability::Interval(Duration::from_millis(100));
        let retention = dice.percent(50).then(|| MINUTE * (5 + dice.below(6) as u32));
        let retention_of_some = dice.percent(45).then(|| MINUTE * (3 + dice.below(4) as u32));
        Self {
            durability: *dice.pick(&[Durability::Always, interval, Durability::Never]),
            seals_often: dice.percent(50),
            flushes_by_itself: dice.percent(50),
            merges_by_itself: dice.percent(60),
            undelete_window: *dice.pick(&[Duration::ZERO, MINUTE * 2, MINUTE * 20, MINUTE * 60 * 24]),
            retention,
            retention_of_some,
            clock_leap_max: *dice.pick(&[Duration::ZERO, MINUTE, MINUTE * 60]),
            compress_after: *dice.pick(&[None, Some(MINUTE * 6), Some(MINUTE * 60 * 24 * 7)]),
            has_extremes: retention.is_none() && retention_of_some.is_none() && dice.percent(50),
        }
    }

    pub(super) fn options(
        &self,
        dir: &str,
        fs: &SimFs,
        clock: &Arc<ManualClock>,
        dice: &mut Dice,
    ) -> Options {
        let compressors = [Compressor::None, Compressor::Snappy, Compressor::Zstd];
        let mut options = with_rules(small_options_in(dir, fs, clock))
            .durability(self.durability)
            .compaction(self.merges_by_itself)
            .undelete_window(self.undelete_window)
            .clock_leap_max(self.clock_leap_max)
            .compress_after(self.compress_after)
            .mmap(dice.percent(50))
            .data_compressor(*dice.pick(&compressors))
            .series_idle(SERIES_IDLE);
        if self.seals_often {
            options = options.checkpoint_bytes_min(1 << 10);
        }
        if let Some(retention) = self.retention {
            options = options.retention(retention);
        }
        if let Some(retention) = self.retention_of_some {
            let matchers = vec![Matcher::eq("__name__", "memory_bytes")];
            options = options.retention_rule(matchers, retention);
        }
        if self.flushes_by_itself {
            options.segment_span(MINUTE * 2).flush_samples_min(100)
        } else {
            options.segment_span(Duration::MAX)
        }
    }
}

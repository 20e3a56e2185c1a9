//! What a walk over a whole head found, kept for a while: a scrape walks again only after a thousand times as long as the walk
//! took, so that however often somebody scrapes, walks take a thousandth of a core at most.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many times as long as it took a walk is shown.
const SHOWN_PER_WALK: u32 = 1000;
/// Longest time that a walk is shown.
const SHOWN_MAX: Duration = Duration::from_secs(120);

/// The last walk over a head.
#[derive(Debug)]
pub(super) struct LastWalk<T> {
    /// What it found, and until when that is shown.
    found: Mutex<Option<(Arc<T>, Instant)>>,
}

impl<T> Default for LastWalk<T> {
    fn default() -> Self {
        Self {
            found: Mutex::new(None),
        }
    }
}

impl<T> LastWalk<T> {
    /// What the last walk found, or a new one. Who asks meanwhile waits for it.
    pub(super) fn get(&self, now: Instant, walk: impl FnOnce() -> (T, Duration)) -> Arc<T> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, until)) = &*found
            && now < *until
        {
            return known.clone();
        }
        let (new, took) = walk();
        let (new, shown) = (Arc::new(new), took.saturating_mul(SHOWN_PER_WALK).min(SHOWN_MAX));
        *found = Some((new.clone(), now + shown));
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_is_shown_a_thousand_times_as_long_as_it_took() {
        let last = LastWalk::default();
        let begun = Instant::now();
        let ask = |after_ms: u64, series: u64, took_ms: u64| {
            let walk = || (series, Duration::from_millis(took_ms));
            *last.get(begun + Duration::from_millis(after_ms), walk)
        };
        assert_eq!(ask(0, 1, 30), 1);
        assert_eq!(ask(29_999, 2, 30), 1);
        assert_eq!(ask(30_000, 3, 0), 3);
        assert_eq!(ask(30_000, 4, 1_000), 4, "a walk that took no time is done again");
        assert_eq!(ask(149_999, 5, 0), 4);
        assert_eq!(ask(150_000, 6, 0), 6, "at most two minutes");
    }
}

//! How many samples a sender may write in a second: a debt that is worked off.
//!
//! A request is let in while its sender owes nothing more than a second's worth, and what it wrote is owed afterwards. So
//! no request is refused for its own size, and over time nobody writes more than the quota.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Senders that are remembered; when there are more, those that owe nothing are forgotten.
const SENDERS_MAX: usize = 10_000;

#[derive(Debug, Clone, Copy)]
struct Debt {
    samples: f64,
    at_ms: i64,
}

/// What senders owe.
#[derive(Debug, Default)]
pub(crate) struct Quota {
    debts: Mutex<HashMap<String, Debt>>,
}

impl Debt {
    /// What is left of it at `now_ms`.
    fn at(self, now_ms: i64, samples_per_second: f64) -> f64 {
        let elapsed_s = (now_ms - self.at_ms).max(0) as f64 / 1000.0;
        (self.samples - elapsed_s * samples_per_second).max(0.0)
    }
}

impl Quota {
    /// After how many seconds the sender may write again, when it may not now.
    pub(crate) fn wait_s(&self, sender: &str, samples_per_second: u64, now_ms: i64) -> Option<u64> {
        let rate = samples_per_second as f64;
        let debts = self.debts.lock().unwrap_or_else(PoisonError::into_inner);
        let owed = debts.get(sender).map_or(0.0, |debt| debt.at(now_ms, rate));
        (owed > rate).then(|| ((owed - rate) / rate).ceil() as u64)
    }

    /// Notes what a sender wrote.
    pub(crate) fn charge(&self, sender: &str, samples: usize, samples_per_second: u64, now_ms: i64) {
        let rate = samples_per_second as f64;
        let mut debts = self.debts.lock().unwrap_or_else(PoisonError::into_inner);
        if debts.len() >= SENDERS_MAX && !debts.contains_key(sender) {
            debts.retain(|_, debt| debt.at(now_ms, rate) > 0.0);
        }
        let debt = debts.entry(sender.to_owned()).or_insert(Debt {
            samples: 0.0,
            at_ms: now_ms,
        });
        *debt = Debt {
            samples: debt.at(now_ms, rate) + samples as f64,
            at_ms: now_ms,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_writes_more_over_time() {
        let quota = Quota::default();
        let (mut written, mut now_ms) = (0, 0);
        while now_ms < 100_000 {
            match quota.wait_s("a", 1_000, now_ms) {
                None => {
                    quota.charge("a", 2_500, 1_000, now_ms);
                    written += 2_500;
                }
                Some(wait_s) => now_ms += i64::try_from(wait_s).unwrap() * 1000,
            }
        }
        assert!((90_000..=105_000).contains(&written), "{written}");
        assert_eq!(quota.wait_s("b", 1_000, now_ms), None, "senders are apart");
    }
}

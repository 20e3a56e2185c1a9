//! Joining what several sources hold of one series, in order of writing.
//!
//! A withdrawn deletion leaves a *mark*: at one place, what was written between the deletion and its undelete beats what
//! was written before the deletion, whatever the classes, so that bringing old samples back never pushes out newer ones.

use super::sample::{Class, Sample};
use super::samples::Samples;

/// The samples of one source.
#[derive(Debug, Clone, Default)]
pub(crate) struct Part {
    /// Largest LSN in it.
    pub(crate) lsn: u64,
    pub(crate) samples: Samples,
    /// Marks above this part that are about its series.
    pub(crate) marks: Vec<Mark>,
}

/// Where a withdrawn deletion lay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) lsn: u64,
    /// LSN of the undelete. No part holds samples from both sides of it.
    pub(crate) until: u64,
    pub(crate) from: i64,
    pub(crate) to: i64,
}

impl Mark {
    fn is_between(&self, timestamp: i64, below: u64, above: u64) -> bool {
        (self.from..=self.to).contains(&timestamp)
            && below < self.lsn
            && (self.lsn..self.until).contains(&above)
    }
}

/// One sample per place, from parts in any order.
pub(crate) fn join(parts: Vec<Part>) -> Samples {
    join_counting(parts).0
}

/// The same, and how many ordinary samples lost against other bits that were written before them.
pub(crate) fn join_counting(mut parts: Vec<Part>) -> (Samples, u64) {
    parts.retain(|part| !part.samples.is_empty());
    parts.sort_by_key(|part| part.lsn);
    if parts.iter().all(|part| part.marks.is_empty()) {
        return Samples::join_counting(parts.into_iter().map(|part| part.samples).collect());
    }
    let mut conflicts = 0;
    let mut candidates: Vec<(Sample, Class, &Part)> = Vec::new();
    for part in &parts {
        let all = part.samples.iter();
        candidates.extend(all.map(|sample| {
            let class = part.samples.class_at(sample.timestamp);
            (sample, class, part)
        }));
    }
    // Stable: at one place the order stays that of writing.
    candidates.sort_by_key(|candidate| candidate.0.timestamp);
    let mut joined = Samples::default();
    for place in candidates.chunk_by(|a, b| a.0.timestamp == b.0.timestamp) {
        if let Some((sample, class)) = settle(place, &mut conflicts) {
            joined.push_classed(sample.timestamp, sample.value, sample.start_timestamp, class);
        }
    }
    (joined, conflicts)
}

/// Settles one place from the bottom up.
fn settle(place: &[(Sample, Class, &Part)], conflicts: &mut u64) -> Option<(Sample, Class)> {
    let (mut best, rest) = place.split_first()?;
    let mut class = best.1;
    for above in rest {
        let timestamp = above.0.timestamp;
        let is_marked = |mark: &Mark| mark.is_between(timestamp, best.2.lsn, above.2.lsn);
        if best.2.marks.iter().any(is_marked) {
            (best, class) = (above, above.1);
            continue;
        }
        let (is_above, settled) = Class::settle((&best.0.value, class), (&above.0.value, above.1));
        if is_above {
            best = above;
        } else if above.1 == Class::Ordinary && above.0.value != best.0.value {
            *conflicts += 1;
        }
        class = settled;
    }
    Some((best.0.clone(), class))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sample::Value;

    fn part(lsn: u64, class: Class, samples: &[(i64, f64)]) -> Part {
        let mut part = Part {
            lsn,
            ..Part::default()
        };
        for (timestamp, value) in samples {
            part.samples
                .push_classed(*timestamp, Value::Float(*value), 0, class);
        }
        part
    }

    fn values(samples: &Samples) -> Vec<(i64, f64)> {
        let floats = samples.timestamps.iter().zip(&samples.bits);
        floats
            .map(|(time, bits)| (*time, f64::from_bits(*bits)))
            .collect()
    }

    #[test]
    fn classes_settle_a_place() {
        let joined = join(vec![
            part(3, Class::Maximum, &[(20, 2.0), (30, 9.0)]),
            part(1, Class::Ordinary, &[(10, 1.0), (20, 5.0), (30, 3.0)]),
            part(2, Class::Correction, &[(10, 7.0)]),
            part(4, Class::Ordinary, &[(10, 8.0), (40, 4.0)]),
        ]);
        assert_eq!(values(&joined), [(10, 7.0), (20, 5.0), (30, 9.0), (40, 4.0)]);
        assert_eq!(joined.class_at(10), Class::Correction);
        assert_eq!(joined.class_at(40), Class::Ordinary);
    }

    #[test]
    fn what_was_written_between_delete_and_undelete_wins() {
        let mut old = part(
            1,
            Class::Correction,
            &[(10, 1.0), (15, 1.5), (20, 2.0), (30, 3.0)],
        );
        old.marks.push(Mark {
            lsn: 5,
            until: 8,
            from: 10,
            to: 20,
        });
        let between = part(6, Class::Ordinary, &[(20, 20.0), (30, 30.0)]);
        let after = part(8, Class::Ordinary, &[(10, 10.0), (15, 15.0), (20, 21.0)]);
        let joined = join(vec![between, after, old]);
        assert_eq!(values(&joined), [(10, 1.0), (15, 1.5), (20, 20.0), (30, 3.0)]);
    }

    #[test]
    fn settling_is_associative() {
        let classes = [Class::Ordinary, Class::Correction, Class::Maximum];
        let values = [1.0, 2.0, f64::NAN];
        let all: Vec<(f64, Class)> = values
            .iter()
            .flat_map(|value| classes.map(|class| (*value, class)))
            .collect();
        let two = |a: (f64, Class), b: (f64, Class)| {
            let (is_above, class) = Class::settle((&Value::Float(a.0), a.1), (&Value::Float(b.0), b.1));
            (if is_above { b.0 } else { a.0 }, class)
        };
        for a in &all {
            for b in &all {
                for c in &all {
                    let left = two(two(*a, *b), *c);
                    let right = two(*a, two(*b, *c));
                    // An ordinary sample is the first of its place, so none stands between two others and a maximum.
                    if b.1 != Class::Ordinary || c.1 != Class::Maximum {
                        assert_eq!(left.0.to_bits(), right.0.to_bits(), "{a:?} {b:?} {c:?}");
                        assert_eq!(left.1, right.1, "{a:?} {b:?} {c:?}");
                    }
                }
            }
        }
    }
}

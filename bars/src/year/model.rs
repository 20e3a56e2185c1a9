//! What must be read: computed from the world, place by place.

use super::world::{self, DAY_TICKS, HOUR_TICKS, Series, World};
use crate::rng::mix;
use narthex::Matcher;
use std::ops::RangeInclusive;

/// A delete of a range of a host's series, all or one.
#[derive(Debug, Clone, Copy)]
pub struct Erasure {
    pub at: i64,
    pub undone_at: Option<i64>,
    pub host: usize,
    pub life: i64,
    pub metric: Option<usize>,
    pub from_ms: i64,
    pub to_ms: i64,
}

impl Erasure {
    pub fn matchers(&self) -> Vec<Matcher> {
        let (host, life) = (self.host, self.life);
        match self.metric {
            Some(metric) => Series { host, life, metric }.matchers(),
            None => world::instance_matchers(host, life),
        }
    }

    pub fn range(&self) -> RangeInclusive<i64> {
        self.from_ms..=self.to_ms
    }

    fn is_about(&self, series: Series) -> bool {
        self.life == series.life && self.metric.is_none_or(|metric| metric == series.metric)
    }

    fn is_in_force(&self, now: i64) -> bool {
        self.at <= now && self.undone_at.is_none_or(|undone_at| undone_at > now)
    }
}

/// New values for an hour of a series.
#[derive(Debug, Clone, Copy)]
pub struct Correction {
    pub at: i64,
    pub series: Series,
    pub hour: i64,
    pub salt: u64,
}

impl Correction {
    pub fn value(&self, tick: i64) -> f64 {
        (mix(self.salt ^ tick as u64) % 1_000) as f64 / 4.0
    }
}

/// A sample that is read, or may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    pub timestamp_ms: i64,
    pub value: f64,
    /// Retention may have dropped it.
    pub is_optional: bool,
}

/// What `series` has in `range` after tick `now`, pushed onto `places`.
pub fn expect(world: &World, series: Series, range: &RangeInclusive<i64>, now: i64, places: &mut Vec<Place>) {
    let host = series.host;
    let erasures = world.erasures[host].iter();
    let erasures: Vec<&Erasure> = erasures
        .filter(|one| one.is_about(series) && one.is_in_force(now))
        .collect();
    let corrections = world.corrections[host].iter();
    let corrections: Vec<&Correction> = corrections
        .filter(|one| one.series == series && one.at <= now)
        .collect();
    let kept_days = if series.is_ruled() {
        world.size.rule_days
    } else {
        world.size.retention_days
    };
    let kept_from_ms = world::BASE_MS + (now - kept_days * DAY_TICKS) * world::STEP_MS;
    let ticks = world::ticks_in(host, range);
    let mut tick = *ticks.start();
    while tick <= (*ticks.end()).min(now) {
        let hour = tick / HOUR_TICKS;
        let end = ((hour + 1) * HOUR_TICKS - 1).min(*ticks.end()).min(now);
        let comes_at = world::comes_at(host, hour);
        let fixed: Vec<&&Correction> = corrections.iter().filter(|one| one.hour == hour).collect();
        if comes_at.is_none_or(|at| at <= now) {
            for tick in (tick..=end).filter(|tick| world::life(host, *tick) == series.life) {
                let timestamp_ms = world::timestamp_ms(host, tick);
                let hidden_before = erasures.iter().filter(|one| one.range().contains(&timestamp_ms));
                let hidden_before = hidden_before.map(|one| one.at).max().unwrap_or(-1);
                let newest = fixed.iter().rfind(|one| one.at >= hidden_before);
                let value = match newest {
                    Some(correction) => Some(correction.value(tick)),
                    None => (comes_at.unwrap_or(tick) >= hidden_before).then(|| series.value(tick)),
                };
                places.extend(
                    value
                        .filter(|_| range.contains(&timestamp_ms))
                        .map(|value| Place {
                            timestamp_ms,
                            value,
                            is_optional: timestamp_ms < kept_from_ms,
                        }),
                );
            }
        }
        tick = end + 1;
    }
}

/// Compares what was read with what must be, both in order of time; what is wrong first.
pub fn compare(expected: &[Place], read: &[(i64, f64)]) -> Result<(), String> {
    let mut read = read.iter().peekable();
    for place in expected {
        match read.next_if(|found| found.0 <= place.timestamp_ms) {
            Some((timestamp_ms, value)) => {
                if *timestamp_ms != place.timestamp_ms || value.to_bits() != place.value.to_bits() {
                    return Err(format!("{value} at {timestamp_ms} instead of {place:?}"));
                }
            }
            None if place.is_optional => {}
            None => return Err(format!("{place:?} is missing")),
        }
    }
    match read.next() {
        Some(found) => Err(format!("{found:?} is too many")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: world::Size = world::Size {
        hosts: 2,
        days: 40,
        retention_days: 40,
        rule_days: 10,
    };
    const TICKS: i64 = SIZE.days * DAY_TICKS;

    /// The plain way: every write and delete in order of time, sample by sample.
    fn replay(world: &World, series: Series, now: i64) -> Vec<(i64, f64)> {
        let mut found = Vec::new();
        for tick in 0..=now {
            if world::life(series.host, tick) != series.life {
                continue;
            }
            let timestamp_ms = world::timestamp_ms(series.host, tick);
            let comes_at = world::comes_at(series.host, tick / HOUR_TICKS).unwrap_or(tick);
            let mut versions = vec![(comes_at, series.value(tick))];
            for one in &world.corrections[series.host] {
                if one.series == series && one.hour == tick / HOUR_TICKS {
                    versions.push((one.at, one.value(tick)));
                }
            }
            versions.retain(|version| {
                version.0 <= now
                    && !world.erasures[series.host].iter().any(|one| {
                        one.is_about(series)
                            && one.is_in_force(now)
                            && one.range().contains(&timestamp_ms)
                            && version.0 < one.at
                    })
            });
            found.extend(versions.last().map(|version| (timestamp_ms, version.1)));
        }
        found
    }

    #[test]
    fn the_model_agrees_with_the_plain_way() {
        let world = World::new(SIZE);
        let mut hidden = 0;
        for host in 0..2 {
            for metric in [0, 4] {
                let life = world::life(host, TICKS / 2);
                let series = Series { host, life, metric };
                for now in [TICKS / 2, TICKS - 1] {
                    let mut expected = Vec::new();
                    expect(&world, series, &(i64::MIN / 2..=i64::MAX / 2), now, &mut expected);
                    let plain = replay(&world, series, now);
                    assert_eq!(compare(&expected, &plain), Ok(()));
                    assert_eq!(expected.len(), plain.len());
                    hidden += (0..=now).filter(|tick| world::life(host, *tick) == life).count() - plain.len();
                }
            }
        }
        assert!(hidden > 0, "nothing was deleted or late");
    }

    #[test]
    fn what_differs_is_told() {
        let place = |timestamp_ms, is_optional| Place {
            timestamp_ms,
            value: 1.0,
            is_optional,
        };
        let expected = [place(1, true), place(2, false)];
        assert_eq!(compare(&expected, &[(2, 1.0)]), Ok(()));
        assert_eq!(compare(&expected, &[(1, 1.0), (2, 1.0)]), Ok(()));
        assert!(compare(&expected, &[(1, 1.0)]).is_err());
        assert!(compare(&expected, &[(2, 2.0)]).is_err());
        assert!(compare(&expected, &[(2, 1.0), (3, 1.0)]).is_err());
        assert!(compare(&expected, &[(0, 1.0), (2, 1.0)]).is_err());
    }
}

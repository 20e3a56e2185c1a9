//! Compares what was read of a series with what must be there, what may be there, and what must not.
//!
//! A sample *must* be there when the scrape it went with was acknowledged before the read began and it is younger than the
//! retention when the read ends. It *may* be there when that scrape was begun before the read ended. Nothing else is.

use super::world::{Series, Value, World};
use super::{SENDERS, Shared};
use crate::peer::remote_read::{Cell, HistogramCell};
use std::ops::RangeInclusive;

/// How far senders and retention were while something was read.
#[derive(Debug, Clone)]
pub struct Bounds {
    pub acked: [i64; SENDERS],
    pub begun: [i64; SENDERS],
    pub horizon_ms: i64,
}

impl Bounds {
    /// Of a read that began when this was acknowledged and has ended now.
    pub fn of_read(shared: &Shared, acked: [i64; SENDERS]) -> Self {
        let begun = shared.begun();
        let newest = begun.iter().max().copied().unwrap_or(-1);
        Self {
            acked,
            begun,
            horizon_ms: shared.world.base_ms + (newest + 2) * shared.world.step_ms - shared.window_ms,
        }
    }
}

/// What is wrong with `found` as the samples of a series in a range; how many there are if nothing is.
pub fn judge(
    world: &World,
    series: Series,
    range: &RangeInclusive<i64>,
    bounds: &Bounds,
    found: &[(i64, Cell)],
) -> Result<usize, String> {
    let wrong = |what: &str, time: i64| {
        let far = (time - world.base_ms) as f64 / 3_600_000.0;
        Err(format!("{series:?} at {time} ({far:.3} h): {what}; {bounds:?}"))
    };
    let sender = series.host % SENDERS;
    let (acked, begun) = (bounds.acked[sender], bounds.begun[sender]);
    let ticks = world.ticks_of(series);
    let first = world.ticks(range.start().saturating_sub(world.base_ms)) - 2;
    let last = world.ticks(range.end().saturating_sub(world.base_ms)) + 1;
    let mut rest = found.iter().peekable();
    for tick in (*ticks.start()).max(first)..=(*ticks.end()).min(last).min(begun) {
        let time = world.time_ms(series.host, tick);
        if !range.contains(&time) {
            continue;
        }
        let sent = tick + world.delay(series, tick);
        let Some((_, cell)) = rest.next_if(|sample| sample.0 == time) else {
            if sent <= acked && time >= bounds.horizon_ms {
                return wrong("missing", time);
            }
            continue;
        };
        if sent > begun {
            return wrong("was not sent yet", time);
        }
        let expected = cell_of(&world.value(series, tick));
        if *cell != expected {
            return wrong(&format!("{cell:?} instead of {expected:?}"), time);
        }
    }
    match rest.next() {
        Some(sample) => wrong("was never sent, or comes twice or in the wrong order", sample.0),
        None => Ok(found.len()),
    }
}

fn cell_of(value: &Value) -> Cell {
    match value {
        Value::Float(value) => Cell::Float(value.to_bits()),
        Value::Histogram(histogram) => Cell::Histogram(HistogramCell::of(histogram)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_changed_or_too_much_is_found() {
        let world = World {
            seed: 1,
            hosts: 1,
            step_ms: 15_000,
            base_ms: 1_760_000_000_000,
        };
        let series = Series {
            host: 0,
            life: 0,
            template: 3,
        };
        let (acked, begun) = (200, 210);
        let bounds = Bounds {
            acked: [acked; SENDERS],
            begun: [begun; SENDERS],
            horizon_ms: world.base_ms + 20 * world.step_ms,
        };
        let sent_by = |tick: i64, end: i64| tick + world.delay(series, tick) <= end;
        let sample = |tick| (world.time_ms(0, tick), cell_of(&world.value(series, tick)));
        let upto = |end| (0..=end).filter(move |tick| sent_by(*tick, end)).map(sample);
        let range = world.base_ms..=i64::MAX;
        let judge = |found: &[_]| judge(&world, series, &range, &bounds, found);
        let (least, most): (Vec<_>, Vec<_>) = (upto(acked).collect(), upto(begun).collect());
        assert_eq!(judge(&least), Ok(least.len()));
        assert_eq!(judge(&most), Ok(most.len()));
        assert!(judge(&least[10..]).is_ok(), "older than the retention");
        assert!(judge(&least[30..]).is_err(), "missing at the beginning");
        assert!(
            judge(&[&least[..50], &least[51..]].concat()).is_err(),
            "missing in between"
        );
        assert!(judge(&least[..150]).is_err(), "missing at the end");
        assert!(
            judge(&[&most[..], &[sample(begun + 1)]].concat()).is_err(),
            "not sent"
        );
        assert!(judge(&[&least[..50], &least[49..]].concat()).is_err(), "twice");
        let mut other = least.clone();
        other[60].1 = Cell::Float(0x7ff8_0000_0000_0001);
        assert!(judge(&other).is_err(), "other bits");
        let mut moved = least;
        moved[60].0 += 1;
        assert!(judge(&moved).is_err(), "another time");
    }
}

//! Where windows lie.

use crate::base::spans::Spans;

/// Times beyond this in either direction belong to no window.
const TIME_MAX: i64 = 1 << 61;

/// Windows of one width, `(end - width, end]`. Ends are multiples of the width, behind the last tick of a millisecond where
/// ticks are shorter, so that windows end where a query's moments do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grid {
    width: i64,
    /// Ticks from the beginning of a millisecond to its last one.
    phase: i64,
}

impl Grid {
    /// Windows of `width` ticks, where a millisecond has so many, or 1 if a tick is longer.
    pub(crate) fn new(width: i64, ticks_per_ms: i64) -> Self {
        Self {
            width: width.clamp(1, TIME_MAX),
            phase: ticks_per_ms - 1,
        }
    }

    pub(crate) fn width(self) -> i64 {
        self.width
    }

    /// The end of the window that a time is in.
    pub(crate) fn end_of(self, time: i64) -> i64 {
        let time = time.clamp(-TIME_MAX, TIME_MAX) - self.phase;
        let floor = time.div_euclid(self.width) * self.width;
        floor + self.phase + if floor < time { self.width } else { 0 }
    }

    /// The last end of a window that is not after a time.
    pub(crate) fn last_end(self, time: i64) -> i64 {
        let time = time.clamp(-TIME_MAX, TIME_MAX) - self.phase;
        time.div_euclid(self.width) * self.width + self.phase
    }

    /// The windows that lie wholly within a span, as one; empty if there are none.
    pub(crate) fn inner(self, from: i64, to: i64) -> (i64, i64) {
        (self.end_of(from), self.last_end(to))
    }

    /// The windows that have something in a span, as one.
    pub(crate) fn outer(self, from: i64, to: i64) -> (i64, i64) {
        (self.last_end(from), self.end_of(to))
    }

    /// The windows that have something in one of the spans.
    pub(crate) fn outer_of(self, spans: &Spans) -> Spans {
        let mut all = Spans::default();
        for (from, to) in spans.iter() {
            let (from, to) = self.outer(from, to);
            all.insert(from, to);
        }
        all
    }

    /// The windows that a cut parts.
    pub(crate) fn parted(self, cuts: &[i64]) -> Spans {
        let mut parted = Spans::default();
        for cut in cuts {
            let end = self.end_of(*cut);
            if end != *cut {
                parted.insert(end - self.width, end);
            }
        }
        parted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_open_at_their_beginning() {
        let grid = Grid::new(300, 1);
        assert_eq!(
            [-300, -1, 0, 1, 300, 301].map(|time| grid.end_of(time)),
            [-300, 0, 0, 300, 300, 600]
        );
        assert_eq!(
            [-1, 0, 299, 300].map(|time| grid.last_end(time)),
            [-300, 0, 0, 300]
        );
        assert_eq!(grid.inner(1, 899), (300, 600));
        assert_eq!(grid.outer(1, 899), (0, 900));
        assert_eq!(grid.outer(300, 600), (300, 600));
        assert_eq!(grid.parted(&[0, 300, 450, 460]), Spans::of(300, 600));
        let micros = Grid::new(300_000, 1000);
        assert_eq!(micros.end_of(300_999), 300_999);
        assert_eq!(micros.end_of(301_000), 600_999);
        assert_eq!(grid.end_of(i64::MAX).signum(), 1);
        assert_eq!(grid.last_end(i64::MIN).signum(), -1);
    }
}

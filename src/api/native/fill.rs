//! What stands in intervals without points.

use super::refusal::Refusal;
use crate::model::float_histogram::FloatHistogram;
use crate::promql::value::QuerySeries;
use std::sync::Arc;

/// How intervals without points are filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fill {
    /// They are left out.
    None,
    Null,
    /// The value before.
    Previous,
    /// On the line between the values before and behind.
    Linear,
}

impl Fill {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "" | "none" => Self::None,
            "null" => Self::Null,
            "previous" => Self::Previous,
            "linear" => Self::Linear,
            _ => return None,
        })
    }

    pub(super) fn bad(field: &str) -> Refusal {
        let message = format!("{field} is not one of none, null, previous and linear");
        Refusal::field(
            "bad_parameter",
            field,
            message,
            "without it, intervals without points are left out",
        )
    }
}

/// What is shown of an interval.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Filled {
    Nothing,
    Null,
    Float(f64),
    Histogram(Arc<FloatHistogram>),
}

/// The points of a series, asked for in order of time.
pub(super) struct Column<'s> {
    series: &'s QuerySeries,
    floats: usize,
    histograms: usize,
}

impl<'s> Column<'s> {
    pub(super) fn new(series: &'s QuerySeries) -> Self {
        Self {
            series,
            floats: 0,
            histograms: 0,
        }
    }

    /// What there is at a time, which is not before the one asked for last.
    pub(super) fn at(&mut self, time_ms: i64, fill: Fill) -> Filled {
        let (floats, histograms) = (&self.series.floats, &self.series.histograms);
        while floats.get(self.floats).is_some_and(|point| point.0 < time_ms) {
            self.floats += 1;
        }
        while histograms
            .get(self.histograms)
            .is_some_and(|point| point.0 < time_ms)
        {
            self.histograms += 1;
        }
        if let Some((_, value)) = floats.get(self.floats).filter(|point| point.0 == time_ms) {
            return Filled::Float(*value);
        }
        if let Some((_, value)) = histograms.get(self.histograms).filter(|point| point.0 == time_ms) {
            return Filled::Histogram(value.clone());
        }
        let before = self.floats.checked_sub(1).and_then(|index| floats.get(index));
        match (fill, before, floats.get(self.floats)) {
            (Fill::None, _, _) => Filled::Nothing,
            (Fill::Previous, Some((_, value)), _) => Filled::Float(*value),
            (Fill::Linear, Some((from_ms, from)), Some((to_ms, to))) => {
                let share = (time_ms - from_ms) as f64 / (to_ms - from_ms) as f64;
                Filled::Float(from + (to - from) * share)
            }
            _ => Filled::Null,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_filled_as_asked() {
        let series = QuerySeries {
            floats: vec![(10, 1.0), (40, 4.0)],
            ..QuerySeries::default()
        };
        let filled = |fill| {
            let mut column = Column::new(&series);
            [0, 10, 20, 30, 40, 50].map(|time_ms| column.at(time_ms, fill))
        };
        use Filled::{Float, Nothing, Null};
        assert_eq!(
            filled(Fill::None),
            [Nothing, Float(1.0), Nothing, Nothing, Float(4.0), Nothing]
        );
        assert_eq!(
            filled(Fill::Null),
            [Null, Float(1.0), Null, Null, Float(4.0), Null]
        );
        let previous = [Null, Float(1.0), Float(1.0), Float(1.0), Float(4.0), Float(4.0)];
        assert_eq!(filled(Fill::Previous), previous);
        let linear = [Null, Float(1.0), Float(2.0), Float(3.0), Float(4.0), Null];
        assert_eq!(filled(Fill::Linear), linear);
    }
}

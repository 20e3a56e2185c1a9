//! The series of a metric that an aggregate makes, made one after the other.

use super::fold::{asked, fold, windows_before};
use super::windows::Windows;
use super::{Metric, Renaming};
use crate::db::Db;
use crate::db::query::{Unit, in_words};
use crate::engine::rollups::AggregateFunction;
use crate::engine::thinned::{ThinnedCursor, ThinnedSeries};
use crate::engine::tile_plan::Exactness;
use crate::index::LabelMatcher;
use crate::model::labels::Labels;
use crate::model::matcher::Matcher;
use crate::promql::source::{SeriesSamples, SeriesSet, SourceError};
use crate::rollup::tell::{Teller, Told};

/// Windows of several series that are held at most, to be put in order. A series counts for some.
const HELD_MAX: usize = 10_000_000;
const HELD_PER_SERIES: usize = 50;

/// In the order of the source.
pub(super) struct Made {
    cursor: ThinnedCursor,
    function: AggregateFunction,
    windows: Windows,
    cuts: Vec<i64>,
    renaming: Renaming,
    fits: Vec<LabelMatcher>,
    unit: Unit,
    series: ThinnedSeries,
    has_histograms: bool,
}

impl Made {
    pub(super) fn open(
        db: &Db,
        metric: &Metric<'_>,
        windows: Windows,
        matchers: &[Matcher],
        (renaming, fits): (Renaming, Vec<LabelMatcher>),
    ) -> Result<Option<Self>, SourceError> {
        let function = metric.function;
        let cuts = windows.cuts(metric, windows_before(function))?;
        let cursor = db
            .engine()
            .thinned(matchers, cuts.clone(), asked(function), Exactness::Whole)?;
        Ok(cursor.map(|cursor| Self {
            cursor,
            function,
            windows,
            cuts,
            renaming,
            fits,
            unit: Unit::of(db),
            series: ThinnedSeries::default(),
            has_histograms: false,
        }))
    }

    fn is_wanted(&self, labels: &Labels) -> bool {
        LabelMatcher::all_match(&self.fits, |name| labels.get(name).unwrap_or(""))
    }

    /// Tells the floats of a series that came whole.
    fn tell_whole(&mut self) {
        let ThinnedSeries { told, whole, .. } = &mut self.series;
        let Some(whole) = whole else { return };
        self.has_histograms = true;
        let mut teller = Teller::new(&self.cuts, asked(self.function), told);
        for (time, bits) in whole.float_timestamps().iter().zip(whole.float_bits()) {
            teller.sample(*time, *bits);
        }
        teller.finish();
    }

    /// Writes what the windows of the series come to.
    fn fold(&self, told: &Told, out: &mut SeriesSamples) {
        let Windows { grid, first, last } = self.windows;
        fold(self.function, told, grid, |end, value| {
            if (first..=last).contains(&end) {
                out.floats.timestamps_ms.push(self.unit.to_ms(end));
                out.floats.values.push(value);
            }
        });
    }
}

impl SeriesSet for Made {
    fn next(&mut self, out: &mut SeriesSamples) -> Result<bool, SourceError> {
        while self.cursor.next_into(&mut self.series) {
            let labels = self.renaming.apply(&self.series.labels);
            let labels = labels.map_err(|error| SourceError(error.to_string()))?;
            if !self.is_wanted(&labels) {
                continue;
            }
            self.tell_whole();
            out.clear();
            self.fold(&self.series.told, out);
            if !out.is_empty() {
                out.labels = labels;
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings: Vec<String> = self.cursor.warnings().iter().map(in_words).collect();
        if self.has_histograms {
            let name = &self.renaming.name;
            warnings.push(format!("native histograms are left out of {name}"));
        }
        warnings
    }
}

/// In label order, where the names of the source had another one.
pub(super) struct Held {
    made: Made,
    series: Option<std::vec::IntoIter<SeriesSamples>>,
}

impl Held {
    pub(super) fn new(made: Made) -> Self {
        Self { made, series: None }
    }

    fn read(&mut self) -> Result<std::vec::IntoIter<SeriesSamples>, SourceError> {
        let (mut all, mut held) = (Vec::new(), 0);
        let mut series = SeriesSamples::default();
        while self.made.next(&mut series)? {
            held += HELD_PER_SERIES + series.len();
            if held > HELD_MAX {
                let name = &self.made.renaming.name;
                return Err(SourceError(format!(
                    "{name} is of several metrics and has more than {HELD_MAX} windows in the time that is asked for: ask for a \
                     shorter time or for fewer series, as by {name}{{metric=\"...\"}}"
                )));
            }
            all.push(std::mem::take(&mut series));
        }
        all.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(all.into_iter())
    }
}

impl SeriesSet for Held {
    fn next(&mut self, out: &mut SeriesSamples) -> Result<bool, SourceError> {
        let mut series = match self.series.take() {
            Some(series) => series,
            None => self.read()?,
        };
        let next = series.next();
        self.series = Some(series);
        Ok(next.map(|next| *out = next).is_some())
    }

    fn warnings(&self) -> Vec<String> {
        self.made.warnings()
    }
}

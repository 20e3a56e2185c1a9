//! Asking the source for less than all samples: for what a function has to know of the stretches of time that its windows are
//! made of, or an instant selector of those between its steps.
//!
//! The stretches are cut at every edge of every window, so that a window is made of whole ones. A series that is told whole goes the
//! ordinary way. What the source does not thin is read as if it had not been asked.

use super::Evaluator;
use super::error::EvalError;
use super::plan::References;
use super::range::Frame;
use super::read::{SelectKey, reveal_resets, weight};
use crate::promql::annotations::Annotation;
use crate::promql::ast::{Expr, MatrixSelector, Span, VectorSelector};
use crate::promql::functions::thinned::aspect_of;
use crate::promql::query::Resolution;
use crate::promql::source::{Aspect, Hints, Select, SeriesSamples, ThinnedSeries, ThinnedSet};
use crate::promql::value::Steps;
use crate::promql::window::WindowKind;

/// Takes a series and where its windows lie. When it is thinned, also how many samples each of those told stands for, which is
/// empty where that is not asked.
pub(super) type EachWindowed<'e> =
    &'e mut dyn FnMut(&SeriesSamples, Frame, Option<&[u32]>) -> Result<(), EvalError>;

impl Evaluator<'_> {
    /// Gives the series of a range selector to `each`, without stale markers, as the function of that name has use for them.
    /// `false` when they have to be read.
    pub(super) fn thinned_windows(
        &self,
        function: &str,
        argument: &Expr,
        steps: Steps,
        each: EachWindowed<'_>,
    ) -> Result<bool, EvalError> {
        let asked = aspect_of(function).zip(plain_selector_of(argument));
        let Some((aspect, selector)) = asked else {
            return Ok(false);
        };
        let moments = Moments::new(selector.vector.references(steps), steps, selector.range_ms);
        // Start timestamps are of each sample.
        if self.options.start_timestamps || !self.may_thin(&moments) {
            return Ok(false);
        }
        let cuts_ms = moments.window_cuts();
        let hints = self.thinned_hints(steps, selector.range_ms);
        let select = self.range_select(selector, steps, hints);
        let frame = self.frame(selector, steps);
        self.read_thinned(&select, &cuts_ms, aspect, &mut |thinned, _| {
            let series = &mut thinned.series;
            if thinned.is_whole {
                self.prepare(series);
            }
            if series.is_empty() {
                return Ok(());
            }
            let counts = (!thinned.is_whole).then_some(thinned.counts.as_slice());
            each(series, frame, counts)
        })
    }

    /// Gives the series of an instant selector to `each`, with the samples that are the newest ones at the steps. `false` when
    /// they have to be read.
    pub(super) fn thinned_newest(
        &self,
        selector: &VectorSelector,
        steps: Steps,
        each: &mut dyn FnMut(&SeriesSamples, i64) -> Result<(), EvalError>,
    ) -> Result<bool, EvalError> {
        let moments = Moments::new(selector.references(steps), steps, self.options.lookback_ms);
        if selector.window_kind() != WindowKind::Plain || !self.may_thin(&moments) {
            return Ok(false);
        }
        let cuts_ms = moments.newest_cuts();
        let select = self.instant_select(selector, steps, self.thinned_hints(steps, 0));
        let lookback_ms = self.options.lookback_ms;
        self.read_thinned(&select, &cuts_ms, Aspect::Newest, &mut |thinned, apart_ms| {
            each(&thinned.series, lookback_ms.max(apart_ms))
        })
    }

    /// What stands round the selector, and how coarse an answer may be.
    fn thinned_hints(&self, steps: Steps, range_ms: i64) -> Hints {
        let step_ms = if steps.is_instant() { 0 } else { steps.step_ms };
        let coarse_ms = match self.options.resolution {
            Resolution::Exact | Resolution::Samples => 0,
            Resolution::Auto => step_ms.max(range_ms),
            Resolution::UpTo(width) => i64::try_from(width.as_millis()).unwrap_or(i64::MAX),
        };
        Hints {
            coarse_ms,
            ..self.hints.borrow().clone()
        }
    }

    /// Whether it may be worth finding out what to ask.
    fn may_thin(&self, moments: &Moments) -> bool {
        let thins_from_ms = self.source.thins_from_ms(moments.oldest_ms());
        match self.options.resolution {
            Resolution::Samples => false,
            Resolution::Exact => thins_from_ms > 0 && moments.distance_ms() >= thins_from_ms,
            Resolution::Auto | Resolution::UpTo(_) => thins_from_ms > 0,
        }
    }

    fn read_thinned(
        &self,
        select: &Select,
        cuts_ms: &[i64],
        aspect: Aspect,
        each: &mut dyn FnMut(&mut ThinnedSeries, i64) -> Result<(), EvalError>,
    ) -> Result<bool, EvalError> {
        let thins_from_ms = self.source.thins_from_ms(select.start_ms.saturating_sub(1));
        if select.hints.coarse_ms == 0 && !are_apart(cuts_ms, thins_from_ms) {
            return Ok(false);
        }
        let mut held = self.budget.hold();
        held.add_bytes(size_of_val(cuts_ms))?;
        let Some(mut set) = self.source.thinned(select, cuts_ms, aspect)? else {
            return Ok(false);
        };
        // The selector has been read with that: the next one has its own surroundings, and a read that was to be shared has a
        // use less.
        self.hints.take();
        self.shared.borrow_mut().release(&SelectKey::of(select));
        self.read_set(&mut *set, each)?;
        Ok(true)
    }

    fn read_set(
        &self,
        set: &mut dyn ThinnedSet,
        each: &mut dyn FnMut(&mut ThinnedSeries, i64) -> Result<(), EvalError>,
    ) -> Result<(), EvalError> {
        let mut thinned = ThinnedSeries::default();
        loop {
            self.budget.check()?;
            thinned.series.clear();
            thinned.counts.clear();
            thinned.is_whole = false;
            if !set.next(&mut thinned)? {
                break;
            }
            let mut held = self.budget.hold();
            held.add(weight(&thinned.series))?;
            held.add_bytes(size_of_val(thinned.counts.as_slice()))?;
            self.budget.read(thinned.series.len());
            if self.only_counts.get() {
                reveal_resets(&mut thinned.series.histograms);
            }
            each(&mut thinned, set.apart_ms())?;
        }
        let mut annotations = self.annotations.borrow_mut();
        for warning in set.warnings() {
            annotations.add(Annotation::Source(warning), Span::default());
        }
        for info in set.infos() {
            annotations.add(Annotation::SourceInfo(info), Span::default());
        }
        Ok(())
    }
}

/// The range selector that an argument is, if its windows are what they seem.
fn plain_selector_of(argument: &Expr) -> Option<&MatrixSelector> {
    match argument {
        Expr::Paren(inner) => plain_selector_of(&inner.expr),
        Expr::StepInvariant(inner) => plain_selector_of(inner),
        Expr::Matrix(selector) => (selector.vector.window_kind() == WindowKind::Plain).then_some(selector),
        _ => None,
    }
}

/// The moments that a selector looks at, and how far it looks back from each.
#[derive(Debug)]
struct Moments {
    references: References,
    /// How many of them differ.
    count: usize,
    range_ms: i64,
}

impl Moments {
    fn new(references: References, steps: Steps, range_ms: i64) -> Self {
        let is_fixed = references.first() == references.last();
        let count = if is_fixed { steps.count.min(1) } else { steps.count };
        Self {
            references,
            count,
            range_ms,
        }
    }

    fn oldest_ms(&self) -> i64 {
        self.references.first().saturating_sub(self.range_ms)
    }

    /// The mean distance of cuts is not more than this: they are the moments, and at least one before them.
    fn distance_ms(&self) -> i64 {
        let length_ms = self.references.last().saturating_sub(self.oldest_ms());
        length_ms.checked_div(self.count as i64).unwrap_or(0)
    }

    fn all(&self) -> impl Iterator<Item = i64> + Clone {
        let references = self.references;
        (0..self.count).map(move |step| references.at(step))
    }

    /// The edges of all windows.
    fn window_cuts(&self) -> Vec<i64> {
        let starts_ms = self.all().map(|end_ms| end_ms.saturating_sub(self.range_ms));
        let mut cuts_ms: Vec<i64> = starts_ms.chain(self.all()).collect();
        // Two runs that ascend, which the sort joins.
        cuts_ms.sort();
        cuts_ms.dedup();
        cuts_ms
    }

    /// The moments, and where the first one looks back to.
    fn newest_cuts(&self) -> Vec<i64> {
        let mut cuts_ms: Vec<i64> = std::iter::once(self.oldest_ms()).chain(self.all()).collect();
        cuts_ms.dedup();
        cuts_ms
    }
}

/// Whether cuts are so far from each other, in the mean.
fn are_apart(cuts_ms: &[i64], distance_ms: i64) -> bool {
    let (Some(first), Some(last)) = (cuts_ms.first(), cuts_ms.last()) else {
        return false;
    };
    let stretches = cuts_ms.len() as i64 - 1;
    stretches > 0 && last.saturating_sub(*first) / stretches >= distance_ms
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(start_ms: i64, step_ms: i64, count: usize) -> Steps {
        Steps {
            start_ms,
            step_ms,
            count,
        }
    }

    #[test]
    fn windows_are_cut_at_all_edges() {
        let cases = [
            (steps(1000, 10, 3), None, 10, vec![990, 1000, 1010, 1020]),
            (
                steps(1000, 10, 3),
                None,
                15,
                vec![985, 995, 1000, 1005, 1010, 1020],
            ),
            (steps(1000, 10, 2), None, 4, vec![996, 1000, 1006, 1010]),
            (steps(1000, 10, 3), Some(50), 20, vec![30, 50]),
            (steps(i64::MIN + 5, 10, 1), None, 20, vec![i64::MIN, i64::MIN + 5]),
        ];
        for (steps, at_ms, range_ms, wanted) in cases {
            let at = at_ms.map(crate::promql::ast::At::TimestampMs);
            let moments = Moments::new(References::new(steps, at, 0), steps, range_ms);
            assert_eq!(moments.window_cuts(), wanted);
            let distance_ms = moments.distance_ms();
            assert!(!are_apart(&wanted, distance_ms.saturating_add(1)), "{wanted:?}");
        }
    }

    #[test]
    fn the_first_moment_looks_back() {
        let moving = steps(1000, 10, 3);
        let cuts_ms = |lookback_ms| {
            let references = References::new(moving, None, 5);
            Moments::new(references, moving, lookback_ms).newest_cuts()
        };
        assert_eq!(cuts_ms(100), [895, 995, 1005, 1015]);
        assert_eq!(cuts_ms(0), [995, 1005, 1015]);
    }

    #[test]
    fn cuts_are_apart_in_the_mean() {
        assert!(are_apart(&[0, 10, 40], 20));
        assert!(!are_apart(&[0, 10, 40], 21));
        assert!(!are_apart(&[7], 1) && !are_apart(&[], 1));
        assert!(are_apart(&[i64::MIN, i64::MAX], i64::MAX));
    }
}

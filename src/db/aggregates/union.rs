//! Sets of series as one, in label order.

use crate::promql::source::{SeriesSamples, SeriesSet, SourceError};

/// Several sets. No series is in two of them.
#[derive(Default)]
pub(super) struct Union {
    sets: Vec<Part>,
    is_begun: bool,
    warnings: Vec<String>,
}

struct Part {
    set: Box<dyn SeriesSet>,
    /// Its next series, unless it is done.
    next: SeriesSamples,
    is_done: bool,
}

impl Part {
    fn advance(&mut self) -> Result<(), SourceError> {
        self.next.clear();
        self.is_done = !self.set.next(&mut self.next)?;
        Ok(())
    }
}

impl Union {
    pub(super) fn add(&mut self, set: Box<dyn SeriesSet>) {
        self.sets.push(Part {
            set,
            next: SeriesSamples::default(),
            is_done: false,
        });
    }

    pub(super) fn warn(&mut self, warning: String) {
        self.warnings.push(warning);
    }
}

impl SeriesSet for Union {
    fn next(&mut self, out: &mut SeriesSamples) -> Result<bool, SourceError> {
        if !self.is_begun {
            self.is_begun = true;
            self.sets.iter_mut().try_for_each(Part::advance)?;
        }
        let parts = self.sets.iter_mut().filter(|part| !part.is_done);
        let Some(first) = parts.min_by(|a, b| a.next.labels.cmp(&b.next.labels)) else {
            return Ok(false);
        };
        std::mem::swap(out, &mut first.next);
        first.advance()?;
        Ok(true)
    }

    fn warnings(&self) -> Vec<String> {
        let of_sets = self.sets.iter().flat_map(|part| part.set.warnings());
        self.warnings.iter().cloned().chain(of_sets).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels;

    struct Few(Vec<&'static str>);

    impl SeriesSet for Few {
        fn next(&mut self, out: &mut SeriesSamples) -> Result<bool, SourceError> {
            if self.0.is_empty() {
                return Ok(false);
            }
            out.labels = labels! { "a" => self.0.remove(0) };
            out.floats.timestamps_ms.push(1);
            out.floats.values.push(1.0);
            Ok(true)
        }

        fn warnings(&self) -> Vec<String> {
            vec![format!("{} left", self.0.len())]
        }
    }

    #[test]
    fn sets_are_joined_in_order() {
        let mut union = Union::default();
        for names in [vec!["b", "e"], vec![], vec!["a", "c", "d"]] {
            union.add(Box::new(Few(names)));
        }
        union.warn("first".to_owned());
        let (mut series, mut seen) = (SeriesSamples::default(), Vec::new());
        while union.next(&mut series).expect("no errors") {
            assert_eq!(series.len(), 1);
            seen.push(series.labels.get("a").expect("a label").to_owned());
        }
        assert_eq!(seen, ["a", "b", "c", "d", "e"]);
        assert_eq!(union.warnings(), ["first", "0 left", "0 left", "0 left"]);
    }
}

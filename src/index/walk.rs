//! One sorted walk over many sorted lists of names or values: those of the head and of every segment.

use super::live_walk::LiveValues;
use super::segment::SegmentValues;
use crate::base::bytes::Corrupt;
use std::cmp::Ordering;

/// A sorted list of distinct texts that is read from front to back.
pub(crate) trait SortedTexts {
    /// The text at which the list stands, `None` behind the last.
    fn current(&self) -> Result<Option<&str>, Corrupt>;

    /// Goes to the next text.
    fn advance(&mut self) -> Result<(), Corrupt>;
}

impl SortedTexts for LiveValues<'_> {
    fn current(&self) -> Result<Option<&str>, Corrupt> {
        Ok(self.text())
    }

    fn advance(&mut self) -> Result<(), Corrupt> {
        LiveValues::advance(self);
        Ok(())
    }
}

impl SortedTexts for SegmentValues<'_> {
    fn current(&self) -> Result<Option<&str>, Corrupt> {
        Ok(SegmentValues::current(self)?.map(|value| value.0))
    }

    fn advance(&mut self) -> Result<(), Corrupt> {
        SegmentValues::advance(self)
    }
}

/// Texts that are in memory, such as label names.
impl SortedTexts for std::vec::IntoIter<&str> {
    fn current(&self) -> Result<Option<&str>, Corrupt> {
        Ok(self.as_slice().first().copied())
    }

    fn advance(&mut self) -> Result<(), Corrupt> {
        self.next();
        Ok(())
    }
}

impl SortedTexts for std::vec::IntoIter<String> {
    fn current(&self) -> Result<Option<&str>, Corrupt> {
        Ok(self.as_slice().first().map(String::as_str))
    }

    fn advance(&mut self) -> Result<(), Corrupt> {
        self.next();
        Ok(())
    }
}

/// Where a walk begins and ends.
pub(crate) struct WalkBounds<'a> {
    /// Only texts that begin so.
    pub(crate) prefix: &'a str,
    /// At most so many texts.
    pub(crate) limit: usize,
    /// Asked before every text.
    pub(crate) is_cancelled: &'a dyn Fn() -> bool,
}

impl WalkBounds<'_> {
    /// Comparing with a prefix that is empty, and lies nowhere, takes as long as everything else together.
    fn includes(&self, text: &str) -> bool {
        self.prefix.is_empty() || text.starts_with(self.prefix)
    }
}

/// Why a walk ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WalkEnd {
    /// There are no more texts.
    Complete,
    /// There are more texts than the limit.
    Limit,
    Cancelled,
}

/// How a walk went.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct WalkOutcome {
    pub(crate) end: WalkEnd,
    /// Lists that ended early because their bytes are corrupt, by their place in the input.
    pub(crate) faults: Vec<(usize, Corrupt)>,
}

/// Calls `each` with every distinct text of the lists, in order. A corrupt list ends; the others go on.
pub(crate) fn merged_walk(
    sources: Vec<Box<dyn SortedTexts + '_>>,
    bounds: &WalkBounds<'_>,
    each: &mut dyn FnMut(&str),
) -> WalkOutcome {
    let mut merge = Merge {
        sources,
        order: Vec::new(),
        faults: Vec::new(),
    };
    for index in 0..merge.sources.len() {
        merge.enter(index, |text| text < bounds.prefix);
    }
    let end = merge.run(bounds, each);
    WalkOutcome {
        end,
        faults: merge.faults,
    }
}

struct Merge<'a> {
    sources: Vec<Box<dyn SortedTexts + 'a>>,
    /// Lists that have a text, the one with the smallest last.
    order: Vec<usize>,
    faults: Vec<(usize, Corrupt)>,
}

impl Merge<'_> {
    fn run(&mut self, bounds: &WalkBounds<'_>, each: &mut dyn FnMut(&str)) -> WalkEnd {
        let mut text = String::new();
        let mut count = 0;
        while let Some(&first) = self.order.last() {
            if self.order.len() == 1 {
                self.order.clear();
                return self.run_alone(first, count, bounds, each);
            }
            let is_wanted = self.text(first).is_some_and(|text| bounds.includes(text));
            if !is_wanted {
                return WalkEnd::Complete;
            }
            if (bounds.is_cancelled)() {
                return WalkEnd::Cancelled;
            }
            if count == bounds.limit {
                return WalkEnd::Limit;
            }
            text.clear();
            text.push_str(self.text(first).unwrap_or(""));
            each(&text);
            count += 1;
            while let Some(&same) = self.order.last()
                && self.text(same) == Some(&text)
            {
                self.order.pop();
                self.enter(same, |next| next <= text.as_str());
            }
        }
        WalkEnd::Complete
    }

    /// The rest of a walk when only one list is left: nothing has to be compared any more.
    fn run_alone(
        &mut self,
        index: usize,
        mut count: usize,
        bounds: &WalkBounds<'_>,
        each: &mut dyn FnMut(&str),
    ) -> WalkEnd {
        let source = &mut self.sources[index];
        loop {
            let text = match source.current() {
                Ok(Some(text)) if bounds.includes(text) => text,
                Ok(_) => return WalkEnd::Complete,
                Err(fault) => {
                    self.faults.push((index, fault));
                    return WalkEnd::Complete;
                }
            };
            if (bounds.is_cancelled)() {
                return WalkEnd::Cancelled;
            }
            if count == bounds.limit {
                return WalkEnd::Limit;
            }
            each(text);
            count += 1;
            if let Err(fault) = source.advance() {
                self.faults.push((index, fault));
                return WalkEnd::Complete;
            }
        }
    }

    fn text(&self, index: usize) -> Option<&str> {
        self.sources[index].current().ok().flatten()
    }

    /// Skips texts of a list and puts it in its place.
    fn enter(&mut self, index: usize, is_skipped: impl Fn(&str) -> bool) {
        match skip(&mut *self.sources[index], is_skipped) {
            Ok(false) => {}
            Ok(true) => {
                let text = self.text(index);
                // Largest first; nothing is between two equal texts, so any place among them will do.
                let place = self
                    .order
                    .partition_point(|&other| self.text(other).cmp(&text) == Ordering::Greater);
                self.order.insert(place, index);
            }
            Err(fault) => self.faults.push((index, fault)),
        }
    }
}

/// Whether a text is left.
fn skip(source: &mut dyn SortedTexts, is_skipped: impl Fn(&str) -> bool) -> Result<bool, Corrupt> {
    while let Some(text) = source.current()? {
        if !is_skipped(text) {
            return Ok(true);
        }
        source.advance()?;
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cell::Cell;
    use std::collections::BTreeSet;

    fn walk(lists: &[BTreeSet<String>], bounds: &WalkBounds<'_>) -> (Vec<String>, WalkEnd) {
        let sources = lists.iter().map(|list| {
            let texts: Vec<&str> = list.iter().map(String::as_str).collect();
            Box::new(texts.into_iter()) as Box<dyn SortedTexts>
        });
        let mut found = Vec::new();
        let outcome = merged_walk(sources.collect(), bounds, &mut |text| found.push(text.to_owned()));
        (found, outcome.end)
    }

    proptest! {
        #[test]
        fn as_a_set(
            lists in proptest::collection::vec(proptest::collection::btree_set("[ab]{0,3}", 0..12), 0..6),
            prefix in "[ab]{0,1}",
            limit in 0usize..20,
        ) {
            let all: BTreeSet<_> = lists.iter().flatten().filter(|text| text.starts_with(&prefix)).collect();
            let (found, end) = walk(&lists, &WalkBounds { prefix: &prefix, limit, is_cancelled: &|| false });
            prop_assert!(found.iter().eq(all.iter().copied().take(limit)));
            prop_assert_eq!(end, if all.len() > limit { WalkEnd::Limit } else { WalkEnd::Complete });
        }
    }

    #[test]
    fn a_walk_can_be_cancelled() {
        let list = BTreeSet::from(["a", "b", "c"].map(str::to_owned));
        let asked = Cell::new(0);
        let is_cancelled = || asked.replace(asked.get() + 1) == 2;
        let (found, end) = walk(
            &[list],
            &WalkBounds {
                prefix: "",
                limit: 9,
                is_cancelled: &is_cancelled,
            },
        );
        assert_eq!((found.len(), end), (2, WalkEnd::Cancelled));
    }

    struct Broken;

    impl SortedTexts for Broken {
        fn current(&self) -> Result<Option<&str>, Corrupt> {
            Ok(Some("b"))
        }

        fn advance(&mut self) -> Result<(), Corrupt> {
            Err(Corrupt::new("test", 7))
        }
    }

    #[test]
    fn a_corrupt_list_does_not_stop_the_others() {
        let sources: Vec<Box<dyn SortedTexts>> = vec![Box::new(vec!["a", "c"].into_iter()), Box::new(Broken)];
        let mut found = Vec::new();
        let bounds = WalkBounds {
            prefix: "",
            limit: 9,
            is_cancelled: &|| false,
        };
        let outcome = merged_walk(sources, &bounds, &mut |text| found.push(text.to_owned()));
        assert_eq!(found, ["a", "b", "c"]);
        assert_eq!(outcome.faults, [(1, Corrupt::new("test", 7))]);
    }
}

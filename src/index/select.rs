//! From matchers to rows, the same for the head's live index and a segment's.
//!
//! With P the rows whose value is among the matcher's values and N the rows that have the label at all, every matcher
//! is one of four sets: P; N without P (negated, and the empty value is among the values); everything without P
//! (negated, the empty value is not); everything without (N without P) (not negated, the empty value is). So a matcher
//! that an absent label satisfies only takes rows away, and no list of "everything" is built for it.

use super::pattern::Pattern;
use super::regex::LabelMatcher;
use roaring::RoaringBitmap;

/// What an index must answer.
pub(crate) trait IndexSource {
    /// What may go wrong: corrupt bytes, or nothing.
    type Error;

    /// Every row.
    fn all(&self) -> Result<RoaringBitmap, Self::Error>;

    /// The rows that have the label.
    fn present(&self, name: &str) -> Result<RoaringBitmap, Self::Error>;

    /// The rows whose value of the label is not empty and among the pattern's values.
    fn matched(&self, name: &str, pattern: &Pattern) -> Result<RoaringBitmap, Self::Error>;

    /// About how many rows [`IndexSource::matched`] would answer, if that is known cheaply.
    fn estimate(&self, name: &str, pattern: &Pattern) -> Result<u64, Self::Error>;

    /// The rows of `rows` that satisfy the matcher, if there is a shorter way than by [`IndexSource::matched`].
    fn filter(
        &self,
        rows: &RoaringBitmap,
        matcher: &LabelMatcher,
    ) -> Result<Option<RoaringBitmap>, Self::Error>;
}

/// The rows that satisfy every matcher; all rows when there is none.
pub(crate) fn select<S: IndexSource>(
    source: &S,
    matchers: &[LabelMatcher],
) -> Result<RoaringBitmap, S::Error> {
    let mut order = Vec::with_capacity(matchers.len());
    let has_choice = matchers.iter().filter(|matcher| cost(matcher) == 0).count() > 1;
    for matcher in matchers {
        let estimate = match cost(matcher) {
            0 if has_choice => source.estimate(matcher.name(), matcher.pattern())?,
            _ => 0,
        };
        order.push((cost(matcher), estimate, matcher));
    }
    order.sort_by_key(|entry| (entry.0, entry.1));
    let mut rows: Option<RoaringBitmap> = None;
    for (_, _, matcher) in order {
        rows = Some(match rows {
            Some(rows) if rows.is_empty() => return Ok(rows),
            Some(rows) => match source.filter(&rows, matcher)? {
                Some(filtered) => filtered,
                None => apply(source, Some(rows), matcher)?,
            },
            None => apply(source, None, matcher)?,
        });
    }
    rows.map_or_else(|| source.all(), Ok)
}

/// Cheap matchers that keep few rows come first: 0 for sets of values (those with few rows before the others), 1 for what must be present, 2 for what only
/// takes rows away.
fn cost(matcher: &LabelMatcher) -> u32 {
    if matcher.matches_empty() {
        2
    } else if !matcher.is_negated() && matcher.pattern().as_set().is_some() {
        0
    } else {
        1
    }
}

/// The rows of `rows`, or of all, that satisfy the matcher.
fn apply<S: IndexSource>(
    source: &S,
    rows: Option<RoaringBitmap>,
    matcher: &LabelMatcher,
) -> Result<RoaringBitmap, S::Error> {
    let (name, pattern) = (matcher.name(), matcher.pattern());
    let value_may_be_empty = pattern.matches("");
    if !matcher.matches_empty() {
        let kept = match (value_may_be_empty, pattern.is_every_value()) {
            // Negated: what has the label, without the values.
            (true, true) => RoaringBitmap::new(),
            (true, false) => source.present(name)? - source.matched(name, pattern)?,
            (false, true) => source.present(name)?,
            (false, false) => source.matched(name, pattern)?,
        };
        return Ok(match rows {
            Some(rows) => rows & kept,
            None => kept,
        });
    }
    let rows = match rows {
        Some(rows) => rows,
        None => source.all()?,
    };
    Ok(match (value_may_be_empty, pattern.is_every_value()) {
        (true, true) => rows,
        (true, false) => rows - (source.present(name)? - source.matched(name, pattern)?),
        (false, true) => rows - source.present(name)?,
        (false, false) => rows - source.matched(name, pattern)?,
    })
}

//! What `match[]`, `start` and `end` select, and the union of what several sets of conditions list.

use super::error::ApiError;
use super::params::Params;
use super::pieces::Out;
use crate::base::texts::Texts;
use crate::db::Db;
use crate::engine::error::Error;
use crate::engine::listing::{ListOptions, Listed};
use crate::engine::select::Warning;
use crate::index::LabelMatcher;
use crate::model::labels;
use crate::model::matcher::Matcher;
use crate::promql::parse::parse_selector;

/// The parameter of which each value is a set of conditions.
const MATCH: &str = "match[]";

/// Series that meet all conditions of one of the sets, or all series, within a time.
#[derive(Debug)]
pub(super) struct Selection {
    pub(super) sets: Vec<Vec<Matcher>>,
    pub(super) start_ms: i64,
    pub(super) end_ms: i64,
}

impl Params {
    /// Whether there is a set of conditions.
    pub(super) fn has_matchers(&self) -> bool {
        self.all(MATCH).next().is_some()
    }

    /// The sets of conditions; what is wrong with one is said in Prometheus' words.
    pub(super) fn matchers(&self) -> Result<Vec<Vec<Matcher>>, String> {
        let parsed = self.all(MATCH).map(parse_selector).collect::<Result<Vec<_>, _>>();
        parsed.map_err(|error| error.to_string())
    }
}

/// Refuses conditions that every series meets.
pub(super) fn check_narrow(sets: &[Vec<Matcher>]) -> Result<(), String> {
    let is_narrow = |matcher: &Matcher| match LabelMatcher::compile(matcher) {
        Ok(matcher) => !matcher.matches_empty(),
        Err(_) => true,
    };
    match sets.iter().all(|set| set.iter().any(is_narrow)) {
        true => Ok(()),
        false => Err("match[] must contain at least one non-empty matcher".to_owned()),
    }
}

impl Selection {
    /// What the parameters say; without start or end it begins or ends with these.
    pub(super) fn of(
        params: &Params,
        (start_ms, end_ms): (i64, i64),
        in_words: impl Fn(String) -> ApiError,
    ) -> Result<Self, ApiError> {
        let start_ms = params.time_ms("start", start_ms)?;
        let end_ms = params.time_ms("end", end_ms)?;
        let sets = params.matchers().map_err(&in_words)?;
        check_narrow(&sets).map_err(in_words)?;
        Ok(Self {
            sets,
            start_ms,
            end_ms,
        })
    }

    /// What `list` finds for the sets together: in order, each once, at most `limit` unless it is 0. Ends when nobody waits for
    /// the answer any more.
    pub(super) fn list(
        &self,
        db: &Db,
        limit: usize,
        out: &Out,
        listed: Listed<'_>,
    ) -> Result<Found, ApiError> {
        let is_abandoned = || out.is_abandoned();
        let mut options = ListOptions::default().limit(limit);
        options.is_cancelled = Some(&is_abandoned);
        let (first, rest) = match self.sets.split_first() {
            Some((first, rest)) => (&**first, rest),
            None => (&[][..], &[][..]),
        };
        let list = |found: &mut Found, matchers: &[Matcher]| {
            let range = db.range_of_ms(self.start_ms, self.end_ms);
            let end = db.list(listed, matchers, range, options, |text| found.texts.push(text))?;
            found.is_truncated |= end.is_truncated;
            for warning in end.warnings {
                if !found.warnings.contains(&warning) {
                    found.warnings.push(warning);
                }
            }
            Ok::<_, Error>(())
        };
        let mut found = Found::default();
        list(&mut found, first)?;
        for set in rest {
            list(&mut found, set)?;
            found.unite(listed, limit);
        }
        Ok(found)
    }
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) texts: Texts,
    pub(super) is_truncated: bool,
    pub(super) warnings: Vec<Warning>,
}

impl Found {
    /// Brings what two searches found into one order.
    fn unite(&mut self, listed: Listed<'_>, limit: usize) {
        let order = match listed {
            Listed::Series => labels::compare,
            Listed::Names | Listed::Values(_) => |a: &[u8], b: &[u8]| a.cmp(b),
        };
        let mut all: Vec<&[u8]> = self.texts.iter().collect();
        // Two sorted runs.
        all.sort_by(|a, b| order(a, b));
        all.dedup();
        if limit > 0 && all.len() > limit {
            all.truncate(limit);
            self.is_truncated = true;
        }
        self.texts = all.into_iter().collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_that_all_series_meet_are_refused() {
        for (text, is_narrow) in [
            ("match[]=up", true),
            ("match[]={a=~\"b|\",c!=\"\"}", true),
            ("match[]={}", false),
            ("match[]={a=~\".*\"}", false),
            ("match[]=up&match[]={a=\"\"}", false),
            ("", true),
        ] {
            let sets = Params::of_text(text).matchers().expect("selectors");
            assert_eq!(check_narrow(&sets).is_ok(), is_narrow, "{text}");
        }
        let error = Params::of_text("match[]=up{").matchers().unwrap_err();
        assert_eq!(error, "1:4: parse error: unexpected end of input inside braces");
    }
}

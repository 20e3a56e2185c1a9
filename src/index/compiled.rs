//! Regular expressions that were compiled lately, with what they have learnt: dashboards ask the same ones again and again.

use super::pattern::Pattern;
use super::regex::{LabelMatcher, RegexError};
use crate::model::matcher::{MatchOp, Matcher};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Expressions that are kept. One that asks for all it may learn has some megabytes.
const KEPT_MAX: usize = 32;
/// Longer expressions are not kept.
const BYTES_MAX: usize = 4 << 10;

/// What is kept, by expression.
#[derive(Debug, Default)]
pub(crate) struct CompiledPatterns {
    kept: Mutex<HashMap<String, Arc<Pattern>>>,
}

impl CompiledPatterns {
    /// As [`LabelMatcher::compile_all`].
    pub(crate) fn compile_all(&self, matchers: &[Matcher]) -> Result<Vec<LabelMatcher>, RegexError> {
        let compile = |matcher: &Matcher| {
            let is_regex = matches!(matcher.op, MatchOp::Regex | MatchOp::NotRegex);
            if !is_regex || matcher.value.len() > BYTES_MAX {
                return LabelMatcher::compile(matcher);
            }
            if let Some(pattern) = self.lock().get(&matcher.value) {
                return Ok(LabelMatcher::with_pattern(matcher, pattern.clone()));
            }
            let compiled = LabelMatcher::compile(matcher)?;
            let mut kept = self.lock();
            if kept.len() >= KEPT_MAX {
                kept.clear();
            }
            kept.extend(
                compiled
                    .shared_pattern()
                    .map(|pattern| (matcher.value.clone(), pattern)),
            );
            Ok(compiled)
        };
        matchers.iter().map(compile).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Pattern>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_means_the_same_when_it_was_kept() {
        let patterns = CompiledPatterns::default();
        for round in 0..3 {
            for number in 0..KEPT_MAX + 3 {
                let text = format!("a.*{number}|x[bc]+");
                for matcher in [Matcher::re("l", &text), Matcher::not_re("l", &text)] {
                    let compiled = patterns.compile_all(std::slice::from_ref(&matcher)).unwrap();
                    let fresh = LabelMatcher::compile(&matcher).unwrap();
                    for value in ["", "xb", &format!("ab{number}"), "b"] {
                        assert_eq!(compiled[0].matches(value), fresh.matches(value), "{round}");
                    }
                }
            }
        }
        assert!(patterns.lock().len() <= KEPT_MAX);
        assert!(patterns.compile_all(&[Matcher::re("l", "(")]).is_err());
    }
}

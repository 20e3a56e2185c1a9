//! A [`Matcher`] made fast: the condition on one label, compiled once and asked many times.
//!
//! Semantics are Prometheus': an expression is anchored at both ends, the dot matches a newline too, and an absent
//! label has the empty value. How the syntax differs from RE2 is listed in `index/re2.rs`; what an expression is
//! reduced to stands in `index/pattern.rs`.

use super::pattern::Pattern;
use crate::model::matcher::{MatchOp, Matcher};
use std::sync::Arc;

/// A regular expression that is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid regular expression {pattern:?}: {reason}")]
pub(crate) struct RegexError {
    /// The expression as given.
    pub(crate) pattern: String,
    /// What is wrong with it.
    pub(crate) reason: String,
}

/// A compiled condition on one label.
#[derive(Debug, Clone)]
pub(crate) struct LabelMatcher {
    name: Box<str>,
    negated: bool,
    pattern: Held,
}

/// What is costly to make is shared.
#[derive(Debug, Clone)]
enum Held {
    Own(Pattern),
    Shared(Arc<Pattern>),
}

impl LabelMatcher {
    pub(crate) fn compile(matcher: &Matcher) -> Result<Self, RegexError> {
        let (negated, is_regex) = match matcher.op {
            MatchOp::Equal => (false, false),
            MatchOp::NotEqual => (true, false),
            MatchOp::Regex => (false, true),
            MatchOp::NotRegex => (true, true),
        };
        let pattern = if is_regex {
            let refused = |reason| RegexError {
                pattern: matcher.value.clone(),
                reason,
            };
            Held::Shared(Arc::new(Pattern::regex(&matcher.value).map_err(refused)?))
        } else {
            Held::Own(Pattern::literal(&matcher.value))
        };
        Ok(Self {
            name: matcher.name.as_str().into(),
            negated,
            pattern,
        })
    }

    /// Whether the series meets all conditions whose label values `value_of` gives, empty where a label is absent.
    pub(crate) fn all_match<'a>(matchers: &[Self], value_of: impl Fn(&str) -> &'a str) -> bool {
        matchers.iter().all(|one| one.matches(value_of(one.name())))
    }

    /// The condition whose expression is compiled already.
    pub(super) fn with_pattern(matcher: &Matcher, pattern: Arc<Pattern>) -> Self {
        Self {
            name: matcher.name.as_str().into(),
            negated: matches!(matcher.op, MatchOp::NotEqual | MatchOp::NotRegex),
            pattern: Held::Shared(pattern),
        }
    }

    /// That of a regular expression.
    pub(super) fn shared_pattern(&self) -> Option<Arc<Pattern>> {
        match &self.pattern {
            Held::Own(_) => None,
            Held::Shared(pattern) => Some(pattern.clone()),
        }
    }

    /// Whether [`LabelMatcher::compile`] takes it.
    pub(crate) fn check(matcher: &Matcher) -> Result<(), RegexError> {
        match matcher.op {
            MatchOp::Equal | MatchOp::NotEqual => Ok(()),
            MatchOp::Regex | MatchOp::NotRegex => {
                Pattern::check(&matcher.value).map_err(|reason| RegexError {
                    pattern: matcher.value.clone(),
                    reason,
                })
            }
        }
    }

    /// Compiles all of them, or says which one is refused.
    pub(crate) fn compile_all(matchers: &[Matcher]) -> Result<Vec<Self>, RegexError> {
        matchers.iter().map(Self::compile).collect()
    }

    /// The label's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether the values of [`LabelMatcher::pattern`] are those that do not match.
    pub(crate) fn is_negated(&self) -> bool {
        self.negated
    }

    /// The values the condition is about.
    pub(crate) fn pattern(&self) -> &Pattern {
        match &self.pattern {
            Held::Own(pattern) => pattern,
            Held::Shared(pattern) => pattern,
        }
    }

    /// The one value that satisfies the condition, if there is only one and it is not the empty one.
    pub(crate) fn only_value(&self) -> Option<&str> {
        match self.pattern().as_set() {
            Some([only]) if !self.negated && !only.is_empty() => Some(only),
            _ => None,
        }
    }

    /// Whether a label with this value satisfies the condition.
    #[inline]
    pub(crate) fn matches(&self, value: &str) -> bool {
        self.pattern().matches(value) != self.negated
    }

    /// Whether a series without the label satisfies the condition.
    pub(crate) fn matches_empty(&self) -> bool {
        self.matches("")
    }
}

#[cfg(test)]
mod tests {
    use super::super::pattern::Kind;
    use super::super::tests::expression;
    use super::*;
    use proptest::prelude::*;
    use regex_automata::meta::Regex;

    fn compile(pattern: &str) -> LabelMatcher {
        LabelMatcher::compile(&Matcher::re("l", pattern)).unwrap()
    }

    /// The plain engine on the same text, without any of the analysis.
    fn plain(pattern: &str) -> Regex {
        Regex::new(&format!(
            "^(?s:{})$",
            super::super::re2::translate(pattern).unwrap()
        ))
        .unwrap()
    }

    fn check(pattern: &str, yes: &[&str], no: &[&str]) {
        let matcher = compile(pattern);
        for value in yes {
            assert!(matcher.matches(value), "{pattern} should match {value:?}");
        }
        for value in no {
            assert!(!matcher.matches(value), "{pattern} should not match {value:?}");
        }
    }

    #[test]
    fn expressions_are_anchored_and_the_dot_takes_newlines() {
        check("a.c", &["abc", "a\nc", "aéc"], &["abcd", "xabc", "ac"]);
        check("a|b", &["a", "b"], &["ab", "", "c"]);
        check("^a$", &["a"], &["aa"]);
        check("(?i)Kelvin", &["kelvin", "\u{212a}ELVIN"], &["kelvi", "xkelvin"]);
        check("(?i).*err.*", &["an ERRor", "err"], &["er r"]);
        check("a{3}", &["aaa"], &["aa", "aaaa"]);
        check(
            "foo|bar.*|.*baz|",
            &["foo", "bar", "barx", "xbaz", ""],
            &["foox", "xbar", "bazx"],
        );
        check(".+x.+", &["axb", "xxx", "éxé"], &["x", "ax", "xa", "xx"]);
        check("a^b|a$b", &[], &["ab", "a", "b", ""]);
        check(r"\w+-\d", &["ab-1"], &["é-1", "ab-x"]);
        check("[^a]+", &["b\n"], &["ba"]);
    }

    #[test]
    fn common_shapes_need_no_engine() {
        let kind = |pattern: &str| match &compile(pattern).pattern().kind {
            Kind::All => "all",
            Kind::NotEmpty => "not empty",
            Kind::One(_) | Kind::Set(_) => "set",
            Kind::Globs { .. } => "globs",
            Kind::Engine(_) => "engine",
        };
        for pattern in ["(?:.*)", "|.+", "a|.*", "(.*)", ".*?", ".*.*"] {
            assert_eq!(kind(pattern), "all", "{pattern}");
        }
        for pattern in [".+", "(.+)", "a|.+", ".+.*"] {
            assert_eq!(kind(pattern), "not empty", "{pattern}");
        }
        for pattern in ["", "a", "a|b|c", "a[bc]d", "(?i)ab", "x(a|b)(c|d)?", "^(a|b)$"] {
            assert_eq!(kind(pattern), "set", "{pattern}");
        }
        for pattern in [
            "a.*",
            ".*a.*",
            "a.*|b.*",
            ".*a",
            "a.*b.+c",
            "(?i)abcdefgh",
            "(?i)abcdefg.*",
        ] {
            assert_eq!(kind(pattern), "globs", "{pattern}");
        }
        for pattern in [
            "a.b",
            "..+",
            "(?i).*abcdef.*",
            "[0-9a-z]{8}",
            "(ab)*",
            "a\\b.*",
            "[a-z]+-x",
        ] {
            assert_eq!(kind(pattern), "engine", "{pattern}");
        }
    }

    #[test]
    fn an_absent_label_is_empty() {
        let empty = |matcher: Matcher| LabelMatcher::compile(&matcher).unwrap().matches_empty();
        assert!(empty(Matcher::eq("l", "")) && !empty(Matcher::eq("l", "a")));
        assert!(!empty(Matcher::ne("l", "")) && empty(Matcher::ne("l", "a")));
        assert!(empty(Matcher::re("l", "a*")) && !empty(Matcher::re("l", "a+")));
        assert!(!empty(Matcher::not_re("l", ".*")) && empty(Matcher::not_re("l", ".+")));
    }

    #[test]
    fn what_is_refused_says_why() {
        let refused = |pattern: &str| {
            let matcher = Matcher::re("l", pattern);
            let refused = LabelMatcher::compile(&matcher).unwrap_err();
            assert_eq!(LabelMatcher::check(&matcher), Err(refused.clone()));
            refused.to_string()
        };
        assert_eq!(
            refused("a**"),
            r#"invalid regular expression "a**": a repetition of a repetition"#
        );
        assert!(refused("(a").contains("unclosed group"), "{}", refused("(a"));
        assert!(refused(r"(\pL{500}){500}x").contains("more than 10485760 bytes"));
        assert!(refused(&"(".repeat(300)).contains("unclosed group"));
        assert!(refused(&("(".repeat(300) + &")".repeat(300))).contains("nest"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn as_the_plain_engine(pattern in expression(), values in proptest::collection::vec("[abkKAé\n]{0,6}", 1..20)) {
            let fast = compile(&pattern);
            let plain = plain(&pattern);
            for value in &values {
                prop_assert_eq!(fast.matches(value), plain.is_match(value.as_str()), "{} on {:?}", pattern, value);
            }
        }

        #[test]
        fn any_text_compiles_or_is_refused(pattern in "[a-c()|.*+?{}0-9,\\\\\\[\\]^$:i<>PQEé-]{0,16}") {
            let _ = LabelMatcher::compile(&Matcher::re("l", pattern));
        }
    }
}

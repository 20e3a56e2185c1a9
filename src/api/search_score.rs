//! How well a name fits what was typed, as Prometheus' search scores it: between 0 and 1, where 1 is as good as can be.
//!
//! Both algorithms compare bytes where all is ASCII and characters otherwise.

/// How a name is compared that does not have the text as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// Its characters must be there in order; runs of them count more, gaps less.
    Subsequence,
    /// Characters near their places, and a common beginning.
    JaroWinkler,
}

/// A text that is searched for.
#[derive(Debug)]
pub(super) struct Term {
    text: String,
    characters: Vec<char>,
    algorithm: Algorithm,
    /// What scores less does not fit.
    threshold: f64,
    has_case: bool,
}

impl Term {
    pub(super) fn new(text: &str, algorithm: Algorithm, threshold: f64, has_case: bool) -> Self {
        let text = if has_case {
            text.to_owned()
        } else {
            text.to_lowercase()
        };
        Self {
            characters: text.chars().collect(),
            text,
            algorithm,
            threshold,
            has_case,
        }
    }

    /// How well a name fits; `None` when it does not.
    pub(super) fn score(&self, name: &str) -> Option<f64> {
        if self.has_case {
            self.score_as_is(name)
        } else {
            self.score_as_is(&name.to_lowercase())
        }
    }

    fn score_as_is(&self, name: &str) -> Option<f64> {
        if name.starts_with(&self.text) {
            return Some(1.0);
        }
        match self.algorithm {
            Algorithm::Subsequence => {
                let score = self.compare(name, subsequence, subsequence);
                (score > 0.0 && score >= self.threshold).then_some(score)
            }
            Algorithm::JaroWinkler if name.contains(&self.text) => Some(0.9),
            Algorithm::JaroWinkler if self.threshold == 0.0 => None,
            Algorithm::JaroWinkler => {
                let score = self.compare(name, jaro_winkler, jaro_winkler);
                (score >= self.threshold).then_some(score)
            }
        }
    }

    fn compare(
        &self,
        name: &str,
        bytes: impl Fn(&[u8], &[u8]) -> f64,
        characters: impl Fn(&[char], &[char]) -> f64,
    ) -> f64 {
        if self.text.is_ascii() && name.is_ascii() {
            return bytes(self.text.as_bytes(), name.as_bytes());
        }
        characters(&self.characters, &name.chars().collect::<Vec<_>>())
    }
}

/// The best of all beginnings: the squares of the runs less the share of the gaps, out of the square of the whole.
fn subsequence<T: PartialEq>(pattern: &[T], text: &[T]) -> f64 {
    let Some(first) = pattern.first() else { return 1.0 };
    let Some(last_start) = text.len().checked_sub(pattern.len()) else {
        return 0.0;
    };
    if pattern == text {
        return 1.0;
    }
    let mut best: f64 = -1.0;
    for (start, one) in text.iter().enumerate().take(last_start + 1) {
        if one != first {
            continue;
        }
        match from_start(pattern, text, start) {
            Some(score) => best = best.max(score),
            // What is not found from here on is not found from further on.
            None => break,
        }
    }
    if best < 0.0 {
        return 0.0;
    }
    best / (pattern.len() * pattern.len()) as f64
}

fn from_start<T: PartialEq>(pattern: &[T], text: &[T], start: usize) -> Option<f64> {
    let share = 1.0 / text.len() as f64;
    let (mut score, mut at, mut run_end) = (0.0, start, 0);
    let mut rest = pattern;
    while let Some(wanted) = rest.first() {
        at += text[at..].iter().position(|one| one == wanted)?;
        score -= (at - run_end) as f64 * share;
        let pairs = text[at..].iter().zip(rest);
        let run = pairs.take_while(|(one, wanted)| one == wanted).count();
        score += (run * run) as f64;
        at += run;
        run_end = at;
        rest = &rest[run..];
    }
    Some(score - (text.len() - run_end) as f64 * share * 0.5)
}

fn jaro_winkler<T: PartialEq>(one: &[T], other: &[T]) -> f64 {
    /// What each character of a common beginning counts, and how many do.
    const PREFIX_WEIGHT: f64 = 0.1;
    const PREFIX_MAX: usize = 4;
    if one == other {
        return 1.0;
    }
    let (short, long) = if one.len() > other.len() {
        (other, one)
    } else {
        (one, other)
    };
    let reach = (long.len() / 2).saturating_sub(1);
    let mut is_taken = vec![false; long.len()];
    let mut matched = Vec::new();
    for (place, character) in short.iter().enumerate() {
        let near = place.saturating_sub(reach)..(place + reach + 1).min(long.len());
        let found = near
            .into_iter()
            .find(|at| !is_taken[*at] && long[*at] == *character);
        if let Some(at) = found {
            is_taken[at] = true;
            matched.push(character);
        }
    }
    if matched.is_empty() {
        return 0.0;
    }
    let taken = long.iter().zip(&is_taken).filter(|pair| *pair.1);
    let swapped = matched.iter().zip(taken).filter(|(one, other)| **one != other.0);
    let (count, swapped) = (matched.len() as f64, swapped.count() as f64);
    let shares = count * (1.0 / short.len() as f64) + count * (1.0 / long.len() as f64);
    let jaro = (shares + (count - swapped * 0.5) / count) / 3.0;
    let same = short.iter().zip(long).take(PREFIX_MAX);
    let prefix = same.take_while(|(one, other)| one == other).count();
    jaro + prefix as f64 * PREFIX_WEIGHT * (1.0 - jaro)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_near(found: f64, wanted: f64, what: &str) {
        assert!((found - wanted).abs() < 1e-9, "{what}: {found}, not {wanted}");
    }

    /// Worked out by hand: squares of runs, less a share for each character of a gap and half a share for each behind.
    #[test]
    fn subsequences_score_by_runs_and_gaps() {
        for (pattern, text, wanted) in [
            ("", "anything", 1.0),
            ("abc", "", 0.0),
            ("same", "same", 1.0),
            ("same", "sam", 0.0),
            ("xyz", "abc", 0.0),
            ("ba", "ab", 0.0),
            ("up", "upper", (4.0 - 1.5 / 5.0) / 4.0),
            ("per", "upper", (9.0 - 2.0 / 5.0) / 9.0),
            ("ur", "upper", (2.0 - 3.0 / 5.0) / 4.0),
            // The second beginning is the better one.
            ("aab", "abaab", (9.0 - 2.0 / 5.0) / 9.0),
            // The first fit counts, not the best one.
            ("abaa", "abbaa", (8.0 - 1.0 / 5.0) / 16.0),
            ("éa", "béa", (4.0 - 1.0 / 3.0) / 4.0),
            // They share a byte and no character.
            ("é", "ã", 0.0),
        ] {
            let (one, other): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
            assert_near(subsequence(&one, &other), wanted, text);
            if pattern.is_ascii() && text.is_ascii() {
                assert_near(subsequence(pattern.as_bytes(), text.as_bytes()), wanted, text);
            }
        }
    }

    /// The examples of Winkler's own papers.
    #[test]
    fn jaro_winkler_scores_are_the_published_ones() {
        for (one, other, wanted) in [
            ("MARTHA", "MARHTA", 0.961),
            ("DWAYNE", "DUANE", 0.840),
            ("DIXON", "DICKSONX", 0.813),
            ("abc", "xyz", 0.0),
        ] {
            for (one, other) in [(one, other), (other, one)] {
                let score = jaro_winkler(one.as_bytes(), other.as_bytes());
                assert!((score - wanted).abs() < 0.001, "{one} {other}: {score}");
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn scores_are_between_nothing_and_all(term in "[abé]{0,6}", name in "[abcéA]{0,12}", percent in 0_u8..=100) {
            for algorithm in [Algorithm::Subsequence, Algorithm::JaroWinkler] {
                for has_case in [false, true] {
                    let term = Term::new(&term, algorithm, f64::from(percent) / 100.0, has_case);
                    let score = term.score(&name);
                    proptest::prop_assert!(score.is_none_or(|score| (0.0..=1.0).contains(&score)), "{score:?}");
                }
            }
        }
    }

    #[test]
    fn terms_fit_from_the_threshold_on() {
        let term = |algorithm, threshold, has_case| Term::new("cpu", algorithm, threshold, has_case);
        let subsequence = term(Algorithm::Subsequence, 0.0, true);
        assert_eq!(subsequence.score("cpu_seconds"), Some(1.0));
        assert!(subsequence.score("node_cpu").is_some_and(|score| score < 1.0));
        assert_eq!(subsequence.score("node_CPU"), None);
        assert!(
            term(Algorithm::Subsequence, 0.0, false)
                .score("node_CPU")
                .is_some()
        );
        assert_eq!(term(Algorithm::Subsequence, 0.9, true).score("c_p_u"), None);
        let contained = term(Algorithm::JaroWinkler, 0.0, true);
        assert_eq!(contained.score("node_cpu"), Some(0.9));
        assert_eq!(contained.score("cup"), None);
        let fuzzy = term(Algorithm::JaroWinkler, 0.5, true);
        assert!(fuzzy.score("cup").is_some_and(|score| score < 0.9));
        assert_eq!(fuzzy.score("xyz"), None);
    }
}

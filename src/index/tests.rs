//! Both indexes against a plain filter over label sets.

use super::live::{LiveIndex, PairId};
use super::regex::LabelMatcher;
use crate::model::labels::Labels;
use crate::model::matcher::{MatchOp, Matcher};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn labels() -> impl Strategy<Value = Labels> {
    let pair = ("[abc]", "[xy]{0,3}");
    proptest::collection::btree_map(pair.0, pair.1, 0..4).prop_map(|pairs| Labels::from_pairs(pairs).unwrap())
}

fn matcher() -> impl Strategy<Value = Matcher> {
    let op = prop_oneof![
        Just(MatchOp::Equal),
        Just(MatchOp::NotEqual),
        Just(MatchOp::Regex),
        Just(MatchOp::NotRegex)
    ];
    let value = prop_oneof![
        "[xy]{0,3}",
        Just(".*".to_owned()),
        Just(".+".to_owned()),
        Just("x.*|".to_owned()),
        Just(".*y".to_owned()),
        Just("x|y|xy".to_owned()),
        Just(".*xy.*".to_owned()),
        Just("[xy]{2}|z".to_owned()),
        Just("x?y*".to_owned()),
    ];
    ("[abcd]", op, value).prop_map(|(name, op, value)| Matcher::new(name, op, value))
}

/// What the index must find, one label set after the other.
fn naive<'a>(series: impl Iterator<Item = (u32, &'a Labels)>, matchers: &[LabelMatcher]) -> Vec<u32> {
    let satisfies = |labels: &Labels| {
        matchers
            .iter()
            .all(|matcher| matcher.matches(labels.get(matcher.name()).unwrap_or("")))
    };
    series
        .filter(|(_, labels)| satisfies(labels))
        .map(|(id, _)| id)
        .collect()
}

fn pairs_of(index: &mut LiveIndex, labels: &Labels) -> Vec<PairId> {
    labels
        .iter()
        .map(|(name, value)| index.intern(name, value).0)
        .collect()
}

fn values(index: &LiveIndex, name: &str, from: &str) -> Vec<String> {
    let mut walk = index.label_values(name, from, None);
    let mut all = Vec::new();
    while let Some((value, _)) = walk.current() {
        all.push(value.to_owned());
        walk.advance();
    }
    all
}

proptest! {
    #[test]
    fn live_select_is_a_filter(
        steps in proptest::collection::vec((0u32..60, labels(), 0u32..4), 0..150),
        queries in proptest::collection::vec(proptest::collection::vec(matcher(), 0..4), 1..8),
    ) {
        let queries: Vec<_> = queries.iter().map(|query| LabelMatcher::compile_all(query).unwrap()).collect();
        let mut index = LiveIndex::default();
        let mut twin: BTreeMap<u32, Labels> = BTreeMap::new();
        for (step, (id, labels, action)) in steps.into_iter().enumerate() {
            if let Some(old) = twin.remove(&id) {
                let pairs = pairs_of(&mut index, &old);
                index.remove(id, &pairs);
            }
            if action > 0 {
                let pairs = pairs_of(&mut index, &labels);
                index.insert(id, &pairs);
                twin.insert(id, labels);
            }
            // Searches in between, so that sorted values are built early and must be kept up to date.
            let query = &queries[step % queries.len()];
            let found: Vec<u32> = index.select(query).iter().collect();
            prop_assert_eq!(found, naive(twin.iter().map(|(id, labels)| (*id, labels)), query));
        }
        let pairs: BTreeSet<_> = twin.values().flat_map(Labels::iter).collect();
        prop_assert_eq!(index.pair_count(), pairs.len());
        let names: BTreeSet<_> = pairs.iter().map(|pair| pair.0).collect();
        prop_assert!(index.label_names(None).into_iter().eq(names));
        for name in ["a", "b", "c"] {
            let expected: Vec<_> = pairs.iter().filter(|pair| pair.0 == name && pair.1 >= "x").map(|p| p.1).collect();
            prop_assert_eq!(values(&index, name, "x"), expected);
        }
    }
}

#[test]
fn listing_within_a_set_of_series() {
    let mut index = LiveIndex::default();
    for (id, labels) in [
        crate::labels! { "job" => "a", "pod" => "1" },
        crate::labels! { "job" => "b", "pod" => "2" },
        crate::labels! { "job" => "a", "zone" => "z" },
    ]
    .iter()
    .enumerate()
    {
        let pairs = pairs_of(&mut index, labels);
        index.insert(id as u32, &pairs);
    }
    let job_a = index.select(&LabelMatcher::compile_all(&[Matcher::eq("job", "a")]).unwrap());
    assert_eq!(index.label_names(Some(&job_a)), ["job", "pod", "zone"]);
    let only_b = index.select(&LabelMatcher::compile_all(&[Matcher::ne("job", "a")]).unwrap());
    assert_eq!(index.label_names(Some(&only_b)), ["job", "pod"]);
    let walk = index.label_values("pod", "", Some(&only_b));
    assert_eq!(walk.current(), Some(("2", 1)));
    assert!(index.approximate_bytes().total() > 0);
}

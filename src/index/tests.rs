//! Both indexes against a plain filter over label sets.

use super::Within;
use super::live::{LiveIndex, PairId};
use super::regex::LabelMatcher;
use super::segment::SegmentIndex;
use super::segment_writer::{Compression, SegmentIndexBytes, SegmentIndexWriter};
use crate::base::bytes::Corrupt;
use crate::base::mask::mask_of;
use crate::model::labels::Labels;
use crate::model::matcher::{MatchOp, Matcher};
use proptest::prelude::*;
use roaring::RoaringBitmap;
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

/// Expressions out of the pieces people write in selectors.
pub(super) fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        "[ab]{0,3}",
        Just(".*".to_owned()),
        Just(".+".to_owned()),
        Just(".".to_owned()),
        Just("[ab]".to_owned()),
        Just("[^a]".to_owned()),
        Just("k".to_owned()),
        Just("^".to_owned()),
        Just("$".to_owned()),
        Just(r"\b".to_owned()),
        Just("é".to_owned()),
        Just("(?i)".to_owned()),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
            proptest::collection::vec(inner.clone(), 1..4).prop_map(|parts| format!("({})", parts.join("|"))),
            (
                inner,
                prop_oneof![Just("?"), Just("*"), Just("+"), Just("{2}"), Just("{0}")]
            )
                .prop_map(|(part, repeat)| format!("(?:{part}){repeat}")),
        ]
    })
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
    let mut pairs = Vec::new();
    index.intern_labels(labels.as_ref(), &mut pairs, |_| {});
    let each = labels.iter().map(|(name, value)| index.intern(name, value));
    assert!(each.eq(pairs.iter().map(|pair| (*pair, false))));
    assert!(pairs.iter().map(|pair| index.pair(*pair)).eq(labels.iter()));
    pairs
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
            match step % 11 {
                5 => index.drop_caches(),
                7 => drop(values(&index, "a", "")),
                _ => {}
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
fn pairs_without_series_go() {
    let mut index = LiveIndex::default();
    let (kept, is_new) = index.intern("job", "kept");
    assert!(is_new);
    index.insert(1, &[kept]);
    let (unused, _) = index.intern("pod", "unused");
    assert_eq!(values(&index, "pod", ""), Vec::<String>::new());
    index.release(&[kept, unused]);
    assert_eq!(
        (index.find("job", "kept"), index.find("pod", "unused")),
        (Some(kept), None)
    );
    assert_eq!(index.pair(kept), ("job", "kept"));
    index.remove(1, &[kept]);
    assert_eq!((index.pair_count(), index.series_count()), (0, 0));
    let (again, is_new) = index.intern("zone", "new");
    assert!(is_new && [kept, unused].contains(&again));
}

#[test]
fn indexes_are_shared_between_threads() {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<LiveIndex>();
    is_shared::<SegmentIndex<'_>>();
    is_shared::<LabelMatcher>();
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
    let all_of = |set| Within { set, counts: None };
    assert_eq!(index.label_names(Some(all_of(&job_a))), ["job", "pod", "zone"]);
    let only_b = index.select(&LabelMatcher::compile_all(&[Matcher::ne("job", "a")]).unwrap());
    assert_eq!(index.label_names(Some(all_of(&only_b))), ["job", "pod"]);
    let walk = index.label_values("pod", "", Some(all_of(&only_b)));
    assert_eq!(walk.current(), Some(("2", 1)));
    let is_last = |ids: &[u32]| mask_of(ids.iter().map(|id| *id == 2));
    let last_of_a = Within {
        set: &job_a,
        counts: Some(&is_last),
    };
    assert_eq!(index.label_names(Some(last_of_a)), ["job", "zone"]);
    assert_eq!(index.label_values("pod", "", Some(last_of_a)).current(), None);
    assert_eq!(
        index.label_values("job", "", Some(last_of_a)).current(),
        Some(("a", 2))
    );
    assert!(index.approximate_bytes().pairs > 0);
}

proptest! {
    /// Many more values than are looked at together, with series in and out of the set, and series that count and do not.
    #[test]
    fn values_of_series_that_count(
        series in prop::collection::vec((0u32..400, any::<bool>(), any::<bool>()), 0..600),
        from in 0u32..400,
    ) {
        let value = |number: u32| format!("{number:03}");
        let mut index = LiveIndex::default();
        let (mut set, mut wanted) = (RoaringBitmap::new(), BTreeSet::new());
        for (id, (number, is_in_set, does_count)) in (0..).zip(&series) {
            let pairs = pairs_of(&mut index, &crate::labels! { "a" => &value(*number), "b" => "x" });
            index.insert(id, &pairs);
            if *is_in_set {
                set.insert(id);
            }
            if *is_in_set && *does_count && *number >= from {
                wanted.insert(value(*number));
            }
        }
        let counts = |ids: &[u32]| mask_of(ids.iter().map(|id| series[*id as usize].2));
        let within = Within { set: &set, counts: Some(&counts) };
        let mut walk = index.label_values("a", &value(from), Some(within));
        let mut found = BTreeSet::new();
        while let Some(text) = walk.text() {
            found.insert(text.to_owned());
            walk.advance();
        }
        walk.advance();
        prop_assert_eq!(walk.text(), None);
        prop_assert_eq!(found, wanted);
    }
}

fn write(series: &BTreeSet<Labels>, compression: Compression) -> SegmentIndexBytes {
    let mut writer = SegmentIndexWriter::new();
    series.iter().for_each(|labels| writer.push(labels.as_ref()));
    assert_eq!(writer.row_count() as usize, series.len());
    writer.finish(compression)
}

fn open(bytes: &SegmentIndexBytes) -> Result<SegmentIndex<'_>, Corrupt> {
    SegmentIndex::open(&bytes.symbols, &bytes.series, &bytes.postings)
}

fn compression() -> impl Strategy<Value = Compression> {
    prop_oneof![Just(Compression::None), Just(Compression::Zstd)]
}

/// Everything a segment index can be asked.
fn ask_all(
    bytes: &SegmentIndexBytes,
    queries: &[Vec<LabelMatcher>],
    within: &RoaringBitmap,
) -> Result<usize, Corrupt> {
    let index = open(bytes)?;
    let mut answers = 0;
    let mut keep = |outcome: Result<usize, Corrupt>| answers += outcome.unwrap_or(1);
    for query in queries {
        keep(index.select(query).map(|rows| rows.len() as usize));
    }
    let mut cursor = index.label_cursor();
    let mut labels = Vec::new();
    for row in 0..index.row_count().min(2_000) {
        keep(cursor.labels(row, &mut labels).map(|()| labels.len()));
    }
    for name in ["a", "b", "c"] {
        for within in [None, Some(within)] {
            keep(index.label_values(name, "x", within).and_then(|walk| {
                let mut count = 0;
                let Some(mut walk) = walk else { return Ok(0) };
                while walk.current()?.is_some() {
                    count += 1;
                    walk.advance()?;
                }
                Ok(count)
            }));
        }
        keep(
            index
                .value_arena(name)
                .map(|arena| arena.map_or(0, |arena| arena.len())),
        );
    }
    keep(index.label_names(Some(within)).map(|names| names.len()));
    keep(index.name_stats().map(|stats| stats.len()));
    Ok(answers)
}

proptest! {
    #[test]
    fn segment_select_is_a_filter(
        series in proptest::collection::btree_set(labels(), 0..120),
        queries in proptest::collection::vec(proptest::collection::vec(matcher(), 0..4), 1..20),
        compression in compression(),
    ) {
        let bytes = write(&series, compression);
        let index = open(&bytes).unwrap();
        prop_assert_eq!(index.row_count() as usize, series.len());
        for query in &queries {
            let query = LabelMatcher::compile_all(query).unwrap();
            let found: Vec<u32> = index.select(&query).unwrap().iter().collect();
            prop_assert_eq!(found, naive((0..).zip(&series), &query));
        }
    }

    #[test]
    fn segment_lists_what_it_holds(
        series in proptest::collection::btree_set(labels(), 1..120),
        within in proptest::collection::btree_set(0u32..120, 0..20),
        compression in compression(),
    ) {
        let bytes = write(&series, compression);
        let index = open(&bytes).unwrap();
        let mut cursor = index.label_cursor();
        let mut read = Vec::new();
        for (row, labels) in series.iter().enumerate() {
            cursor.labels(row as u32, &mut read).unwrap();
            prop_assert_eq!(&read, labels.as_bytes());
            index.labels((series.len() - 1 - row) as u32, &mut read).unwrap();
        }
        prop_assert!(index.labels(series.len() as u32, &mut read).is_err());
        let within: RoaringBitmap = within.into_iter().collect();
        for set in [None, Some(&within)] {
            let seen = (0..).zip(&series).filter(|(row, _)| set.is_none_or(|set| set.contains(*row)));
            let pairs: Vec<_> = seen.flat_map(|(_, labels)| labels.iter()).collect();
            let names: BTreeSet<_> = pairs.iter().map(|pair| pair.0).collect();
            prop_assert!(index.label_names(set).unwrap().into_iter().eq(names));
            for name in ["a", "b", "nope"] {
                let of_name = pairs.iter().filter(|pair| pair.0 == name && pair.1 >= "xx");
                let expected: BTreeSet<_> = of_name.map(|pair| pair.1.to_owned()).collect();
                let mut found = BTreeSet::new();
                let mut walk = index.label_values(name, "xx", set).unwrap();
                while let Some((value, rows)) = walk.as_ref().and_then(|walk| walk.current().unwrap()) {
                    prop_assert_eq!(rows, index.rows_of(name, value).unwrap().len());
                    found.insert(value.to_owned());
                    walk.as_mut().unwrap().advance().unwrap();
                }
                prop_assert_eq!(found, expected);
            }
        }
    }

    #[test]
    fn wrong_bytes_never_panic(
        series in proptest::collection::btree_set(labels(), 1..120),
        queries in proptest::collection::vec(proptest::collection::vec(matcher(), 1..3), 1..6),
        changes in proptest::collection::vec((0usize..3, any::<proptest::sample::Index>(), any::<u8>()), 1..6),
        cut in proptest::option::of((0usize..3, any::<proptest::sample::Index>())),
        compression in compression(),
    ) {
        let queries: Vec<_> = queries.iter().map(|query| LabelMatcher::compile_all(query).unwrap()).collect();
        let within = RoaringBitmap::from_iter([0, 1, 2, 50]);
        let mut bytes = write(&series, compression);
        let section = |bytes: &mut SegmentIndexBytes, which: usize| match which {
            0 => std::mem::take(&mut bytes.symbols),
            1 => std::mem::take(&mut bytes.series),
            _ => std::mem::take(&mut bytes.postings),
        };
        let mut sections = [0, 1, 2].map(|which| section(&mut bytes, which));
        for (which, at, byte) in changes {
            if !sections[which].is_empty() {
                let at = at.index(sections[which].len());
                sections[which][at] = byte;
            }
        }
        if let Some((which, at)) = cut {
            let length = at.index(sections[which].len() + 1);
            sections[which].truncate(length);
        }
        let [symbols, series, postings] = sections;
        let _ = ask_all(&SegmentIndexBytes { symbols, series, postings }, &queries, &within);
    }
}

#[test]
fn many_columns_and_frames() {
    let row = |number: usize| {
        let pairs = (0..90)
            .filter(|column| number % 7 != column % 5)
            .map(move |column| (format!("n{column:02}"), format!("v{}", number / (column + 1))));
        Labels::from_pairs(pairs.chain([("__name__".to_owned(), format!("m{number:05}"))])).unwrap()
    };
    let series: BTreeSet<Labels> = (0..2_500).map(row).collect();
    for compression in [Compression::None, Compression::Zstd] {
        let bytes = write(&series, compression);
        let index = open(&bytes).unwrap();
        let mut cursor = index.label_cursor();
        let mut read = Vec::new();
        for (row, labels) in series.iter().enumerate() {
            cursor.labels(row as u32, &mut read).unwrap();
            assert_eq!(read, labels.as_bytes());
        }
        cursor.labels(7, &mut read).unwrap();
        assert_eq!(&read, row(7).as_bytes());
    }
}

#[test]
fn an_index_without_series() {
    let bytes = write(&BTreeSet::new(), Compression::Zstd);
    let index = open(&bytes).unwrap();
    assert!(index.select(&[]).unwrap().is_empty());
    assert_eq!(index.label_names(None).unwrap(), Vec::<&str>::new());
}

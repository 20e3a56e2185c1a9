//! Label names, label values and series within a time range, against a naive listing.
//!
//! In a segment a series counts for a range that its first and its last sample there enclose, also when no sample lies
//! within. So every listing has a least and a most that it may hold.

use crate::world::{Rng, Truth, float, matches_all, random_labels, random_matcher};
use narthex::testing::SimFs;
use narthex::{Db, Durability, Error, Labels, ListOptions, Matcher, Options, labels};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;

const SERIES: u64 = 400;

/// What may be listed: everything that has samples, by part of the database, the last part being the head.
type Parts = Vec<Truth>;

/// Series `number` has its samples around `number * 10`: ranges cut through the set.
fn database() -> (Db, Parts) {
    let options = Options::new("db")
        .fs(Arc::new(SimFs::new()))
        .background(false)
        .durability(Durability::Never);
    let db = Db::open(options).unwrap();
    let mut parts = Parts::new();
    for part in 0..3 {
        let mut truth = Truth::default();
        let mut samples = Vec::new();
        for number in (0..SERIES).filter(|number| number % 4 == part || number % 5 == 0) {
            let at = number as i64 * 10 + part as i64;
            for timestamp in [at, at + 3, at + 300] {
                samples.push((random_labels(number), float(timestamp, 1.0)));
            }
        }
        truth.write(&db, samples);
        parts.push(truth);
        if part < 2 {
            db.flush().unwrap();
        }
    }
    (db, parts)
}

/// Matching series with samples in the range, and those that may be listed beside them.
fn matching(parts: &Parts, matchers: &[Matcher], from: i64, to: i64) -> (BTreeSet<Labels>, BTreeSet<Labels>) {
    let (mut least, mut most) = (BTreeSet::new(), BTreeSet::new());
    for (index, part) in parts.iter().enumerate() {
        for (labels, samples) in part.series.iter().filter(|one| matches_all(matchers, one.0)) {
            let is_within = samples.range(from..=to).next().is_some();
            let first = samples.first_key_value().is_some_and(|first| *first.0 <= to);
            let last = samples.last_key_value().is_some_and(|last| *last.0 >= from);
            if is_within {
                least.insert(labels.clone());
            }
            if is_within || index + 1 < parts.len() && first && last {
                most.insert(labels.clone());
            }
        }
    }
    (least, most)
}

fn all_labels(parts: &Parts) -> Vec<Labels> {
    let (all, _) = matching(parts, &[], i64::MIN, i64::MAX);
    all.into_iter().collect()
}

fn values<'a>(series: impl IntoIterator<Item = &'a Labels>, name: &str) -> Vec<String> {
    let values: BTreeSet<&str> = series.into_iter().filter_map(|labels| labels.get(name)).collect();
    values.into_iter().map(str::to_owned).collect()
}

fn assert_within<T: Ord + Debug>(found: &[T], least: &BTreeSet<T>, most: &BTreeSet<T>, what: &str) {
    assert!(found.is_sorted_by(|one, other| one < other), "{what}: sorted");
    let missing: Vec<&T> = least.iter().filter(|one| !found.contains(one)).collect();
    assert!(missing.is_empty(), "{what}: {missing:?} missing");
    let odd: Vec<&T> = found.iter().filter(|one| !most.contains(one)).collect();
    assert!(odd.is_empty(), "{what}: {odd:?} should not be there");
}

#[test]
fn listings_equal_a_naive_listing() {
    let (db, parts) = database();
    let mut rng = Rng::new(17);
    let list = ListOptions::default();
    for round in 0..200 {
        let count = if round % 10 == 0 { 0 } else { rng.below(3) };
        let matchers: Vec<Matcher> = (0..count).map(|_| random_matcher(&mut rng)).collect();
        let from = rng.below(5_000) as i64 - 500;
        let to = from + rng.below(2_000) as i64;
        let what = format!("{matchers:?} in {from}..={to}");
        let (least, most) = matching(&parts, &matchers, from, to);
        let series = db.series(&matchers, from..=to, list).unwrap();
        assert_within(&series.items, &least, &most, &what);
        assert_eq!((series.is_truncated, series.warnings.len()), (false, 0));
        let counted = db.count_series(&matchers, from..=to).unwrap();
        let expected = (series.items.len() as u64, vec![]);
        assert_eq!((counted.series, counted.warnings), expected, "{what}");
        for name in ["__name__", "host", "job", "absent"] {
            let found = db.label_values(name, &matchers, from..=to, list).unwrap();
            // The two listings agree about which series count.
            assert_eq!(found.items, values(&series.items, name), "{name} of {what}");
        }
        let names = db.label_names(&matchers, from..=to, list).unwrap();
        let listed = series
            .items
            .iter()
            .flat_map(|labels| labels.iter().map(|pair| pair.0));
        let expected: BTreeSet<&str> = listed.collect();
        assert_eq!(names.items, expected.into_iter().collect::<Vec<_>>(), "{what}");
    }
}

#[test]
fn a_listing_over_all_time_needs_no_matcher() {
    let (db, parts) = database();
    let list = ListOptions::default();
    let all = all_labels(&parts);
    assert_eq!(db.series(&[], .., list).unwrap().items, all);
    assert_eq!(
        db.label_values("host", &[], .., list).unwrap().items,
        values(&all, "host")
    );
    assert_eq!(
        db.label_names(&[], .., list).unwrap().items,
        ["__name__", "host", "job", "shard"]
    );
    let empty = db.label_names(&[], 5..5, list).unwrap();
    assert_eq!(empty.items, [] as [String; 0]);
}

#[test]
fn limits_and_prefixes_cut_a_listing() {
    let (db, parts) = database();
    let all = all_labels(&parts);
    let hosts = values(&all, "host");
    for limit in [1, 3, hosts.len() - 1, hosts.len(), hosts.len() + 1] {
        let list = ListOptions::default().limit(limit);
        let found = db.label_values("host", &[], .., list).unwrap();
        assert_eq!(found.items, hosts[..limit.min(hosts.len())]);
        assert_eq!(found.is_truncated, limit < hosts.len(), "limit {limit}");
        let series = db.series(&[], .., list).unwrap();
        assert_eq!(series.items, all[..limit]);
        assert!(series.is_truncated);
    }
    for prefix in ["host-1", "host-15", "i", "", "host-9999", "\u{10ffff}"] {
        let expected: Vec<String> = hosts
            .iter()
            .filter(|host| host.starts_with(prefix))
            .cloned()
            .collect();
        let list = ListOptions::default().prefix(prefix);
        let found = db.label_values("host", &[], .., list).unwrap();
        assert_eq!(found.items, expected, "{prefix:?}");
        let found = db.label_values("host", &[], .., list.limit(2)).unwrap();
        assert_eq!(found.items, expected[..expected.len().min(2)], "{prefix:?}");
        assert_eq!(found.is_truncated, expected.len() > 2, "{prefix:?}");
    }
    let list = ListOptions::default().prefix("h");
    assert_eq!(db.label_names(&[], .., list).unwrap().items, ["host"]);
    let list = ListOptions::default().prefix("up");
    let series = db.series(&[], .., list).unwrap();
    assert!(!series.items.is_empty());
    assert!(series.items.iter().all(|labels| labels.metric_name() == "up"));
}

#[test]
fn a_listing_can_be_cancelled() {
    let db = Db::open(Options::in_memory()).unwrap();
    let mut batch = db.batch();
    for number in 0..20_000 {
        batch.push(&labels! { "number" => &number.to_string() }, 1, 1.0);
    }
    batch.commit().unwrap();
    let asked = Cell::new(0);
    let is_cancelled = || {
        asked.set(asked.get() + 1);
        true
    };
    let mut list = ListOptions::default();
    list.is_cancelled = Some(&is_cancelled);
    assert!(matches!(
        db.label_values("number", &[], .., list),
        Err(Error::Cancelled)
    ));
    assert!(matches!(db.series(&[], .., list), Err(Error::Cancelled)));
    assert!(asked.get() >= 2);
    let go_on = || false;
    list.is_cancelled = Some(&go_on);
    let found = db.label_values("number", &[], .., list).unwrap();
    assert_eq!(found.items.len(), 20_000);
    assert!(found.items.is_sorted());
}

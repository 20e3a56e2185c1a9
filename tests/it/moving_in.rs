//! What users of other stores rely on, and what failed them there: several databases in a process, segments that touch or begin
//! together, times before 1970, odd names, expiry while closed, every compressor. [The seeds](../../docs/seeds.md) name these.

use narthex::{
    Compressor, Db, Durability, Labels, ListOptions, ManualClock, Matcher, Options, Precision, labels,
};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

fn seconds(dir: &Path) -> Options {
    let options = Options::new(dir).background(false).compaction(false);
    options
        .precision(Precision::Seconds)
        .durability(Durability::Never)
}

fn put(db: &Db, labels: &Labels, points: &[(i64, f64)]) {
    let mut batch = db.batch();
    for (time, value) in points {
        batch.push(labels, *time, *value);
    }
    assert_eq!(batch.commit().expect("a commit").accepted, points.len());
}

/// Times and values of all series that match, one after the other.
fn points(db: &Db, matchers: &[Matcher], range: std::ops::RangeInclusive<i64>) -> Vec<(i64, f64)> {
    let mut found = Vec::new();
    for series in db.select(matchers, range).expect("a selection") {
        let series = series.expect("a series");
        let samples = series.samples();
        found.extend(samples.map(|sample| (sample.timestamp, sample.value.as_float().expect("a float"))));
    }
    found
}

#[expect(clippy::disallowed_methods, reason = "looks at what the database has written")]
fn names(dir: &Path, ending: &str) -> Vec<String> {
    let entries = std::fs::read_dir(dir).expect("a folder");
    let names = entries.map(|entry| {
        entry
            .expect("an entry")
            .file_name()
            .to_string_lossy()
            .into_owned()
    });
    let mut names: Vec<String> = names.filter(|name| name.ends_with(ending)).collect();
    names.sort();
    names
}

#[test]
fn databases_of_one_process_share_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let up = labels! { "__name__" => "up" };
    let a = Db::open(seconds(&folder.path().join("a"))).expect("it opens");
    let b = Options::new(folder.path().join("b")).precision(Precision::Nanoseconds);
    let b = Db::open(b.retention(Duration::from_secs(3600))).expect("it opens");
    let c = Db::open(Options::in_memory()).expect("it opens");
    for (db, value) in [(&a, 1.0), (&b, 2.0), (&c, 3.0)] {
        put(db, &up, &[(5, value)]);
    }
    assert_eq!(
        [a.precision(), b.precision(), c.precision()],
        [
            Precision::Seconds,
            Precision::Nanoseconds,
            Precision::Milliseconds
        ]
    );
    for (db, value) in [(&a, 1.0), (&b, 2.0), (&c, 3.0)] {
        assert_eq!(points(db, &[], 0..=10), [(5, value)]);
    }
    a.close().expect("a close");
    put(&b, &up, &[(6, 2.0)]);
    assert_eq!(points(&c, &[], 0..=10), [(5, 3.0)]);
}

#[test]
fn a_range_that_only_touches_a_segment_finds_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let db = Db::open(seconds(folder.path())).expect("it opens");
    let up = labels! { "__name__" => "up" };
    for begin in [-200, -100, 0, 100] {
        put(
            &db,
            &up,
            &[(begin, 1.0), (begin + 50, 2.0), (begin + 100, 3.0)][..if begin < 100 { 2 } else { 3 }],
        );
        db.flush().expect("a flush");
    }
    assert_eq!(db.segments().len(), 4);
    for (range, wanted) in [
        (-200..=-200, vec![(-200, 1.0)]),
        (-150..=-150, vec![(-150, 2.0)]),
        (-150..=-100, vec![(-150, 2.0), (-100, 1.0)]),
        (200..=900, vec![(200, 3.0)]),
        (-900..=-200, vec![(-200, 1.0)]),
        (151..=199, vec![]),
    ] {
        assert_eq!(points(&db, &[], range.clone()), wanted, "{range:?}");
    }
}

#[test]
fn segments_that_begin_together_and_before_1970_are_all_read() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let db = Db::open(seconds(folder.path())).expect("it opens");
    for host in ["a", "b", "c"] {
        put(
            &db,
            &labels! { "__name__" => "up", "host" => host },
            &[(-7_200, 1.0), (-1, 2.0)],
        );
        db.flush().expect("a flush");
    }
    let begins: Vec<i64> = db
        .segments()
        .iter()
        .map(|segment| segment.meta.time_min)
        .collect();
    assert_eq!(begins, [-7_200; 3]);
    let reopened = |db: Db| {
        db.close().expect("a close");
        Db::open(seconds(folder.path())).expect("it opens again")
    };
    let db = reopened(db);
    assert_eq!(points(&db, &[], -7_200..=-1).len(), 6);
    db.compact().expect("a merge");
    let db = reopened(db);
    assert_eq!(points(&db, &[], -7_200..=-7_200).len(), 3);
    assert_eq!(points(&db, &[], -7_199..=0).len(), 3);
}

#[test]
fn any_name_and_value_is_kept_as_it_is() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let odd = ["/-/", "a/-/b", "=", "\"", "\n", "ä", "{}", "\u{0}"];
    let db = Db::open(seconds(folder.path())).expect("it opens");
    for name in odd {
        let labels = Labels::from_pairs([("__name__", name), (name, name)]).expect("labels");
        put(&db, &labels, &[(1, 1.0)]);
    }
    // A label without a value is none.
    let mut batch = db.batch();
    batch.push_pairs(&[("__name__", "/-/"), ("/-/", "/-/"), ("empty", "")], 2, 2.0);
    assert_eq!(batch.commit().expect("a commit").new_series, 0);
    for _ in 0..2 {
        for name in odd {
            let found = points(
                &db,
                &[Matcher::eq("__name__", name), Matcher::eq(name, name)],
                1..=1,
            );
            assert_eq!(found, [(1, 1.0)], "{name:?}");
            let values = db
                .label_values(name, &[], .., ListOptions::default())
                .expect("values");
            assert_eq!(values.items, [name]);
        }
        db.flush().expect("a flush");
    }
}

#[test]
fn what_expires_while_the_database_is_closed_leaves_the_disk() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let clock = Arc::new(ManualClock::new(0));
    let open = |retention_s| {
        let options = seconds(folder.path()).clock(clock.clone());
        Db::open(options.retention(Duration::from_secs(retention_s))).expect("it opens")
    };
    let up = labels! { "__name__" => "up" };
    let db = open(1_000_000);
    put(&db, &up, &[(0, 1.0)]);
    db.flush().expect("a flush");
    clock.set(500_000_000);
    put(&db, &up, &[(500_000, 2.0)]);
    db.flush().expect("a flush");
    // Written now, and as old as its time says.
    put(&db, &up, &[(100, 3.0)]);
    db.flush().expect("a flush");
    db.close().expect("a close");
    assert_eq!(names(folder.path(), ".seg").len(), 3);
    let db = open(100_000);
    while db.step().expect("a step") {}
    assert_eq!(points(&db, &[], 0..=i64::MAX), [(500_000, 2.0)]);
    db.close().expect("a close");
    assert_eq!(names(folder.path(), ".seg").len(), 1, "the file is gone as well");
}

#[test]
fn every_compressor_and_way_to_read_gives_the_same() {
    let mut answers = Vec::new();
    for (metadata, data, mmap) in [
        (Compressor::None, Compressor::None, true),
        (Compressor::Snappy, Compressor::Zstd, true),
        (Compressor::Zstd, Compressor::Snappy, false),
    ] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let options = seconds(folder.path())
            .metadata_compressor(metadata)
            .data_compressor(data);
        let options = options.mmap(mmap);
        let db = Db::open(options.clone()).expect("it opens");
        for host in 0..50 {
            let labels = labels! { "__name__" => "up", "host" => &host.to_string() };
            let values: Vec<(i64, f64)> = (0..200)
                .map(|time| (time, (time * host % 17) as f64 / 4.0))
                .collect();
            put(&db, &labels, &values);
        }
        db.close().expect("a close");
        let db = Db::open(options.clone()).expect("it opens again");
        db.flush().expect("a flush");
        // A page for people lies beside the segment.
        let pages = names(folder.path(), ".json");
        assert_eq!(pages.len(), 1, "{pages:?}");
        let meta = &db.segments()[0].meta;
        assert_eq!(
            (meta.series, meta.floats, meta.time_min, meta.time_max),
            (50, 10_000, 0, 199)
        );
        assert!(db.verify().expect("a check").is_sound());
        let bytes = db.segments()[0].bytes;
        assert!(bytes * 5 < 10_000 * 16, "{bytes} bytes");
        answers.push(points(&db, &[Matcher::re("host", "1.|7")], 10..=150));
    }
    assert_eq!(answers[0].len(), 11 * 141);
    assert!(answers.iter().all(|answer| *answer == answers[0]));
}

#[test]
fn a_close_keeps_what_was_never_synced_nor_flushed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let up = labels! { "__name__" => "up" };
    let mut expected = Vec::new();
    for round in 0..3 {
        let db = Db::open(seconds(folder.path())).expect("it opens");
        for number in 0..100 {
            let point = (round * 100 + number, number as f64);
            put(&db, &up, &[point]);
            expected.push(point);
        }
        db.close().expect("a close");
    }
    let db = Db::open(seconds(folder.path())).expect("it opens");
    assert_eq!(points(&db, &[], 0..=i64::MAX), expected);
    assert!(db.segments().is_empty());
}

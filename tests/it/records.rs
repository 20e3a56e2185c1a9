//! What does not fit one record of the log or of a checkpoint, which has at most 64 MiB.

use narthex::{
    Counts, Db, DiskFs, Durability, Fs, Histogram, Labels, Matcher, Options, ResetHint, Span, labels,
};

fn open(folder: &tempfile::TempDir) -> Db {
    let options = Options::new(folder.path())
        .background(false)
        .durability(Durability::Never)
        .checkpoint_bytes_min(1 << 20);
    Db::open(options).expect("the folder opens")
}

fn count(db: &Db, metric: &str) -> usize {
    let found = db.select(&[Matcher::eq("__name__", metric)], ..);
    let series = found.expect("a cursor").map(|series| series.expect("a series"));
    series.map(|series| series.len()).sum()
}

#[test]
fn a_batch_larger_than_a_record_is_stored_and_writing_goes_on() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let db = open(&folder);
    let long = "x".repeat(6_000);
    let mut batch = db.batch();
    for number in 0..12_000 {
        let value = format!("{number}{long}");
        batch.push(&labels! { "__name__" => "wide", "value" => &value }, 1, 1.0);
    }
    assert_eq!(batch.commit().expect("a commit").accepted, 12_000);
    let mut batch = db.batch();
    batch.push(&labels! { "__name__" => "after" }, 1, 1.0);
    assert_eq!(batch.commit().expect("a commit").accepted, 1);
    db.close().expect("a clean close");
    let db = open(&folder);
    assert_eq!((count(&db, "wide"), count(&db, "after")), (12_000, 1));
}

/// A histogram with many buckets that no code makes small.
fn noisy_histogram(seed: &mut u64) -> Histogram {
    const BUCKETS: u32 = 4_000;
    let mut next = || {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (*seed >> 20) as i64
    };
    let counts: Vec<i64> = (0..BUCKETS).map(|_| next()).collect();
    let before = std::iter::once(&0).chain(&counts);
    Histogram {
        reset_hint: ResetHint::Gauge,
        schema: 8,
        zero_threshold: 0.0,
        sum: 0.5,
        positive_spans: vec![Span {
            offset: 0,
            length: BUCKETS,
        }],
        negative_spans: vec![],
        custom_values: vec![],
        counts: Counts::Int {
            count: counts.iter().sum::<i64>() as u64,
            zero_count: 0,
            positive: counts
                .iter()
                .zip(before)
                .map(|(count, before)| count - before)
                .collect(),
            negative: vec![],
        },
    }
}

#[test]
fn a_slab_larger_than_a_record_is_kept_by_a_checkpoint() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let db = open(&folder);
    let mut seed = 1;
    let series: Vec<Labels> = (0..50)
        .map(|number| labels! { "__name__" => "noise", "number" => &number.to_string() })
        .collect();
    for tick in 0..60 {
        let mut batch = db.batch();
        for labels in &series {
            batch.push_histogram(labels, tick, &noisy_histogram(&mut seed));
        }
        assert_eq!(batch.commit().expect("a commit").histograms, series.len());
    }
    while db.step().expect("a step") {}
    let stats = db.stats().expect("statistics");
    assert!(
        stats.checkpoint_bytes > 64 << 20 && stats.segments == 0,
        "{stats:?}"
    );
    db.close().expect("a clean close");
    let db = open(&folder);
    assert_eq!(count(&db, "noise"), 50 * 60);
    assert_eq!(db.verify().expect("a report").faults, Vec::<String>::new());
}

fn files(folder: &tempfile::TempDir, prefix: &str) -> Vec<String> {
    let mut names = DiskFs.list(folder.path()).expect("the folder's names");
    names.retain(|name| name.starts_with(prefix));
    names
}

#[test]
fn a_checkpoint_begins_with_a_young_log_file_and_no_two_with_the_same() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let options = Options::new(folder.path())
        .background(false)
        .durability(Durability::Never)
        .checkpoint_bytes_min(1);
    let db = Db::open(options).expect("a new database");
    let mut logs = Vec::new();
    let mut checkpoints = Vec::new();
    let mut written = 0;
    for _ in 0..3 {
        let before = files(&folder, "checkpoint-");
        while files(&folder, "checkpoint-") == before {
            let mut batch = db.batch();
            for series in 0..100 {
                let value = (written as f64 + f64::from(series)).sqrt();
                batch.push(
                    &labels! { "__name__" => "up", "n" => &series.to_string() },
                    written,
                    value,
                );
            }
            written += batch.commit().expect("a commit").accepted as i64;
            db.step().expect("a step");
        }
        logs.push(files(&folder, "wal-"));
        checkpoints.push(files(&folder, "checkpoint-"));
    }
    assert!(
        logs.iter().chain(&checkpoints).all(|names| names.len() == 1),
        "{logs:?} {checkpoints:?}"
    );
    assert!(
        logs[0] != logs[1] && logs[1] != logs[2],
        "a new file each but the first"
    );
    db.close().expect("a clean close");
    assert_eq!(count(&open(&folder), "up") as i64, written);
}

//! Merges and retention passes that are cut off or meet a failing disk: they change nothing but where samples are, and
//! the next one goes on.

use crate::play::{self, Contents, DIR, read_all, series, small_options};
use narthex::testing::{Call, CrashMode, Fault, Record, SimFs};
use narthex::{Db, Error, Exemplar, Fs, JobKind, ManualClock, Metadata, MetricType, Options, labels};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const MINUTE_MS: i64 = 60_000;
const RETENTION: Duration = Duration::from_secs(60 * 60);

fn options(fs: &SimFs) -> Options {
    small_options(fs, &Arc::new(ManualClock::new(0)))
        .undelete_window(Duration::ZERO)
        .compaction(false)
        .clock_leap_max(Duration::ZERO)
}

/// Writes, corrects and deletes over four overlapping segments.
fn fill(db: &Db) {
    for round in 0..4 {
        let mut batch = db.batch();
        for number in 0..6 {
            for minute in 0..20 {
                let time = (round * 15 + minute) * MINUTE_MS + number as i64;
                batch.push(&series(number), time, (round * 100 + minute) as f64);
            }
        }
        batch.correct(&series(1), (round * 15 - 3).max(0) * MINUTE_MS + 1, -1.0);
        batch.commit().expect("commit");
        if round == 2 {
            let hidden = 20 * MINUTE_MS..=25 * MINUTE_MS;
            db.delete_series(&series(2), hidden).expect("delete");
        }
        db.flush().expect("flush");
    }
}

fn sequences(db: &Db) -> usize {
    db.segments().len()
}

fn files(fs: &SimFs, ending: &str) -> usize {
    let names = fs.list(Path::new(DIR)).expect("the folder is there");
    names.iter().filter(|name| name.ends_with(ending)).count()
}

/// The image opens, shows what it must, has no leftovers, and can be merged.
fn check_image(image: &SimFs, expected: &[&Contents], what: &str) {
    let db = Db::open(options(image)).unwrap_or_else(|error| panic!("{what}: {error}"));
    let report = db.recovery();
    assert!(
        report.gaps.is_empty() && report.lost_samples == 0,
        "{what}: {report:?}"
    );
    let found = read_all(&db);
    assert!(expected.contains(&&found), "{what}: neither before nor after");
    assert_eq!(files(image, ".tmp"), 0, "{what}");
    db.compact().unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(read_all(&db), found, "{what}: merged afterwards");
    assert!(sequences(&db) <= 1, "{what}: {} segments", sequences(&db));
}

#[test]
fn a_merge_may_be_cut_off_at_every_change() {
    let fs = SimFs::new();
    let db = Db::open(options(&fs)).expect("open");
    fill(&db);
    let shown = read_all(&db);
    fs.record(Record::Changes);
    db.compact().expect("compact");
    let points = fs.take_crash_points();
    assert_eq!((sequences(&db), read_all(&db) == shown), (1, true));
    assert!(points.len() >= 10, "{} points", points.len());
    for (index, point) in points.iter().enumerate() {
        let what = format!("{} ({:?})", point.index, point.call);
        for mode in CrashMode::ALL {
            check_image(
                &point.crash(index as u64, mode),
                &[&shown],
                &format!("{mode:?} at {what}"),
            );
        }
        check_image(&point.kill(), &[&shown], &format!("kill at {what}"));
    }
}

#[test]
fn a_retention_pass_may_be_cut_off_at_every_change() {
    let fs = SimFs::new();
    let db = Db::open(options(&fs)).expect("open");
    fill(&db);
    let mut batch = db.batch();
    batch.push(&series(0), 90 * MINUTE_MS, 1.0);
    batch.commit().expect("commit");
    drop(db);
    let whole = {
        let db = Db::open(options(&fs)).expect("open");
        read_all(&db)
    };
    let clock = Arc::new(ManualClock::new(200 * MINUTE_MS));
    let db = Db::open(options(&fs).clock(clock).retention(RETENTION)).expect("open");
    fs.record(Record::Changes);
    while db.step().expect("step") {}
    let points = fs.take_crash_points();
    let kept = read_all(&db);
    assert!(
        kept.len() < whole.len() && sequences(&db) == 3,
        "{} segments",
        sequences(&db)
    );
    assert!(!points.is_empty());
    for (index, point) in points.iter().enumerate() {
        let what = format!("{} ({:?})", point.index, point.call);
        for mode in CrashMode::ALL {
            let image = point.crash(index as u64, mode);
            check_image(&image, &[&whole, &kept], &format!("{mode:?} at {what}"));
        }
        check_image(&point.kill(), &[&whole, &kept], &format!("kill at {what}"));
    }
}

#[test]
fn a_range_merges_what_reaches_into_it() {
    let fs = SimFs::new();
    let db = Db::open(options(&fs)).expect("open");
    for hour in [0, 1, 5] {
        for round in 0..3 {
            let mut batch = db.batch();
            for number in 0..6 {
                let time = (hour * 60 + round * 10) * MINUTE_MS + number as i64;
                batch.push(&series(number), time, round as f64);
            }
            batch.commit().expect("commit");
            db.flush().expect("flush");
        }
    }
    let shown = read_all(&db);
    let starts = |db: &Db| {
        let segments = db.segments();
        let mut starts: Vec<i64> = segments.iter().map(|one| one.meta.time_min / MINUTE_MS).collect();
        starts.sort_unstable();
        starts
    };
    assert_eq!(starts(&db), [0, 10, 20, 60, 70, 80, 300, 310, 320]);
    db.compact_range(60 * MINUTE_MS..=70 * MINUTE_MS + 5)
        .expect("a merge");
    assert_eq!(
        starts(&db),
        [0, 10, 20, 60, 80, 300, 310, 320],
        "the third is outside"
    );
    db.compact_range(200 * MINUTE_MS..).expect("a merge");
    db.compact_range(30 * MINUTE_MS..50 * MINUTE_MS)
        .expect("a merge of nothing");
    assert_eq!(starts(&db), [0, 10, 20, 60, 80, 300]);
    let empty = db.compact_range(9..9).expect_err("an empty range");
    assert!(matches!(empty, Error::InvalidOptions(_)), "{empty}");
    db.compact_range(..).expect("a merge");
    assert_eq!(starts(&db), [0]);
    assert_eq!(read_all(&db), shown);
}

/// Steps until there is nothing to do.
fn settle(db: &Db) {
    while db.step().expect("step") {}
}

#[test]
fn merges_are_looked_for_at_the_interval_and_after_flushes() {
    for (interval_s, waits) in [(0, false), (7 * 3600, true)] {
        let (fs, clock) = (SimFs::new(), Arc::new(ManualClock::new(0)));
        let options = small_options(&fs, &clock).compaction(true);
        let db = Db::open(options.compaction_interval(Duration::from_secs(interval_s))).expect("open");
        let write = |minute: i64| {
            let mut batch = db.batch();
            (0..6).for_each(|number| batch.push(&series(number), minute * MINUTE_MS, 1.0));
            batch.commit().expect("commit");
            db.flush().expect("flush");
        };
        // Two of a stretch that is over: they are merged once nothing came to it for six hours.
        write(0);
        write(1);
        write(100_000);
        settle(&db);
        assert_eq!(sequences(&db), 3, "nothing is due yet");
        let upkeep = db.upkeep();
        let look_ms = waits.then_some(7 * 60 * MINUTE_MS);
        assert_eq!((upkeep.due.merge_look_ms, upkeep.due.merge), (look_ms, None));
        clock.set(6 * 60 * MINUTE_MS);
        let due = db.upkeep().due.merge.expect("it is due");
        assert_eq!(due.segments, 2);
        settle(&db);
        assert_eq!(sequences(&db), if waits { 3 } else { 2 });
        clock.set(7 * 60 * MINUTE_MS);
        settle(&db);
        assert_eq!(sequences(&db), 2);
        // What a flush makes due is merged at once: three of one size.
        write(100_001);
        write(100_002);
        settle(&db);
        assert_eq!(sequences(&db), 2, "interval {interval_s}");
    }
}

#[test]
fn jobs_that_step_does_are_told() {
    let (fs, clock) = (SimFs::new(), Arc::new(ManualClock::new(0)));
    let db = Db::open(small_options(&fs, &clock).retention(RETENTION)).expect("open");
    let write = |minute: i64| {
        let mut batch = db.batch();
        (0..6).for_each(|number| batch.push(&series(number), minute * MINUTE_MS, 1.0));
        batch.commit().expect("commit");
        db.flush().expect("flush");
    };
    (0..3).for_each(write);
    settle(&db);
    clock.set(600 * MINUTE_MS);
    write(600);
    settle(&db);
    let upkeep = db.upkeep();
    let told: Vec<_> = upkeep
        .ended
        .iter()
        .map(|job| (job.kind, job.sums.segments, job.sums.samples))
        .collect();
    let flush = (JobKind::Flush, 1, Some(6));
    assert_eq!(
        told,
        [
            (JobKind::Retention, 1, Some(18)),
            flush,
            (JobKind::Merge, 3, Some(18)),
            flush,
            flush,
            flush
        ]
    );
    assert!(upkeep.running.is_empty() && !upkeep.due.is_busy);
    assert_eq!(upkeep.due.retention_at, Some(660 * MINUTE_MS + 1));
    let report = db.retention().expect("a report");
    assert_eq!(
        (report.next_drop, report.bounds),
        (upkeep.due.retention_at, Some((600 * MINUTE_MS, 600 * MINUTE_MS)))
    );
}

#[test]
fn every_call_of_a_merge_may_fail() {
    let (mut index, mut failures) = (0, BTreeMap::new());
    loop {
        let mut has_met = false;
        for fault in [Fault::Eio, Fault::Enospc, Fault::ShortRead] {
            let fs = SimFs::new();
            let db = Db::open(options(&fs)).expect("open");
            fill(&db);
            let shown = read_all(&db);
            let first = fs.call_count();
            fs.fail_nth(first + index, fault);
            let compacted = db.compact();
            has_met |= fs.call_count() > first + index;
            fs.clear_faults();
            let call = fs.calls().get((first + index) as usize).copied();
            let what = format!("call {index} ({call:?}) fails with {fault:?}: {compacted:?}");
            let outcome = match &compacted {
                Ok(()) => "Ok",
                Err(Error::Poisoned(_)) => "Poisoned",
                Err(Error::OutOfSpace(_)) => "OutOfSpace",
                Err(Error::Fs(_)) => "Fs",
                Err(_) => panic!("{what}"),
            };
            let is_poisoned = db.stats().expect("stats").poisoned.is_some();
            *failures.entry((outcome, is_poisoned)).or_insert(0) += 1;
            assert_eq!(read_all(&db), shown, "{what}");
            let may_stop = matches!(call, Some(Call::SyncData | Call::SyncDir | Call::WriteAt));
            if fault == Fault::Enospc && !may_stop {
                db.compact()
                    .unwrap_or_else(|error| panic!("{what}, and again: {error}"));
                assert_eq!(sequences(&db), 1, "{what}: there is space again");
            }
            drop(db);
            check_image(&fs, &[&shown], &what);
        }
        if !has_met {
            break;
        }
        index += 1;
    }
    eprintln!("merging: {index} calls, {failures:?}");
    assert!(index >= 20, "{index} calls");
    // What was written beside the members is given up; a manifest that may or may not be on disk stops writing.
    for met in [("Ok", false), ("Fs", false), ("Fs", true)] {
        assert!(failures.contains_key(&met), "{failures:?}");
    }
}

#[test]
fn a_member_that_cannot_be_read_stays() {
    let fs = SimFs::new();
    let db = Db::open(options(&fs)).expect("open");
    fill(&db);
    let shown = read_all(&db);
    fs.fail_all(Call::ReadAt, Fault::Eio);
    let compacted = db.compact();
    fs.clear_faults();
    assert!(!matches!(compacted, Err(Error::Poisoned(_))), "{compacted:?}");
    assert_eq!(sequences(&db), 4);
    assert_eq!(read_all(&db), shown);
}

#[test]
fn a_cursor_keeps_the_files_it_reads() {
    let fs = SimFs::new();
    let db = Db::open(options(&fs)).expect("open");
    fill(&db);
    let shown = read_all(&db);
    let cursor = db.select(&[], ..).expect("select");
    let before = files(&fs, ".seg");
    db.compact().expect("compact");
    db.compact().expect("compact again");
    assert!(
        files(&fs, ".seg") > 1,
        "{before} files before, the cursor reads them"
    );
    let mut found = Contents::new();
    for one in cursor {
        let one = one.expect("a merged segment is read on");
        for sample in one.samples() {
            let kept = (play::seen(&sample.value), sample.start_timestamp);
            found.insert((play::number_of(one.labels()), sample.timestamp), kept);
        }
    }
    assert_eq!(found, shown);
    db.compact().expect("compact");
    assert_eq!(files(&fs, ".seg"), 1, "nobody holds the members any more");
}

/// A deletion may take every sample of a series and leave an exemplar beside them.
#[test]
fn a_merge_keeps_the_exemplars_beside_deleted_samples() {
    let fs = SimFs::new();
    let db = Db::open(options(&fs)).expect("open");
    let exemplar = Exemplar {
        labels: labels! { "trace_id" => "a" },
        timestamp: 20,
        value: 1.0,
    };
    let mut batch = db.batch();
    batch.push(&series(1), 10, 1.0);
    batch.push_exemplar(&series(1), &exemplar);
    batch.commit().expect("commit");
    db.flush().expect("flush");
    db.delete_series(&series(1), 10..=10).expect("delete");
    let mut batch = db.batch();
    batch.push(&series(2), 10, 1.0);
    batch.commit().expect("commit");
    db.flush().expect("flush");
    db.compact().expect("compact");
    assert_eq!(sequences(&db), 1);
    let found = db.exemplars(&[], ..).expect("exemplars");
    assert_eq!(found, [(series(1), vec![exemplar])]);
}

fn metadata(help: &str) -> Metadata {
    Metadata {
        metric_type: MetricType::Gauge,
        help: help.into(),
        unit: String::new(),
    }
}

fn say(db: &Db, time: i64, helps: &[&str]) -> usize {
    let mut batch = db.batch();
    batch.push(&series(0), time, 1.0);
    for help in helps {
        batch.push_metadata("up", &metadata(help));
    }
    batch.commit().expect("commit").metadata
}

/// Three changes within one millisecond, the last of which is the first again.
#[test]
fn a_merge_keeps_what_was_said_twice_of_a_metric() {
    let fs = SimFs::new();
    let db = Db::open(options(&fs)).expect("open");
    assert_eq!(say(&db, 1, &["one", "two", "one"]), 3);
    db.flush().expect("flush");
    say(&db, 2, &[]);
    db.flush().expect("flush");
    let said = db.metadata(None);
    db.compact().expect("compact");
    drop(db);
    let db = Db::open(options(&fs)).expect("open");
    assert_eq!((sequences(&db), db.metadata(None)), (1, said));
}

/// What a dropped segment alone said of a metric goes with it, for this process as for the next, and is kept when it is
/// said again.
#[test]
fn metadata_goes_with_its_segment_and_is_said_again() {
    let fs = SimFs::new();
    let clock = Arc::new(ManualClock::new(500 * MINUTE_MS));
    let open = || Db::open(options(&fs).clock(clock.clone()).retention(RETENTION)).expect("open");
    let db = open();
    assert_eq!(say(&db, 0, &["one"]), 1);
    db.flush().expect("flush");
    say(&db, 100 * MINUTE_MS, &[]);
    while db.step().expect("step") {}
    assert_eq!((sequences(&db), db.metadata(None).len()), (0, 0));
    assert_eq!(say(&db, 101 * MINUTE_MS, &["one"]), 1);
    let said = db.metadata(None);
    drop(db);
    assert_eq!(open().metadata(None), said);
}

//! What the oracle, crash and fault tests found, each as small as it can be told.

use crate::play::{self, DIR, Dice, read_all, series, small_options};
use narthex::testing::{Call, CrashMode, Fault, Record, SimFs};
use narthex::{
    Counts, Db, Durability, Error, Exemplar, Fs, Histogram, Labels, ListOptions, ManualClock, Metadata,
    Overwrite, ResetHint, Sample, Span, Value, labels, stale_nan,
};
use std::path::Path;
use std::sync::Arc;

fn open(fs: &SimFs) -> Db {
    let options = small_options(fs, &Arc::new(ManualClock::new(0)));
    Db::open(options.durability(Durability::Always)).expect("open")
}

/// Writes one float and says how many were new, the same and refused.
fn push(db: &Db, labels: &Labels, timestamp: i64, value: f64) -> (usize, usize, usize) {
    let mut batch = db.batch();
    batch.push(labels, timestamp, value);
    let report = batch.commit().expect("commit");
    (report.floats, report.duplicates, report.rejected_count())
}

fn names(fs: &SimFs, prefix: &str) -> usize {
    let names = fs.list(Path::new(DIR)).expect("the folder is there");
    names.iter().filter(|name| name.starts_with(prefix)).count()
}

fn histogram(sum: f64, spans: &[(i32, u32)], counts: &[i64]) -> Histogram {
    let before = std::iter::once(&0).chain(counts);
    Histogram {
        reset_hint: ResetHint::Unknown,
        schema: 0,
        zero_threshold: 0.001,
        sum,
        positive_spans: spans
            .iter()
            .map(|&(offset, length)| Span { offset, length })
            .collect(),
        negative_spans: Vec::new(),
        custom_values: Vec::new(),
        counts: Counts::Int {
            count: counts.iter().sum::<i64>() as u64,
            zero_count: 0,
            positive: counts
                .iter()
                .zip(before)
                .map(|(now, before)| now - before)
                .collect(),
            negative: Vec::new(),
        },
    }
}

/// A chunk gives a histogram empty buckets and takes all but the marker from a stale one.
#[test]
fn a_repeated_histogram_is_found_in_its_chunk() {
    let db = open(&SimFs::new());
    let written = [
        histogram(1.0, &[(0, 1)], &[1]),
        histogram(2.0, &[(0, 3)], &[1, 1, 1]),
        histogram(stale_nan(), &[(0, 3)], &[2, 2, 2]),
        histogram(stale_nan(), &[(1, 1)], &[7]),
    ];
    for duplicates in [0, 4] {
        let mut batch = db.batch();
        for (tick, histogram) in written.iter().enumerate() {
            batch.push_histogram(&series(4), tick as i64, histogram);
        }
        let report = batch.commit().expect("commit");
        assert_eq!(
            (report.duplicates, report.rejected_count()),
            (duplicates, 0),
            "{report:?}"
        );
    }
}

/// The series has no newest sample in the log, only one that came late to what is in a segment.
#[test]
fn a_late_sample_is_judged_after_a_reopening() {
    let fs = SimFs::new();
    let db = open(&fs);
    push(&db, &series(0), 30, 3.0);
    db.flush().expect("flush");
    assert_eq!(push(&db, &series(0), 20, 2.0), (1, 0, 0));
    db.close().expect("close");
    let db = open(&fs);
    assert_eq!(push(&db, &series(0), 20, 2.0), (0, 1, 0), "a repeat");
    assert_eq!(push(&db, &series(0), 20, 9.0), (0, 0, 1), "a conflict");
    db.flush().expect("flush");
    assert_eq!(read_all(&db)[&(0, 20)].0, play::Seen::Float(2f64.to_bits()));
}

#[test]
fn a_float_where_the_newest_histogram_was_flushed_is_a_conflict() {
    let db = open(&SimFs::new());
    let mut batch = db.batch();
    batch.push_histogram(&series(0), 30, &histogram(1.0, &[(0, 1)], &[1]));
    batch.commit().expect("commit");
    db.flush().expect("flush");
    assert_eq!(push(&db, &series(0), 30, 1.0), (0, 0, 1));
}

/// Samples and metadata were two records, between which a power loss could cut.
#[test]
fn a_batch_with_metadata_is_one_record() {
    let db = open(&SimFs::new());
    let mut lsns = Vec::new();
    for tick in 0..3 {
        let mut batch = db.batch();
        batch.push(&series(0), tick, 1.0);
        batch.push_metadata(&format!("metric_{tick}"), &Metadata::default());
        lsns.push(batch.commit().expect("commit").lsn);
    }
    assert_eq!(lsns, [1, 2, 3]);
}

#[test]
fn an_exemplar_in_two_places_is_shown_once() {
    let db = open(&SimFs::new());
    let exemplar = |id: &str| Exemplar {
        labels: labels! { "trace_id" => id },
        timestamp: 10,
        value: 1.0,
    };
    for ids in [vec!["a", "b"], vec!["a"]] {
        let mut batch = db.batch();
        batch.push(&series(0), 10, 1.0);
        ids.iter()
            .for_each(|id| batch.push_exemplar(&series(0), &exemplar(id)));
        batch.commit().expect("commit");
        db.flush().expect("flush");
    }
    let found = db.exemplars(&[], ..).expect("exemplars");
    assert_eq!(found, [(series(0), vec![exemplar("a"), exemplar("b")])]);
}

/// The replayed log is no gap only because a checkpoint holds what was before it.
#[test]
fn a_checkpoint_without_a_segment_is_no_damage() {
    let fs = SimFs::new();
    let db = open(&fs);
    for tick in 0..400 {
        push(&db, &series(tick as usize % 7), tick, tick as f64 * 1.7);
    }
    while db.step().expect("step") {}
    assert_eq!((names(&fs, "checkpoint-"), names(&fs, "segment-")), (1, 0));
    let before = read_all(&db);
    db.close().expect("close");
    let db = open(&fs);
    assert_eq!(db.recovery().gaps, Vec::<String>::new());
    assert_eq!(read_all(&db), before);
}

/// The last batch of a log is durable, but no later record says so: an opening writes it again, over itself.
#[test]
fn a_power_loss_while_opening_takes_nothing_that_was_acknowledged() {
    let fs = SimFs::new();
    let db = open(&fs);
    for tick in 0..40 {
        push(&db, &series(tick as usize % 3), tick, tick as f64);
    }
    let mut dice = Dice(1);
    let image = fs.crash(0, CrashMode::LoseAll);
    let opened = image.kill();
    opened.record(Record::Changes);
    drop(open(&opened));
    opened.record(Record::Nothing);
    for point in opened.take_crash_points() {
        for _ in 0..40 {
            let crashed = point.crash(dice.next(), CrashMode::Garbage);
            assert_eq!(
                read_all(&open(&crashed)).len(),
                40,
                "call {} ({:?})",
                point.index,
                point.call
            );
        }
    }
}

/// The process dies with the manifest renamed and the folder not synced; the next opening tidies up; the power fails.
#[test]
fn an_opening_removes_nothing_that_the_manifest_before_still_names() {
    let fs = SimFs::new();
    let db = open(&fs);
    for tick in 0..40 {
        push(&db, &series(0), tick, tick as f64);
    }
    fs.record(Record::Changes);
    db.flush().expect("flush");
    fs.record(Record::Nothing);
    for died in fs.take_crash_points() {
        let image = died.kill();
        image.record(Record::Changes);
        drop(open(&image));
        image.record(Record::Nothing);
        for point in image.take_crash_points() {
            for seed in 0..4 {
                let crashed = point.crash(seed, CrashMode::Scatter);
                assert_eq!(
                    read_all(&open(&crashed)).len(),
                    40,
                    "died {} failed {}",
                    died.index,
                    point.index
                );
            }
        }
    }
}

/// The folders above a new database are part of its name, also when the process that made them died at once.
#[test]
fn a_new_database_survives_with_its_folders() {
    let fs = SimFs::new();
    fs.record(Record::Changes);
    drop(open(&fs));
    for died in fs.take_crash_points() {
        let image = died.kill();
        let db = open(&image);
        push(&db, &series(0), 1, 1.0);
        let crashed = image.crash(0, CrashMode::LoseAll);
        assert_eq!(read_all(&open(&crashed)).len(), 1, "died at call {}", died.index);
    }
}

/// A checkpoint that could not be read for once was put aside as damaged, with all that was in it.
#[test]
fn a_short_read_while_opening_loses_nothing() {
    let fs = SimFs::new();
    let db = open(&fs);
    for tick in 0..400 {
        push(&db, &series(tick as usize % 7), tick, tick as f64 * 1.7);
    }
    while db.step().expect("step") {}
    push(&db, &series(0), 1_000, 1.0);
    db.close().expect("close");
    assert_eq!(names(&fs, "checkpoint-"), 1);
    let whole = fs.kill();
    drop(open(&whole));
    for index in 0..whole.call_count() {
        for fault in [Fault::ShortRead, Fault::Eio] {
            let image = fs.kill();
            image.fail_nth(index, fault);
            let options = small_options(&image, &Arc::new(ManualClock::new(0)));
            drop(Db::open(options));
            image.clear_faults();
            assert_eq!(
                read_all(&open(&image)).len(),
                401,
                "call {index} failed with {fault:?}"
            );
        }
    }
}

/// Whatever file of a flush or checkpoint meets the full disk, the next attempt succeeds.
#[test]
fn a_full_disk_puts_off_a_flush_and_a_checkpoint() {
    let fill = |db: &Db, from: i64| {
        for tick in from..from + 300 {
            push(db, &series(tick as usize % 7), tick, tick as f64 * 1.7);
        }
    };
    let flush = |db: &Db| db.flush();
    let checkpoint = |db: &Db| db.step().map(|_| ());
    for work in [&flush as &dyn Fn(&Db) -> Result<(), Error>, &checkpoint] {
        let fs = SimFs::new();
        let db = open(&fs);
        fill(&db, 0);
        let from = fs.call_count();
        work(&db).expect("without faults");
        let makes_room = |call: &Call| matches!(call, Call::CreateNew | Call::Preallocate);
        let calls: Vec<u64> = (from..fs.call_count())
            .filter(|index| makes_room(&fs.calls()[*index as usize]))
            .collect();
        assert!(
            calls.len() >= 3,
            "a log file, a segment or checkpoint, the manifest"
        );
        for index in calls {
            let fs = SimFs::new();
            let db = open(&fs);
            fill(&db, 0);
            fs.fail_nth(index, Fault::Enospc);
            match work(&db) {
                Ok(()) | Err(Error::OutOfSpace(_)) => {}
                other => panic!("call {index}: {other:?}"),
            }
            fill(&db, 300);
            work(&db).expect("there is space again");
            fill(&db, 600);
            assert_eq!(read_all(&db).len(), 900);
        }
    }
}

/// An eviction that waits for a cursor must not hold up the checkpoints behind it.
#[test]
fn checkpoints_come_while_a_cursor_is_open() {
    let fs = SimFs::new();
    let db = open(&fs);
    push(&db, &series(0), 1, stale_nan());
    db.flush().expect("flush");
    push(&db, &series(1), 2, 1.0);
    let cursor = db.select(&[], ..).expect("select");
    for tick in 0..600 {
        push(&db, &series(1 + tick as usize % 7), 10 + tick, tick as f64 * 1.7);
    }
    for _ in 0..5 {
        db.step().expect("step");
    }
    assert_eq!(names(&fs, "checkpoint-"), 1);
    drop(cursor);
}

fn seen(db: &Db) -> Vec<(i64, f64)> {
    let mut seen = Vec::new();
    for one in db.select(&[], ..).expect("select") {
        let samples = one.expect("a series");
        seen.extend(
            samples
                .samples()
                .map(|one| (one.timestamp, one.value.as_float().expect("a float"))),
        );
    }
    seen
}

/// A write in the place of what a delete hid is what later samples are judged by, also after the undelete.
#[test]
fn what_was_written_over_a_delete_is_judged_by() {
    let db = open(&SimFs::new());
    let one = series(0);
    push(&db, &one, 10, 1.0);
    push(&db, &one, 20, 1.0);
    let deletion = db.delete_series(&one, 10..=10).expect("delete");
    assert_eq!(push(&db, &one, 10, 2.0), (1, 0, 0));
    assert!(db.undelete(deletion).expect("undelete"));
    assert_eq!(push(&db, &one, 10, 2.0), (0, 1, 0), "a repeat of what is there");
    assert_eq!(
        push(&db, &one, 10, 1.0),
        (0, 0, 1),
        "a conflict with what is there"
    );
    assert_eq!(seen(&db), [(10, 2.0), (20, 1.0)]);
}

/// The same when a second delete hid the write as well, and the first sample was a correction.
#[test]
fn of_two_hidden_samples_the_later_one_is_judged_by() {
    let db = open(&SimFs::new());
    let one = series(0);
    let mut batch = db.batch();
    batch.correct(&one, 10, 1.0);
    batch.commit().expect("commit");
    let first = db.delete_series(&one, 10..=10).expect("delete");
    assert_eq!(push(&db, &one, 10, 2.0), (1, 0, 0));
    let second = db.delete_series(&one, 10..=10).expect("delete");
    assert!(db.undelete(second).expect("undelete") && db.undelete(first).expect("undelete"));
    assert_eq!(seen(&db), [(10, 2.0)]);
    assert_eq!(push(&db, &one, 10, 3.0), (0, 0, 1), "no correction is there");
}

/// Under `last` a repeat of what was flushed is no repeat once another value was written over it.
#[test]
fn the_last_value_stays_beyond_a_flush() {
    let options = small_options(&SimFs::new(), &Arc::new(ManualClock::new(0)));
    let db = Db::open(options.overwrite(Overwrite::Last)).expect("open");
    for value in [1.0, 2.0, 1.0] {
        push(&db, &series(0), 10, value);
        assert_eq!(seen(&db), [(10, value)]);
        db.flush().expect("flush");
    }
    assert_eq!(seen(&db), [(10, 1.0)]);
}

/// The start timestamp of a deleted sample says nothing of what is written in front of its place.
#[test]
fn a_deleted_sample_takes_its_start_timestamp_with_it() {
    let sample = |timestamp, start_timestamp| Sample {
        timestamp,
        value: Value::Float(1.0),
        start_timestamp,
    };
    for is_flushed in [false, true] {
        let db = open(&SimFs::new());
        let mut batch = db.batch();
        batch.push_sample(&series(0), &sample(10, 5));
        batch.push_sample(&series(0), &sample(20, 0));
        batch.commit().expect("commit");
        if is_flushed {
            db.flush().expect("flush");
        }
        db.delete_series(&series(0), 20..=20).expect("delete");
        push(&db, &series(0), 15, 1.0);
        let starts: Vec<i64> = read_all(&db).into_values().map(|kept| kept.1).collect();
        assert_eq!(starts, [5, 0], "flushed {is_flushed}");
    }
}

/// Exemplars need not lie within the time of the samples of their segment.
#[test]
fn a_delete_hides_exemplars_outside_of_all_samples() {
    for with_samples in [false, true] {
        let db = open(&SimFs::new());
        let mut batch = db.batch();
        let exemplar = Exemplar {
            labels: labels! { "trace_id" => "a" },
            timestamp: 100,
            value: 1.0,
        };
        batch.push_exemplar(&series(0), &exemplar);
        if with_samples {
            batch.push(&series(0), 10, 1.0);
        }
        batch.commit().expect("commit");
        db.flush().expect("flush");
        let shown = || db.exemplars(&[], ..).expect("exemplars").len();
        let deletion = db.delete_series(&series(0), 100..=100).expect("delete");
        assert_eq!(shown(), 0);
        // The next flush forgets deletions that no segment needs.
        push(&db, &series(1), 20, 1.0);
        db.flush().expect("flush");
        assert_eq!(shown(), 0);
        assert!(db.undelete(deletion).expect("undelete"));
        assert_eq!(shown(), 1);
    }
}

/// A histogram was neither larger than a number nor smaller, so that it mattered which two were compared first.
#[test]
fn the_largest_of_three_is_the_same_in_every_order() {
    let values = [
        Value::Float(1.0),
        Value::Histogram(histogram(1.0, &[(0, 1)], &[1]).into()),
        Value::Float(2.0),
        Value::Float(f64::NAN),
    ];
    for order in [[0, 1, 2, 3], [1, 3, 2, 0], [3, 0, 1, 2], [2, 1, 3, 0]] {
        let fs = SimFs::new();
        let options = small_options(&fs, &Arc::new(ManualClock::new(0)));
        let db = Db::open(options.overwrite(Overwrite::Max)).expect("open");
        for number in order {
            let mut batch = db.batch();
            let sample = Sample {
                timestamp: 10,
                value: values[number].clone(),
                start_timestamp: 0,
            };
            batch.push_sample(&series(0), &sample);
            batch.commit().expect("commit");
            db.flush().expect("flush");
        }
        let seen = || read_all(&db)[&(0, 10)].0.clone();
        assert_eq!(seen(), play::Seen::Float(2f64.to_bits()), "{order:?}");
        db.compact().expect("a merge");
        assert_eq!(seen(), play::Seen::Float(2f64.to_bits()), "{order:?}, merged");
    }
}

/// An undelete had cut off what was written since, and the mark went with the segment that it was kept for.
#[test]
fn what_an_undelete_cut_off_is_listed_when_its_mark_is_gone() {
    let clock = Arc::new(ManualClock::new(20_000_000));
    let options = small_options(&SimFs::new(), &clock)
        .compaction(false)
        .retention(std::time::Duration::from_secs(3600));
    let db = Db::open(options).expect("open");
    push(&db, &series(0), 10, 1.0);
    db.flush().expect("flush");
    let deletion = db.delete_series(&series(0), 10..=10).expect("delete");
    push(&db, &series(1), 10, 1.0);
    db.flush().expect("flush");
    push(&db, &series(0), 10, 2.0);
    push(&db, &series(1), 20_000_000, 2.0);
    assert!(db.undelete(deletion).expect("undelete"));
    while db.step().expect("step") {}
    assert!(db.segments().is_empty() && db.deletions().is_empty());
    assert_eq!(read_all(&db)[&(0, 10)].0, play::Seen::Float(2f64.to_bits()));
    let listed = db
        .series(&[], 10..=10, ListOptions::default())
        .expect("a listing");
    assert_eq!(listed.items, [series(0)]);
    assert_eq!(db.count_series(&[], 10..=10).expect("a count").series, 1);
}

/// Files of dropped segments were removed when the next merge was looked for, which never came.
#[test]
fn retention_gives_space_back_where_nothing_is_merged() {
    let fs = SimFs::new();
    let options = small_options(&fs, &Arc::new(ManualClock::new(20_000_000)))
        .compaction(false)
        .retention(std::time::Duration::from_secs(3600));
    let db = Db::open(options).expect("open");
    push(&db, &series(0), 10, 1.0);
    db.flush().expect("flush");
    push(&db, &series(0), 20_000_000, 1.0);
    assert_eq!(names(&fs, "segment-"), 2, "a segment and the page beside it");
    while db.step().expect("step") {}
    assert_eq!((db.segments().len(), names(&fs, "segment-")), (0, 0));
}

/// The maximum was judged by alone, and not with the correction below it.
#[test]
fn a_maximum_over_a_correction_that_came_back_is_a_correction() {
    let options = small_options(&SimFs::new(), &Arc::new(ManualClock::new(0)));
    let db = Db::open(options.overwrite(Overwrite::Max)).expect("open");
    push(&db, &series(0), 100, 1.0);
    db.flush().expect("flush");
    let correct = |value| {
        let mut batch = db.batch();
        batch.correct(&series(0), 10, value);
        let report = batch.commit().expect("commit");
        (report.corrections, report.duplicates)
    };
    assert_eq!(correct(1.0), (1, 0));
    let deletion = db.delete_series(&series(0), 10..=10).expect("delete");
    assert!(db.undelete(deletion).expect("undelete"));
    assert_eq!(push(&db, &series(0), 10, 2.0), (1, 0, 0));
    assert_eq!(correct(2.0), (0, 1), "a repeat");
}

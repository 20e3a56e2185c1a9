//! Many threads on one database: writers, readers, flushes and steps at once.
//!
//! Every series is written by one thread, one sample per timestamp, counting up from 0, so that any reader can judge
//! what it sees: the timestamps of a series are contiguous from 0, and each value is the one of its timestamp.

use narthex::testing::SimFs;
use narthex::{Db, Durability, Labels, ListOptions, Matcher, Options, Series, labels, stale_nan};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

const WRITERS: usize = 4;
const SERIES_PER_WRITER: usize = 40;

fn series(writer: usize, number: usize) -> Labels {
    labels! {
        "__name__" => "work_done",
        "number" => &format!("{number:03}"),
        "writer" => &writer.to_string(),
    }
}

fn value(writer: usize, number: usize, timestamp: i64) -> f64 {
    (writer * 1_000 + number) as f64 + (timestamp % 17) as f64 * 0.5
}

/// What is common to the threads of one run.
struct Run {
    db: Db,
    /// By writer: timestamps below were acknowledged.
    acknowledged: Vec<AtomicI64>,
    /// How often maintenance went round; writers wait for it now and then, so that both really interleave.
    rounds: AtomicI64,
    is_over: AtomicBool,
}

/// Timestamps that a writer may write per round of maintenance.
const TICKS_PER_ROUND: i64 = 20;

/// Ends the run when it is dropped, also by a panic, so that nobody waits for a thread that is gone.
struct EndOnDrop<'a>(&'a AtomicBool);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Run {
    fn new(options: Options) -> Arc<Self> {
        Arc::new(Self {
            db: Db::open(options).unwrap(),
            acknowledged: (0..WRITERS).map(|_| AtomicI64::new(0)).collect(),
            rounds: AtomicI64::new(0),
            is_over: AtomicBool::new(false),
        })
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    fn wait_for_maintenance(&self) {
        let round = self.rounds.load(Ordering::Acquire);
        while self.rounds.load(Ordering::Acquire) == round && !self.is_over() {
            std::thread::yield_now();
        }
    }

    fn write(&self, writer: usize, ticks: i64) {
        for timestamp in 0..ticks {
            if timestamp % TICKS_PER_ROUND == 0 {
                self.wait_for_maintenance();
            }
            let mut batch = self.db.batch();
            for number in 0..SERIES_PER_WRITER {
                let value = value(writer, number, timestamp);
                batch.push(&series(writer, number), timestamp, value);
            }
            let report = batch.commit().unwrap();
            assert_eq!(report.floats, SERIES_PER_WRITER, "{report:?}");
            self.acknowledged[writer].store(timestamp + 1, Ordering::Release);
        }
    }

    /// One look at the series of one writer: everything acknowledged before is there, in order, and nothing else.
    fn look(&self, writer: usize, reused: &mut Series) {
        let least = self.acknowledged[writer].load(Ordering::Acquire);
        let name = writer.to_string();
        let mut cursor = self.db.select(&[Matcher::eq("writer", name)], ..).unwrap();
        let mut found = 0;
        while cursor.next_into(reused).unwrap() {
            let number: usize = reused.labels().get("number").unwrap().parse().unwrap();
            assert_eq!(reused.labels(), &series(writer, number));
            let samples = reused.float_timestamps().iter().zip(reused.float_bits());
            for (expected, (timestamp, bits)) in (0..).zip(samples) {
                assert_eq!(*timestamp, expected, "a gap in {:?}", reused.labels());
                assert_eq!(*bits, value(writer, number, expected).to_bits());
            }
            assert!(
                reused.len() as i64 >= least,
                "{} of {least} samples of {:?}",
                reused.len(),
                reused.labels()
            );
            found += 1;
        }
        assert_eq!(cursor.warnings(), []);
        assert!(least == 0 || found == SERIES_PER_WRITER, "{found} series");
    }

    fn read(&self) {
        let mut reused = Series::default();
        while !self.is_over() {
            for writer in 0..WRITERS {
                self.look(writer, &mut reused);
            }
        }
    }

    fn list(&self) {
        let is_any = || (0..WRITERS).any(|writer| self.acknowledged[writer].load(Ordering::Acquire) > 0);
        while !self.is_over() {
            let must_be_there = is_any();
            let names = self.db.label_names(&[], 0..=0, ListOptions::default()).unwrap();
            assert!(!must_be_there || names.items == ["__name__", "number", "writer"]);
            self.db.stats().unwrap();
            self.db.cardinality().unwrap();
        }
    }

    fn check_all(db: &Db, ticks: i64) {
        let mut count = 0;
        let mut cursor = db.select(&[], ..).unwrap();
        for one in cursor.by_ref() {
            let one = one.unwrap();
            let parse = |name: &str| one.labels().get(name).unwrap().parse::<usize>().unwrap();
            let (writer, number) = (parse("writer"), parse("number"));
            let expected: Vec<u64> = (0..ticks)
                .map(|timestamp| value(writer, number, timestamp).to_bits())
                .collect();
            assert_eq!(one.float_bits(), expected);
            assert!(one.float_timestamps().iter().copied().eq(0..ticks));
            count += 1;
        }
        assert_eq!(cursor.warnings(), []);
        assert_eq!(count, WRITERS * SERIES_PER_WRITER);
    }

    /// Runs writers beside readers and `maintain`, which is called until the writers are done.
    fn race(self: &Arc<Self>, ticks: i64, maintain: impl Fn(&Db) + Sync) {
        std::thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS)
                .map(|writer| scope.spawn(move || self.write(writer, ticks)))
                .collect();
            scope.spawn(|| self.read());
            scope.spawn(|| self.list());
            scope.spawn(|| {
                let _end = EndOnDrop(&self.is_over);
                while !self.is_over() {
                    maintain(&self.db);
                    self.rounds.fetch_add(1, Ordering::AcqRel);
                }
            });
            let outcomes: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
            self.is_over.store(true, Ordering::Release);
            assert!(outcomes.iter().all(Result::is_ok), "a writer failed");
        });
    }
}

fn sim_options(fs: &SimFs) -> Options {
    Options::new("db")
        .fs(Arc::new(fs.clone()))
        .background(false)
        .durability(Durability::Never)
        .wal_sizes(256 << 10, 64 << 10)
}

#[test]
fn readers_see_a_prefix_of_every_series_while_it_is_flushed() {
    let fs = SimFs::new();
    let run = Run::new(sim_options(&fs));
    // Steps may merge all segments into one, so they are counted behind each flush.
    let most_segments = AtomicUsize::new(0);
    run.race(300, |db| {
        db.flush().unwrap();
        most_segments.fetch_max(db.stats().unwrap().segments, Ordering::Relaxed);
        while db.step().unwrap() {}
    });
    Run::check_all(&run.db, 300);
    assert!(most_segments.into_inner() > 1);
    assert_eq!(run.db.verify().unwrap().faults, Vec::<String>::new());
    let reopened = Db::open(sim_options(&fs.kill())).unwrap();
    Run::check_all(&reopened, 300);
}

#[test]
fn readers_see_everything_while_series_are_evicted_and_come_back() {
    let fs = SimFs::new();
    // A series is idle as soon as another one is a timestamp ahead of it.
    let run = Run::new(sim_options(&fs).series_idle(Duration::ZERO));
    run.race(300, |db| {
        db.flush().unwrap();
        while db.step().unwrap() {}
    });
    Run::check_all(&run.db, 300);
    let reopened = Db::open(sim_options(&fs.kill())).unwrap();
    Run::check_all(&reopened, 300);
}

#[test]
fn readers_see_everything_while_checkpoints_are_written() {
    let fs = SimFs::new();
    let run = Run::new(sim_options(&fs).checkpoint_bytes_min(1));
    run.race(300, |db| {
        db.step().unwrap();
    });
    Run::check_all(&run.db, 300);
    assert!(run.db.stats().unwrap().checkpoint_bytes > 0);
    let reopened = Db::open(sim_options(&fs.kill())).unwrap();
    Run::check_all(&reopened, 300);
    assert_eq!(reopened.recovery().gaps, Vec::<String>::new());
}

#[test]
fn a_disk_with_syncs_and_background_threads_keeps_what_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let options = || {
        Options::new(dir.path())
            .head_bytes_max(1 << 16)
            .checkpoint_bytes_min(1 << 16)
            .wal_sizes(1 << 20, 256 << 10)
    };
    let run = Run::new(options());
    run.race(60, |db| {
        db.sync().unwrap();
        std::thread::yield_now();
    });
    Run::check_all(&run.db, 60);
    Arc::into_inner(run).unwrap().db.close().unwrap();
    let db = Db::open(options().background(false)).unwrap();
    Run::check_all(&db, 60);
    assert_eq!(db.verify().unwrap().faults, Vec::<String>::new());
}

#[test]
fn writers_that_race_for_one_timestamp_have_one_winner() {
    let db = Db::open(Options::in_memory()).unwrap();
    let labels = labels! { "__name__" => "contested" };
    let ticks = 500;
    let wins: Vec<Vec<i64>> = std::thread::scope(|scope| {
        let (db, labels) = (&db, &labels);
        let write = move |writer: usize| {
            let mut won = Vec::new();
            for timestamp in 0..ticks {
                let mut batch = db.batch();
                batch.push(labels, timestamp, writer as f64);
                let report = batch.commit().unwrap();
                assert_eq!(report.floats + report.rejected_count(), 1);
                won.extend((report.floats == 1).then_some(timestamp));
            }
            won
        };
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| scope.spawn(move || write(writer)))
            .collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    let stored = db.select(&[], ..).unwrap().next().unwrap().unwrap();
    assert_eq!(stored.len() as i64, ticks);
    for sample in stored.samples() {
        let winner = sample.value.as_float().unwrap() as usize;
        assert!(wins[winner].contains(&sample.timestamp));
    }
    assert_eq!(wins.iter().map(Vec::len).sum::<usize>() as i64, ticks);
}

/// Series that end with a stale marker and are evicted at once, while others are born into their ids.
#[test]
fn churning_series_never_show_under_anothers_labels() {
    let fs = SimFs::new();
    let db = Db::open(sim_options(&fs)).unwrap();
    let is_over = AtomicBool::new(false);
    let newest = AtomicI64::new(-1);
    let name = |pod: i64| labels! { "__name__" => "pod_up", "pod" => &format!("pod-{pod:05}") };
    let check = |db: &Db, least: i64| {
        let mut count = 0;
        for one in db.select(&[], ..).unwrap() {
            let one = one.unwrap();
            let pod: i64 = one.labels().get("pod").unwrap()["pod-".len()..].parse().unwrap();
            assert_eq!(one.labels(), &name(pod));
            assert_eq!(one.float_timestamps()[0], pod * 10);
            assert_eq!(one.float_bits()[0], (pod as f64).to_bits());
            count += 1;
        }
        assert!(count > least, "{count} of {least} pods");
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for pod in 0..800 {
                let mut batch = db.batch();
                batch.push(&name(pod), pod * 10, pod as f64);
                batch.push(&name(pod), pod * 10 + 5, stale_nan());
                assert_eq!(batch.commit().unwrap().floats, 2);
                newest.store(pod, Ordering::Release);
            }
            is_over.store(true, Ordering::Release);
        });
        scope.spawn(|| {
            while !is_over.load(Ordering::Acquire) {
                db.flush().unwrap();
                while db.step().unwrap() {}
            }
        });
        while !is_over.load(Ordering::Acquire) {
            check(&db, newest.load(Ordering::Acquire));
        }
    });
    check(&db, 799);
}

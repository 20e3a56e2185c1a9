//! What the three kinds share: stores that behave alike, numbers that no crash gives twice, damage that never panics.

use super::logs::{LogPoint, LogQuery};
use super::store::{Change, KeyRange, Space, Store, View};
use super::*;
use crate::io::{DiskFs, File, FileView, FsError, LockGuard};
use proptest::prelude::*;
use std::ops::ControlFlow;

fn options(dir: Option<&Path>) -> RecordOptions {
    RecordOptions {
        dir: dir.map(Path::to_owned),
        fs: Arc::new(DiskFs),
        durability: Durability::Never,
        read_only: false,
        log_retention: None,
        event_retention: None,
        clock_leap_max: i64::MAX,
        column_flush_entries: None,
    }
}

fn log(time: i64) -> LogPoint {
    LogPoint::new("pump", "info", format!("line of {time}")).with_timestamp(time)
}

fn contents(store: &dyn Store, space: Space, range: &KeyRange, backwards: bool) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    let read = store.read(&mut |view: &dyn View| {
        view.scan(space, range, backwards, &mut |key, value| {
            found.push((key.to_vec(), value.to_vec()));
            Ok(ControlFlow::Continue(()))
        })
    });
    read.expect("a read");
    found
}

fn small_change() -> impl Strategy<Value = Change> {
    let space = prop_oneof![Just(Space::Logs), Just(Space::Columns)];
    let value = prop::option::of(prop::collection::vec(any::<u8>(), 0..3));
    (space, 0u8..20, value).prop_map(|(space, key, value)| Change {
        space,
        key: vec![key],
        value,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// Both stores give the same answers, forwards and backwards, also after the one on disk was opened again.
    #[test]
    fn a_folder_keeps_what_memory_keeps(
        changes in prop::collection::vec(small_change(), 1..60),
        (from, to) in (0u8..20, 0u8..20),
    ) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let memory = MemoryStore::default();
        let open = || DiskStore::new(Arc::new(DiskFs), folder.path());
        let mut disk = open();
        let range = KeyRange { from: vec![from], to: vec![to] };
        for (index, change) in changes.into_iter().enumerate() {
            memory.apply(vec![change.clone()], true).expect("a write");
            disk.apply(vec![change], index % 3 == 0).expect("a write");
            if index % 20 == 19 {
                disk.close().expect("a clean close");
                disk = open();
            }
        }
        for space in [Space::Logs, Space::Columns] {
            for backwards in [false, true] {
                for range in [&KeyRange::all(), &range] {
                    let expected = contents(&memory, space, range, backwards);
                    prop_assert_eq!(contents(&disk, space, range, backwards), expected);
                }
            }
        }
    }
}

#[test]
fn logs_of_one_time_stay_after_opening_again() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for round in 1..=3 {
        let records = Records::open(options(Some(folder.path())));
        records.write_logs(&[log(5), log(5)], 0).expect("a write");
        let page = records.query_logs(&LogQuery::new(..)).expect("a page");
        assert_eq!(page.logs.len(), 2 * round);
        records.close().expect("a clean close");
    }
}

#[test]
fn nothing_is_on_disk_before_the_first_write() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let records = Records::open(options(Some(folder.path())));
    assert_eq!(records.query_logs(&LogQuery::new(..)).expect("a page").logs, []);
    assert!(records.hold().expect("a moment").is_none());
    let names = DiskFs.list(folder.path()).expect("the folder");
    assert!(names.is_empty(), "{names:?}");
}

#[test]
fn a_closed_store_says_so() {
    for dir in [None, Some(tempfile::tempdir().expect("a temporary folder"))] {
        let records = Records::open(options(dir.as_ref().map(|dir| dir.path())));
        records.write_logs(&[log(1)], 0).expect("a write");
        records.close().expect("a clean close");
        assert_eq!(records.write_logs(&[log(1)], 0), Err(RecordError::Closed));
        assert_eq!(records.query_logs(&LogQuery::new(..)), Err(RecordError::Closed));
    }
}

#[test]
fn the_remains_of_an_interrupted_beginning_do_no_harm() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let unfinished = folder.path().join(names::RECORDS_UNFINISHED);
    DiskFs
        .create_dir_all(&unfinished.join("keyspaces"))
        .expect("a folder");
    drop(DiskFs.create_new(&unfinished.join("0.jnl")).expect("a file"));
    let records = Records::open(options(Some(folder.path())));
    records.write_logs(&[log(1)], 0).expect("a write");
    assert_eq!(DiskFs.list(folder.path()).expect("the folder"), [names::RECORDS]);
}

#[test]
fn a_value_that_does_not_decode_is_an_error_with_its_place() {
    let records = Records::open(options(None));
    records.write_logs(&[log(1)], 0).expect("a write");
    let mut key = Vec::new();
    position::Position { time: 2, number: 9 }.encode(&mut key);
    let broken = Change::put(Space::Logs, key, vec![1, 77]);
    records.store.apply(vec![broken], true).expect("a write");
    let error = records.query_logs(&LogQuery::new(..)).expect_err("damage");
    assert!(matches!(error, RecordError::Corrupt { .. }), "{error}");
    let check = records.verify().expect("a check");
    assert_eq!((check.logs, check.faults.is_empty()), (2, false));
}

#[test]
fn retention_goes_piece_by_piece() {
    let mut options = options(None);
    (options.log_retention, options.clock_leap_max) = (Some(100), 50);
    let records = Records::open(options);
    let logs: Vec<LogPoint> = (0..6000).map(log).collect();
    records.write_logs(&logs, 0).expect("a write");
    let mut steps = 0;
    // A clock that leapt is believed up to 50 beyond the newest log.
    while records.step(1_000_000).expect("a step") {
        steps += 1;
    }
    assert!((2..6).contains(&steps), "{steps}");
    let left = records
        .query_logs(&LogQuery::new(..).oldest_first())
        .expect("a page");
    assert_eq!((left.logs.len(), &left.logs[0]), (51, &log(5949)));
    records.write_logs(&[log(7)], 0).expect("a late write");
    assert!(records.step(6000).expect("a step"));
    let devices = contents(&*records.store, Space::LogDevices, &KeyRange::all(), false);
    assert_eq!(devices.len(), 51);
}

/// A disk with as much free space as a test says.
#[derive(Debug)]
struct Narrow(AtomicU64);

impl Fs for Narrow {
    fn create_new(&self, path: &Path) -> Result<Arc<dyn File>, FsError> {
        DiskFs.create_new(path)
    }
    fn open_read(&self, path: &Path) -> Result<Arc<dyn File>, FsError> {
        DiskFs.open_read(path)
    }
    fn open_write(&self, path: &Path) -> Result<Arc<dyn File>, FsError> {
        DiskFs.open_write(path)
    }
    fn open_view(&self, path: &Path, mmap: bool) -> Result<Arc<FileView>, FsError> {
        DiskFs.open_view(path, mmap)
    }
    fn rename(&self, from: &Path, to: &Path) -> Result<(), FsError> {
        DiskFs.rename(from, to)
    }
    fn remove(&self, path: &Path) -> Result<(), FsError> {
        DiskFs.remove(path)
    }
    fn remove_dir(&self, path: &Path) -> Result<(), FsError> {
        DiskFs.remove_dir(path)
    }
    fn hard_link(&self, from: &Path, to: &Path) -> Result<(), FsError> {
        DiskFs.hard_link(from, to)
    }
    fn create_dir_all(&self, path: &Path) -> Result<(), FsError> {
        DiskFs.create_dir_all(path)
    }
    fn list(&self, dir: &Path) -> Result<Vec<String>, FsError> {
        DiskFs.list(dir)
    }
    fn exists(&self, path: &Path) -> Result<bool, FsError> {
        DiskFs.exists(path)
    }
    fn file_len(&self, path: &Path) -> Result<u64, FsError> {
        DiskFs.file_len(path)
    }
    fn sync_dir(&self, dir: &Path) -> Result<(), FsError> {
        DiskFs.sync_dir(dir)
    }
    fn available_bytes(&self, _dir: &Path) -> Result<u64, FsError> {
        Ok(self.0.load(Ordering::Acquire))
    }
    fn is_of_system(&self) -> bool {
        true
    }
    fn try_lock(&self, path: &Path) -> Result<Box<dyn LockGuard>, FsError> {
        DiskFs.try_lock(path)
    }
}

#[test]
fn a_full_disk_refuses_and_goes_on_when_there_is_space() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let fs = Arc::new(Narrow(AtomicU64::new(u64::MAX)));
    let records = Records::open(RecordOptions {
        fs: fs.clone(),
        ..options(Some(folder.path()))
    });
    records.write_logs(&[log(1)], 0).expect("a write");
    fs.0.store(1 << 20, Ordering::Release);
    for _ in 0..2 {
        let refused = records.write_logs(&[log(2)], 0).expect_err("no space");
        assert!(matches!(refused, RecordError::OutOfSpace(_)), "{refused}");
    }
    let count = || records.query_logs(&LogQuery::new(..)).expect("a page").logs.len();
    assert_eq!(count(), 1, "reads go on");
    fs.0.store(u64::MAX, Ordering::Release);
    records.write_logs(&[log(2)], 0).expect("a write");
    assert_eq!(count(), 2);
}

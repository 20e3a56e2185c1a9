//! The seam on both file systems, and what the simulated one loses.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;

fn both() -> Vec<(Arc<dyn Fs>, PathBuf, Option<tempfile::TempDir>)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    vec![
        (Arc::new(DiskFs), path, Some(folder)),
        (Arc::new(SimFs::new()), PathBuf::from("db"), None),
    ]
}

fn read_all(fs: &dyn Fs, path: &Path) -> Vec<u8> {
    read_file(fs, path).unwrap()
}

#[test]
fn files_are_created_written_renamed_listed_and_removed() {
    for (fs, dir, _guard) in both() {
        fs.create_dir_all(&dir.join("deep")).unwrap();
        let path = dir.join("b");
        let file = fs.create_new(&path).unwrap();
        assert!(fs.create_new(&path).unwrap_err().is_already_exists());
        file.write_at(3, b"abc").unwrap();
        file.preallocate(8).unwrap();
        file.preallocate(4).unwrap();
        assert_eq!(file.size().unwrap(), 8);
        assert_eq!(read_all(&*fs, &path), b"\0\0\0abc\0\0");
        file.set_len(5).unwrap();
        file.set_len(6).unwrap();
        file.sync_data().unwrap();
        assert_eq!(read_all(&*fs, &path), b"\0\0\0ab\0");

        let error = file.read_at(4, &mut [0; 3]).unwrap_err();
        assert_eq!(error.source.kind(), std::io::ErrorKind::UnexpectedEof);
        assert!(error.to_string().contains("offset 4"), "{error}");

        fs.rename(&path, &dir.join("a")).unwrap();
        fs.sync_dir(&dir).unwrap();
        assert_eq!(fs.list(&dir).unwrap(), ["a", "deep"]);
        assert!(!fs.exists(&path).unwrap());
        assert_eq!(fs.file_len(&dir.join("a")).unwrap(), 6);
        fs.hard_link(&dir.join("a"), &dir.join("c")).unwrap();
        fs.remove(&dir.join("a")).unwrap();
        assert_eq!(read_all(&*fs, &dir.join("c")), b"\0\0\0ab\0");
        assert!(fs.remove(&dir.join("a")).unwrap_err().is_not_found());
        assert!(fs.open_read(&dir.join("a")).unwrap_err().is_not_found());
        assert!(fs.remove_dir(&dir).is_err());
        fs.remove_dir(&dir.join("deep")).unwrap();
        assert!(fs.available_bytes(&dir).unwrap() > 0);
    }
}

#[test]
fn a_view_gives_bytes_and_refuses_ranges_beyond_the_end() {
    for (fs, dir, _guard) in both() {
        fs.create_dir_all(&dir).unwrap();
        let path = dir.join("file");
        let content: Vec<u8> = (0..300_000u32).map(|i| (i % 251) as u8).collect();
        write_file(&fs, &path, &content).unwrap();
        for mmap in [false, true] {
            let view = fs.open_view(&path, mmap).unwrap();
            assert_eq!(view.size(), content.len() as u64);
            assert_eq!(&*view.bytes(65_530..131_080).unwrap(), &content[65_530..131_080]);
            assert_eq!(view.bytes(300_000..300_000).unwrap().len(), 0);
            assert!(view.bytes(299_999..300_001).is_err());
            assert!(view.bytes(u64::MAX - 1..u64::MAX).is_err());
            view.forget_probes();
            let region = view.region(10..20).unwrap();
            drop(view);
            assert_eq!(&*region.clone(), &content[10..20]);
        }
    }
}

#[test]
fn an_empty_file_has_an_empty_view() {
    for (fs, dir, _guard) in both() {
        fs.create_dir_all(&dir).unwrap();
        write_file(&fs, &dir.join("file"), b"").unwrap();
        let view = fs.open_view(&dir.join("file"), true).unwrap();
        assert!(view.bytes(0..0).unwrap().is_empty());
        assert!(view.bytes(0..1).is_err());
    }
}

/// Pages beyond the end of a file that was cut raise SIGBUS, as pages with a media error do.
#[test]
fn pages_that_cannot_be_read_are_an_error_and_not_a_signal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let fs: Arc<dyn Fs> = Arc::new(DiskFs);
    write_file(&fs, &path, &vec![7; 1 << 20]).unwrap();
    let view = fs.open_view(&path, true).unwrap();
    assert!(view.is_mapped());
    fs.open_write(&path).unwrap().set_len(100_000).unwrap();
    assert_eq!(view.bytes(0..10).unwrap()[0], 7);
    let error = view.bytes(500_000..500_001).unwrap_err();
    assert_eq!(error.source.kind(), std::io::ErrorKind::UnexpectedEof);
    assert!(view.region(0..1 << 20).is_err());
}

#[test]
fn a_folder_is_locked_once() {
    for (fs, dir, _guard) in both() {
        fs.create_dir_all(&dir).unwrap();
        let lock = FolderLock::acquire(&*fs, &dir).unwrap();
        assert!(matches!(FolderLock::acquire(&*fs, &dir), Err(LockError::Held(_))));
        drop(lock);
        FolderLock::acquire(&*fs, &dir).unwrap();
    }
}

#[test]
fn a_file_written_whole_is_there_as_a_whole_or_not_at_all() {
    let sim = SimFs::new();
    let fs: Arc<dyn Fs> = Arc::new(sim.clone());
    let path = Path::new("file");
    write_file(&fs, path, &[1; 5000]).unwrap();
    sim.record(Record::Changes);
    let mut file = AtomicFile::create(&fs, path).unwrap();
    for _ in 0..500 {
        file.write(&[2; 1000]).unwrap();
    }
    file.patch(0, &[2; 10]).unwrap();
    assert_eq!(file.offset(), 500_000);
    assert_eq!(file.finish().unwrap(), 500_000);
    let points = sim.take_crash_points();
    assert!(points.iter().filter(|point| point.is_after).count() == 2);
    for point in &points {
        for seed in 0..20 {
            for mode in CrashMode::ALL {
                let content = read_all(&point.crash(seed, mode), path);
                assert!(content == [1; 5000] || content == [2; 500_000], "{mode:?} {seed}");
            }
        }
    }
    for seed in 0..20 {
        assert_eq!(read_all(&sim.crash(seed, CrashMode::Garbage), path), [2; 500_000]);
    }
}

#[test]
fn an_abandoned_or_failed_file_leaves_nothing() {
    let sim = SimFs::new();
    let fs: Arc<dyn Fs> = Arc::new(sim.clone());
    let mut file = AtomicFile::create(&fs, Path::new("file")).unwrap();
    file.write(b"abc").unwrap();
    assert_eq!(fs.list(Path::new("")).unwrap(), ["file.tmp"]);
    assert!(is_temp_name("file.tmp"));
    drop(file);
    assert!(fs.list(Path::new("")).unwrap().is_empty());
    // A name left over from a crash is no hindrance.
    fs.create_new(Path::new("file.tmp")).unwrap();
    sim.fail_all(Call::SyncData, Fault::Eio);
    assert!(write_file(&fs, Path::new("file"), b"abc").is_err());
    assert!(fs.list(Path::new("")).unwrap().is_empty());
}

#[test]
fn what_is_not_synced_may_be_lost_and_what_is_synced_may_not() {
    let sim = SimFs::new();
    let path = Path::new("file");
    let file = sim.create_new(path).unwrap();
    sim.sync_dir(Path::new("")).unwrap();
    file.write_at(0, &[1; 4096]).unwrap();
    file.sync_data().unwrap();
    file.write_at(1024, &[2; 2048]).unwrap();
    file.write_at(4096, &[3; 4096]).unwrap();

    assert_eq!(read_all(&sim.crash(0, CrashMode::LoseAll), path), [1; 4096]);
    assert_eq!(
        read_all(&sim.crash(0, CrashMode::KeepAll), path),
        read_all(&sim, path)
    );
    assert_eq!(read_all(&sim.kill(), path), read_all(&sim, path));
    let mut is_reordered = false;
    let mut is_torn = false;
    for seed in 0..200 {
        let bytes = read_all(&sim.crash(seed, CrashMode::Scatter), path);
        assert_eq!(bytes[..1024], [1; 1024]);
        assert!(
            bytes
                .chunks(512)
                .all(|sector| sector.iter().all(|byte| *byte == sector[0]))
        );
        is_reordered |= bytes.len() == 8192 && bytes[4096] == 3 && bytes[1024] == 1;
        is_torn |= bytes[1024] == 2 && bytes[2048] == 1;
        let bytes = read_all(&sim.crash(seed, CrashMode::Prefix), path);
        assert!(bytes.len() == 4096 || bytes[1024..3072] == [2; 2048]);
    }
    assert!(is_reordered && is_torn);
}

#[test]
fn a_name_is_lost_unless_its_folder_was_synced() {
    let sim = SimFs::new();
    sim.create_dir_all(Path::new("db/wal")).unwrap();
    let file = sim.create_new(Path::new("db/wal/1")).unwrap();
    file.write_at(0, b"x").unwrap();
    file.sync_data().unwrap();
    sim.sync_dir(Path::new("db/wal")).unwrap();
    assert!(
        sim.crash(0, CrashMode::LoseAll)
            .list(Path::new(""))
            .unwrap()
            .is_empty()
    );
    sim.sync_dir(Path::new("db")).unwrap();
    sim.sync_dir(Path::new("")).unwrap();
    sim.rename(Path::new("db/wal/1"), Path::new("db/wal/2")).unwrap();
    let names = |fs: SimFs| fs.list(Path::new("db/wal")).unwrap();
    assert_eq!(names(sim.crash(0, CrashMode::LoseAll)), ["1"]);
    assert_eq!(names(sim.crash(0, CrashMode::KeepAll)), ["2"]);
    sim.remove(Path::new("db/wal/2")).unwrap();
    sim.sync_dir(Path::new("db/wal")).unwrap();
    assert!(names(sim.crash(0, CrashMode::LoseAll)).is_empty());
    // The open handle keeps the bytes of a file without a name.
    let mut byte = [0];
    file.read_at(0, &mut byte).unwrap();
    assert_eq!(&byte, b"x");
    drop(file);
    assert_eq!(sim.used_bytes(), 0);
}

#[test]
fn a_folder_is_renamed_with_what_it_contains() {
    for (fs, dir, _guard) in both() {
        let (old, new) = (dir.join("old"), dir.join("new"));
        fs.create_dir_all(&old.join("deep")).unwrap();
        write_file(&fs, &old.join("deep/file"), b"x").unwrap();
        fs.rename(&old, &new).unwrap();
        assert_eq!(fs.list(&dir).unwrap(), ["new"]);
        assert_eq!(read_all(&*fs, &new.join("deep/file")), b"x");
        assert!(fs.list(&old).is_err());
    }
}

#[test]
fn a_failed_sync_loses_bytes_that_a_second_one_does_not_bring_back() {
    let sim = SimFs::new();
    let file = sim.create_new(Path::new("file")).unwrap();
    sim.sync_dir(Path::new("")).unwrap();
    file.write_at(0, b"lost").unwrap();
    sim.fail_nth(sim.call_count(), Fault::Eio);
    assert!(file.sync_data().is_err());
    file.write_at(4, b"kept").unwrap();
    file.sync_data().unwrap();
    assert_eq!(read_all(&sim, Path::new("file")), b"lostkept");
    assert_eq!(
        read_all(&sim.crash(0, CrashMode::KeepAll), Path::new("file")),
        b"\0\0\0\0kept"
    );
}

#[test]
fn a_full_disk_refuses_and_resumes() {
    let sim = SimFs::new();
    sim.set_capacity(Some(100));
    let file = sim.create_new(Path::new("file")).unwrap();
    let error = file.preallocate(101).unwrap_err();
    assert!(error.is_out_of_space(), "{error}");
    file.preallocate(100).unwrap();
    assert_eq!(sim.available_bytes(Path::new("")).unwrap(), 0);
    file.write_at(0, &[1; 100]).unwrap();
    assert!(file.write_at(50, &[1; 51]).unwrap_err().is_out_of_space());
    sim.set_capacity(None);
    file.write_at(50, &[1; 51]).unwrap();
    sim.fail_nth(sim.call_count(), Fault::ShortRead);
    assert!(file.read_at(0, &mut [0]).is_err());
    file.read_at(0, &mut [0]).unwrap();
    assert_eq!(sim.count(Call::Preallocate), 2);
}

//! Power losses, kills and recoveries at random moments, and writers side by side.

use std::path::Path;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::*;
use crate::io::{CrashMode, DiskFs, Record as When};

fn ops(count: usize) -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        8 => (0usize..1500).prop_map(Op::Append),
        3 => Just(Op::Sync),
        1 => Just(Op::Mark),
        1 => Just(Op::Rotate),
    ];
    proptest::collection::vec(op, 1..count)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn every_crash_point_gives_back_what_was_durable(script in ops(60), seed: u64) {
        let (sim, fs) = sim();
        let mut wal = writer(&fs);
        let mut truth = Truth::new();
        sim.record(When::Changes);
        run(&mut wal, &sim, &script, 0, &mut truth);
        for (index, point) in sim.take_crash_points().iter().enumerate() {
            for mode in CrashMode::ALL {
                check(&point.crash(seed ^ index as u64, mode), &truth, point.tag);
            }
        }
        check(&sim.kill(), &truth, wal.next_lsn() - 1);
    }

    #[test]
    fn recoveries_follow_each_other(
        runs in proptest::collection::vec((ops(30), 0usize..6, any::<u64>()), 1..8),
    ) {
        let (mut sim, mut fs) = sim();
        let mut wal = writer(&fs);
        let mut truth = Truth::new();
        for (generation, (script, mode, seed)) in runs.iter().enumerate() {
            run(&mut wal, &sim, script, generation as u64, &mut truth);
            let durable = wal.commit().durable_lsn();
            // The sixth mode is the death of the process.
            sim = CrashMode::ALL.get(*mode).map_or_else(|| sim.kill(), |mode| sim.crash(*seed, *mode));
            fs = Arc::new(sim.clone());
            let replayed = check(&*fs, &truth, durable);
            truth.split_off(&replayed.next_lsn);
            wal = replayed.resume(&fs, Path::new(DIR), options(*seed)).unwrap();
            // What was shown after a recovery stays, and showing it again is the same.
            check(&sim.crash(*seed, CrashMode::LoseAll), &truth, replayed.next_lsn - 1);
        }
    }

    #[test]
    fn arbitrary_files_are_read_without_a_panic(
        files in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..9000), 0..4),
    ) {
        let (_, fs) = sim();
        for (sequence, bytes) in files.iter().enumerate() {
            let file = fs.create_new(&Path::new(DIR).join(file_name(sequence as u64))).unwrap();
            file.write_at(0, bytes).unwrap();
        }
        let (kept, _) = read_back(&*fs);
        prop_assert!(kept.records.is_empty());
    }
}

#[test]
fn a_log_that_is_being_written_can_be_read() {
    let (sim, fs) = sim();
    let mut wal = writer(&fs);
    let mut truth = Truth::new();
    for round in 0..200 {
        run(&mut wal, &sim, &[Op::Append(round * 7), Op::Sync], 0, &mut truth);
        check(&sim, &truth, wal.next_lsn() - 1);
    }
}

#[test]
fn large_and_empty_records_pass_and_larger_ones_are_refused() {
    let (sim, fs) = sim();
    let mut wal = writer(&fs);
    let mut truth = Truth::new();
    run(
        &mut wal,
        &sim,
        &[Op::Append(0), Op::Append(3 << 20), Op::Append(1)],
        0,
        &mut truth,
    );
    check(&sim, &truth, 3);
    let refused = wal.append(1, &vec![0; MAX_PAYLOAD_BYTES + 1]);
    assert!(matches!(refused, Err(WalError::TooLarge { .. })));
}

#[test]
fn many_writers_share_syncs_and_all_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let fs: Arc<dyn Fs> = Arc::new(DiskFs);
    let wal = Mutex::new(WalWriter::create(&fs, dir, options(0), 1, 1).unwrap());
    let commit = Arc::clone(wal.lock().unwrap().commit());
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let (wal, commit) = (&wal, &commit);
            scope.spawn(move || {
                for index in 0..50 {
                    let bytes = payload(thread, index, 100 + index as usize);
                    let lsn = {
                        let mut wal = wal.lock().unwrap();
                        if wal.needs_rotation() {
                            wal.rotate().unwrap();
                        }
                        wal.append(kind_of(&bytes), &bytes).unwrap()
                    };
                    commit.wait_durable(lsn).unwrap();
                    assert!(commit.durable_lsn() >= lsn);
                }
            });
        }
    });
    let mut kept = Kept::default();
    let replayed = replay(&*fs, dir, START, &mut kept).unwrap();
    assert_eq!(replayed.next_lsn, 201);
    assert_eq!(kept.records.len(), 200);
    assert_eq!(replayed.gaps, []);
}

#[test]
fn names_are_fixed_width() {
    assert_eq!(file_name(7), "wal-0000000000000007.log");
    assert_eq!(parse_file_name(&file_name(123)), Some(123));
    for name in [
        "wal-7.log",
        "wal-0000000000000007.log.tmp",
        "wal-+000000000000007.log",
        "LOCK",
    ] {
        assert_eq!(parse_file_name(name), None);
    }
}

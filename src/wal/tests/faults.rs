//! Full disks, failing calls and failing syncs.

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::io::{Call, CrashMode, Fault};

#[test]
fn a_full_disk_refuses_leaves_nothing_and_resumes() {
    let (sim, fs) = sim();
    let mut wal = writer(&fs);
    let mut truth = Truth::new();
    run(&mut wal, &sim, &[Op::Append(100)], 0, &mut truth);
    sim.set_capacity(Some(sim.used_bytes()));
    let big = payload(0, 2, 6000);
    assert!(matches!(
        wal.append(kind_of(&big), &big),
        Err(WalError::OutOfSpace(_))
    ));
    assert!(matches!(wal.rotate(), Err(WalError::OutOfSpace(_))));
    check(&sim.kill(), &truth, 1);
    sim.set_capacity(None);
    run(
        &mut wal,
        &sim,
        &[Op::Append(6000), Op::Rotate, Op::Append(1)],
        0,
        &mut truth,
    );
    check(&sim.kill(), &truth, 3);

    // The file system is full in spite of the reservation: half the record is written and taken back.
    sim.fail_nth(sim.call_count(), Fault::Enospc);
    assert!(matches!(wal.append(1, &[]), Err(WalError::OutOfSpace(_))));
    check(&sim.kill(), &truth, 3);
    run(&mut wal, &sim, &[Op::Append(9), Op::Sync], 0, &mut truth);
    check(&sim.crash(0, CrashMode::LoseAll), &truth, 4);
}

#[test]
fn a_full_disk_at_opening_can_be_tried_again() {
    let (sim, fs) = sim();
    let mut wal = writer(&fs);
    let mut truth = Truth::new();
    run(&mut wal, &sim, &[Op::Append(100)], 0, &mut truth);
    let replayed = check(&sim, &truth, 0);
    sim.set_capacity(Some(sim.used_bytes()));
    let resumed = replayed.resume(&fs, Path::new(DIR), options(1));
    assert!(matches!(resumed, Err(WalError::OutOfSpace(_))));
    assert_eq!(fs.list(Path::new(DIR)).unwrap().len(), 1);
    sim.set_capacity(None);
    assert_eq!(
        replayed
            .resume(&fs, Path::new(DIR), options(1))
            .unwrap()
            .next_lsn(),
        2
    );
}

#[test]
fn a_failed_sync_poisons_and_reopening_tells_the_truth() {
    let (sim, fs) = sim();
    let mut wal = writer(&fs);
    let mut truth = Truth::new();
    run(
        &mut wal,
        &sim,
        &[Op::Append(700), Op::Sync, Op::Append(2000), Op::Append(9)],
        0,
        &mut truth,
    );
    sim.fail_nth(sim.call_count(), Fault::Eio);
    let commit = Arc::clone(wal.commit());
    assert!(matches!(commit.wait_durable(2), Err(WalError::Poisoned(_))));
    assert!(matches!(commit.wait_durable(3), Err(WalError::Poisoned(_))));
    assert!(matches!(commit.sync_now(), Err(WalError::Poisoned(_))));
    assert!(matches!(wal.append(1, &[]), Err(WalError::Poisoned(_))));
    assert!(matches!(wal.rotate(), Err(WalError::Poisoned(_))));
    commit.wait_durable(1).unwrap();
    assert_eq!(commit.durable_lsn(), 1);

    // The page cache still shows the records, though their bytes never reached the disk.
    let sim = sim.kill();
    let fs: Arc<dyn Fs> = Arc::new(sim.clone());
    let replayed = check(&sim, &truth, 3);
    drop(replayed.resume(&fs, Path::new(DIR), options(1)).unwrap());
    check(&sim.crash(0, CrashMode::LoseAll), &truth, 3);
}

#[test]
fn every_call_fails_once_and_nothing_promised_is_lost() {
    let script: Vec<usize> = (0..60).map(|i| i * 37 % 1100).collect();
    let workload =
        |sim: &SimFs, acknowledged: &mut Lsn, refused: &mut Vec<Vec<u8>>| -> Result<(), WalError> {
            let fs: Arc<dyn Fs> = Arc::new(sim.clone());
            let mut wal = WalWriter::create(&fs, Path::new(DIR), options(0), 1, 1)?;
            for (index, length) in script.iter().enumerate() {
                let bytes = payload(index as u64, 0, length + 8);
                match wal.append(kind_of(&bytes), &bytes) {
                    Err(WalError::OutOfSpace(_)) => refused.push(bytes),
                    other => drop(other?),
                }
                if index % 3 == 0 {
                    *acknowledged = wal.commit().sync_now()?;
                }
                if wal.needs_rotation() {
                    match wal.rotate() {
                        Err(WalError::OutOfSpace(_)) => {}
                        other => other?,
                    }
                }
            }
            Ok(())
        };
    let (calm, _) = sim();
    let before = calm.call_count();
    workload(&calm, &mut 0, &mut Vec::new()).unwrap();
    for index in before..calm.call_count() {
        for fault in [Fault::Eio, Fault::Enospc, Fault::ShortRead] {
            let (sim, _) = sim();
            sim.fail_nth(index, fault);
            let (mut acknowledged, mut refused) = (0, Vec::new());
            let result = workload(&sim, &mut acknowledged, &mut refused);
            assert!(result.is_ok() || !matches!(result, Err(WalError::TooLarge { .. })));
            for sim in [
                sim.kill(),
                sim.crash(index, CrashMode::LoseAll),
                sim.crash(index, CrashMode::Scatter),
            ] {
                let (kept, replayed) = read_back(&sim);
                assert_eq!(replayed.gaps, []);
                assert!(replayed.next_lsn > acknowledged);
                assert!(kept.records.values().all(|bytes| !refused.contains(bytes)));
            }
        }
    }
}

#[test]
fn waiters_wake_with_the_error_of_their_leader() {
    let (sim, fs) = sim();
    let mut wal = writer(&fs);
    let lsn = wal.append(1, &[]).unwrap();
    sim.fail_all(Call::SyncData, Fault::Eio);
    std::thread::scope(|scope| {
        let waiters: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| wal.commit().wait_durable(lsn)))
            .collect();
        for waiter in waiters {
            assert!(matches!(waiter.join().unwrap(), Err(WalError::Poisoned(_))));
        }
    });
    assert_eq!(sim.count(Call::SyncData), 2);
}

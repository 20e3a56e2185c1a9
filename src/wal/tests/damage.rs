//! Broken bytes, lost files and unreadable ones.

use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::io::Fault;
use crate::wal::frame::{FILE_HEADER_BYTES, FILE_HEADER_OFFSETS, RECORDS_START, RecordHeader, record_bytes};

#[derive(Debug)]
struct Place {
    path: PathBuf,
    start: u64,
    end: u64,
    lsn: Lsn,
    durable: Lsn,
}

/// Where every record stands.
fn places(fs: &dyn Fs) -> Vec<Place> {
    let mut places = Vec::new();
    for (_, path) in list_files(fs, Path::new(DIR)).unwrap() {
        let header = scan::read_file_header(fs, &path, frame::FileKind::Log)
            .unwrap()
            .unwrap();
        let mut frames = scan::Frames::open(fs, &path, &header).unwrap();
        let mut start = RECORDS_START;
        while let Some(record) = frames.header(start).unwrap() {
            let end = start + record.record_bytes() as u64;
            let (lsn, durable) = (record.lsn, record.durable_lsn);
            places.push(Place {
                path: path.clone(),
                start,
                end,
                lsn,
                durable,
            });
            start = end;
        }
    }
    places
}

/// Two files, the second with records of which only some are known to be durable.
fn two_files() -> (SimFs, Vec<Place>, Truth) {
    let (sim, fs) = sim();
    let mut wal = writer(&fs);
    let mut truth = Truth::new();
    use Op::{Append, Mark, Rotate, Sync};
    let script = [
        Append(5),
        Append(0),
        Sync,
        Append(100),
        Rotate,
        Append(30),
        Append(41),
        Sync,
        Append(8),
        Append(90),
        Sync,
        Mark,
        Append(12),
        Append(20),
    ];
    run(&mut wal, &sim, &script, 0, &mut truth);
    let places = places(&sim);
    assert_eq!(places.len() as u64, wal.next_lsn() - 1);
    (sim, places, truth)
}

#[test]
fn any_flipped_byte_loses_its_record_only_and_is_reported_below_the_durable_end() {
    let (sim, places, truth) = two_files();
    let second_start = 4;
    for damaged in &places {
        for offset in damaged.start..damaged.end {
            let broken = sim.kill();
            broken.flip(&damaged.path, offset, 1 << (offset % 8)).unwrap();
            let (kept, replayed) = read_back(&broken);
            let others = places.iter().filter(|place| place.lsn != damaged.lsn);
            let promised = others
                .map(|place| place.durable)
                .max()
                .unwrap()
                .max(second_start - 1);
            let mut expected: BTreeMap<_, _> = truth
                .iter()
                .filter_map(|(lsn, bytes)| Some((*lsn, bytes.clone()?)))
                .collect();
            if damaged.lsn <= promised {
                expected.remove(&damaged.lsn);
                assert_eq!(replayed.gaps, kept.gaps);
                let [gap] = &kept.gaps[..] else {
                    panic!("{:?}", kept.gaps)
                };
                assert_eq!(
                    (&gap.path, gap.lsns.clone()),
                    (&damaged.path, damaged.lsn..damaged.lsn + 1)
                );
                assert!(gap.offsets.contains(&offset));
                assert_eq!(replayed.next_lsn, places.len() as u64 + 1);
            } else {
                expected.split_off(&damaged.lsn);
                assert_eq!(kept.gaps, []);
                assert_eq!(replayed.next_lsn, damaged.lsn);
                assert!(replayed.tail.unwrap().offsets.contains(&offset));
            }
            assert_eq!(kept.records, expected);
        }
    }
}

proptest! {
    /// Whatever is overwritten: every LSN is either read as it was written, or in a gap, or behind the end.
    #[test]
    fn overwritten_ranges_never_invent_and_never_hide(
        damage in proptest::collection::vec((0usize..2, 0u64..900, 1usize..200, any::<bool>()), 1..5),
        fill: u8,
    ) {
        let (sim, _, truth) = two_files();
        let files = list_files(&sim, Path::new(DIR)).unwrap();
        for (file, offset, length, is_header) in damage {
            let start = if is_header { offset % 4200 } else { RECORDS_START + offset };
            sim.open_write(&files[file].1).unwrap().write_at(start, &vec![fill; length]).unwrap();
        }
        let (kept, replayed) = read_back(&sim);
        prop_assert_eq!(&kept.gaps.is_empty(), &replayed.gaps.is_empty());
        for (lsn, bytes) in truth.range(..replayed.next_lsn) {
            let gaps = kept.gaps.iter().filter(|gap| gap.lsns.contains(lsn)).count();
            match kept.records.get(lsn) {
                Some(read) => prop_assert_eq!((Some(read), gaps), (bytes.as_ref(), 0)),
                None => prop_assert!(gaps == 1 || gaps == 0 && bytes.is_none()),
            }
        }
        prop_assert!(kept.records.keys().all(|lsn| truth.contains_key(lsn)));
    }
}

#[test]
fn a_flipped_byte_in_a_file_header_loses_nothing() {
    let (sim, _, truth) = two_files();
    for (_, path) in list_files(&sim, Path::new(DIR)).unwrap() {
        for start in FILE_HEADER_OFFSETS {
            for offset in start..start + FILE_HEADER_BYTES as u64 {
                let broken = sim.kill();
                broken.flip(&path, offset, 4).unwrap();
                check(&broken, &truth, truth.len() as u64);
            }
        }
    }
}

#[test]
fn a_file_without_header_or_a_missing_file_is_a_gap() {
    let (sim, fs) = sim();
    let mut wal = writer(&fs);
    let mut truth = Truth::new();
    use Op::{Append, Rotate};
    let script = [
        Append(5),
        Append(6),
        Rotate,
        Append(7),
        Append(8),
        Rotate,
        Append(9),
    ];
    run(&mut wal, &sim, &script, 0, &mut truth);
    let files = list_files(&sim, Path::new(DIR)).unwrap();
    for is_removed in [false, true] {
        for (index, lost) in [1..3, 3..5].into_iter().enumerate() {
            let broken = sim.kill();
            if is_removed {
                broken.remove(&files[index].1).unwrap();
            } else {
                for offset in FILE_HEADER_OFFSETS {
                    broken.flip(&files[index].1, offset + 9, 1).unwrap();
                }
            }
            let (kept, replayed) = read_back(&broken);
            assert_eq!(replayed.gaps.len(), 1);
            assert_eq!(replayed.gaps[0].lsns, lost);
            assert_eq!(replayed.next_lsn, 6);
            assert_eq!(kept.records.len(), 3);
        }
    }
    // Nothing says how many records the last file had; none of their numbers is given out again.
    let broken = sim.kill();
    for offset in FILE_HEADER_OFFSETS {
        broken.flip(&files[2].1, offset + 9, 1).unwrap();
    }
    let (kept, replayed) = read_back(&broken);
    assert_eq!(kept.records.len(), 4);
    assert_eq!(replayed.gaps[0].lsns.start, 5);
    assert!(replayed.next_lsn > 6);
    assert_eq!(replayed.next_sequence, 4);
    let fs: Arc<dyn Fs> = Arc::new(broken);
    drop(replayed.resume(&fs, Path::new(DIR), options(1)).unwrap());
    assert_eq!(read_back(&*fs).1.gaps[0].lsns, replayed.gaps[0].lsns);

    let mut kept = Kept::default();
    let from = ReplayFrom {
        sequence: 9,
        lsn: 100,
    };
    let replayed = replay(&*fs, Path::new(DIR), from, &mut kept).unwrap();
    assert_eq!(replayed.gaps.len(), 1);
    assert_eq!(replayed.next_lsn, 100);
}

#[test]
fn a_replay_may_start_in_the_middle() {
    let (sim, places, truth) = two_files();
    for lsn in 1..=truth.len() as u64 {
        for sequence in [0, 1, 2] {
            let mut kept = Kept::default();
            let replayed = replay(&sim, Path::new(DIR), ReplayFrom { sequence, lsn }, &mut kept).unwrap();
            let is_missing = sequence == 2 && lsn < 4;
            assert_eq!(replayed.gaps.len(), usize::from(is_missing));
            let first = if is_missing { 4 } else { lsn };
            let expected = truth.range(first..).filter(|(_, bytes)| bytes.is_some()).count();
            assert_eq!(kept.records.len(), expected);
        }
    }
    assert_eq!(remove_below(&sim, Path::new(DIR), 2).unwrap(), places[2].end);
    assert_eq!(list_files(&sim, Path::new(DIR)).unwrap().len(), 1);
}

#[test]
fn a_failed_read_stops_the_replay_and_drops_nothing() {
    let (sim, _, truth) = two_files();
    let calm = sim.kill();
    check(&calm, &truth, truth.len() as u64);
    for index in 0..calm.call_count() {
        for fault in [Fault::Eio, Fault::ShortRead] {
            let broken = sim.kill();
            broken.fail_nth(index, fault);
            let result = replay(&broken, Path::new(DIR), START, &mut Kept::default());
            assert!(matches!(result, Err(ReplayError::Fs(_))), "{index}");
            check(&broken, &truth, truth.len() as u64);
        }
    }
}

/// Bytes of an earlier file stand where a new one was reserved: same place, same numbers, another epoch.
#[test]
fn recycled_bytes_are_no_records() {
    let (sim, fs) = sim();
    let mut wal = writer(&fs);
    run(
        &mut wal,
        &sim,
        &[Op::Append(10), Op::Append(20)],
        0,
        &mut Truth::new(),
    );
    let path = Path::new(DIR).join(file_name(1));
    let old = fs.open_view(&path, false).unwrap();
    let records = old.bytes(RECORDS_START..RECORDS_START + 1000).unwrap();
    let (_, fs) = super::sim();
    drop(WalWriter::create(&fs, Path::new(DIR), options(1), 1, 1).unwrap());
    fs.open_write(&path)
        .unwrap()
        .write_at(RECORDS_START, &records)
        .unwrap();
    let (kept, replayed) = read_back(&*fs);
    assert!(kept.records.is_empty());
    assert_eq!(replayed.next_lsn, 1);
    assert_eq!(replayed.gaps, []);
    let tail_end = (record_bytes(10) + record_bytes(20)) as u64 + RECORDS_START;
    assert_eq!(replayed.tail.unwrap().offsets.start, RECORDS_START);
    assert!(RecordHeader::decode(&records, 0, tail_end).is_none());
}

#[test]
fn a_checkpoint_comes_back_and_damage_is_a_gap() {
    let (sim, fs) = sim();
    let path = Path::new("checkpoint");
    let mut checkpoint = CheckpointWriter::create(&fs, path, &options(3), 7, 42).unwrap();
    for lsn in 1..=50 {
        let bytes = payload(0, lsn, 60);
        checkpoint.append(kind_of(&bytes), &bytes).unwrap();
    }
    let length = checkpoint.finish().unwrap();
    assert_eq!(length, RECORDS_START + 50 * record_bytes(60) as u64);
    let mut kept = Kept::default();
    let read = read_checkpoint(&sim, path, &mut kept).unwrap();
    assert_eq!((read.sequence, read.records), (7, 50));
    assert_eq!((kept.records.len(), read.gaps.len()), (50, 0));

    for index in [0, 17, 49] {
        let broken = sim.kill();
        broken
            .flip(path, RECORDS_START + index * record_bytes(60) as u64 + 40, 1)
            .unwrap();
        let mut kept = Kept::default();
        let read = read_checkpoint(&broken, path, &mut kept).unwrap();
        assert_eq!(read.gaps[0].lsns, index + 1..index + 2);
        assert_eq!(kept.records.len(), 49);
    }
    fs.open_write(path)
        .unwrap()
        .set_len(RECORDS_START + 1000)
        .unwrap();
    let read = read_checkpoint(&sim, path, &mut Kept::default()).unwrap();
    assert_eq!(read.gaps[0].lsns, 11..51);
    for offset in FILE_HEADER_OFFSETS {
        sim.flip(path, offset, 1).unwrap();
    }
    assert!(matches!(
        read_checkpoint(&sim, path, &mut Kept::default()),
        Err(ReplayError::Fs(_))
    ));
}

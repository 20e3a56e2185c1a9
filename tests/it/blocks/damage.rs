//! Damaged blocks: named, and nothing of them is taken in.

use super::{OUT, all, assert_same_bits, export, fill, open};
use crate::world;
use narthex::testing::SimFs;
use narthex::{BlockImportOptions, Error, Fs, labels};
use std::path::PathBuf;

fn import(fs: &SimFs, name: &str, skip: bool) -> Result<narthex::BlockImport, Error> {
    let options = BlockImportOptions::default().skip_damaged(skip);
    open(fs, name).import_blocks(&[OUT], &options, &mut |_| {})
}

#[test]
fn damage_is_named_and_ends_the_import_before_its_block() {
    let fs = SimFs::new();
    let db = open(&fs, "db");
    fill(&db);
    let blocks = export(&db).blocks;
    let files: [PathBuf; 4] = [
        blocks[1].join("index"),
        blocks[1].join("chunks/000001"),
        blocks[1].join("tombstones"),
        blocks[1].join("meta.json"),
    ];
    for (number, file) in files.iter().enumerate() {
        let length = fs.file_len(file).expect("a length");
        let (offset, mask) = match number {
            3 => (0, 0x20),
            _ => (length / 2, 0x04),
        };
        fs.flip(file, offset, mask).expect("a flip");
        match import(&fs, &format!("stops-{number}"), false) {
            Err(Error::Corrupt(fault)) => assert_eq!(&fault.file, file, "{fault}"),
            other => panic!("{other:?}"),
        }
        let name = format!("skips-{number}");
        let passed = import(&fs, &name, true).expect("the others");
        assert_eq!((passed.blocks, passed.faults.len()), (3, 1), "{passed:?}");
        assert!(
            passed.faults[0].contains(file.to_str().expect("a path")),
            "{passed:?}"
        );
        assert!(!passed.is_whole());
        fs.flip(file, offset, mask).expect("a flip");
        // Once it is sound again, it is taken in and nothing else.
        let healed = import(&fs, &name, false).expect("an import");
        assert_eq!((healed.blocks, healed.blocks_known), (1, 3));
        assert_same_bits(&all(&open(&fs, &name)), &all(&db));
    }
    // What was taken in of a database that stopped is whole blocks.
    let first = super::START..=super::START + 4 * super::HOUR;
    let stopped = all(&open(&fs, "stops-0"));
    let until = stopped
        .iter()
        .flat_map(|series| &series.1)
        .map(|sample| sample.timestamp)
        .max();
    let until = until.expect("the first block");
    assert!(first.contains(&until));
    assert_same_bits(&stopped, &world::answer(&db, &[], ..=until));
}

/// Blocks that would lack samples of a damaged segment are left out; the others are written.
#[test]
fn what_cannot_be_read_is_not_exported_in_part() {
    let fs = SimFs::new();
    let db = open(&fs, "db");
    fill(&db);
    db.flush().expect("a flush");
    let segment = db.segments()[0].file.clone();
    let later = super::START + 48 * super::HOUR;
    let mut batch = db.batch();
    for tick in 0..100 {
        batch.push(
            &labels! { "__name__" => "later" },
            later + tick * 60_000,
            tick as f64,
        );
    }
    batch.commit().expect("a commit");
    db.flush().expect("a flush");
    let wanted = world::answer(&db, &[], later..);
    drop(db);
    let length = fs.file_len(&segment).expect("a length");
    let mut left_out = 0;
    for part in 1..10 {
        let offset = length * part / 10;
        fs.flip(&segment, offset, 0x08).expect("a flip");
        let out = format!("out-{part}");
        let report = open(&fs, "db").export_blocks(&out, &[], .., &super::span(), &mut |_| {});
        fs.flip(&segment, offset, 0x08).expect("a flip");
        let Ok(report) = report else { continue };
        assert!(report.blocks.len() == 1 || report.blocks.len() == 5, "{report:?}");
        let name = segment
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a name");
        let is_named = report.faults.iter().any(|fault| fault.contains(name));
        assert_eq!(is_named, report.blocks.len() == 1, "{report:?}");
        if is_named {
            left_out += 1;
            let other = open(&fs, &format!("other-{part}"));
            super::import(&other, &out);
            assert_same_bits(&all(&other), &wanted);
        }
    }
    assert!(left_out > 2, "{left_out}");
}

//! Damaged blocks: named, and nothing of them is taken in.

use super::{OUT, all, assert_same_bits, export, fill, open};
use crate::world;
use narthex::testing::SimFs;
use narthex::{BlockImportOptions, Error, Fs};
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

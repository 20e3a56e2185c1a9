//! An export and an import that end at any moment: what has the name of a block is one, and the next run goes on.

use super::{OUT, all, assert_same_bits, export, import, open, samples};
use narthex::testing::{CrashMode, Record, SimFs};
use narthex::{Db, Fs, labels};
use std::path::Path;

/// Ten series over three blocks.
fn small(db: &Db) {
    let mut batch = db.batch();
    for number in 0..10 {
        let labels = labels! { "__name__" => "m", "number" => &number.to_string() };
        for tick in 0..40 {
            batch.push(&labels, super::START + tick * 900_000, (tick * number) as f64);
        }
    }
    batch.commit().expect("a commit");
    db.flush().expect("a flush");
    db.sync().expect("a sync");
}

fn blocks(fs: &SimFs) -> Vec<String> {
    let names = fs.list(Path::new(OUT)).unwrap_or_default();
    names.into_iter().filter(|name| name.len() == 26).collect()
}

#[test]
fn an_export_leaves_whole_blocks_or_none() {
    let fs = SimFs::new();
    let db = open(&fs, "db");
    small(&db);
    let wanted = all(&db);
    fs.record(Record::Syncs);
    let exported = export(&db);
    fs.record(Record::Nothing);
    let points = fs.take_crash_points();
    assert!(points.len() > 50, "{} syncs", points.len());
    let mut seen = std::collections::BTreeSet::new();
    for (seed, point) in points.iter().enumerate() {
        let image = match seed % 3 {
            0 => point.kill(),
            1 => point.crash(seed as u64, CrashMode::LoseAll),
            _ => point.crash(seed as u64, CrashMode::Scatter),
        };
        let found = blocks(&image);
        seen.insert(found.len());
        let other = open(&image, "other");
        if !found.is_empty() {
            let imported = import(&other, OUT);
            assert!(imported.is_whole() && imported.notes.is_empty(), "{imported:?}");
            assert_eq!(imported.blocks, found.len());
        }
        // The next run ends it, and nothing is left of the first one.
        let again = export(&open(&image, "db"));
        assert_eq!(again.blocks_known, found.len());
        let names = image.list(Path::new(OUT)).expect("a folder");
        assert_eq!(names.len(), exported.blocks.len());
        import(&other, OUT);
        assert_same_bits(&all(&other), &wanted);
    }
    assert!(seen.len() >= exported.blocks.len(), "{seen:?}");
}

#[test]
fn an_import_is_begun_again() {
    let fs = SimFs::new();
    let db = open(&fs, "db");
    small(&db);
    export(&db);
    let wanted = all(&db);
    let other = open(&fs, "other");
    fs.record(Record::Syncs);
    import(&other, OUT);
    fs.record(Record::Nothing);
    let mut known = std::collections::BTreeSet::new();
    for (seed, point) in fs.take_crash_points().iter().enumerate() {
        let image = point.crash(seed as u64, CrashMode::LoseAll);
        let other = open(&image, "other");
        let imported = import(&other, OUT);
        assert!(imported.is_whole(), "{imported:?}");
        // Whatever the journal names was durable before.
        known.insert(imported.blocks_known);
        assert_same_bits(&all(&other), &wanted);
        assert_eq!(samples(&all(&other)), 400);
    }
    assert!(known.len() > 2, "{known:?}");
}

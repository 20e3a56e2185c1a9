//! Damage and the doctor: a folder is damaged in more than a thousand places; reading it never gives a wrong value,
//! `verify` and the doctor name the damaged file, and a repair brings back what can be brought back and deletes nothing.
//!
//! What may go unnoticed is listed at the head of the module `corruption`, whose database is used.

use crate::corruption::{DIR, examine, files, is_last_log, make, may_go_unnoticed, options, read, sections};
use crate::play::{Dice, from_environment};
use crate::world::Truth;
use narthex::testing::{CrashMode, Record, SimFs};
use narthex::{Db, Diagnosis, Fs, Matcher, Options, Remedy};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const SEED: u64 = 20_250_311;
const PLACES: usize = 1_200;

fn name_of(path: &Path) -> String {
    path.file_name().expect("a file").to_string_lossy().into_owned()
}

/// Damages one place of a file; gives what was done in words and where, or `None` when nothing changed.
fn damage(fs: &SimFs, dice: &mut Dice, path: &Path, length: u64) -> Option<(String, u64)> {
    if dice.percent(4) {
        fs.remove(path).expect("a removal");
        return Some(("deleted".into(), 0));
    }
    let used = if dice.percent(50) {
        length
    } else {
        length.min(60_000)
    };
    let at = dice.next().checked_rem(used)?;
    if dice.percent(12) {
        let file = fs.open_write(path).expect("a file");
        file.set_len(at).expect("a cut");
        return Some((format!("cut at {at} of {length}"), at));
    }
    let run = (1 + dice.below(64) as u64).min(length - at) as usize;
    let before = read(fs, path, at, run);
    let (after, what) = if dice.percent(60) {
        let bit = dice.below(8);
        (vec![before[0] ^ 1 << bit], format!("bit {bit} flipped at {at}"))
    } else {
        (vec![0; run], format!("{run} bytes zeroed at {at}"))
    };
    if before.starts_with(&after) {
        return None;
    }
    fs.open_write(path)
        .expect("a file")
        .write_at(at, &after)
        .expect("a write");
    Some((what, at))
}

/// What opening or verifying says, in one text.
fn verified(fs: &SimFs) -> String {
    match Db::open(options(fs).read_only(true)) {
        Ok(db) => db.verify().expect("a report").faults.join("\n"),
        Err(error) => error.to_string(),
    }
}

fn reader(fs: &SimFs) -> Options {
    options(fs).read_only(true)
}

fn said(diagnosis: &Diagnosis) -> String {
    let findings = diagnosis.findings.iter();
    let lines: Vec<String> = findings
        .map(|one| format!("{} {} {:?}", one.file.display(), one.what, one.remedy))
        .collect();
    lines.join("\n")
}

/// The bytes of every file that holds data, wherever it is.
fn contents(fs: &SimFs) -> BTreeSet<Vec<u8>> {
    let mut all = BTreeSet::new();
    for dir in [DIR.to_owned(), format!("{DIR}/quarantine")] {
        let dir = Path::new(&dir);
        if !fs.exists(dir).expect("a look") {
            continue;
        }
        for name in fs.list(dir).expect("a folder") {
            let path = dir.join(&name);
            if name != "quarantine" && name != "LOCK" && !name.ends_with(".tmp") {
                let length = fs.file_len(&path).expect("a file");
                all.insert(read(fs, &path, 0, length as usize));
            }
        }
    }
    all
}

/// Repairs, and checks that this deleted nothing and left nothing to repair. Whether everything is well now.
fn repair(fs: &SimFs, what: &str) -> bool {
    let before = contents(fs);
    let diagnosis = Db::doctor(&options(fs)).unwrap_or_else(|error| panic!("{what}: {error}"));
    let repaired = diagnosis.repair();
    repaired.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(
        before.is_subset(&contents(fs)),
        "{what}: a repair deleted something"
    );
    let after = Db::doctor(&options(fs)).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(
        !after.can_repair(),
        "{what}: repaired, and still {}",
        said(&after)
    );
    after.is_sound()
}

/// How often what happened.
#[derive(Debug, Default)]
struct Tally {
    damaged: usize,
    unnoticed: usize,
    repaired: usize,
    lasting: usize,
    manifests: usize,
}

/// Damages one place of a fresh image and plays everything on it.
fn play_one(fs: &SimFs, truth: &Truth, dice: &mut Dice, tally: &mut Tally) {
    let mut data = files(fs);
    data.retain(|(path, _)| name_of(path) != "LOCK" && !name_of(path).ends_with(".json"));
    let (path, length) = dice.pick(&data).clone();
    let name = name_of(&path);
    let image = fs.kill();
    let Some((what, at)) = damage(&image, dice, &path, length) else {
        return;
    };
    let what = format!("{name}: {what}");
    tally.damaged += 1;
    let is_gone = !image.exists(&path).expect("a look");
    let is_shorter = !is_gone && image.file_len(&path).expect("a file") < length;
    let is_end_of_log = (is_gone || is_shorter) && is_last_log(fs, &path);
    let outcome = examine(&image, truth, dice.percent(50), &what);
    assert!(
        outcome.missing == 0 || outcome.is_reported || is_end_of_log,
        "{what}: {} samples missing without a word",
        outcome.missing
    );
    let diagnosis = Db::doctor(&reader(&image)).unwrap_or_else(|error| panic!("{what}: {error}"));
    let findings = said(&diagnosis);
    if diagnosis.is_sound() {
        let may_be = is_end_of_log || may_go_unnoticed(fs, &path, at);
        assert!(may_be, "{what}: the doctor finds nothing");
        tally.unnoticed += 1;
        return;
    }
    // A log file that is gone is noticed by the one behind it.
    let expected = if is_gone && name.starts_with("wal-") {
        DIR
    } else {
        &name
    };
    for report in [&verified(&image), &findings] {
        let is_missing = is_gone && name == "MANIFEST";
        assert!(
            is_missing || report.contains(expected),
            "{what}: not named in {report}"
        );
    }
    let can_all = diagnosis
        .findings
        .iter()
        .all(|finding| finding.remedy != Remedy::None);
    let is_manifest = name == "MANIFEST";
    let is_well = repair(&image, &what);
    let after = examine(&image, truth, dice.percent(50), &what);
    assert!(after.missing == 0 || after.is_reported, "{what}: after a repair");
    if can_all || is_manifest {
        assert!(
            is_well && after.missing == 0,
            "{what}: repaired, and {}",
            after.missing
        );
        tally.repaired += 1;
        tally.manifests += usize::from(is_manifest);
    } else {
        tally.lasting += 1;
    }
}

#[test]
fn a_thousand_damaged_places_are_named_and_never_answered_wrongly() {
    let seed = from_environment("NARTHEX_SEED", SEED);
    let (fs, truth) = make();
    let mut tally = Tally::default();
    for number in 0..PLACES as u64 {
        play_one(&fs, &truth, &mut Dice(seed ^ number << 32), &mut tally);
    }
    eprintln!("damage: NARTHEX_SEED={seed}: {tally:?}");
    assert!(
        tally.damaged > 1_000 && tally.unnoticed < tally.damaged / 3,
        "{tally:?}"
    );
    assert!(tally.repaired > 100 && tally.lasting > 100, "{tally:?}");
    assert!(tally.manifests > 50, "{tally:?}");
}

#[test]
fn several_damaged_places_at_once_never_give_a_wrong_value() {
    let seed = from_environment("NARTHEX_SEED", SEED) + 1;
    let (fs, truth) = make();
    let mut dice = Dice(seed);
    for _ in 0..150 {
        let image = fs.kill();
        let mut what = format!("NARTHEX_SEED={seed}");
        for _ in 0..2 + dice.below(3) {
            let (path, length) = dice.pick(&files(&image)).clone();
            if let Some((done, _)) = damage(&image, &mut dice, &path, length) {
                what += &format!(", {}: {done}", name_of(&path));
            }
        }
        examine(&image, &truth, true, &what);
        if Db::doctor(&reader(&image)).is_ok() {
            repair(&image, &what);
            examine(&image, &truth, true, &what);
        }
    }
}

fn segment(number: u64) -> PathBuf {
    Path::new(DIR).join(format!("segment-{number:016}.seg"))
}

/// A finding with that remedy is about that file.
fn assert_planned(fs: &SimFs, path: &Path, is_it: impl Fn(&Remedy) -> bool) {
    let diagnosis = Db::doctor(&reader(fs)).expect("an examination");
    let mut about = diagnosis.findings.iter().filter(|one| one.file == path);
    assert!(about.any(|one| is_it(&one.remedy)), "{}", said(&diagnosis));
}

fn assert_whole(fs: &SimFs, truth: &Truth, what: &str) {
    let outcome = examine(fs, truth, true, what);
    assert_eq!((outcome.missing, outcome.is_noticed), (0, false), "{what}");
}

#[test]
fn header_postings_hashes_and_bounds_are_made_anew() {
    const DERIVED: [u16; 3] = [4, 5, 6];
    let (fs, truth) = make();
    let matchers = [Matcher::eq("__name__", "sizes")];
    let sizes = |fs: &SimFs| Db::open(reader(fs)).unwrap().count_series(&matchers, ..).unwrap();
    let expected = sizes(&fs);
    for number in [1, 2] {
        let path = segment(number);
        let mut places = vec![(0, 20)];
        let parts = sections(&fs, &path).into_iter();
        places.extend(
            parts
                .filter(|part| DERIVED.contains(&part.0))
                .map(|part| (part.1, part.2)),
        );
        assert_eq!(places.len(), 4);
        for (start, length) in places {
            let image = fs.kill();
            image.flip(&path, start + length / 2, 0x20).unwrap();
            assert_planned(&image, &path, |remedy| *remedy == Remedy::RebuildSegment);
            assert!(repair(&image, "derived"));
            assert_whole(&image, &truth, &format!("segment {number}, the part at {start}"));
            assert_eq!(sizes(&image), expected);
            let db = Db::open(options(&image)).unwrap();
            db.compact().unwrap();
            drop(db);
            assert_whole(&image, &truth, "after a merge");
        }
    }
}

#[test]
fn a_segment_that_was_put_aside_comes_back() {
    let (fs, truth) = make();
    let (path, aside) = (segment(2), Path::new(DIR).join("quarantine/segment-2.old"));
    fs.create_dir_all(aside.parent().unwrap()).unwrap();
    fs.rename(&path, &aside).unwrap();
    assert_planned(
        &fs,
        &path,
        |remedy| matches!(remedy, Remedy::PutBack(from) if *from == aside),
    );
    assert!(repair(&fs, "put back"));
    assert_whole(&fs, &truth, "put back");
    fs.remove(&path).unwrap();
    assert_planned(&fs, &path, |remedy| *remedy == Remedy::None);
    let diagnosis = Db::doctor(&reader(&fs)).unwrap();
    let lost = &diagnosis.findings[0];
    assert!(lost.time.is_some_and(|(from, to)| from < to), "{lost:?}");
}

#[test]
fn a_manifest_is_made_anew_from_segments_checkpoint_and_log() {
    let (fs, truth) = make();
    let path = Path::new(DIR).join("MANIFEST");
    let check = |fs: &SimFs, what: &str| {
        assert_planned(fs, &path, |remedy| *remedy == Remedy::RebuildManifest);
        assert!(repair(fs, what), "{what}");
        assert_whole(fs, &truth, what);
        let db = Db::open(options(fs)).unwrap();
        db.flush().unwrap();
        db.compact().unwrap();
        drop(db);
        assert_whole(fs, &truth, &format!("{what}, after a flush and a merge"));
    };
    let image = fs.kill();
    image.remove(&path).unwrap();
    check(&image, "with a checkpoint");

    // Members of a merge that a reader held when the process died are still there.
    let db = Db::open(options(&fs)).unwrap();
    let held = db.select(&[], ..).unwrap();
    db.flush().unwrap();
    db.compact().unwrap();
    let image = fs.kill();
    drop(held);
    let segments = files(&image).into_iter();
    let segments = segments.filter(|file| name_of(&file.0).ends_with(".seg")).count();
    assert!(segments > db.segments().len(), "members are left");
    image.remove(&path).unwrap();
    check(&image, "beside members of a merge");
    drop(db);

    // Nothing tells the unit of timestamps: then it must be given.
    let image = fs.kill();
    image.remove(&path).unwrap();
    for (file, _) in files(&image) {
        if name_of(&file).ends_with(".json") {
            image.remove(&file).unwrap();
        }
    }
    assert_planned(&image, &path, |remedy| *remedy == Remedy::None);
    let given = options(&image).precision(narthex::Precision::Milliseconds);
    Db::doctor(&given).unwrap().repair().unwrap();
    assert_whole(&image, &truth, "with a unit that was given");
}

#[test]
fn an_interrupted_repair_can_be_done_again() {
    let (fs, truth) = make();
    let mut dice = Dice(SEED);
    let mut images = 0;
    for round in 0..3 {
        let image = fs.kill();
        if round > 0 {
            image.flip(&Path::new(DIR).join("MANIFEST"), 50, 1).unwrap();
        }
        if round < 2 {
            image.flip(&segment(1), 20, 1).unwrap();
        }
        let image = image.kill();
        image.record(Record::Changes);
        Db::doctor(&options(&image)).unwrap().repair().unwrap();
        image.record(Record::Nothing);
        for point in image.take_crash_points() {
            for mode in CrashMode::ALL {
                let what = format!("round {round}, {mode:?} at call {}", point.index);
                let crashed = point.crash(dice.next(), mode);
                examine(&crashed, &truth, true, &what);
                repair(&crashed, &what);
                assert_whole(&crashed, &truth, &what);
                images += 1;
            }
        }
    }
    eprintln!("damage: {images} interrupted repairs");
    assert!(images > 100);
}

#[test]
fn what_is_no_database_is_not_repaired() {
    let fs = SimFs::new();
    let missing = Db::doctor(&reader(&fs));
    assert!(matches!(missing, Err(narthex::Error::NotFound(_))), "{missing:?}");
    fs.create_dir_all(Path::new(DIR)).unwrap();
    let empty = Db::doctor(&reader(&fs));
    assert!(matches!(empty, Err(narthex::Error::NotFound(_))), "{empty:?}");
    let (fs, truth) = make();
    let diagnosis = Db::doctor(&reader(&fs)).unwrap();
    assert!(
        diagnosis.is_sound() && diagnosis.findings.is_empty(),
        "{}",
        said(&diagnosis)
    );
    let refused = diagnosis.repair();
    assert!(matches!(refused, Err(narthex::Error::ReadOnly)), "{refused:?}");
    let db = Db::open(options(&fs)).unwrap();
    let locked = Db::doctor(&options(&fs));
    assert!(matches!(locked, Err(narthex::Error::Locked(_))), "{locked:?}");
    drop(db);
    assert_whole(&fs, &truth, "looked at");
}

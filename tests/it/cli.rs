//! The `narthex` command, run as a program on folders that the library wrote, sound and damaged.

#![expect(clippy::disallowed_methods, reason = "damages files as a disk would")]

use narthex::{Db, Durability, Matcher, Options, labels};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a run of the program left: exit code and both outputs.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

fn narthex(arguments: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_narthex"));
    let output = command.args(arguments).output().expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is text");
    let ran = Ran {
        code: output.status.code().expect("it exits by itself"),
        out: text(output.stdout),
        err: text(output.stderr),
    };
    assert!(!ran.err.contains("panicked"), "{}", ran.err);
    ran
}

fn on_folder(command: &str, folder: &Path) -> Ran {
    narthex(&[command, folder.to_str().expect("a plain path")])
}

fn write(db: &Db, from: i64, to: i64) {
    for minute in from..to {
        let mut batch = db.batch();
        for host in ["a", "b", "c"] {
            let labels = labels! { "__name__" => "cpu_busy", "host" => host };
            batch.push(&labels, minute * 60_000, minute as f64 / 7.0);
        }
        batch.push(&labels! { "__name__" => "up" }, minute * 60_000, 1.0);
        assert_eq!(batch.commit().expect("a commit").rejected_count(), 0);
    }
}

/// A folder with a segment of 4 x 200 samples and 4 x 50 more in the log.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let db = Db::open(Options::new(folder.path()).background(false)).expect("a new database");
    write(&db, 0, 200);
    db.flush().expect("a flush");
    write(&db, 200, 250);
    db.close().expect("a clean close");
    folder
}

/// The largest file whose name begins and ends so.
fn file(folder: &Path, start: &str, end: &str) -> PathBuf {
    let paths = fs::read_dir(folder).expect("the folder is there");
    let paths = paths.map(|entry| entry.expect("an entry").path());
    let matching = paths.filter(|path| {
        let name = path
            .file_name()
            .map_or(String::new(), |name| name.to_string_lossy().into());
        name.starts_with(start) && name.ends_with(end)
    });
    let length = |path: &PathBuf| fs::metadata(path).map_or(0, |data| data.len());
    matching.max_by_key(length).expect("such a file")
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).expect("the file");
    bytes[at] ^= 0x40;
    fs::write(path, bytes).expect("a write");
}

#[test]
fn version_is_that_of_the_package() {
    let ran = narthex(&["--version"]);
    assert_eq!(
        (ran.code, ran.out),
        (0, format!("narthex {}\n", env!("CARGO_PKG_VERSION")))
    );
}

#[test]
fn help_names_the_subcommands() {
    let ran = narthex(&["--help"]);
    assert_eq!(ran.code, 0);
    for word in ["query", "verify", "stats", "doctor", "--version"] {
        assert!(ran.out.contains(word), "{}", ran.out);
    }
}

#[test]
fn wrong_flags_exit_with_2_and_say_what_is_wrong() {
    for arguments in [
        &["frobnicate"][..],
        &["verify"],
        &["stats", "--yaml", "x"],
        &["--yaml"],
    ] {
        let ran = narthex(arguments);
        assert_eq!(ran.code, 2, "{arguments:?}");
        assert!(
            ran.out.is_empty() && ran.err.contains("Usage: narthex"),
            "{arguments:?}: {}",
            ran.err
        );
    }
}

#[test]
fn a_missing_folder_is_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for command in ["verify", "stats"] {
        let ran = on_folder(command, &folder.path().join("nowhere"));
        assert_eq!((ran.code, ran.out.as_str()), (1, ""));
        assert!(ran.err.contains("nowhere"), "{}", ran.err);
        let ran = on_folder(command, folder.path());
        assert_eq!((ran.code, ran.out.as_str()), (1, ""));
        assert!(ran.err.contains("holds no database"), "{}", ran.err);
    }
    let left = fs::read_dir(folder.path()).expect("the folder is there").count();
    assert_eq!(left, 0, "looking creates nothing");
}

#[test]
fn verify_finds_a_sound_folder_sound() {
    let folder = folder();
    let ran = on_folder("verify", folder.path());
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    assert!(
        ran.out
            .contains(": sound; 1 segments with 800 samples that decode, 50 log records"),
        "{}",
        ran.out
    );
}

#[test]
fn verify_names_damage_in_a_segment() {
    let folder = folder();
    let segment = file(folder.path(), "segment-", ".seg");
    let length = fs::metadata(&segment).expect("the file").len() as usize;
    // The header, the first group, somewhere in the sections, the table, the footer.
    for at in [9, 64, 80, length / 2, length - 40, length - 20, length - 1] {
        flip(&segment, at);
        let ran = on_folder("verify", folder.path());
        assert_eq!((ran.code, ran.err.as_str()), (1, ""), "byte {at}: {}", ran.out);
        let fault = ran.out.lines().find(|line| line.starts_with("fault: "));
        let fault = fault.unwrap_or_else(|| panic!("byte {at}: {}", ran.out));
        assert!(
            fault.contains("segment-0000000000000001.seg"),
            "byte {at}: {fault}"
        );
        // Statistics are still given, of what is readable.
        assert_eq!(on_folder("stats", folder.path()).code, 0, "byte {at}");
        flip(&segment, at);
    }
    assert_eq!(on_folder("verify", folder.path()).code, 0);
}

#[test]
fn verify_names_a_segment_that_is_gone() {
    let folder = folder();
    fs::remove_file(file(folder.path(), "segment-", ".seg")).expect("a removal");
    let ran = on_folder("verify", folder.path());
    assert_eq!((ran.code, ran.err.as_str()), (1, ""));
    assert!(ran.out.contains("segment-0000000000000001.seg"), "{}", ran.out);
}

#[test]
fn verify_names_damage_in_the_log() {
    let folder = folder();
    let log = file(folder.path(), "wal-", ".log");
    // The first record of the file. Those behind it say that it was durable.
    flip(&log, 8192 + 40);
    let ran = on_folder("verify", folder.path());
    assert_eq!((ran.code, ran.err.as_str()), (1, ""), "{}", ran.out);
    let name = log.file_name().expect("a name").to_string_lossy().into_owned();
    assert!(
        ran.out.contains(&name) && ran.out.contains("damaged"),
        "{}",
        ran.out
    );
}

#[test]
fn verify_names_damage_in_a_checkpoint() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let options = Options::new(folder.path())
        .background(false)
        .checkpoint_bytes_min(1);
    let db = Db::open(options).expect("a new database");
    write(&db, 0, 20);
    assert!(db.step().expect("a step"), "a checkpoint was due");
    db.close().expect("a clean close");
    let checkpoint = file(folder.path(), "checkpoint-", ".ckpt");
    let name = checkpoint
        .file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned();
    assert_eq!(on_folder("verify", folder.path()).code, 0);
    // A record; then both copies of the header.
    for places in [&[8192 + 40][..], &[3, 4096 + 3]] {
        places.iter().for_each(|at| flip(&checkpoint, *at));
        let ran = on_folder("verify", folder.path());
        assert_eq!((ran.code, ran.err.as_str()), (1, ""), "{places:?}: {}", ran.out);
        assert!(ran.out.contains(&name), "{places:?}: {}", ran.out);
        places.iter().for_each(|at| flip(&checkpoint, *at));
    }
    assert_eq!(on_folder("verify", folder.path()).code, 0);
}

#[test]
fn verify_names_damage_in_the_manifest() {
    let folder = folder();
    let manifest = folder.path().join("MANIFEST");
    let length = fs::metadata(&manifest).expect("the file").len() as usize;
    for at in [0, 8, length / 2, length - 1] {
        flip(&manifest, at);
        let ran = on_folder("verify", folder.path());
        assert_eq!((ran.code, ran.err.as_str()), (1, ""), "byte {at}: {}", ran.out);
        assert!(
            ran.out.contains("fault: ") && ran.out.contains("MANIFEST"),
            "byte {at}: {}",
            ran.out
        );
        let ran = on_folder("stats", folder.path());
        assert_eq!((ran.code, ran.out.as_str()), (1, ""));
        assert!(ran.err.contains("MANIFEST"), "{}", ran.err);
        flip(&manifest, at);
    }
}

#[test]
fn stats_are_printed_as_tables_and_as_json() {
    let folder = folder();
    let ran = on_folder("stats", folder.path());
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let lines: Vec<String> = ran.out.lines().map(words).collect();
    for expected in [
        "from 1970-01-01T00:00:00.000Z to 1970-01-01T04:09:00.000Z",
        "in the log 4 200",
        "in segments 4 800",
        "host 6 6",
        "cpu_busy 6",
        "opening replayed 50 log records with 200 samples",
    ] {
        assert!(
            lines.iter().any(|line| line == expected),
            "{expected}:\n{}",
            ran.out
        );
    }

    let path = folder.path().to_str().expect("a plain path");
    let ran = narthex(&["stats", "--json", path]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    for expected in [
        "\"time_unit\": \"ms\"",
        "\"log_samples\": 200",
        "\"segment_samples\": 800",
        "\"file\": \"segment-0000000000000001.seg\"",
        "\"name\": \"cpu_busy\",",
        "\"damage\": []",
    ] {
        assert!(ran.out.contains(expected), "{expected}:\n{}", ran.out);
    }
}

#[test]
fn cardinality_is_printed_for_a_range_and_between_two() {
    let folder = folder();
    let path = folder.path().to_str().expect("a plain path");
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let has = |ran: &Ran, expected: &str| {
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
        let is_there = ran.out.lines().any(|line| words(line) == expected);
        assert!(is_there, "{expected}:\n{}", ran.out);
    };
    let ran = narthex(&["cardinality", path, "--range", "..6000000"]);
    has(&ran, "4 series");
    has(&ran, "host 3 3");
    has(&ran, "cpu_busy 3");
    has(&narthex(&["cardinality", path]), "~4 series");
    has(&narthex(&["cardinality", path, "--range", "-9..-3"]), "0 series");
    let ran = narthex(&["cardinality", path, "--before", "..0", "--range", "0..60000"]);
    has(&ran, "cpu_busy 0 3 3 0 host");
    has(&ran, "host 0 3 3 0 3");
    let ran = narthex(&[
        "cardinality",
        path,
        "--before",
        "..6000000",
        "--range",
        "13000000..",
    ]);
    has(&ran, "(all) 4 4 0 0");
    let ran = narthex(&["cardinality", "--json", path]);
    assert!(ran.out.contains("\"estimate\": 4,"), "{}", ran.out);
    let ran = narthex(&["cardinality", "--json", "--before", "..0", path]);
    assert!(ran.out.contains("\"blamed\": 3,"), "{}", ran.out);
    assert_eq!(narthex(&["cardinality", path, "--range", "yesterday"]).code, 2);
}

#[test]
fn stats_and_verify_work_beside_an_open_database() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let db = Db::open(Options::new(folder.path()).background(false)).expect("a new database");
    for round in 0..20 {
        write(&db, round * 10, round * 10 + 10);
        if round % 5 == 4 {
            db.flush().expect("a flush");
        }
        for command in ["stats", "verify"] {
            let ran = on_folder(command, folder.path());
            assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{command}: {}", ran.out);
        }
    }
    let segments = db.segments();
    assert_eq!(segments.len(), 4);
    for segment in &segments {
        assert_eq!(
            segment.parts.iter().map(|part| part.1).sum::<u64>(),
            segment.bytes
        );
    }
    db.close().expect("a clean close");
}

#[test]
fn doctor_names_plans_and_repairs() {
    let folder = folder();
    let path = folder.path().to_str().expect("a plain path");
    let ran = on_folder("doctor", folder.path());
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    assert_eq!(ran.out, format!("{path}: nothing to repair\n"));

    let manifest = folder.path().join("MANIFEST");
    flip(&manifest, 40);
    flip(&file(folder.path(), "segment-", ".seg"), 20);
    let ran = on_folder("doctor", folder.path());
    assert_eq!(ran.code, 1);
    for line in [
        "plan: ",
        "MANIFEST",
        "damaged: header",
        "1970-01-01",
        "with --repair",
    ] {
        assert!(ran.out.contains(line), "{line}: {}", ran.out);
    }
    assert_eq!(on_folder("verify", folder.path()).code, 1, "it changes nothing");
    let ran = narthex(&["doctor", path, "--repair"]);
    assert!(
        ran.out.contains("done: ") && ran.out.contains("quarantine: "),
        "{}",
        ran.out
    );
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    let ran = on_folder("verify", folder.path());
    assert!(ran.code == 0 && ran.out.contains("800 samples"), "{}", ran.out);
    let ran = narthex(&["doctor", path, "--repair"]);
    assert!(
        ran.code == 0 && ran.out.ends_with("nothing to repair\n"),
        "{}",
        ran.out
    );

    let data = file(folder.path(), "segment-", ".seg");
    flip(&data, 90);
    let ran = narthex(&["doctor", path, "--repair"]);
    assert_eq!(ran.code, 1);
    for word in ["lost: ", "offset", "1970-01-01T", "nothing more can be repaired"] {
        assert!(ran.out.contains(word), "{word}: {}", ran.out);
    }
    let ran = narthex(&["doctor", path, "--precision", "minutes"]);
    assert!(ran.code == 2 && ran.err.contains("one of s, ms"), "{}", ran.err);
}

/// The timestamps of one series, by a reader that opens the folder now, which it must find sound.
fn timestamps_seen(folder: &Path) -> Vec<i64> {
    let reader = Db::open_read_only(folder).expect("the folder opens");
    assert_eq!(reader.verify().expect("a report").faults, Vec::<String>::new());
    let found = reader.select(&[Matcher::eq("host", "b")], ..).expect("a cursor");
    let series = found.map(|series| series.expect("a series"));
    let samples = series.flat_map(|series| series.samples().collect::<Vec<_>>());
    samples.map(|sample| sample.timestamp).collect()
}

#[test]
fn a_reader_beside_a_flushing_writer_sees_no_damage_and_no_holes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let options = Options::new(folder.path())
        .durability(Durability::Never)
        .wal_sizes(1 << 20, 1 << 18)
        .background(false);
    let db = Db::open(options).expect("a new database");
    write(&db, 0, 1);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen_before = 0;
            for _ in 0..60 {
                let seen = timestamps_seen(folder.path());
                let expected: Vec<i64> = (0..seen.len() as i64).map(|minute| minute * 60_000).collect();
                assert_eq!(seen, expected);
                assert!(seen.len() >= seen_before, "what was seen once stays");
                seen_before = seen.len();
            }
        });
        let mut minute = 1;
        while !reader.is_finished() {
            write(&db, minute, minute + 50);
            db.flush().expect("a flush");
            minute += 50;
        }
    });
}

//! `narthex export blocks` and `narthex import blocks`, run as programs.

use crate::world;
use narthex::{Db, Options, labels};
use std::path::Path;
use std::process::{Command, Output};

fn narthex(arguments: &[&str]) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_narthex"))
        .args(arguments)
        .output()
        .expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (status.code().expect("an exit code"), text(stdout), text(stderr))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

#[test]
fn the_command_moves_blocks_out_and_in() {
    let folder = tempfile::tempdir().expect("a folder");
    let [data, out, other] = ["data", "out", "other"].map(|name| folder.path().join(name));
    let db = Db::open(Options::new(&data).background(false)).expect("a database");
    let mut batch = db.batch();
    for minute in 0..3_000 {
        for host in ["a", "b"] {
            let labels = labels! { "__name__" => "m", "host" => host };
            batch.push(&labels, super::START + minute * 60_000, minute as f64);
        }
    }
    batch.commit().expect("a commit");
    let wanted = world::answer(&db, &[], ..);
    db.close().expect("a close");

    let export = ["export", "blocks", "--data", text(&data), "--out", text(&out)];
    let (code, said, err) = narthex(&export);
    assert_eq!(code, 0, "{err}");
    assert!(
        said.ends_with("4 blocks written, 0 were there; 8 series, 6,000 samples\n"),
        "{said}"
    );
    let (_, said, _) = narthex(&export);
    assert!(said.starts_with("0 blocks written, 4 were there"), "{said}");

    let import = ["import", "blocks", "--data", text(&other), text(&out)];
    let (code, said, err) = narthex(&import);
    assert_eq!(code, 0, "{err}");
    assert!(
        said.starts_with("4 blocks taken in, 0 were before; 6,000 samples"),
        "{said}"
    );
    assert!(
        said.contains("6,000 samples read back, 0 of them different"),
        "{said}"
    );
    let (code, said, _) = narthex(&["doctor", text(&other)]);
    assert!(code == 0 && !said.contains("note:"), "{said}");
    let db = Db::open_read_only(&other).expect("a database");
    assert_eq!(world::answer(&db, &[], ..), wanted);
    drop(db);

    let some = [
        "--match",
        "m{host=\"b\"}",
        "--start",
        "1700000000",
        "--end",
        "1700003600",
    ];
    let more = folder.path().join("more");
    let chosen = ["export", "blocks", "--data", text(&data), "--out", text(&more)];
    let (code, said, err) = narthex(&[&chosen[..], &some[..]].concat());
    assert_eq!(code, 0, "{err}");
    assert!(
        said.ends_with("1 blocks written, 0 were there; 1 series, 61 samples\n"),
        "{said}"
    );

    let new = folder.path().join("new");
    let (code, _, err) = narthex(&["import", "blocks", "--data", text(&new), "nowhere"]);
    assert!(code == 1 && err.contains("nowhere is no folder"), "{err}");
    assert!(!new.exists());
    let (code, _, err) = narthex(&["import", "blocks", "--data", text(&other), text(&data)]);
    assert_eq!(code, 1);
    assert!(err.contains("neither blocks nor a log"), "{err}");
    let (code, _, err) = narthex(&[&chosen[..], &["--match", "m{"]].concat());
    assert!(code == 2 && err.contains("m{"), "{err}");
}

//! PromQL by scripts in the language of Prometheus' own tests: ours in `tests/promql`, and those of the folder that
//! `NARTHEX_PROMQLTEST` names, where Prometheus' lie.

#![expect(clippy::disallowed_methods, reason = "reads the scripts")]

mod compare;
mod corrupt;
mod nhcb;
mod run;
mod script;
pub(crate) mod storage;

use crate::tidy::text::root;
use std::path::Path;

/// The scripts of a folder with their names, sorted.
fn scripts(folder: &Path) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut scripts: Vec<(String, String)> = entries
        .map(|entry| entry.expect("an entry of the folder").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "test"))
        .map(|path| {
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            (name, std::fs::read_to_string(&path).expect("a script"))
        })
        .collect();
    scripts.sort();
    scripts
}

fn own_scripts() -> Vec<(String, String)> {
    scripts(&root().join("tests/promql"))
}

/// Runs scripts and tells all failures at once. Returns how many queries there were.
fn run_all(scripts: &[(String, String)]) -> usize {
    let mut evals = 0;
    let mut report = String::new();
    let mut failures = 0;
    for (name, text) in scripts {
        let commands = script::parse(text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let outcome = run::run(&commands);
        evals += outcome.evals;
        failures += outcome.failures.len();
        if !outcome.failures.is_empty() {
            report += &format!("\n{name}: {} of {} fail\n", outcome.failures.len(), outcome.evals);
            for failure in outcome.failures {
                report += &format!("  {}\n", failure.chars().take(600).collect::<String>());
            }
        }
    }
    assert!(failures == 0, "{failures} of {evals} queries fail{report}");
    evals
}

#[test]
fn own_scripts_pass() {
    assert!(run_all(&own_scripts()) > 50);
}

#[test]
fn the_scripts_of_the_folder_pass() {
    let Some(folder) = std::env::var_os("NARTHEX_PROMQLTEST") else {
        return;
    };
    assert!(run_all(&scripts(Path::new(&folder))) > 0);
}

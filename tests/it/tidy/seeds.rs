//! The page of the seeds: every test, route, parameter, library call, setting, command and file that it names is there.
//!
//! Names stand in backquotes. Of a line of a table, those in the second column say what is called, those in the third one what
//! proves it; the first one speaks of other systems and may name anything.

use super::report;
use super::text::{TextFile, code_lines, files, root, root_files};
use std::collections::BTreeSet;

const PAGE: &str = "docs/seeds.md";
const NOT_YET: &str = "not yet";
/// The headings of the page, and how many features each has at least.
const SEEDS: [(&str, usize); 5] = [
    ("(Ry)", 35),
    ("(flux)", 20),
    ("simple embedded store", 16),
    ("tstorage", 24),
    ("mandodb", 38),
];

/// What there is to be named.
struct Known {
    /// `Db::open`, `Stats.segments`, `Options`.
    calls: BTreeSet<String>,
    /// `GET /stats`.
    routes: BTreeSet<String>,
    parameters: BTreeSet<String>,
    /// Settings, their variables, and metrics.
    names: BTreeSet<String>,
    tests: BTreeSet<String>,
}

/// The texts in double quotes of some code.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('"').skip(1).step_by(2)
}

/// The texts in backquotes.
fn spans(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

fn word_length(text: &str) -> usize {
    text.find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(text.len())
}

/// `Db::fn open(options: ...` is `Db::open`, `enum Call` is `Call`.
fn call(line: &str) -> String {
    let line = line.replace("::fn ", "::").replace("::const fn ", "::");
    let rest = ["enum ", "struct ", "trait ", "fn ", "const "]
        .iter()
        .find_map(|kind| line.strip_prefix(kind));
    let line = rest.unwrap_or(&line);
    let first = word_length(line);
    let separator = ["::", "."]
        .iter()
        .find(|separator| line[first..].starts_with(**separator));
    let end = separator.map_or(first, |separator| {
        let second = first + separator.len();
        second + word_length(&line[second..])
    });
    line[..end].to_owned()
}

/// `path("native", GET_DELETE, "/stats", ...)` in the tables of the OpenAPI document.
fn routes(file: &TextFile) -> Vec<String> {
    let mut routes = Vec::new();
    for line in file
        .text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("path("))
    {
        let methods = line.split(", ").nth(1).unwrap_or("").split('_');
        if let Some(path) = quoted(line).nth(1) {
            routes.extend(methods.map(|method| format!("{method} {path}")));
        }
    }
    routes
}

/// The tests of a file under the name of its module, `tests` inside of it included.
fn tests(file: &TextFile, module: &str) -> Vec<String> {
    let mut names = Vec::new();
    let (mut is_test, mut is_inside) = (false, false);
    let code = code_lines(&file.text);
    for (line, text) in code.iter().map(|line| line.trim_start()).zip(file.text.lines()) {
        is_inside |= text.starts_with("mod tests {");
        is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        let Some(rest) = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ") else {
            continue;
        };
        if std::mem::take(&mut is_test) {
            let within = if is_inside { "::tests" } else { "" };
            names.push(format!("{module}{within}::{}", &rest[..word_length(rest)]));
        }
    }
    names
}

fn module(path: &str, folder: &str) -> String {
    let path = path
        .trim_start_matches(folder)
        .trim_end_matches(".rs")
        .trim_end_matches("/mod");
    path.trim_start_matches('/').replace('/', "::")
}

fn known() -> Known {
    let surface = files("tests/it", &["surface.txt"]).remove(0);
    let openapi = files("src/api/openapi", &[".rs"]);
    let config = files("docs", &["config.md"]).remove(0);
    let settings = config
        .text
        .lines()
        .filter(|line| line.starts_with("| `"))
        .flat_map(|line| {
            let columns = line.split('|').collect::<Vec<_>>();
            let named = [columns[1], columns[3]];
            named
                .into_iter()
                .flat_map(spans)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        });
    let metrics = files("docs", &["records.md", "metrics.md"]);
    let metrics = metrics
        .iter()
        .flat_map(|page| spans(&page.text))
        .filter(|name| name.starts_with("narthex_"));
    let integration = files("tests/it", &[".rs"]);
    let integration = integration
        .iter()
        .flat_map(|file| tests(file, &module(&file.path, "tests/it")));
    let library = files("src", &[".rs"]);
    let library = library.iter().flat_map(|file| {
        let names = tests(file, &module(&file.path, "src"));
        names
            .into_iter()
            .map(|name| format!("lib: {name}"))
            .collect::<Vec<_>>()
    });
    Known {
        calls: surface.text.lines().map(call).collect(),
        routes: openapi.iter().flat_map(routes).collect(),
        parameters: openapi
            .iter()
            .flat_map(|file| quoted(&file.text))
            .map(str::to_owned)
            .collect(),
        names: settings.chain(metrics.map(str::to_owned)).collect(),
        tests: integration.chain(library).collect(),
    }
}

impl Known {
    fn is_route(&self, method: &str, target: &str) -> bool {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut parameters = query.split('&').filter(|name| !name.is_empty());
        self.routes.contains(&format!("{method} {path}"))
            && parameters.all(|name| self.parameters.contains(name))
    }

    /// What is wrong with a name in the second column.
    fn fault_of_call(&self, name: &str) -> Option<String> {
        let is_there = match name.split_once(' ') {
            Some(("narthex", command)) => {
                let file = command.split(' ').next().unwrap_or("").replace('-', "_");
                ["src/cli/{}.rs", "src/cli/{}/mod.rs"]
                    .iter()
                    .any(|path| is_file(&path.replace("{}", &file)))
            }
            Some((method, target)) => self.is_route(method, target),
            None => self.calls.contains(name) || self.names.contains(name) || is_file(name),
        };
        (!is_there).then(|| format!("`{name}` is no call, route, setting, command or file"))
    }

    /// What is wrong with a feature: its call and its tests.
    fn faults(&self, call: &str, proof: &str) -> Vec<String> {
        if call == NOT_YET && proof == NOT_YET {
            return Vec::new();
        }
        let mut faults: Vec<String> = spans(call)
            .into_iter()
            .filter_map(|name| self.fault_of_call(name))
            .collect();
        let tests = spans(proof);
        if tests.is_empty() {
            faults.push("no test proves it".to_owned());
        }
        for test in tests.into_iter().filter(|test| !self.tests.contains(*test)) {
            faults.push(format!("`{test}` is no test"));
        }
        faults
    }
}

fn is_file(path: &str) -> bool {
    root().join(path).is_file()
}

/// The cells of a line of a table that is neither its head nor the line below.
fn feature(line: &str) -> Option<[&str; 3]> {
    let cells: Vec<&str> = line
        .strip_prefix('|')?
        .strip_suffix('|')?
        .split('|')
        .map(str::trim)
        .collect();
    let cells: [&str; 3] = cells.try_into().ok()?;
    let is_head = cells[0].starts_with("---") || cells[2] == "the test that proves it";
    (!is_head).then_some(cells)
}

#[test]
fn every_feature_of_the_seeds_is_called_and_proven_by_what_exists() {
    let known = known();
    let page = files("docs", &["seeds.md"]).remove(0);
    assert_eq!(page.path, PAGE);
    let mut complaints = Vec::new();
    let (mut heading, mut counts) = ("", Vec::new());
    for (index, line) in page.text.lines().enumerate() {
        if let Some(title) = line.strip_prefix("## ") {
            heading = title;
        }
        let Some([_, call, proof]) = feature(line) else {
            if line.starts_with('|')
                && !line.starts_with("|---")
                && !line.ends_with("the test that proves it |")
            {
                complaints.push(page.complaint(index, "a line of the table has three columns"));
            }
            continue;
        };
        counts.push(heading);
        complaints.extend(
            known
                .faults(call, proof)
                .iter()
                .map(|fault| page.complaint(index, fault)),
        );
    }
    for (seed, least) in SEEDS {
        let count = counts.iter().filter(|heading| heading.contains(seed)).count();
        if count < least {
            complaints.push(page.complaint(0, &format!("{count} features of {seed}, there were {least}")));
        }
    }
    report(&complaints);
}

#[test]
fn a_wrong_name_is_found() {
    let known = known();
    let test = "`tidy::seeds::a_wrong_name_is_found`";
    let good = [
        (
            "`Db::open`, `CommitReport.rejected`, `Options`, `Durability::Always`",
            test,
        ),
        (
            "`GET /stats`, `DELETE /api/v1/series/{series_key}`, `GET /api/v1/series?prefix&limit`",
            test,
        ),
        (
            "`retention`, `http.shutdown_timeout`, `PORT`, `narthex_log_lines`",
            test,
        ),
        (
            "`narthex doctor --repair`, `narthex query`, `examples/iot.rs`, `Dockerfile`",
            test,
        ),
        (
            "text",
            "`lib: engine::pick::tests::table`, `lib: records::tags::tests::nested_json_is_flattened`",
        ),
        ("not yet", "not yet"),
    ];
    for (call, proof) in good {
        assert_eq!(known.faults(call, proof), [] as [String; 0]);
    }
    let bad = [
        "`Db::opened`",
        "`CommitReport.refused`",
        "`Option`",
        "`PATCH /stats`",
        "`GET /statistics`",
        "`GET /api/v1/series?suffix`",
        "`retentions`",
        "`narthex mend`",
        "`examples/none.rs`",
        "`narthex_lines`",
        "``",
    ];
    for call in bad {
        assert_eq!(known.faults(call, test).len(), 1, "{call}");
    }
    for proof in [
        "",
        "words",
        "`tidy::seeds::none`",
        "`seeds::a_wrong_name_is_found`",
        "`tidy::seeds::known`",
        "not yet",
    ] {
        assert_eq!(known.faults("text", proof).len(), 1, "{proof}");
    }
    assert_eq!(feature("| a | b | c |"), Some(["a", "b", "c"]));
    assert_eq!(feature("| a | b |").or(feature("|---|---|---|")), None);
    assert!(
        root_files(&["README.md"])[0].text.contains("(docs/seeds.md)"),
        "the README leads to the page"
    );
}

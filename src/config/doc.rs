//! The settings as text: docs/config.md, made from the table, and the effective configuration as a TOML file.

use super::Config;
use super::credentials::secret_field;
use super::resolve::Raw;
#[cfg(test)]
use super::settings::SETTINGS;
use super::settings::{Kind, Setting};
use std::fmt::Write as _;

/// What is shown in place of a secret.
const REDACTED: &str = "<redacted>";

/// A basic string of TOML; the escapes of JSON are a part of its escapes.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text)
        .to_string()
        .replace('\u{7f}', "\\u007f")
}

fn key_of(name: &str) -> String {
    let is_bare = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if is_bare { name.to_owned() } else { quoted(name) }
}

fn words(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    format!("[{}]", quoted.join(", "))
}

/// The table a key is in, and its name there.
fn split(key: &str) -> (&str, &str) {
    key.split_once('.').unwrap_or(("", key))
}

impl Config {
    /// The effective configuration as a file would say it, without secrets.
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        let mut table = "";
        for (setting, raw) in &self.effective {
            let (of, name) = split(setting.key);
            if of != table && matches!(raw, Raw::Text(_)) {
                let _ = writeln!(text, "\n[{of}]");
                table = of;
            }
            write_value(&mut text, setting, name, raw);
        }
        text
    }
}

impl Config {
    /// The settings with their values as they were written; those with tables, which may hold secrets, are not among them.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.effective.iter().filter_map(|(setting, raw)| match raw {
            Raw::Text(text) => Some((setting.key, text.clone())),
            Raw::Map(pairs) => {
                let pairs: Vec<String> = pairs
                    .iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                Some((setting.key, pairs.join(",")))
            }
            Raw::Tables(_) => None,
        })
    }
}

fn write_value(text: &mut String, setting: &Setting, name: &str, raw: &Raw) {
    let _ = match raw {
        Raw::Text(value) if matches!(setting.kind, Kind::Count | Kind::Number) => {
            writeln!(text, "{name} = {value}")
        }
        Raw::Text(value) => writeln!(text, "{name} = {}", quoted(value)),
        Raw::Map(pairs) => {
            let pairs: Vec<String> = pairs
                .iter()
                .map(|(name, value)| format!("{} = {}", key_of(name), quoted(value)))
                .collect();
            writeln!(text, "{name} = {{ {} }}", pairs.join(", "))
        }
        Raw::Tables(tables) => {
            for fields in tables {
                let _ = writeln!(text, "\n[[{}]]", setting.key);
                for (field, values) in fields {
                    let value = match values.as_slice() {
                        _ if Some(field.as_str()) == secret_field(setting.key) => quoted(REDACTED),
                        [one] if field != "scopes" && field != "source_labels" => quoted(one),
                        many => words(many),
                    };
                    let _ = writeln!(text, "{} = {value}", key_of(field));
                }
            }
            Ok(())
        }
    };
}

/// docs/config.md.
#[cfg(test)]
fn page() -> String {
    let mut text = String::from(
        "# Configuration\n\n\
         Made from the table of settings (`src/config/settings.rs`); `UPDATE_DOCS=1 cargo test --lib config` writes it anew.\n\n\
         Values come from four places, the later ones win: defaults, the TOML file that `--config` or the variable\n\
         `NARTHEX_CONFIG` names, environment variables (empty ones do not count), flags. Unknown keys are refused. `narthex serve --print-config` shows\n\
         what holds in the end, without secrets. SIGHUP and `POST /-/reload` read all of it again and apply what is marked\n\
         *reload*; what else changed is named in the answer and the log and holds from the next start on.\n\n\
         Durations are written as in Prometheus (`15d`, `1h30m`, `500ms`, `100y`), sizes with units of 1,024 (`32MiB`). A list, as `rollups`, is one text with\n\
         commas, in the file also a list of texts.\n\n\
         | setting | default | flag, variable | |\n|---|---|---|---|\n",
    );
    for setting in SETTINGS {
        let default = match setting.default {
            "" => String::new(),
            default => format!("`{default}`"),
        };
        let names = if setting.is_plain() {
            let alias = setting
                .alias
                .map_or(String::new(), |alias| format!(", `{alias}`"));
            format!("`--{}`, `{}`{alias}", setting.flag(), setting.variable())
        } else {
            "in the file only".to_owned()
        };
        let reload = if setting.reloads { " *reload*" } else { "" };
        let _ = writeln!(
            text,
            "| `{}` | {default} | {names} | {}{reload} |",
            setting.key, setting.help
        );
    }
    text.push_str(EXAMPLE_HEAD);
    text.push_str("\n```toml\n");
    text.push_str(EXAMPLE);
    text.push_str("```\n");
    text
}

#[cfg(test)]
const EXAMPLE_HEAD: &str = "\n## Example\n\n\
    Passwords are kept as bcrypt hashes (`narthex hash-password` reads one from stdin and prints its hash), tokens as SHA-256\n\
    of a long random text (`openssl rand -hex 32`). A credential may do what its scopes say: `read` is queries, statistics and\n\
    `/metrics`; `write` is remote write; `admin` is `/api/v1/admin/` and `/-/reload`. Without any credential nobody is asked, and\n\
    the admin routes are off unless narthex listens on a loopback address. [Tenants](tenants.md) are for several teams on one server.\n";

/// Stands on the page, and is read by a test.
#[cfg(test)]
const EXAMPLE: &str = r#"listen = ":6364"
data = "/var/lib/narthex"
retention = "1y"
durability = "always"
rollups = ["5m keep 1y", "1h"]
external_labels = { region = "eu", replica = "a" }

[[aggregates]]
name = "cpu:15m"
selector = 'node_cpu_seconds_total{mode!="idle"}'
interval = "15m"
functions = ["increase", "max"]

[http]
concurrency = 128

[tenants]
enabled = true

[[tenants.overrides]]
name = "team-a"
series = 500000
retention = "30d"

[tls]
certificate = "/etc/narthex/tls.crt"
key = "/etc/narthex/tls.key"

[[auth.users]]
name = "prometheus"
password = "$2b$12$1EwRvv7ZGdnLRYhIrqZ/Q.Iy1FXnHhDYvCLUFLhjGBlCsqRmJ8rSu"
scopes = ["read", "write"]
tenant = "team-a"

[[auth.tokens]]
name = "deploy"
sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
scopes = ["admin"]
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    fn resolved(text: &str) -> Result<Config, super::super::ConfigError> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("narthex.toml");
        crate::io::write_file(
            &(std::sync::Arc::new(crate::io::DiskFs) as _),
            &path,
            text.as_bytes(),
        )
        .expect("a file");
        Sources::file(path).resolve()
    }

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "writes a file of the package when asked to"
    )]
    fn the_page_is_fresh() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/config.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, page()).expect("the page is written");
        }
        let written = std::fs::read_to_string(path).expect("the page is there");
        assert_eq!(written, page(), "UPDATE_DOCS=1 cargo test --lib config");
    }

    #[test]
    fn the_example_is_a_configuration() {
        let config = resolved(EXAMPLE).expect("the example resolves");
        assert_eq!(config.listen, "0.0.0.0:6364");
        assert_eq!(config.http.concurrency, 128);
        assert_eq!((config.rollups.len(), config.aggregates.len()), (2, 1));
        assert_eq!(
            config.credentials.users.len() + config.credentials.tokens.len(),
            2
        );
    }

    #[test]
    fn what_is_printed_is_a_configuration_without_secrets() {
        let config = resolved(EXAMPLE).expect("the example resolves");
        let printed = config.to_toml();
        assert!(
            !printed.contains("$2b$") && !printed.contains("9f86d081"),
            "{printed}"
        );
        let hash = "$2b$12$1EwRvv7ZGdnLRYhIrqZ/Q.Iy1FXnHhDYvCLUFLhjGBlCsqRmJ8rSu";
        let with_password = printed.replacen(REDACTED, hash, 1);
        let again =
            resolved(&with_password.replacen(REDACTED, &"0".repeat(64), 1)).expect("it resolves again");
        assert_eq!(again.to_toml(), printed);
    }

    #[test]
    fn every_fault_is_named_at_once() {
        let text = "retenton = \"1d\"\nlisten = \"nowhere\"\ndurability = \"allways\"\nrollups = [\"5m\", \"300s\", \"1h of up{\"]\n[http]\nconcurrency = 0\n\n[[aggregates]]\nname = \"a b\"\ninterval = \"1h\"\nfunctions = [\"mean\"]\n\n[[auth.users]]\nname = \"a\"\npassword = \"secret\"\nscopes = [\"read\"]\n";
        let error = resolved(text).expect_err("ten faults").to_string();
        for part in [
            "toml:1: unknown key `retenton`; did you mean `retention`?",
            "toml:2: `listen`: no port",
            "toml:3: `durability`: `allways` is none of always, interval, never; did you mean `always`?",
            "toml:4: `rollups`: entry 2: its windows are as wide as those of entry 1",
            "toml:4: `rollups`: entry 3: `up{`: ",
            "toml:8: `aggregates`: entry 1: `a b` is not the name of a metric",
            "toml:8: `aggregates`: entry 1: `mean` is none of avg, sum",
            "toml:8: `aggregates`: entry 1: `selector` is missing",
            "toml:6: `http.concurrency`: `0` is not a number from 1",
            "toml:13: `auth.users`: entry 1: `password` is not a bcrypt hash",
        ] {
            assert!(error.contains(part), "{part} in\n{error}");
        }
        assert!(!error.contains("secret"), "{error}");
        let error = resolved("listen = [\nx").expect_err("no TOML").to_string();
        assert!(error.contains("toml:"), "{error}");
    }
}

//! Makes `src/remote/wire/*.rs` from `proto/*.proto`, without a protobuf compiler.
//!
//! The result is checked in, so that nobody who builds narthex needs this. `--check` says whether it is fresh.

use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// A message package and the file that its types go to.
const PACKAGES: [(&str, &str); 2] = [
    ("prometheus", "prometheus.rs"),
    ("io.prometheus.write.v2", "write_v2.rs"),
];

fn main() -> Result<()> {
    let is_check = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("--check") => true,
        Some(other) => bail!("unknown argument {other}; there is only --check"),
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let wire = root.join("src/remote/wire");
    for (name, text) in generate(&root.join("proto"))? {
        let path = wire.join(name);
        if !is_check {
            fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        } else if fs::read_to_string(&path).unwrap_or_default() != text {
            bail!(
                "{} is not what proto says: cargo run -p narthex-codegen",
                path.display()
            );
        }
    }
    Ok(())
}

/// File names and texts.
fn generate(protos: &Path) -> Result<Vec<(&'static str, String)>> {
    let files: Vec<PathBuf> = vec![protos.join("prometheus.proto"), protos.join("write_v2.proto")];
    let set = protox::compile(&files, [protos])?;
    let out = tempfile::tempdir()?;
    let mut config = prost_build::Config::new();
    config.out_dir(out.path());

    config.compile_fds(set)?;
    let read = |(package, name): (&str, &'static str)| {
        let path = out.path().join(format!("{package}.rs"));
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        Ok((
            name,
            format!("//! Made from `proto` by `narthex-codegen`; not to be edited.\n\n{text}"),
        ))
    };
    PACKAGES.into_iter().map(read).collect()
}

//! Bar 1, the long run: hands over to the oracle test of the library, which lives with its other tests.

use anyhow::{Context, Result};
use std::process::Command;

/// The oracle test reads its number of operations from here.
const OPERATIONS: &str = "NARTHEX_ORACLE_OPERATIONS";
const TEST: [&str; 6] = ["test", "--release", "--package", "narthex", "--test", "it"];

pub fn run(operations: u64) -> Result<bool> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(TEST)
        .args(["--", "model::", "--nocapture"])
        .env(OPERATIONS, operations.to_string())
        .status()
        .context("starting cargo")?;
    Ok(status.success())
}

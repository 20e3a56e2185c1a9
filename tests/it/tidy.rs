//! Tidy checks: what this project promises about its own text, held by a test instead of by habit.
//!
//! Every check collects all its complaints (`file:line: what`) before it fails, so that one run shows the whole list.

mod docs;
mod layers;
mod seeds;
mod sources;
pub(crate) mod text;

use std::fmt::Write as _;

/// Fails with every complaint on a line of its own.
fn report(complaints: &[String]) {
    let mut list = String::new();
    for complaint in complaints {
        let _ = writeln!(list, "  {complaint}");
    }
    assert!(complaints.is_empty(), "{} complaints:\n{list}", complaints.len());
}

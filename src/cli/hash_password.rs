//! `narthex hash-password`: from a password to what `auth.users` in the configuration holds.

use super::Failure;
use std::io::{self, Write};

/// About a quarter of a second a try.
const COST: u32 = 12;

/// Reads one line from stdin and prints its bcrypt hash.
pub(super) fn run(out: &mut impl Write) -> Result<bool, Failure> {
    let mut line = String::new();
    io::stdin().read_line(&mut line).map_err(Failure::Password)?;
    let password = line.trim_end_matches(['\r', '\n']);
    // bcrypt does not look at what stands behind.
    let is_usable = !password.is_empty() && password.len() <= 72 && !password.contains('\0');
    if !is_usable {
        let what = "a password has 1 to 72 bytes";
        return Err(Failure::Password(io::Error::new(
            io::ErrorKind::InvalidInput,
            what,
        )));
    }
    let hash = bcrypt::hash(password, COST);
    writeln!(
        out,
        "{}",
        hash.map_err(|error| Failure::Password(io::Error::other(error)))?
    )?;
    Ok(true)
}

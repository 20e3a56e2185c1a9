//! By what right a server is asked.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use clap::Args;
use std::path::{Path, PathBuf};

/// Where `narthex serve` is by default.
pub(super) const DEFAULT_URL: &str = "http://127.0.0.1:6364";
pub(super) const UNAUTHORIZED: u16 = 401;
/// What to do about that status.
pub(super) const WHO: &str =
    "it asks who you are: name a user (--user, --password-file) or a token (--bearer-file)";

/// Who asks, and for which tenant.
#[derive(Debug, Args)]
pub(super) struct Access {
    /// The user of basic authentication.
    #[arg(long, value_name = "NAME", requires = "password_file")]
    user: Option<String>,
    /// The file with the password of the user.
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    /// The file with a bearer token.
    #[arg(long, value_name = "FILE", conflicts_with = "user")]
    bearer_file: Option<PathBuf>,
    /// The tenant to ask, sent as X-Scope-OrgID.
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
}

impl Access {
    /// The headers of a request, or what is wrong with one.
    pub(super) fn headers(&self) -> Result<Vec<(&'static str, String)>, String> {
        let mut headers = Vec::new();
        if let (Some(user), Some(file)) = (&self.user, &self.password_file) {
            let encoded = BASE64_STANDARD.encode(format!("{user}:{}", secret(file)?));
            headers.push(("Authorization", format!("Basic {encoded}")));
        }
        if let Some(file) = &self.bearer_file {
            headers.push(("Authorization", format!("Bearer {}", secret(file)?)));
        }
        if let Some(tenant) = &self.tenant {
            headers.push(("X-Scope-OrgID", tenant.clone()));
        }
        match headers.iter().find(|header| header.1.contains(char::is_control)) {
            Some((name, _)) => Err(format!("the header {name} would have more than one line")),
            None => Ok(headers),
        }
    }
}

/// What a file says, without the end of its line.
fn secret(file: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(file);
    let text = text.map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

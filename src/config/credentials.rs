//! Users and tokens as the file names them. Secrets are hashes; nothing here is a password.

use super::file::hint;
use super::tenants::TenantName;

/// What a credential may do, and what a route needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Queries, statistics, metrics.
    Read,
    /// Remote write.
    Write,
    /// Flush, compact, reload.
    Admin,
}

const SCOPES: [Scope; 3] = [Scope::Read, Scope::Write, Scope::Admin];

impl Scope {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

/// Someone who logs in with a name and a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    /// In the format of bcrypt.
    pub(crate) hash: String,
    pub(crate) scopes: Vec<Scope>,
    /// The only tenant it is good for.
    pub(crate) tenant: Option<TenantName>,
}

/// A bearer token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) name: String,
    pub(crate) sha256: [u8; 32],
    pub(crate) scopes: Vec<Scope>,
    pub(crate) tenant: Option<TenantName>,
}

/// Everyone who is known. Without any, nobody is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) users: Vec<User>,
    pub(crate) tokens: Vec<Token>,
}

impl Credentials {
    pub(crate) fn is_empty(&self) -> bool {
        self.users.is_empty() && self.tokens.is_empty()
    }
}

/// The field of a table that is not to be shown.
pub(super) fn secret_field(key: &str) -> Option<&'static str> {
    match key {
        "auth.users" => Some("password"),
        "auth.tokens" => Some("sha256"),
        _ => None,
    }
}

/// Adds one table of `auth.users` or `auth.tokens`.
pub(super) fn add(
    credentials: &mut Credentials,
    key: &str,
    table: &[(String, Vec<String>)],
) -> Result<(), String> {
    let secret = secret_field(key).unwrap_or("sha256");
    let known = ["name", secret, "scopes", "tenant"];
    if let Some((field, _)) = table.iter().find(|field| !known.contains(&field.0.as_str())) {
        return Err(format!("unknown key `{field}`{}", hint(field, known.into_iter())));
    }
    let words = |field: &str| {
        let found = table.iter().find(|entry| entry.0 == field);
        found
            .map(|entry| entry.1.as_slice())
            .ok_or_else(|| format!("`{field}` is missing"))
    };
    let word = |field: &str| match words(field)? {
        [word] if !word.is_empty() => Ok(word.clone()),
        _ => Err(format!("`{field}` is one text")),
    };
    let name = word("name")?;
    let scope = |word: &String| {
        let scope = SCOPES.into_iter().find(|scope| scope.as_str() == word);
        scope.ok_or_else(|| format!("scope `{word}` is none of read, write, admin"))
    };
    let scopes = words("scopes")?
        .iter()
        .map(scope)
        .collect::<Result<Vec<_>, _>>()?;
    let tenant = match words("tenant") {
        Ok(_) => Some(TenantName::parse(&word("tenant")?)?),
        Err(_) => None,
    };
    if key == "auth.users" {
        let hash = word(secret)?;
        add_user(
            credentials,
            User {
                name,
                hash,
                scopes,
                tenant,
            },
        )
    } else {
        let sha256 = sha256_of(&word(secret)?)?;
        credentials.tokens.push(Token {
            name,
            sha256,
            scopes,
            tenant,
        });
        Ok(())
    }
}

fn add_user(credentials: &mut Credentials, user: User) -> Result<(), String> {
    let User { name, hash, .. } = &user;
    if name.contains(':') {
        return Err("a name for basic authentication has no colon".to_owned());
    }
    if credentials.users.iter().any(|known| known.name == *name) {
        return Err(format!("there is another user `{name}`"));
    }
    // What was written may be a password in the clear: the message does not repeat it.
    if hash.parse::<bcrypt::HashParts>().is_err() {
        return Err("`password` is not a bcrypt hash; `narthex hash-password` makes one".to_owned());
    }
    credentials.users.push(user);
    Ok(())
}

fn sha256_of(text: &str) -> Result<[u8; 32], String> {
    let bad = || "`sha256` has 64 hexadecimal digits".to_owned();
    let digit = |byte: u8| char::from(byte).to_digit(16).ok_or_else(bad);
    let mut hash = [0; 32];
    let pairs = text.as_bytes().chunks_exact(2);
    if text.len() != 64 {
        return Err(bad());
    }
    for (byte, pair) in hash.iter_mut().zip(pairs) {
        let [high, low] = pair else { return Err(bad()) };
        *byte = (digit(*high)? << 4 | digit(*low)?) as u8;
    }
    Ok(hash)
}

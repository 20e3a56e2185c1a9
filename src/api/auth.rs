//! Who may do what: basic authentication and bearer tokens against the hashes of the configuration.
//!
//! A bcrypt hash takes tens of milliseconds on purpose. A header that was found good is remembered by a keyed hash, so
//! that a sender pays once; what is wrong is never remembered, and at most two passwords are tried at the same time.

use super::error::ApiError;
use super::state::App;
use crate::config::credentials::{Credentials, Scope};
use crate::config::tenants::TenantName;
use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;
use tokio_rustls::rustls::crypto::ring;

/// Headers that are remembered.
const REMEMBERED_MAX: usize = 1024;
/// Passwords that are tried at the same time.
const TRIES_MAX: usize = 2;
/// Longest password that bcrypt tells from others.
const PASSWORD_BYTES_MAX: usize = 72;

/// The credentials that hold now.
#[derive(Debug)]
pub(crate) struct Auth {
    credentials: Credentials,
    key: [u8; 32],
    /// By keyed hash of the header: which user it is.
    remembered: Mutex<HashMap<[u8; 32], usize>>,
    tries: Arc<Semaphore>,
    /// Compared with when a user is not known, so that the answer takes as long.
    decoy: String,
}

/// Who sent a request. `None` is anyone, where nobody is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) name: Option<String>,
    /// The only tenant that the credential is good for.
    pub(crate) tenant: Option<TenantName>,
}

impl Caller {
    fn new(name: &str, tenant: Option<&TenantName>) -> Self {
        Self {
            name: Some(name.to_owned()),
            tenant: tenant.cloned(),
        }
    }

    /// The name under which refusals and quotas are kept.
    pub(super) fn sender(&self) -> &str {
        self.name.as_deref().unwrap_or("anonymous")
    }
}

impl Auth {
    pub(crate) fn new(credentials: Credentials) -> Self {
        let mut key = [0; 32];
        ring::default_provider()
            .secure_random
            .fill(&mut key)
            .expect("BUG: the operating system has no random numbers");
        let decoy = credentials
            .users
            .first()
            .map_or_else(String::new, |user| user.hash.clone());
        Self {
            credentials,
            key,
            remembered: Mutex::default(),
            tries: Arc::new(Semaphore::new(TRIES_MAX)),
            decoy,
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.credentials.is_empty()
    }

    fn digest(&self, header: &[u8]) -> [u8; 32] {
        Sha256::new()
            .chain_update(self.key)
            .chain_update(header)
            .finalize()
            .into()
    }

    /// Who the header names, and what they may do.
    async fn identify(&self, header: &[u8]) -> Option<(Caller, &[Scope])> {
        let text = std::str::from_utf8(header).ok()?;
        let (scheme, rest) = text.split_once(' ')?;
        // InfluxDB's clients have a word of their own.
        if ["bearer", "token"]
            .iter()
            .any(|word| scheme.eq_ignore_ascii_case(word))
        {
            return self.token(rest.trim());
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let digest = self.digest(header);
        let known = self.lock().get(&digest).copied();
        let place = match known {
            Some(place) => place,
            None => {
                let place = self.try_password(rest.trim()).await?;
                let mut remembered = self.lock();
                if remembered.len() >= REMEMBERED_MAX {
                    remembered.clear();
                }
                remembered.insert(digest, place);
                place
            }
        };
        let user = self.credentials.users.get(place)?;
        Some((Caller::new(&user.name, user.tenant.as_ref()), &user.scopes))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], usize>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn token(&self, token: &str) -> Option<(Caller, &[Scope])> {
        let hash: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let mut found = None;
        for known in &self.credentials.tokens {
            if bool::from(known.sha256.ct_eq(&hash)) {
                let caller = Caller::new(&known.name, known.tenant.as_ref());
                found = Some((caller, known.scopes.as_slice()));
            }
        }
        found
    }

    /// The place of the user whose name and password this is.
    async fn try_password(&self, encoded: &str) -> Option<usize> {
        let decoded = BASE64_STANDARD.decode(encoded).ok()?;
        let decoded = String::from_utf8(decoded).ok()?;
        let (name, password) = decoded.split_once(':')?;
        if password.len() > PASSWORD_BYTES_MAX {
            return None;
        }
        let place = self.credentials.users.iter().position(|user| user.name == name);
        let user = place.and_then(|place| self.credentials.users.get(place));
        let hash = user.map_or_else(|| self.decoy.clone(), |user| user.hash.clone());
        let password = password.to_owned();
        let _try = self.tries.acquire().await.ok()?;
        let checked = tokio::task::spawn_blocking(move || bcrypt::verify(password, &hash)).await;
        match checked {
            Ok(Ok(true)) => place,
            _ => None,
        }
    }
}

impl App {
    /// Who sent these headers, if they may use a route of `scope`.
    pub(super) async fn authorize(&self, scope: Scope, headers: &HeaderMap) -> Result<Caller, ApiError> {
        let auth = self.auth.load_full();
        let anyone = Caller::default();
        if auth.is_open() {
            if scope == Scope::Admin && !self.is_loopback {
                let message = "admin routes are off: narthex listens beyond this machine and no user or token is configured \
                               (auth.users, auth.tokens)";
                return Err(ApiError::forbidden(message));
            }
            return Ok(anyone);
        }
        let header = headers
            .get(header::AUTHORIZATION)
            .ok_or_else(ApiError::unauthorized)?;
        let (caller, scopes) = auth.identify(header.as_bytes()).await.ok_or_else(|| {
            self.metrics.count_auth_failure();
            ApiError::unauthorized()
        })?;
        if !scopes.contains(&scope) {
            let (name, scope) = (caller.sender(), scope.as_str());
            let message = format!("{name} may not do this: the scope {scope} is needed");
            return Err(ApiError::forbidden(message));
        }
        Ok(caller)
    }
}

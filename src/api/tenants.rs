//! The tenants of a server: which one a request is for, which there are, and how they come to be and open.
//!
//! Each has a database of its own in a folder of its own; without tenants there is only the anonymous one, in the data folder
//! itself. Folders that are there are opened in the background at the start; a write may make another one. A tenant that is not
//! there is read as an empty one, and reading makes nothing.

use super::auth::Caller;
use super::error::ApiError;
use super::lifecycle::ServeError;
use super::state::App;
use super::tenant::{self, Tenant};
use crate::config::Config;
use crate::config::credentials::Scope;
use crate::config::tenants::{FOLDER, TenantName};
use crate::engine::error::Error;
use crate::io::{DiskFs, Fs as _};
use crate::remote::intake::Intake;
use axum::http::{HeaderMap, HeaderName, Method};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::available_parallelism;
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, spawn_blocking};

type Known = BTreeMap<TenantName, Arc<Tenant>>;

/// All tenants that there are.
#[derive(Debug)]
pub(crate) struct Tenants {
    pub(super) is_enabled: bool,
    header: HeaderName,
    anonymous: Arc<Tenant>,
    /// In place of any that is not there.
    absent: Tenant,
    /// The anonymous one among them.
    known: RwLock<Known>,
}

/// New rules for all tenants. They hold once they are applied; until then no tenant comes to be.
pub(super) struct NewIntakes<'a> {
    known: RwLockWriteGuard<'a, Known>,
    intakes: Vec<Intake>,
}

impl Tenants {
    /// The tenants that have a folder. None is open yet.
    pub(super) fn new(config: &Config) -> Result<Self, ServeError> {
        let mut names = vec![TenantName::anonymous()];
        let folder = config.data.join(FOLDER);
        if config.tenants.is_enabled && DiskFs.exists(&folder).map_err(Error::from)? {
            for entry in DiskFs.list(&folder).map_err(Error::from)? {
                match TenantName::of_folder(&entry) {
                    Some(name) => names.push(name),
                    None => {
                        tracing::warn!(entry, folder = %folder.display(), "is no tenant's folder and is left alone")
                    }
                }
            }
        }
        let mut known = Known::new();
        for name in names {
            let tenant = match tenant::intake(config, &name.folder(&config.data)) {
                Ok(intake) => Tenant::new(name.clone(), intake, false),
                Err(ServeError::Db(error)) if name != TenantName::anonymous() => {
                    tracing::error!(tenant = %name, %error, "a tenant does not open; the others are served");
                    Tenant::failed(name.clone())
                }
                Err(error) => return Err(error),
            };
            known.insert(name, Arc::new(tenant));
        }
        let anonymous = known.get(&TenantName::anonymous()).cloned();
        Ok(Self {
            is_enabled: config.tenants.is_enabled,
            header: HeaderName::from_bytes(config.tenants.header.as_bytes())
                .expect("BUG: the configuration takes what is no header's name"),
            anonymous: anonymous.expect("BUG: there is an anonymous tenant"),
            absent: Tenant::absent()?,
            known: RwLock::new(known),
        })
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tenant that is always there.
    pub(super) fn anonymous(&self) -> &Arc<Tenant> {
        &self.anonymous
    }

    /// Those that there are, by name.
    pub(super) fn list(&self) -> Vec<Arc<Tenant>> {
        self.read().values().cloned().collect()
    }

    /// Whether requests can be answered: the data folder is this process' own, or it would have ended.
    pub(super) fn has_begun(&self) -> bool {
        self.anonymous.is_done()
    }

    /// The tenant that a request is for.
    fn name_of(&self, config: &Config, caller: &Caller, headers: &HeaderMap) -> Result<TenantName, ApiError> {
        if !self.is_enabled {
            return match &caller.tenant {
                None => Ok(TenantName::anonymous()),
                Some(_) => Err(ApiError::forbidden(
                    "credentials with a tenant are good for nothing until tenants.enabled holds",
                )),
            };
        }
        let mut named = headers.get_all(&self.header).iter();
        let asked = match (named.next(), named.next()) {
            (None, _) => None,
            (Some(name), None) => {
                let name = name
                    .to_str()
                    .map_err(|_| "a tenant's name is plain text".to_owned());
                Some(name.and_then(TenantName::parse).map_err(ApiError::bad_data)?)
            }
            (Some(_), Some(_)) => return Err(ApiError::bad_data("the request names more than one tenant")),
        };
        match (asked, &caller.tenant) {
            (Some(asked), Some(own)) if asked != *own => {
                let message = format!("{} may not do this for the tenant {asked}", caller.sender());
                Err(ApiError::forbidden(message))
            }
            (_, Some(own)) => Ok(own.clone()),
            (Some(asked), None) => Ok(asked),
            (None, None) => config
                .tenants
                .default
                .clone()
                .ok_or_else(|| ApiError::no_tenant(&config.tenants.header)),
        }
    }

    /// Makes new rules for all of them.
    pub(super) fn prepare(&self, config: &Config) -> Result<NewIntakes<'_>, ServeError> {
        let known = self.write();
        let intake = |name: &TenantName| tenant::intake(config, &name.folder(&config.data));
        let intakes = known.keys().map(intake).collect::<Result<_, _>>()?;
        Ok(NewIntakes { known, intakes })
    }

    /// Puts fresh ones in place of those that did not open, and returns them. The anonymous one is opened by a start only.
    pub(super) fn renew_failed(&self, config: &Config) -> Vec<Arc<Tenant>> {
        let mut renewed = Vec::new();
        for tenant in self.write().values_mut() {
            let name = tenant.name.clone();
            if tenant.is_failed()
                && name != self.anonymous.name
                && let Ok(intake) = tenant::intake(config, &name.folder(&config.data))
            {
                *tenant = Arc::new(Tenant::new(name, intake, true));
                renewed.push(tenant.clone());
            }
        }
        renewed
    }

    /// Closes all that are open; one that cannot be closed keeps no other from it. Returns the first error.
    pub(super) async fn close(&self) -> Result<(), ServeError> {
        let mut closing = JoinSet::new();
        for tenant in self.list() {
            closing.spawn_blocking(move || match tenant.db() {
                Ok(db) => db.clone().close().inspect_err(|error| {
                    tracing::error!(tenant = %tenant.name, %error, "closing the database failed");
                }),
                Err(_) => Ok(()),
            });
        }
        let mut ended = Ok(());
        while let Some(closed) = closing.join_next().await {
            let closed = closed.map_err(|error| ServeError::Start(io::Error::other(error)));
            ended = ended.and(closed.and_then(|closed| closed.map_err(ServeError::from)));
        }
        ended
    }
}

impl NewIntakes<'_> {
    pub(super) fn apply(self) {
        for (tenant, intake) in self.known.values().zip(self.intakes) {
            tenant.intake.store(Arc::new(intake));
        }
    }
}

impl App {
    /// The tenant that a request is for, open. One that is not there is empty for readers; a write makes it.
    pub(super) async fn tenant_of(
        self: &Arc<Self>,
        caller: &Caller,
        scope: Scope,
        method: &Method,
        headers: &HeaderMap,
    ) -> Result<Arc<Tenant>, ApiError> {
        let name = self.tenants.name_of(&self.config.load(), caller, headers)?;
        let known = self.tenants.read().get(&name).cloned();
        match (known, scope) {
            (Some(tenant), _) => tenant.db().map(|_| tenant.clone()),
            (None, Scope::Read) => Ok(Arc::new(self.tenants.absent.absent_as(name))),
            (None, Scope::Write) if method == Method::POST => self.create(name).await,
            (None, _) => Err(ApiError::not_found(format!("there is no tenant {name}"))),
        }
    }

    /// Makes a tenant and opens its database. Whoever asks for it meanwhile is told that it is being opened.
    async fn create(self: &Arc<Self>, name: TenantName) -> Result<Arc<Tenant>, ApiError> {
        let tenant = match self.register(name)? {
            (tenant, true) => tenant,
            (tenant, false) => return tenant.db().map(|_| tenant.clone()),
        };
        let (app, opening) = (self.clone(), tenant.clone());
        let opened = spawn_blocking(move || {
            let opened = opening.open(&app.config.load_full());
            if let Err(error) = &opened {
                tracing::error!(tenant = %opening.name, %error, "a new tenant does not open");
                // The next write tries again.
                app.tenants.write().remove(&opening.name);
            }
            opened
        });
        match opened.await {
            Ok(opened) => opened.map(|()| tenant).map_err(ApiError::from),
            Err(_) => Err(ApiError::internal("narthex failed on this request; see its log")),
        }
    }

    /// Adds a tenant that is not open yet, unless another request did just now. Whether this one did.
    fn register(&self, name: TenantName) -> Result<(Arc<Tenant>, bool), ApiError> {
        let mut known = self.tenants.write();
        if let Some(tenant) = known.get(&name) {
            return Ok((tenant.clone(), false));
        }
        // Loaded under the lock: a reload changes the rules of those that are there.
        let config = self.config.load();
        if !config.tenants.may_create(&name) {
            let message = format!("there is no tenant {name}, and a write may not make one (tenants.create)");
            return Err(ApiError::forbidden(message));
        }
        if known.len() > config.tenants.count_max {
            let message =
                format!("there is no tenant {name}, and there are as many as there may be (tenants.count)");
            return Err(ApiError::forbidden(message));
        }
        let intake = tenant::intake(&config, &name.folder(&config.data));
        let intake = intake.map_err(|error| ApiError::internal(error.to_string()))?;
        let tenant = Arc::new(Tenant::new(name.clone(), intake, true));
        tracing::info!(tenant = %name, "a new tenant");
        known.insert(name, tenant.clone());
        Ok((tenant, true))
    }

    /// Opens these tenants, a few at the same time. One that does not open keeps no other from it.
    pub(super) async fn open_all(self: Arc<Self>, tenants: Vec<Arc<Tenant>>) {
        let turns = Arc::new(Semaphore::new(
            available_parallelism().map_or(1, |cores| cores.get()),
        ));
        for tenant in tenants {
            let Ok(turn) = turns.clone().acquire_owned().await else {
                return;
            };
            let app = self.clone();
            spawn_blocking(move || {
                let _turn = turn;
                if let Err(error) = tenant.open(&app.config.load_full()) {
                    tracing::error!(tenant = %tenant.name, %error, "a tenant does not open; the others are served");
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Server, router};
    use super::*;
    use crate::config::Sources;
    use axum::body::Body;
    use axum::extract::Request;
    use axum::http::header;

    /// Listens, has the tenant `b` besides the anonymous one, and opens none by itself.
    fn server(folder: &tempfile::TempDir) -> Server {
        let data = folder.path().join("data");
        let tenant = TenantName::parse("b").expect("a name").folder(&data);
        DiskFs.create_dir_all(&tenant).expect("a folder");
        let path = folder.path().join("narthex.toml");
        let text = format!("listen = \"127.0.0.1:0\"\ndata = {data:?}\n[tenants]\nenabled = true\n");
        let fs = Arc::new(DiskFs) as Arc<dyn crate::io::Fs>;
        crate::io::write_file(&fs, &path, text.as_bytes()).expect("a file");
        let sources = Sources::file(path);
        Server::bind(sources.resolve().expect("a configuration"), sources).expect("a port")
    }

    /// Status, whether there is a Retry-After, and the text.
    async fn get(app: &Arc<App>, path: &str, tenant: &str) -> (u16, bool, String) {
        let request = Request::builder().uri(path).header("X-Scope-OrgID", tenant);
        let request = request.body(Body::empty()).expect("a request");
        let asked = tower::ServiceExt::oneshot(router::router(app), request);
        let response = asked.await.expect("an answer");
        let (status, retry) = (
            response.status().as_u16(),
            response.headers().contains_key(header::RETRY_AFTER),
        );
        let body = axum::body::to_bytes(response.into_body(), 1 << 20)
            .await
            .expect("a body");
        (status, retry, String::from_utf8_lossy(&body).into_owned())
    }

    #[test]
    fn a_tenant_that_is_not_open_yet_is_503_and_named_and_the_others_are_served() {
        let folder = tempfile::tempdir().expect("a folder");
        let server = server(&folder);
        let app = server.app();
        let config = app.config.load_full();
        app.tenants.anonymous().open(&config).expect("it opens");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            const PATH: &str = "/api/v1/ingest/rejections";
            let (status, retry, _) = get(app, PATH, "b").await;
            assert_eq!((status, retry), (503, true));
            assert_eq!(get(app, PATH, "anonymous").await.0, 200);
            let (status, _, text) = get(app, "/-/ready", "").await;
            assert_eq!(status, 503);
            assert!(text.contains("the databases of 1 (b)"), "{text}");
            let tenants = app.tenants.list();
            assert_eq!(tenants.len(), 2);
            let others = tenants.into_iter().filter(|tenant| !tenant.is_done());
            app.clone().open_all(others.collect()).await;
            while !app.tenants.list().iter().all(|tenant| tenant.is_done()) {
                tokio::task::yield_now().await;
            }
            assert_eq!(get(app, PATH, "b").await.0, 200);
            let ready = get(app, "/-/ready", "").await;
            assert_eq!((ready.0, ready.2.as_str()), (200, "narthex is ready\n"));
            app.tenants.close().await.expect("all close");
        });
    }

    #[test]
    fn two_writes_at_once_make_one_tenant() {
        let folder = tempfile::tempdir().expect("a folder");
        let server = server(&folder);
        let name = TenantName::parse("new").expect("a name");
        let app = server.app();
        let (first, is_first) = app.register(name.clone()).expect("it may be made");
        let (second, is_second) = app.register(name).expect("it is there");
        assert!(is_first && !is_second && Arc::ptr_eq(&first, &second));
        assert!(second.db().is_err(), "it is not open yet");
    }
}

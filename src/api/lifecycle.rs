//! A server from its first to its last moment: listen, open the database while answering that it is not ready, serve,
//! reload, drain, close.

use super::admission::Admission;
use super::auth::Auth;
use super::door::Door;
use super::doors::graphite;
use super::notifications::{Notifications, RELOAD_FAILED, STOPPING};
use super::queries::Queries;
use super::self_metrics::ServerMetrics;
use super::state::{App, Times};
use super::tenants::Tenants;
use super::tls::{self, TlsError};
use crate::base::clock::{Clock as _, SystemClock};
use crate::config::{Config, ConfigError, Sources};
use crate::engine::error::Error;
use arc_swap::{ArcSwap, ArcSwapOption};
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_rustls::rustls::ServerConfig;

/// Blocking threads beside those that the requests have turns for: opening, closing, scrapes, what operators ask for.
const SPARE_THREADS: usize = 32;
/// How long the end waits for work that nobody waits for any more.
const LEFTOVERS_TIMEOUT: Duration = Duration::from_secs(1);
/// Sent when a file has reached the size that the process is allowed. It ends a process that does not take it; taken, the
/// write fails like one on a full disk.
const SIGXFSZ: i32 = 25;

/// Why a server ended other than as it was told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// It cannot listen.
    #[error("listen on {listen}: {source}")]
    Listen {
        /// The address.
        listen: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The operating system gives no threads, timers or signals.
    #[error("start the server: {0}")]
    Start(io::Error),
    /// Certificate or key are not usable.
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
    /// A relabelling rule is not usable.
    #[error("ingest.relabel, entry {number}: {what}")]
    Relabel {
        /// Which of them, from 1.
        number: usize,
        /// What is wrong with it.
        what: String,
    },
    /// The database does not open or close.
    #[error(transparent)]
    Db(#[from] Error),
    /// It was told to stop a second time, before all was done. The log has what was acknowledged.
    #[error("stopped at once, as told a second time; the next start replays the log")]
    Aborted,
}

/// What a running server is told.
#[derive(Debug)]
pub(super) enum Command {
    Shutdown,
    Reload(Option<oneshot::Sender<Result<Reloaded, String>>>),
}

/// What a reload did, by setting.
#[derive(Debug, Clone, Default)]
pub(super) struct Reloaded {
    pub(super) applied: Vec<&'static str>,
    pub(super) needs_restart: Vec<&'static str>,
}

/// Tells a running server what to do, from any thread.
#[derive(Debug, Clone)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
}

impl Handle {
    /// Stops accepting, lets requests end, closes the database. Told a second time, the server stops at once.
    pub fn shutdown(&self) {
        // A full queue or a gone server is being told already.
        let _ = self.commands.try_send(Command::Shutdown);
    }
}

/// Told when the setting `log` changed.
type LogChange = Box<dyn Fn(&str) + Send + Sync>;

/// A server that listens and does not answer yet.
pub struct Server {
    listener: TcpListener,
    graphite: Option<TcpListener>,
    address: SocketAddr,
    app: Arc<App>,
    sources: Sources,
    commands: mpsc::Receiver<Command>,
    tls: Arc<ArcSwapOption<ServerConfig>>,
    on_log: LogChange,
    has_signals: bool,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Listens. `sources` are where `config` came from: a reload reads them again.
    pub fn bind(config: Config, sources: Sources) -> Result<Self, ServeError> {
        let tls = config.tls.as_ref().map(tls::load).transpose()?;
        let (listener, address) = listen(&config.listen)?;
        let graphite = config.graphite_listen.as_deref().map(listen).transpose()?;
        let (sender, commands) = mpsc::channel(16);
        let tenants = Tenants::new(&config)?;
        let app = App {
            tenants,
            reads: Arc::new(Semaphore::new(config.remote_read.concurrency)),
            queries: Arc::new(Queries::new(config.query.concurrency, config.query.bytes_max)),
            auth: ArcSwap::from_pointee(Auth::new(config.credentials.clone())),
            admission: Admission::new(&config.http),
            metrics: ServerMetrics::default(),
            notifications: Notifications::default(),
            times: Times::now(),
            commands: sender,
            is_loopback: address.ip().is_loopback(),
            config: ArcSwap::from_pointee(config),
        };
        Ok(Self {
            listener,
            graphite: graphite.map(|(listener, _)| listener),
            address,
            app: Arc::new(app),
            sources,
            commands,
            tls: Arc::new(ArcSwapOption::new(tls)),
            on_log: Box::new(|_| {}),
            has_signals: false,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    #[cfg(test)]
    pub(super) fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// What tells it to stop.
    pub fn handle(&self) -> Handle {
        Handle {
            commands: self.app.commands.clone(),
        }
    }

    /// SIGTERM and SIGINT stop it, SIGHUP reloads. For programs that are nothing but this server.
    #[must_use]
    pub fn with_signals(mut self) -> Self {
        self.has_signals = true;
        self
    }

    /// Calls `change` with the new value when a reload changes the setting `log`.
    #[must_use]
    pub fn on_log_change(mut self, change: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.on_log = Box::new(change);
        self
    }

    /// Opens the database and serves until it is told to stop.
    pub fn run(self) -> Result<(), ServeError> {
        let config = self.app.config.load();
        let threads = config.http.concurrency + config.query.concurrency + SPARE_THREADS;
        drop(config);
        let runtime = runtime::Builder::new_multi_thread()
            .enable_all()
            .thread_name("narthex-http")
            .max_blocking_threads(threads)
            .build()
            .map_err(ServeError::Start)?;
        let served = runtime.block_on(self.serve());
        // Tasks let go of the database, so that it can be opened again at once. An opening that was interrupted, or work that was
        // aborted, is not waited for longer than this.
        runtime.shutdown_timeout(LEFTOVERS_TIMEOUT);
        served
    }

    async fn serve(mut self) -> Result<(), ServeError> {
        if self.has_signals {
            forward_signals(&self.app.commands).map_err(ServeError::Start)?;
        }
        let config = self.app.config.load_full();
        self.announce(&config);
        let (stop, stopped) = watch::channel(false);
        let door = Door::new(&self.app, self.tls.clone());
        let listener = self
            .listener
            .try_clone()
            .and_then(tokio::net::TcpListener::from_std);
        let listener = listener.map_err(ServeError::Start)?;
        let graphite = self.accept_graphite(&stopped)?;
        let accepting = tokio::spawn(door.accept(listener, stopped));
        self.open_and_wait().await?;
        self.app.notifications.set(STOPPING, true);
        // From here on nobody is accepted, and idle connections end.
        stop.send_replace(true);
        let graceful = accepting
            .await
            .map_err(|error| ServeError::Start(io::Error::other(error)))?;
        drop(self.listener);
        let commands = &mut self.commands;
        let app = &self.app;
        let ending = async {
            if timeout(config.http.shutdown_timeout, graceful.shutdown())
                .await
                .is_err()
            {
                tracing::warn!("some requests did not end in time (http.shutdown_timeout)");
            }
            if let Some(graphite) = graphite {
                // What it panics with stands in the log.
                let _ = graphite.await;
            }
            app.tenants.close().await
        };
        tokio::select! {
            ended = ending => ended?,
            () = told_again(commands) => {
                // Dropping the last handle of the database would wait for its threads and for the disk.
                std::mem::forget(self.app.clone());
                return Err(ServeError::Aborted);
            }
        }
        tracing::info!("stopped");
        Ok(())
    }

    /// Takes Graphite's plaintext until it is stopped, if it is wanted.
    fn accept_graphite(
        &mut self,
        stopped: &watch::Receiver<bool>,
    ) -> Result<Option<JoinHandle<()>>, ServeError> {
        let Some(listener) = self.graphite.take() else {
            return Ok(None);
        };
        let listener = tokio::net::TcpListener::from_std(listener).map_err(ServeError::Start)?;
        if let Ok(address) = listener.local_addr() {
            tracing::info!(%address, "listening for Graphite's plaintext, from whoever reaches it");
        }
        let accepting = graphite::accept(self.app.clone(), listener, stopped.clone());
        Ok(Some(tokio::spawn(accepting)))
    }

    /// Opens the database of the data folder, then those of tenants, and obeys commands until one of them is to stop.
    async fn open_and_wait(&mut self) -> Result<(), ServeError> {
        let (app, first) = (self.app.clone(), self.app.tenants.anonymous().clone());
        let mut opening = tokio::task::spawn_blocking(move || first.open(&app.config.load_full()));
        let mut others = JoinSet::new();
        let mut is_opening = true;
        loop {
            tokio::select! {
                opened = &mut opening, if is_opening => {
                    self.check_first(opened.map_err(|error| ServeError::Start(io::Error::other(error)))?)?;
                    let mut tenants = self.app.tenants.list();
                    tenants.retain(|tenant| !tenant.is_done());
                    others.spawn(self.app.clone().open_all(tenants));
                    is_opening = false;
                }
                command = self.commands.recv() => match command {
                    None | Some(Command::Shutdown) => {
                        tracing::info!("stopping");
                        return Ok(());
                    }
                    Some(Command::Reload(answer)) => {
                        let reloaded = self.reload();
                        if reloaded.is_ok() {
                            let failed = self.app.tenants.renew_failed(&self.app.config.load());
                            others.spawn(self.app.clone().open_all(failed));
                        }
                        if let Some(answer) = answer {
                            // Who asked may be gone.
                            let _ = answer.send(reloaded);
                        }
                    }
                },
            }
        }
    }

    /// A damaged database in the data folder itself is one tenant's, if there are others; anything else ends the server.
    fn check_first(&self, opened: Result<(), Error>) -> Result<(), ServeError> {
        match opened {
            Err(error @ (Error::Corrupt(_) | Error::Fs(_))) if self.app.tenants.is_enabled => {
                tracing::error!(%error, "the database of the data folder does not open; other tenants are served");
                Ok(())
            }
            other => Ok(other?),
        }
    }

    fn announce(&self, config: &Config) {
        let scheme = if config.tls.is_some() { "https" } else { "http" };
        let data = config.data.display();
        tracing::info!(address = %self.address, scheme, %data, version = env!("CARGO_PKG_VERSION"), "listening");
        self.warn_if_open(config);
        warn_of_features(config);
    }

    fn warn_if_open(&self, config: &Config) {
        if config.credentials.is_empty() && !self.app.is_loopback {
            tracing::warn!(
                address = %self.address,
                "anyone who reaches this address can read and write: no user or token is configured (auth.users, auth.tokens); \
                 admin routes are off"
            );
        }
    }

    /// Reads the configuration and the certificates again. On any fault nothing changes.
    fn reload(&self) -> Result<Reloaded, String> {
        let read = || {
            let fresh = self
                .sources
                .resolve()
                .map_err(|error: ConfigError| error.to_string())?;
            let tls = fresh.tls.as_ref().map(tls::load).transpose();
            let is_new = fresh.ingest != self.app.config.load().ingest;
            let intakes = is_new.then(|| self.app.tenants.prepare(&fresh)).transpose();
            let intakes = intakes.map_err(|error| error.to_string())?;
            Ok::<_, String>((fresh, tls.map_err(|error| format!("TLS: {error}"))?, intakes))
        };
        let (fresh, tls, intakes) = read().inspect_err(|error| {
            self.app.metrics.reload_failed.store(1, Relaxed);
            self.app.notifications.set(RELOAD_FAILED, true);
            tracing::error!(error, "the configuration was not reloaded");
        })?;
        let old = self.app.config.load_full();
        let (mut applied, mut needs_restart) = old.changed(&fresh);
        let had_tls = old.tls.is_some();
        let mut config = old.reloaded(&fresh);
        if had_tls == tls.is_some() {
            self.tls.store(tls);
        } else {
            // Clients would suddenly be spoken to in another way.
            config.tls.clone_from(&old.tls);
            let is_tls = |key: &&str| key.starts_with("tls.");
            needs_restart.extend(applied.extract_if(.., |key| is_tls(&&**key)));
        }
        if config.credentials != old.credentials {
            self.app
                .auth
                .store(Arc::new(Auth::new(config.credentials.clone())));
            self.warn_if_open(&config);
        }
        warn_of_features(&config);
        if config.log != old.log {
            (self.on_log)(&config.log);
        }
        self.app.config.store(Arc::new(config));
        if let Some(intakes) = intakes {
            intakes.apply();
        }
        self.app.metrics.reload_failed.store(0, Relaxed);
        self.app.notifications.set(RELOAD_FAILED, false);
        self.app.times.configured_ms.store(SystemClock.now_ms(), Relaxed);
        tracing::info!(?applied, ?needs_restart, "the configuration was reloaded");
        Ok(Reloaded {
            applied,
            needs_restart,
        })
    }
}

/// A socket that listens, and where.
fn listen(address: &str) -> Result<(TcpListener, SocketAddr), ServeError> {
    let bound = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    });
    bound.map_err(|source| ServeError::Listen {
        listen: address.to_owned(),
        source,
    })
}

fn warn_of_features(config: &Config) {
    for name in &config.query.features.unknown {
        tracing::warn!(
            name,
            "enable_feature names what narthex does not know; it changes nothing"
        );
    }
}

/// Returns when there is another command to stop.
async fn told_again(commands: &mut mpsc::Receiver<Command>) {
    loop {
        match commands.recv().await {
            Some(Command::Shutdown) => return,
            Some(Command::Reload(_)) => {}
            None => std::future::pending().await,
        }
    }
}

fn forward_signals(commands: &mpsc::Sender<Command>) -> io::Result<()> {
    let kinds = [
        (SignalKind::terminate(), false),
        (SignalKind::interrupt(), false),
        (SignalKind::hangup(), true),
    ];
    // Taken once it stays taken.
    drop(signal(SignalKind::from_raw(SIGXFSZ))?);
    for (kind, is_reload) in kinds {
        let mut signals = signal(kind)?;
        let commands = commands.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                let command = if is_reload {
                    Command::Reload(None)
                } else {
                    Command::Shutdown
                };
                if commands.send(command).await.is_err() {
                    return;
                }
            }
        });
    }
    Ok(())
}

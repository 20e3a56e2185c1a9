//! Where connections come in: accepted while there are places, through TLS if it is on, to HTTP/1.1 or HTTP/2.

use super::connection::{Counted, Patience, Requests, Timed};
use super::router;
use super::state::App;
use arc_swap::ArcSwapOption;
use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

/// Wait after a failed accept: mostly there are no file descriptors, and some will be given back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Streams of one HTTP/2 connection.
const H2_STREAMS_MAX: u32 = 250;
/// How often an HTTP/2 connection is asked whether it is still there.
const H2_PING_INTERVAL: Duration = Duration::from_secs(30);

/// An open connection, counted until it is dropped.
struct Open(Arc<App>);

impl Open {
    fn count(app: &Arc<App>) -> Self {
        app.metrics.connections.fetch_add(1, Relaxed);
        app.metrics.connections_total.fetch_add(1, Relaxed);
        Self(app.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.metrics.connections.fetch_sub(1, Relaxed);
    }
}

/// Where connections come in.
pub(super) struct Door {
    router: Router,
    app: Arc<App>,
    tls: Arc<ArcSwapOption<ServerConfig>>,
    patience: Patience,
    places: Arc<Semaphore>,
}

impl Door {
    pub(super) fn new(app: &Arc<App>, tls: Arc<ArcSwapOption<ServerConfig>>) -> Self {
        let http = &app.config.load().http;
        Self {
            router: router::router(app),
            app: app.clone(),
            tls,
            patience: Patience {
                header: http.header_timeout,
                idle: http.idle_timeout,
                write: http.write_timeout,
            },
            places: Arc::new(Semaphore::new(http.connections)),
        }
    }

    /// Accepts until it is stopped, and returns what the open connections are told to end by.
    pub(super) async fn accept(
        self,
        listener: TcpListener,
        mut stopped: watch::Receiver<bool>,
    ) -> GracefulShutdown {
        let graceful = GracefulShutdown::new();
        let door = Arc::new(self);
        loop {
            let next = async {
                let place = door.places.clone().acquire_owned().await;
                (place, listener.accept().await)
            };
            let (place, accepted) = tokio::select! {
                _ = stopped.changed() => return graceful,
                next = next => next,
            };
            let (stream, watcher) = match accepted {
                Ok((stream, _)) => (stream, graceful.watcher()),
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let door = door.clone();
            tokio::spawn(async move {
                let _place = place;
                let _open = Open::count(&door.app);
                door.serve(stream, watcher).await;
            });
        }
    }

    async fn serve(&self, stream: TcpStream, watcher: Watcher) {
        // Answers are small and waited for.
        let _ = stream.set_nodelay(true);
        let Some(tls) = self.tls.load_full() else {
            return self.serve_http(stream, watcher).await;
        };
        match timeout(self.patience.header, TlsAcceptor::from(tls).accept(stream)).await {
            Ok(Ok(stream)) => self.serve_http(stream, watcher).await,
            Ok(Err(error)) => {
                self.app.metrics.tls_failures.fetch_add(1, Relaxed);
                tracing::debug!(%error, "a TLS handshake failed");
            }
            Err(_) => {
                self.app.metrics.tls_failures.fetch_add(1, Relaxed);
            }
        }
    }

    async fn serve_http<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        stream: S,
        watcher: Watcher,
    ) {
        let requests = Requests::default();
        let stream = Timed::new(stream, self.patience, requests.clone());
        let service = Counted {
            router: self.router.clone(),
            requests,
        };
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(None);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(H2_STREAMS_MAX)
            .keep_alive_interval(H2_PING_INTERVAL);
        let connection = builder
            .serve_connection(TokioIo::new(stream), service)
            .into_owned();
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(error, "a connection ended early");
        }
    }
}

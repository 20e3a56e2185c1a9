//! Graphite's plaintext over TCP, for who has nothing better. Nobody is asked who they are, and nobody is answered.
//!
//! What a connection sends is stored as it comes, a piece at a time; while it cannot be stored, nothing more is read, so that the
//! sender waits. Bad lines are counted and told in the log when the connection ends.

use super::import::{Source, store_lines};
use crate::api::auth::Caller;
use crate::api::error::ApiError;
use crate::api::state::App;
use crate::api::writing::{Tally, Writer};
use crate::config::credentials::Scope;
use crate::doors::graphite::Graphite;
use axum::http::{HeaderMap, Method, StatusCode};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// So much is read at once.
const READ_BYTES: usize = 64 << 10;
/// A connection with a longer line is closed.
const LINE_BYTES_MAX: usize = 64 << 10;
/// Wait before what could not be stored is tried again, and after a failed accept.
const PAUSE: Duration = Duration::from_secs(1);
/// A connection that says nothing for so long is closed.
const IDLE: Duration = Duration::from_secs(3600);

/// Accepts until it is stopped, and returns once the connections have ended.
pub(in crate::api) async fn accept(app: Arc<App>, listener: TcpListener, mut stopped: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(app.config.load().http.connections));
    let mut connections = JoinSet::new();
    loop {
        let next = async { (places.clone().acquire_owned().await, listener.accept().await) };
        let (place, accepted) = tokio::select! {
            _ = stopped.changed() => break,
            next = next => next,
        };
        // Those that have ended meanwhile.
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, peer)) => {
                let (app, stopped) = (app.clone(), stopped.clone());
                connections.spawn(async move {
                    let _place = place;
                    Connection::new(app, peer).serve(stream, stopped).await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection of Graphite's was not accepted");
                sleep(PAUSE).await;
            }
        }
    }
    while connections.join_next().await.is_some() {}
}

struct Connection {
    app: Arc<App>,
    peer: SocketAddr,
    /// What is read and not stored: the begin of a line, mostly.
    text: Arc<Vec<u8>>,
    tally: Tally,
}

impl Connection {
    fn new(app: Arc<App>, peer: SocketAddr) -> Self {
        Self {
            app,
            peer,
            text: Arc::default(),
            tally: Tally::default(),
        }
    }

    async fn serve(mut self, stream: TcpStream, mut stopped: watch::Receiver<bool>) {
        let mut chunk = vec![0; READ_BYTES];
        loop {
            let read = tokio::select! {
                _ = stopped.changed() => break,
                read = read(&stream, &mut chunk) => read,
            };
            let bytes = match read {
                Ok(bytes) => bytes,
                Err(error) => {
                    tracing::debug!(peer = %self.peer, %error, "a connection of Graphite's ended early");
                    break;
                }
            };
            Arc::make_mut(&mut self.text).extend_from_slice(chunk.get(..bytes).unwrap_or_default());
            while let Err(error) = self.store(bytes == 0).await {
                tracing::warn!(peer = %self.peer, error = %error.message, "samples of Graphite's are not stored");
                if !may_heal(&error) {
                    return;
                }
                tokio::select! {
                    _ = stopped.changed() => return,
                    () = sleep(PAUSE) => {}
                }
            }
            if bytes == 0 {
                break;
            }
            if self.text.len() > LINE_BYTES_MAX {
                tracing::warn!(peer = %self.peer, "a line of Graphite's has more than {LINE_BYTES_MAX} bytes");
                break;
            }
        }
        if self.tally.failed > 0 {
            let first = self.tally.told("line", 1).into_iter().next().unwrap_or_default();
            let (stored, refused) = (self.tally.stored, self.tally.failed);
            tracing::warn!(peer = %self.peer, stored, refused, %first, "lines of Graphite's were refused");
        }
    }

    /// Stores the lines that are complete; on an error none of them is lost.
    async fn store(&mut self, is_end: bool) -> Result<(), ApiError> {
        if memchr::memchr(b'\n', &self.text).is_none() && !is_end {
            return Ok(());
        }
        if !self.app.tenants.has_begun() {
            return Err(ApiError::unavailable("the database is being opened"));
        }
        let caller = Caller::default();
        let headers = HeaderMap::new();
        let tenant = self.app.tenant_of(&caller, Scope::Write, &Method::POST, &headers);
        let writer = Writer::new(self.app.clone(), tenant.await?, &caller, &headers)?;
        let text = self.text.clone();
        // Lines are counted on from those before.
        let mut tally = self.tally.clone();
        let work = move || {
            let mut source = Source {
                reader: Box::<Graphite>::default(),
                time_ms: None,
            };
            let read = store_lines(&writer, &text, is_end, &mut source, &mut tally)?;
            Ok((read, tally))
        };
        let (read, tally) = self.app.work(work).await?;
        self.tally = tally;
        Arc::make_mut(&mut self.text).drain(..read);
        Ok(())
    }
}

/// Whether the same may be stored later; else the connection is closed.
fn may_heal(error: &ApiError) -> bool {
    matches!(
        error.status,
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS
    )
}

/// Reads what is there; nothing at the end.
async fn read(stream: &TcpStream, chunk: &mut [u8]) -> io::Result<usize> {
    loop {
        timeout(IDLE, stream.readable()).await??;
        match stream.try_read(chunk) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => return read,
        }
    }
}

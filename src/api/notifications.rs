//! What an operator should see at once, as Prometheus' user interface shows it: a list of what holds now, and a stream of changes.

use super::error::ApiError;
use super::json;
use super::pieces::{PIECES_WAITING, Piece, Pieces};
use super::router::{Of, READ, Route, route};
use super::state::App;
use crate::base::civil::rfc3339;
use crate::base::clock::{Clock as _, SystemClock};
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use hyper::body::Frame;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::interval;

/// The last reload failed, and what held before still does.
pub(super) const RELOAD_FAILED: &str =
    "The configuration could not be reloaded; what held before still does.";
/// The server is about to end.
pub(super) const STOPPING: &str = "narthex is shutting down.";

/// Clients that follow at the same time; further ones are told to go.
const FOLLOWERS_MAX: usize = 16;
/// A quiet stream says this often that it is alive.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);

pub(super) fn routes() -> Vec<Route> {
    vec![
        route("/api/v1/notifications", READ, Of::Nobody, get(list)),
        route("/api/v1/notifications/live", READ, Of::Nobody, get(live)),
    ]
}

/// What holds, with the time from which on.
type Active = BTreeMap<&'static str, i64>;

/// The notifications of a server.
#[derive(Debug)]
pub(crate) struct Notifications {
    active: watch::Sender<Active>,
}

impl Default for Notifications {
    fn default() -> Self {
        Self {
            active: watch::Sender::new(Active::new()),
        }
    }
}

impl Notifications {
    pub(super) fn set(&self, text: &'static str, is_so: bool) {
        let now_ms = SystemClock.now_ms();
        self.active.send_if_modified(|active| match is_so {
            true if active.contains_key(text) => false,
            true => active.insert(text, now_ms).is_none(),
            false => active.remove(text).is_some(),
        });
    }

    /// What somebody who follows gets; `None` when too many do.
    fn follow(&self) -> Option<Body> {
        if self.active.receiver_count() >= FOLLOWERS_MAX {
            return None;
        }
        let mut active = self.active.subscribe();
        active.mark_changed();
        let (sender, pieces) = mpsc::channel::<Piece>(PIECES_WAITING);
        tokio::spawn(send_changes(active, sender));
        Some(Body::new(Pieces(pieces)))
    }
}

/// Sends changes until the client is gone or the server ends.
async fn send_changes(mut active: watch::Receiver<Active>, client: mpsc::Sender<Piece>) {
    let mut known = Active::new();
    let mut signs = interval(SIGN_OF_LIFE);
    signs.reset();
    loop {
        let text = tokio::select! {
            () = client.closed() => return,
            _ = signs.tick() => ":\n\n".to_owned(),
            changed = active.changed() => match changed {
                Ok(()) => {
                    let now = active.borrow_and_update().clone();
                    let text = changes(&known, &now);
                    known = now;
                    text
                }
                Err(_) => return,
            },
        };
        let is_over = known.contains_key(STOPPING);
        if !text.is_empty() && client.send(Ok(Frame::data(Bytes::from(text)))).await.is_err() || is_over {
            return;
        }
    }
}

/// The events between two states.
fn changes(before: &Active, after: &Active) -> String {
    let begun = after.iter().filter(|one| !before.contains_key(one.0));
    let over = before.iter().filter(|one| !after.contains_key(one.0));
    let events = begun.map(|one| (one, true)).chain(over.map(|one| (one, false)));
    events
        .map(|(one, is_so)| format!("data: {}\n\n", notification(one, is_so)))
        .collect()
}

fn notification((text, since_ms): (&&str, &i64), is_so: bool) -> Value {
    json!({ "text": text, "date": rfc3339(*since_ms), "active": is_so })
}

async fn list(State(app): State<Arc<App>>) -> Response {
    let active = app.notifications.active.borrow();
    json::success(active.iter().map(|one| notification(one, true)).collect())
}

async fn live(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let Some(body) = app.notifications.follow() else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    Ok((headers, body).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    async fn next(body: &mut Body) -> String {
        let frame = body.frame().await.expect("an event").expect("no fault");
        String::from_utf8_lossy(&frame.into_data().expect("data")).into_owned()
    }

    #[tokio::test]
    async fn followers_see_what_begins_and_ends() {
        let notifications = Notifications::default();
        notifications.set(RELOAD_FAILED, true);
        let mut body = notifications.follow().expect("a place");
        let first = next(&mut body).await;
        assert!(
            first.starts_with("data: {\"active\":true,") && first.ends_with("}\n\n"),
            "{first}"
        );
        notifications.set(RELOAD_FAILED, true);
        notifications.set(RELOAD_FAILED, false);
        assert!(next(&mut body).await.starts_with("data: {\"active\":false,"));
        notifications.set(STOPPING, true);
        assert!(next(&mut body).await.contains(STOPPING));
        assert!(body.frame().await.is_none(), "the stream ends with the server");
    }

    #[tokio::test]
    async fn the_seventeenth_follower_is_sent_away() {
        let notifications = Notifications::default();
        let mut bodies: Vec<_> = (0..FOLLOWERS_MAX).map(|_| notifications.follow()).collect();
        assert!(bodies.iter().all(Option::is_some) && notifications.follow().is_none());
        bodies.pop();
        while notifications.active.receiver_count() == FOLLOWERS_MAX {
            tokio::task::yield_now().await;
        }
        assert!(notifications.follow().is_some());
    }
}

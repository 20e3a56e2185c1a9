//! The queries of a server: who waits for a turn, which ones run, which were slow.
//!
//! So many queries run at the same time; the others wait. Tenants take turns, so that one with many queries does not keep
//! those of the others waiting; those of one tenant run in the order in which they came. What runs is listed and can be ended.

use super::error::ApiError;
use crate::base::clock::{Clock as _, SystemClock};
use crate::promql::eval::budget::{CancelFlag, QueryMemory};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Slow queries that are remembered.
const SLOWEST_MAX: usize = 50;

/// How a query ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Outcome {
    Answered,
    #[default]
    Failed,
    /// By its client, who went, or by an operator.
    Canceled,
    /// Also while it waited for its turn.
    Timeout,
}

impl Outcome {
    const ALL: [Self; 4] = [Self::Answered, Self::Failed, Self::Canceled, Self::Timeout];

    pub(super) fn of(result: &Result<(), ApiError>) -> Self {
        match result {
            Ok(()) => Self::Answered,
            Err(error) if error.kind == "canceled" => Self::Canceled,
            Err(error) if error.kind == "timeout" => Self::Timeout,
            Err(_) => Self::Failed,
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Timeout => "timeout",
        }
    }
}

/// The queries of a server.
#[derive(Debug)]
pub(crate) struct Queries {
    state: Mutex<State>,
    /// How many ended so, in the order of [`Outcome::ALL`].
    ended: [AtomicU64; 4],
    samples_read: AtomicU64,
    /// What all of them together may take.
    pub(super) memory: QueryMemory,
}

#[derive(Debug)]
struct State {
    free: usize,
    /// Who waits, by tenant.
    waiting: BTreeMap<String, VecDeque<oneshot::Sender<()>>>,
    /// The tenant whose turn was last.
    last: String,
    next_id: u64,
    active: BTreeMap<u64, Active>,
    /// The longest first.
    slowest: Vec<Ended>,
}

/// What is known of a query.
#[derive(Debug, Clone)]
pub(super) struct About {
    pub(super) tenant: String,
    pub(super) query: String,
    pub(super) start_ms: i64,
    pub(super) end_ms: i64,
    pub(super) step_ms: i64,
}

#[derive(Debug, Clone)]
pub(super) struct Active {
    pub(super) about: Arc<About>,
    pub(super) begun: Instant,
    pub(super) begun_ms: i64,
    cancel: CancelFlag,
}

/// A query that has ended.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    pub(super) about: Arc<About>,
    pub(super) begun_ms: i64,
    pub(super) took: Duration,
    pub(super) samples_read: u64,
    pub(super) outcome: Outcome,
}

/// A turn to run a query, and its place in the list. Given back when it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    queries: Arc<Queries>,
    id: u64,
    pub(super) samples_read: u64,
    pub(super) outcome: Outcome,
}

/// Somebody who waits for a turn; whoever goes meanwhile is counted.
pub(super) struct Patience<'q> {
    queries: &'q Queries,
    is_over: bool,
}

impl Patience<'_> {
    /// There is a turn.
    pub(super) fn rewarded(mut self) {
        self.is_over = true;
    }

    /// There was none in time.
    pub(super) fn exhausted(mut self) {
        self.is_over = true;
        self.queries.count(Outcome::Timeout);
    }
}

impl Drop for Patience<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.queries.count(Outcome::Canceled);
        }
    }
}

impl Queries {
    pub(crate) fn new(concurrency: usize, bytes_max: u64) -> Self {
        Self {
            state: Mutex::new(State {
                free: concurrency,
                waiting: BTreeMap::new(),
                last: String::new(),
                next_id: 1,
                active: BTreeMap::new(),
                slowest: Vec::new(),
            }),
            ended: Default::default(),
            samples_read: AtomicU64::new(0),
            memory: QueryMemory::new(bytes_max),
        }
    }

    fn count(&self, outcome: Outcome) {
        if let Some(counter) = self.ended.get(outcome as usize) {
            counter.fetch_add(1, Relaxed);
        }
    }

    /// How many ended how.
    pub(super) fn ended(&self) -> impl Iterator<Item = (Outcome, u64)> {
        let counts = self.ended.iter().map(|count| count.load(Relaxed));
        Outcome::ALL.into_iter().zip(counts)
    }

    /// Samples that those that have ended read.
    pub(super) fn samples_read(&self) -> u64 {
        self.samples_read.load(Relaxed)
    }

    /// Begins to wait for a turn.
    pub(super) fn patience(&self) -> Patience<'_> {
        Patience {
            queries: self,
            is_over: false,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a turn. Whoever stops waiting loses the place.
    pub(super) async fn turn(self: &Arc<Self>, about: About, cancel: CancelFlag) -> Turn {
        let place = {
            let mut state = self.lock();
            if state.free > 0 {
                state.free -= 1;
                None
            } else {
                let (sender, receiver) = oneshot::channel();
                let line = state.waiting.entry(about.tenant.clone()).or_default();
                line.push_back(sender);
                Some(receiver)
            }
        };
        if let Some(place) = place {
            let waited = Waiting {
                queries: self,
                place: Some(place),
            };
            waited.wait().await;
        }
        let mut state = self.lock();
        let id = state.next_id;
        state.next_id += 1;
        let active = Active {
            about: Arc::new(about),
            begun: Instant::now(),
            begun_ms: SystemClock.now_ms(),
            cancel,
        };
        state.active.insert(id, active);
        Turn {
            queries: self.clone(),
            id,
            samples_read: 0,
            outcome: Outcome::default(),
        }
    }

    /// What runs now, by id.
    pub(super) fn active(&self) -> Vec<(u64, Active)> {
        let state = self.lock();
        state
            .active
            .iter()
            .map(|(id, active)| (*id, active.clone()))
            .collect()
    }

    /// How many run and how many wait.
    pub(super) fn counts(&self) -> (usize, usize) {
        let state = self.lock();
        (
            state.active.len(),
            state.waiting.values().map(VecDeque::len).sum(),
        )
    }

    /// The longest ones that have ended.
    pub(super) fn slowest(&self) -> Vec<Ended> {
        self.lock().slowest.clone()
    }

    /// How many of this tenant wait.
    pub(super) fn waiting_of(&self, tenant: &str) -> usize {
        self.lock().waiting.get(tenant).map_or(0, VecDeque::len)
    }

    /// Ends a query; `false` when none of that number runs, or none of the tenant, if it must be one's.
    pub(super) fn kill(&self, id: u64, tenant: Option<&str>) -> bool {
        let state = self.lock();
        let is_its = |active: &&Active| tenant.is_none_or(|tenant| active.about.tenant == tenant);
        let found = state.active.get(&id).filter(is_its);
        found.is_some_and(|active| {
            active.cancel.cancel();
            true
        })
    }
}

impl State {
    /// Gives a turn that has come free to who waits for one: to the next tenant behind the last that has somebody waiting.
    fn pass_on(&mut self) {
        loop {
            let behind = self.waiting.range(self.last.clone()..).map(|(tenant, _)| tenant);
            let behind = behind.filter(|tenant| **tenant != self.last);
            let Some(tenant) = behind.chain(self.waiting.keys()).next().cloned() else {
                self.free += 1;
                return;
            };
            let first = self.waiting.get_mut(&tenant).and_then(VecDeque::pop_front);
            if self.waiting.get(&tenant).is_some_and(VecDeque::is_empty) {
                self.waiting.remove(&tenant);
            }
            self.last = tenant;
            if first.is_some_and(|first| first.send(()).is_ok()) {
                return;
            }
        }
    }
}

/// A place in a line. A turn that was given and not taken is passed on.
struct Waiting<'q> {
    queries: &'q Queries,
    place: Option<oneshot::Receiver<()>>,
}

impl Waiting<'_> {
    async fn wait(mut self) {
        if let Some(place) = &mut self.place {
            // The sender is kept until it has sent.
            let _ = place.await;
        }
        self.place = None;
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(mut place) = self.place.take() {
            place.close();
            if place.try_recv().is_ok() {
                self.queries.lock().pass_on();
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.queries.count(self.outcome);
        self.queries.samples_read.fetch_add(self.samples_read, Relaxed);
        let mut state = self.queries.lock();
        let ended = state.active.remove(&self.id).map(|active| Ended {
            about: active.about,
            begun_ms: active.begun_ms,
            took: active.begun.elapsed(),
            samples_read: self.samples_read,
            outcome: self.outcome,
        });
        if let Some(ended) = ended {
            let slowest = &mut state.slowest;
            let place = slowest.partition_point(|other| other.took >= ended.took);
            if place < SLOWEST_MAX {
                slowest.insert(place, ended);
                slowest.truncate(SLOWEST_MAX);
            }
        }
        state.pass_on();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::{Context, Poll, Waker};

    fn about(tenant: &str) -> About {
        About {
            tenant: tenant.to_owned(),
            query: "up".to_owned(),
            start_ms: 0,
            end_ms: 0,
            step_ms: 0,
        }
    }

    type Pending = std::pin::Pin<Box<dyn Future<Output = Turn>>>;

    fn ask(queries: &Arc<Queries>, tenant: &str) -> Pending {
        let (queries, about) = (queries.clone(), about(tenant));
        Box::pin(async move { queries.turn(about, CancelFlag::default()).await })
    }

    fn poll(asked: &mut Pending) -> Option<Turn> {
        match asked.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(turn) => Some(turn),
            Poll::Pending => None,
        }
    }

    #[test]
    fn tenants_take_turns() {
        let queries = Arc::new(Queries::new(1, 1));
        let mut first = ask(&queries, "a");
        let turn = poll(&mut first).expect("there is a turn");
        let mut asked: Vec<_> = ["a", "a", "b", "c"].map(|tenant| ask(&queries, tenant)).into();
        assert!(asked.iter_mut().all(|asked| poll(asked).is_none()));
        assert_eq!(queries.counts(), (1, 4));
        let mut order = Vec::new();
        let mut turn = Some(turn);
        while !asked.is_empty() {
            drop(turn.take());
            let (place, next) = asked
                .iter_mut()
                .enumerate()
                .find_map(|(place, asked)| poll(asked).map(|turn| (place, turn)))
                .expect("somebody has the turn");
            order.push(queries.active()[0].1.about.tenant.clone());
            turn = Some(next);
            drop(asked.remove(place));
        }
        assert_eq!(order, ["a", "b", "c", "a"]);
    }

    #[test]
    fn a_turn_that_nobody_takes_is_passed_on() {
        let queries = Arc::new(Queries::new(1, 1));
        let turn = poll(&mut ask(&queries, "a")).expect("there is a turn");
        let (mut gone, mut gone_later) = (ask(&queries, "a"), ask(&queries, "a"));
        let mut last = ask(&queries, "a");
        for asked in [&mut gone, &mut gone_later, &mut last] {
            assert!(poll(asked).is_none());
        }
        drop(gone);
        drop(turn);
        assert!(poll(&mut last).is_none(), "it is the turn of one that is there");
        drop(gone_later);
        let turn = poll(&mut last).expect("the turn was passed on");
        drop(turn);
        assert_eq!(queries.counts(), (0, 0));
        assert!(poll(&mut ask(&queries, "b")).is_some());
    }

    #[test]
    fn what_runs_can_be_ended_and_the_slowest_are_kept() {
        let queries = Arc::new(Queries::new(2, 1));
        let flag = CancelFlag::default();
        let mut asked: Pending = {
            let (queries, flag) = (queries.clone(), flag.clone());
            Box::pin(async move { queries.turn(about("a"), flag).await })
        };
        let mut turn = poll(&mut asked).expect("there is a turn");
        let id = queries.active()[0].0;
        assert!(!queries.kill(id + 1, None) && !queries.kill(id, Some("b")));
        assert!(!flag.is_set());
        assert!(queries.kill(id, Some("a")) && flag.is_set());
        turn.samples_read = 7;
        turn.outcome = Outcome::Canceled;
        drop(turn);
        assert!(!queries.kill(id, None));
        assert_eq!(queries.slowest()[0].samples_read, 7);
        for _ in 0..2 * SLOWEST_MAX {
            drop(poll(&mut ask(&queries, "b")));
        }
        let slowest = queries.slowest();
        assert_eq!(slowest.len(), SLOWEST_MAX);
        assert!(slowest.windows(2).all(|pair| pair[0].took >= pair[1].took));
        queries.patience().exhausted();
        queries.patience().rewarded();
        drop(queries.patience());
        let ended: Vec<_> = queries
            .ended()
            .map(|(outcome, count)| (outcome.as_str(), count))
            .collect();
        let failed = 2 * SLOWEST_MAX as u64;
        let wanted = [
            ("answered", 0),
            ("failed", failed),
            ("canceled", 2),
            ("timeout", 1),
        ];
        assert_eq!((ended.as_slice(), queries.samples_read()), (wanted.as_slice(), 7));
    }
}

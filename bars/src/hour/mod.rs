//! The parts of the soak: what is sent as a function of a seed, those who send and read it, the judge of what was read, and
//! the curves of the server.

pub mod judge;
pub mod read;
pub mod send;
pub mod svg;
pub mod watch;
pub mod world;

use crate::peer::http::Client;
use anyhow::Result;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Instant;
use world::World;

/// Connections that send. A host belongs to the one of its number modulo this.
pub const SENDERS: usize = 4;

/// What all threads of a soak share.
pub struct Shared {
    pub world: World,
    pub port: u16,
    pub start: Instant,
    /// Scrapes a second.
    pub pace: f64,
    /// Samples older than the newest by this much may be gone.
    pub window_ms: i64,
    /// Odd while the server is down.
    epoch: AtomicU64,
    is_over: AtomicBool,
    /// By sender: the last scrape that was acknowledged as a whole, and the last one that was begun.
    acked: [AtomicI64; SENDERS],
    begun: [AtomicI64; SENDERS],
    pub counts: Counts,
    wrong: Mutex<Vec<String>>,
}

/// What was done so far.
#[derive(Default)]
pub struct Counts {
    /// Samples that were acknowledged, those that were sent twice counted once.
    pub samples: AtomicU64,
    pub late: AtomicU64,
    pub requests: AtomicU64,
    pub twice: AtomicU64,
    /// Tries that a kill cut off.
    pub cut: AtomicU64,
    pub reads: AtomicU64,
    pub samples_read: AtomicU64,
}

/// A connection to the server's life of now.
#[derive(Default)]
pub struct Link {
    /// With the epoch in which it was made.
    made: Option<(u64, Client)>,
}

impl Link {
    /// A connection that no kill has cut before `epoch`.
    pub fn client(&mut self, shared: &Shared, epoch: u64) -> Result<&mut Client> {
        self.made.take_if(|made| made.0 != epoch);
        Ok(match &mut self.made {
            Some((_, client)) => client,
            none => &mut none.insert((epoch, Client::connect(shared.port)?)).1,
        })
    }

    pub fn cut(&mut self) {
        self.made = None;
    }
}

/// Adds to a count.
pub fn add(count: &AtomicU64, by: usize) {
    count.fetch_add(by as u64, Ordering::Relaxed);
}

impl Shared {
    pub fn new(world: World, port: u16, pace: f64, window_ms: i64) -> Self {
        let none = || std::array::from_fn(|_| AtomicI64::new(-1));
        Self {
            world,
            port,
            start: Instant::now(),
            pace,
            window_ms,
            epoch: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            acked: none(),
            begun: none(),
            counts: Counts::default(),
            wrong: Mutex::default(),
        }
    }

    /// The scrape whose time has come.
    pub fn tick_now(&self) -> i64 {
        (self.start.elapsed().as_secs_f64() * self.pace) as i64
    }

    pub fn stop(&self) {
        self.is_over.store(true, Ordering::Release);
    }

    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    /// Says that the server is about to be killed, or is ready again.
    pub fn turn(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Whether the server was up all the time since `epoch` was read.
    pub fn was_up_since(&self, epoch: u64) -> bool {
        epoch.is_multiple_of(2) && self.epoch() == epoch
    }

    pub fn begin(&self, sender: usize, tick: i64) {
        self.begun[sender].store(tick, Ordering::Release);
    }

    pub fn acknowledge(&self, sender: usize, tick: i64) {
        self.acked[sender].store(tick, Ordering::Release);
    }

    pub fn acked(&self) -> [i64; SENDERS] {
        std::array::from_fn(|sender| self.acked[sender].load(Ordering::Acquire))
    }

    pub fn begun(&self) -> [i64; SENDERS] {
        std::array::from_fn(|sender| self.begun[sender].load(Ordering::Acquire))
    }

    /// Notes what must not be; the first few are enough.
    pub fn complain(&self, what: String) {
        let mut wrong = self.wrong.lock().expect("BUG: a thread panicked");
        if wrong.len() < 20 {
            wrong.push(what);
        }
    }

    /// Notes an error as what must not be.
    pub fn expect(&self, who: &str, result: Result<()>) {
        if let Err(error) = result {
            self.complain(format!("{who}: {error:#}"));
        }
    }

    pub fn complaints(&self) -> Vec<String> {
        self.wrong.lock().expect("BUG: a thread panicked").clone()
    }
}

//! A sender: its hosts' scrapes in time with the clock, by one version of remote write, each request again until it is
//! acknowledged and now and then once more.

use super::world::{SERIES_PER_HOST, Value};
use super::{Link, SENDERS, Shared, add};
use crate::adapter::Point;
use crate::fleet::BATCH_SAMPLES;
use crate::peer::http::Answer;
use crate::peer::{remote_write, remote_write_v2};
use crate::rng::mix;
use anyhow::{Result, bail};
use narthex::Labels;
use std::time::{Duration, Instant};

const GIVE_UP: Duration = Duration::from_secs(120);
const TRY_AGAIN: Duration = Duration::from_millis(20);
const LOOK: Duration = Duration::from_millis(50);
/// One request in so many is sent again although it was acknowledged.
const TWICE_ONE_IN: u64 = 64;

/// One connection.
pub struct Sender<'a> {
    shared: &'a Shared,
    number: usize,
    link: Link,
    v1: remote_write::Request,
    v2: remote_write_v2::Request,
    /// Labels of the hosts, under their names of now.
    labels: Vec<(i64, Vec<Labels>)>,
    pending: usize,
    late: usize,
    requests: u64,
}

impl<'a> Sender<'a> {
    pub fn new(shared: &'a Shared, number: usize) -> Self {
        let hosts = (number..shared.world.hosts).step_by(SENDERS).count();
        Self {
            shared,
            number,
            link: Link::default(),
            v1: remote_write::Request::default(),
            v2: remote_write_v2::Request::default(),
            labels: vec![(-1, Vec::new()); hosts],
            pending: 0,
            late: 0,
            requests: 0,
        }
    }

    /// Sends until told to stop. What it began it ends.
    pub fn run(mut self) -> Result<()> {
        for tick in 0.. {
            while tick > self.shared.tick_now() && !self.shared.is_over() {
                std::thread::sleep(LOOK.min(Duration::from_secs_f64(0.5 / self.shared.pace)));
            }
            if self.shared.is_over() {
                break;
            }
            self.shared.begin(self.number, tick);
            self.scrape(tick)?;
            self.shared.acknowledge(self.number, tick);
        }
        Ok(())
    }

    fn scrape(&mut self, tick: i64) -> Result<()> {
        let mut due = Vec::with_capacity(SERIES_PER_HOST * 2);
        for place in 0..self.labels.len() {
            let host = self.number + place * SENDERS;
            due.clear();
            let visit = &mut |series, of| due.push((series, of));
            self.shared.world.each_due(host, tick, visit);
            for (series, of) in &due {
                self.push(place, tick, *series, *of);
            }
            if self.pending >= BATCH_SAMPLES - SERIES_PER_HOST {
                self.send()?;
            }
        }
        if self.pending > 0 {
            self.send()?;
        }
        Ok(())
    }

    fn push(&mut self, place: usize, tick: i64, series: super::world::Series, of: i64) {
        let is_v2 = self.is_v2();
        let world = &self.shared.world;
        let life = world.life_at(series.host, tick);
        let (known, labels) = &mut self.labels[place];
        if *known != life {
            let templates = 0..SERIES_PER_HOST;
            let all = templates.map(|template| {
                world.labels(super::world::Series {
                    life,
                    template,
                    ..series
                })
            });
            (*known, *labels) = (life, all.collect());
        }
        // Late ones and last ones may bear a former name.
        let former;
        let labels = if series.life == life {
            &labels[series.template]
        } else {
            former = world.labels(series);
            &former
        };
        let (time, value) = (world.time_ms(series.host, of), world.value(series, of));
        let point = match &value {
            Value::Float(value) => Point::Float(*value),
            Value::Histogram(histogram) => Point::Histogram(histogram),
        };
        let exemplar = world.exemplar(series, of);
        if is_v2 {
            self.v2.push_with(labels, time, point, exemplar.as_ref());
        } else {
            self.v1.push_with(labels, time, point, exemplar.as_ref());
        }
        self.pending += 1;
        self.late += usize::from(of != tick);
    }

    fn is_v2(&self) -> bool {
        self.number % 2 == 1
    }

    fn send(&mut self) -> Result<()> {
        let (message, headers) = if self.is_v2() {
            (self.v2.take_message(), remote_write_v2::HEADERS)
        } else {
            (self.v1.take_message(), remote_write::HEADERS)
        };
        let body = snap::raw::Encoder::new().compress_vec(&message)?;
        self.deliver(headers, &body)?;
        let counts = &self.shared.counts;
        add(&counts.samples, std::mem::take(&mut self.pending));
        add(&counts.late, std::mem::take(&mut self.late));
        add(&counts.requests, 1);
        self.requests += 1;
        let draw = mix(self.shared.world.seed ^ self.requests << 8 ^ self.number as u64);
        if draw.is_multiple_of(TWICE_ONE_IN) {
            add(&counts.twice, 1);
            self.deliver(headers, &body)?;
        }
        Ok(())
    }

    /// Sends a body until it is acknowledged. Only a kill excuses a failure.
    fn deliver(&mut self, headers: &str, body: &[u8]) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < GIVE_UP {
            let epoch = self.shared.epoch();
            match self.attempt(epoch, headers, body) {
                Ok(answer) if answer.status / 100 == 2 => return Ok(()),
                Ok(answer) if answer.status == 503 => {}
                Ok(answer) => {
                    let text = String::from_utf8_lossy(&answer.body).into_owned();
                    bail!("remote write: {} {text}", answer.status)
                }
                Err(error) if self.shared.was_up_since(epoch) => {
                    return Err(error.context("remote write to a server that was up"));
                }
                Err(_) => {
                    self.link.cut();
                    add(&self.shared.counts.cut, 1);
                }
            }
            std::thread::sleep(TRY_AGAIN);
        }
        bail!("no acknowledgement within {GIVE_UP:?}")
    }

    fn attempt(&mut self, epoch: u64, headers: &str, body: &[u8]) -> Result<Answer> {
        let client = self.link.client(self.shared, epoch)?;
        client.send("POST", "/api/v1/write", headers, body)
    }
}

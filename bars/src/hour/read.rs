//! Readers: queries of three shapes in one mode of remote read, all the time, every answer judged.

use super::judge::{Bounds, judge};
use super::world::{SERIES_PER_HOST, Series, World, host_name, metric_and_unit, same_metric};
use super::{Link, SENDERS, Shared, add};
use crate::peer::http::Client;
use crate::peer::remote_read::{self, Cell, Compare, Frames, Mode};
use crate::rng::Rng;
use anyhow::{Context, Result, bail, ensure};
use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Rest between two queries.
const PAUSE: Duration = Duration::from_millis(100);
const HOUR_MS: i64 = 3_600_000;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Query {
    hosts: std::ops::Range<usize>,
    templates: std::ops::Range<usize>,
    range: RangeInclusive<i64>,
}

impl Query {
    /// All series of a host.
    pub fn of_host(host: usize, range: RangeInclusive<i64>) -> Self {
        Self {
            hosts: host..host + 1,
            templates: 0..SERIES_PER_HOST,
            range,
        }
    }

    /// A host for two hours, a metric of a host for as long as there is any, or one series of every host for ten minutes; the
    /// range ends somewhere in the last hours.
    fn draw(shared: &Shared, rng: &mut Rng) -> Self {
        let world = &shared.world;
        let newest = world.base_ms + shared.tick_now() * world.step_ms;
        let back = if rng.below(3) == 0 {
            0
        } else {
            rng.below(2 * shared.window_ms as u64) as i64
        };
        let end = newest - back;
        let host = rng.below(world.hosts as u64) as usize;
        let template = rng.below(SERIES_PER_HOST as u64) as usize;
        match rng.below(3) {
            0 => Self::of_host(host, end - 2 * HOUR_MS..=end),
            1 => Self {
                templates: same_metric(template),
                ..Self::of_host(host, 0..=i64::MAX)
            },
            _ => Self {
                hosts: 0..world.hosts,
                templates: template..template + 1,
                range: end - HOUR_MS / 6..=end,
            },
        }
    }

    fn body(&self, mode: Mode) -> Result<Vec<u8>> {
        let host = host_name(self.hosts.start);
        let (metric, unit) = metric_and_unit(self.templates.start);
        let mut matchers = vec![(Compare::Regex, "job", "nod.")];
        if self.hosts.len() == 1 {
            matchers.push((Compare::Equal, "host", &host));
        }
        if self.templates.len() < SERIES_PER_HOST {
            matchers.push((Compare::Equal, "__name__", metric));
        }
        if self.templates.len() == 1 {
            matchers.push((Compare::Equal, "unit", &unit));
        }
        remote_read::request(&matchers, &self.range, mode)
    }

    /// Judges an answer; how many samples it has.
    pub fn judge(&self, world: &World, bounds: &Bounds, mut answer: Answer) -> Result<usize> {
        let mut samples = 0;
        for host in self.hosts.clone() {
            let begun = bounds.begun[host % SENDERS];
            for life in 0..=world.life_at(host, begun.max(0)) {
                for template in self.templates.clone() {
                    let series = Series { host, life, template };
                    let found = answer.remove(&series).unwrap_or_default();
                    samples += judge(world, series, &self.range, bounds, &found)
                        .map_err(|wrong| anyhow::anyhow!("{self:?}: {wrong}"))?;
                }
            }
        }
        match answer.keys().next() {
            Some(series) => bail!("{self:?}: {series:?} was not asked for"),
            None => Ok(samples),
        }
    }
}

/// What came, by series.
pub type Answer = HashMap<Series, Vec<(i64, Cell)>>;

/// Asks and decodes.
pub fn ask(client: &mut Client, world: &World, query: &Query, mode: Mode) -> Result<Answer> {
    let body = query.body(mode)?;
    let mut answer = Answer::new();
    let mut take = |series: remote_read::Series| {
        let known = world.identify(&series.labels);
        let known = known.with_context(|| format!("{:?} was never sent", series.labels))?;
        answer.entry(known).or_default().extend(series.samples);
        Ok(())
    };
    let (path, headers) = (remote_read::PATH, remote_read::HEADERS);
    match mode {
        Mode::Samples => {
            let answer = client.send("POST", path, headers, &body)?;
            ensure!(answer.status == 200, "remote read: {}", answer.status);
            remote_read::read_samples(&answer.body, &mut take)?;
        }
        Mode::Streamed => {
            let mut frames = Frames::default();
            let status = client.stream("POST", path, headers, &body, &mut |part| {
                frames.push(part, &mut |message| remote_read::read_frame(message, &mut take))
            })?;
            ensure!(status == 200, "remote read: {status}");
            ensure!(frames.is_whole(), "a stream that ends in a frame");
        }
    }
    Ok(answer)
}

/// Reads until told to stop.
pub fn run(shared: &Shared, mode: Mode) -> Result<()> {
    let mut rng = Rng::new(shared.world.seed ^ (mode as u64 + 1) << 32);
    let mut link = Link::default();
    while !shared.is_over() {
        std::thread::sleep(PAUSE);
        let query = Query::draw(shared, &mut rng);
        let (epoch, acked) = (shared.epoch(), shared.acked());
        let asked = link
            .client(shared, epoch)
            .and_then(|client| ask(client, &shared.world, &query, mode));
        match asked {
            Ok(answer) => {
                let bounds = Bounds::of_read(shared, acked);
                let samples = query.judge(&shared.world, &bounds, answer);
                let samples = samples.with_context(|| format!("{mode:?}"))?;
                add(&shared.counts.reads, 1);
                add(&shared.counts.samples_read, samples);
            }
            // A stream that a kill cuts off is an error, never a short answer.
            Err(error) if shared.was_up_since(epoch) => return Err(error.context(format!("{query:?}"))),
            Err(_) => link.cut(),
        }
    }
    Ok(())
}

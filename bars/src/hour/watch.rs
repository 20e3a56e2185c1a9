//! The curves: what is looked at every few seconds, and what is made of it.

use super::Shared;
use crate::measure::{folder_sizes, memory_parts_of, process_cpu};
use crate::peer::served::Served;
use anyhow::{Context, Result};
use std::sync::atomic::Ordering;

pub const MIB: f64 = 1_048_576.0;
/// The head of the table of [`Watch::row`]; sizes are MiB.
pub const HEAD: &str = "   minute  RssAnon  RssShmem     disk      WAL  segments   samples/s  CPU server   and own  kills: ms to ready";

/// One look.
#[derive(Debug, Clone, Copy, Default)]
pub struct Look {
    pub at_s: f64,
    pub anon: u64,
    pub shmem: u64,
    pub disk: u64,
    pub wal: u64,
    pub segments: usize,
    /// Samples that were acknowledged so far.
    pub samples: u64,
    /// CPU time of all lives of the server, and of this program.
    pub server_cpu_s: f64,
    pub own_cpu_s: f64,
}

/// A kill and how long it took until the server was ready again.
#[derive(Debug, Clone, Copy)]
pub struct Kill {
    pub at_s: f64,
    pub restart_ms: f64,
}

/// All looks and kills.
#[derive(Default)]
pub struct Watch {
    pub looks: Vec<Look>,
    pub kills: Vec<Kill>,
    /// CPU time of former lives.
    pub past_cpu_s: f64,
}

impl Watch {
    pub fn look(&mut self, shared: &Shared, served: &Served) -> Result<()> {
        let (anon, shmem) = memory_parts_of(served.pid()).context("the server is gone")?;
        let mut look = Look {
            at_s: shared.start.elapsed().as_secs_f64(),
            anon,
            shmem,
            samples: shared.counts.samples.load(Ordering::Relaxed),
            server_cpu_s: self.past_cpu_s + served.cpu_s()?,
            own_cpu_s: process_cpu().as_secs_f64(),
            ..Look::default()
        };
        folder_sizes(&served.data(), &mut |path, bytes| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            look.disk += bytes;
            look.wal += if name.starts_with("wal-") { bytes } else { 0 };
            // Those that a kill left unfinished are put aside in a folder of their own.
            let is_aside = path.components().count() > 1;
            look.segments += usize::from(name.ends_with(".seg") && !is_aside);
        })?;
        self.looks.push(look);
        Ok(())
    }

    /// Kills the server and waits until it is there again.
    pub fn kill(&mut self, shared: &Shared, served: &mut Served) -> Result<()> {
        self.past_cpu_s += served.cpu_s()?;
        let at_s = shared.start.elapsed().as_secs_f64();
        shared.turn();
        served.kill();
        served.again()?;
        shared.turn();
        let restart_ms = shared.start.elapsed().as_secs_f64() * 1e3 - at_s * 1e3;
        self.kills.push(Kill { at_s, restart_ms });
        Ok(())
    }

    /// The largest of a figure from one part of the time to another, both from 0 to 1. The time ends with the last kill.
    pub fn most(&self, (from, to): (f64, f64), of: impl Fn(&Look) -> f64) -> f64 {
        let end_s = self.end_s();
        self.most_between((from * end_s, to * end_s), of)
    }

    /// The same of the life that the last kill ended.
    pub fn most_of_last_life(&self, (from, to): (f64, f64), of: impl Fn(&Look) -> f64) -> f64 {
        let former = self.kills.len().checked_sub(2);
        let former = former.and_then(|last| self.kills.get(last));
        let born_s = former.map_or(0.0, |kill| kill.at_s);
        let at = |part| born_s + part * (self.end_s() - born_s);
        self.most_between((at(from), at(to)), of)
    }

    fn end_s(&self) -> f64 {
        self.kills.last().map_or(0.0, |kill| kill.at_s)
    }

    fn most_between(&self, (from_s, to_s): (f64, f64), of: impl Fn(&Look) -> f64) -> f64 {
        let within = self
            .looks
            .iter()
            .filter(|look| (from_s..=to_s).contains(&look.at_s));
        within.map(of).fold(f64::NAN, f64::max)
    }

    /// Rates between looks: middle of the time, samples a second.
    pub fn throughput(&self) -> Vec<(f64, f64)> {
        let pairs = self.looks.windows(2);
        pairs
            .map(|pair| {
                let time = pair[1].at_s - pair[0].at_s;
                let samples = (pair[1].samples - pair[0].samples) as f64;
                (pair[1].at_s - time / 2.0, samples / time)
            })
            .collect()
    }

    /// What was seen since `from_s`: the largest values, and means of rates.
    pub fn row(&self, from_s: f64) -> Option<String> {
        let since = |look: &&Look| look.at_s >= from_s;
        let (first, last) = (self.looks.iter().find(since)?, self.looks.last()?);
        let time = (last.at_s - first.at_s).max(1e-9);
        let most = |of: fn(&Look) -> u64| self.looks.iter().filter(since).map(of).max().unwrap_or(0);
        let mib = |bytes: u64| bytes as f64 / MIB;
        let kills = self.kills.iter().filter(|kill| kill.at_s >= from_s);
        let kills: Vec<_> = kills.map(|kill| format!("{:.0}", kill.restart_ms)).collect();
        Some(format!(
            "  {:>7.2} {:>8.1} {:>9.1} {:>8.1} {:>8.1} {:>9} {:>11.0} {:>10.1}% {:>9.1}%  {}",
            last.at_s / 60.0,
            mib(most(|look| look.anon)),
            mib(most(|look| look.shmem)),
            mib(most(|look| look.disk)),
            mib(most(|look| look.wal)),
            most(|look| look.segments as u64),
            (last.samples - first.samples) as f64 / time,
            (last.server_cpu_s - first.server_cpu_s) / time * 100.0,
            (last.own_cpu_s - first.own_cpu_s) / time * 100.0,
            kills.join(", "),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_the_time_have_their_own_maxima() {
        let look = |at: u64| Look {
            at_s: at as f64,
            anon: if at == 30 { 500 } else { at },
            samples: at * 7,
            ..Look::default()
        };
        let kill = |at_s| Kill {
            at_s,
            restart_ms: 1.0,
        };
        let watch = Watch {
            looks: (0..=100).map(look).collect(),
            kills: vec![kill(10.0), kill(40.0), kill(100.0)],
            past_cpu_s: 0.0,
        };
        let anon = |look: &Look| look.anon as f64;
        assert_eq!(watch.most((0.25, 0.5), anon), 500.0);
        assert_eq!(watch.most((0.75, 1.0), anon), 100.0);
        assert_eq!(watch.most_of_last_life((0.0, 0.5), anon), 70.0);
        assert!(watch.throughput().iter().all(|point| point.1 == 7.0));
        let row = watch.row(50.0).unwrap();
        assert!(
            row.starts_with("     1.67") && row.contains("          7 "),
            "{row}"
        );
        assert_eq!(watch.row(101.0), None);
    }
}

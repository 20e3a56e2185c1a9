//! What is measured with: CPU clocks, memory of a process, quantiles, sizes of folders.
//!
//! Memory is RssAnon + RssShmem, because mapped pages of segment files belong to the page cache.

use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};
use std::path::Path;
use std::time::{Duration, Instant};

fn clock(id: ClockId) -> Duration {
    let now = clock_gettime(id);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// CPU time of the calling thread.
pub fn thread_cpu() -> Duration {
    clock(ClockId::ThreadCPUTime)
}

/// CPU time of all threads of this process, kernel time included.
pub fn process_cpu() -> Duration {
    clock(ClockId::ProcessCPUTime)
}

/// Wall and process CPU time since it was started.
pub struct Stopwatch {
    wall: Instant,
    cpu: Duration,
}

impl Stopwatch {
    pub fn start() -> Self {
        Self {
            wall: Instant::now(),
            cpu: process_cpu(),
        }
    }

    pub fn wall_s(&self) -> f64 {
        self.wall.elapsed().as_secs_f64()
    }

    pub fn cpu_s(&self) -> f64 {
        (process_cpu() - self.cpu).as_secs_f64()
    }
}

/// Memory a process holds for itself, in bytes: RssAnon + RssShmem. `None` once the process is gone.
pub fn memory_of(pid: u32) -> Option<u64> {
    let (anon, shmem) = memory_parts_of(pid)?;
    Some(anon + shmem)
}

/// RssAnon and RssShmem of a process, in bytes.
pub fn memory_parts_of(pid: u32) -> Option<(u64, u64)> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name| Some(field_kib(&status, name)? * 1024);
    Some((field("RssAnon:")?, field("RssShmem:")?))
}

/// [`memory_of`] this process.
pub fn memory() -> Result<u64> {
    memory_of(std::process::id()).context("/proc/self/status has no RssAnon")
}

fn field_kib(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// Nanoseconds of single acts, kept one by one so that quantiles are exact.
#[derive(Default)]
pub struct Times {
    ns: Vec<u64>,
}

impl Times {
    pub fn with_capacity(count: usize) -> Self {
        Self {
            ns: Vec::with_capacity(count),
        }
    }

    #[inline]
    pub fn add(&mut self, time: Duration) {
        self.ns.push(time.as_nanos() as u64);
    }

    pub fn merge(&mut self, other: Self) {
        self.ns.extend(other.ns);
    }

    pub fn len(&self) -> usize {
        self.ns.len()
    }

    pub fn sort(&mut self) {
        self.ns.sort_unstable();
    }

    /// The time that `quantile` (0 to 1) of the acts did not exceed; call [`Times::sort`] before.
    pub fn quantile_us(&self, quantile: f64) -> f64 {
        debug_assert!(self.ns.is_sorted());
        let rank = (self.ns.len() as f64 * quantile).ceil() as usize;
        let index = rank.clamp(1, self.ns.len().max(1)) - 1;
        self.ns.get(index).map_or(f64::NAN, |ns| *ns as f64 / 1e3)
    }
}

/// The middle of a few runs.
pub fn median(mut runs: Vec<f64>) -> f64 {
    runs.sort_by(f64::total_cmp);
    runs.get(runs.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Sums the sizes of all files below `folder`, each file given to `part` by its path relative to `folder`. A file that
/// goes meanwhile does not count.
pub fn folder_sizes(folder: &Path, part: &mut dyn FnMut(&Path, u64)) -> Result<()> {
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).with_context(|| format!("reading {}", next.display()))? {
            let entry = entry?;
            let metadata = match entry.metadata() {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                metadata => metadata?,
            };
            if metadata.is_dir() {
                folders.push(entry.path());
            } else {
                part(entry.path().strip_prefix(folder)?, metadata.len());
            }
        }
    }
    Ok(())
}

/// Takes the files of a folder out of the page cache, as far as the system lets go of them: nobody may have them mapped.
pub fn drop_page_cache(folder: &Path) -> Result<()> {
    let mut paths = Vec::new();
    folder_sizes(folder, &mut |path, _| paths.push(folder.join(path)))?;
    for path in paths {
        let file = std::fs::File::open(&path).with_context(|| format!("opening {}", path.display()))?;
        file.sync_all()?;
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_exact() {
        let mut times = Times::with_capacity(100);
        (1..=100)
            .rev()
            .for_each(|us| times.add(Duration::from_micros(us)));
        times.sort();
        assert_eq!(times.quantile_us(0.5), 50.0);
        assert_eq!(times.quantile_us(0.99), 99.0);
        assert_eq!(times.quantile_us(1.0), 100.0);
        assert!(Times::default().quantile_us(0.5).is_nan());
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
    }

    #[test]
    fn this_process_has_memory_and_uses_cpu() {
        assert!(memory().unwrap() > 0);
        assert_eq!(field_kib("RssAnon:\t    1680 kB\n", "RssAnon:"), Some(1680));
        let watch = Stopwatch::start();
        std::hint::black_box((0..100_000u64).map(crate::rng::mix).max());
        assert!(watch.cpu_s() > 0.0 && watch.wall_s() > 0.0 && thread_cpu() > Duration::ZERO);
    }
}

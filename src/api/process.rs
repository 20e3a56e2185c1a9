//! What the operating system says of this process, as Prometheus' client libraries name it. Read from /proc, which is no
//! part of a database; where there is none, nothing is said.

#![expect(clippy::disallowed_methods, reason = "/proc is not a file of the database")]

use std::fs;

/// Of this process.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) struct ProcessStats {
    pub(super) cpu_seconds: f64,
    pub(super) resident_bytes: u64,
    pub(super) virtual_bytes: u64,
    pub(super) open_fds: u64,
    pub(super) max_fds: u64,
    pub(super) threads: u64,
    /// Seconds since 1970.
    pub(super) start_seconds: f64,
}

/// What is known now.
pub(super) fn stats() -> Option<ProcessStats> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let boot = fs::read_to_string("/proc/stat").ok()?;
    let mut stats = parse(
        &stat,
        &boot,
        rustix::param::clock_ticks_per_second(),
        rustix::param::page_size() as u64,
    )?;
    // The folder's own handle is one of them while it is read.
    stats.open_fds =
        fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count().saturating_sub(1) as u64);
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    stats.max_fds = limit.current.unwrap_or(0);
    Some(stats)
}

/// The name of this machine; empty where nobody says it.
pub(super) fn hostname() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

/// Reads /proc/self/stat and /proc/stat; see proc(5).
fn parse(stat: &str, boot: &str, ticks_per_second: u64, page_bytes: u64) -> Option<ProcessStats> {
    // The second field is the program's name in parentheses and may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    // `number` counts from 1 as the manual does; the third field is the first one here.
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let ticks = |number: usize| Some(field(number)? as f64 / ticks_per_second as f64);
    let boot_seconds = boot
        .lines()
        .find_map(|line| line.strip_prefix("btime ")?.trim().parse::<f64>().ok())?;
    Some(ProcessStats {
        cpu_seconds: ticks(14)? + ticks(15)?,
        threads: field(20)?,
        start_seconds: boot_seconds + ticks(22)?,
        virtual_bytes: field(23)?,
        resident_bytes: field(24)? * page_bytes,
        ..ProcessStats::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 9 0 1000 4096000 500 18446744073709551615 1";
        let stats = parse(stat, "cpu 1 2\nbtime 1700000000\n", 100, 4096).expect("a stat line");
        assert_eq!(stats.cpu_seconds, 3.0);
        assert_eq!(
            (stats.threads, stats.virtual_bytes, stats.resident_bytes),
            (9, 4_096_000, 500 * 4096)
        );
        assert_eq!(stats.start_seconds, 1_700_000_010.0);
        assert_eq!(parse("7 (a", "btime 1", 100, 4096), None);
        assert_eq!(parse(stat, "", 100, 4096), None);
    }

    #[test]
    fn this_process_has_memory() {
        let stats = stats().expect("a system with /proc");
        assert!(stats.resident_bytes > 1 << 20 && stats.open_fds > 2 && stats.threads > 0);
    }
}

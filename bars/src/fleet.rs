//! A fleet of hosts as a node exporter shows them: 100 series a host, about 190 bytes of label text a series, about
//! two thirds of the series standing still from one scrape to the next.
//!
//! Once made, a fleet produces samples without allocating; only renaming a host makes new labels.

use crate::realdata::late_ms;
use crate::rng::Rng;
use narthex::Labels;

pub const SERIES_PER_HOST: usize = 100;
pub const STEP_MS: i64 = 15_000;
pub const BASE_MS: i64 = 1_760_000_000_000;
/// Samples in a commit, as remote write sends them.
pub const BATCH_SAMPLES: usize = 2_000;

/// How a series moves: with what chance in a thousand it does, how far, and what its mantissa is divided by.
#[derive(Debug, Clone, Copy)]
struct Motion {
    per_mille: u64,
    step: u64,
    divisor: f64,
    /// Goes down as well, between 0 and twice where it began.
    gauge: bool,
    start: i64,
}

/// A metric with its labels beyond the host's.
struct Template {
    metric: &'static str,
    labels: Vec<(&'static str, String)>,
    motion: Motion,
}

/// Hosts with the state of their series.
pub struct Fleet {
    labels: Vec<Labels>,
    mantissas: Vec<i64>,
    templates: Vec<Template>,
    first_host: usize,
    /// How often each host was renamed.
    generations: Vec<u32>,
    /// The timestamp of each host's scrape in this tick.
    timestamps: Vec<i64>,
    tick: i64,
    rng: Rng,
}

impl Fleet {
    /// `series` is rounded up to whole hosts. Fleets with other `first_host`s have other series.
    pub fn new(series: usize, first_host: usize, seed: u64) -> Self {
        let hosts = series.div_ceil(SERIES_PER_HOST);
        let templates = templates();
        let mut rng = Rng::new(seed);
        let mut fleet = Self {
            labels: Vec::with_capacity(hosts * SERIES_PER_HOST),
            mantissas: Vec::with_capacity(hosts * SERIES_PER_HOST),
            first_host,
            generations: vec![0; hosts],
            timestamps: vec![0; hosts],
            tick: -1,
            rng: rng.clone(),
            templates,
        };
        for host in 0..hosts {
            for template in &fleet.templates {
                let start = template.motion.start;
                fleet.labels.push(labels(template, first_host + host, 0));
                fleet
                    .mantissas
                    .push(start + rng.below(start as u64 / 2 + 1) as i64);
            }
        }
        fleet.rng = rng;
        fleet
    }

    /// As [`Fleet::new`], for measuring memory: what making a fleet frees stays in the allocator's arena of another
    /// thread, or the database would fill these holes and seem smaller than it is.
    pub fn made_apart(series: usize, first_host: usize, seed: u64) -> Self {
        let made = std::thread::spawn(move || Self::new(series, first_host, seed));
        made.join().expect("BUG: making a fleet panicked")
    }

    pub fn series(&self) -> usize {
        self.labels.len()
    }

    pub fn labels(&self, series: usize) -> &Labels {
        &self.labels[series]
    }

    /// The number of the current scrape, -1 before the first.
    pub fn tick(&self) -> i64 {
        self.tick
    }

    /// Goes on with the scrape after the next `advance` being `tick`.
    pub fn skip_to(&mut self, tick: i64) {
        self.tick = tick - 1;
    }

    /// Moves to the next scrape of every host.
    pub fn advance(&mut self) {
        self.tick += 1;
        for (host, timestamp) in self.timestamps.iter_mut().enumerate() {
            let offset = (self.first_host + host) as i64 * 1_237 % STEP_MS;
            *timestamp = BASE_MS + self.tick * STEP_MS + offset + late_ms(&mut self.rng);
        }
    }

    /// The timestamp and the next value of a series; to be asked once for each scrape.
    #[inline]
    pub fn sample(&mut self, series: usize) -> (i64, f64) {
        let motion = self.templates[series % SERIES_PER_HOST].motion;
        let mantissa = &mut self.mantissas[series];
        if motion.per_mille > 0 {
            let draw = self.rng.next_u64();
            if (draw & 0xffff) * 1_000 < motion.per_mille << 16 {
                let by = ((((draw >> 16) & 0xffff_ffff) * motion.step) >> 32) as i64 + 1;
                let down =
                    motion.gauge && (draw >> 63 == 1 && *mantissa > by || *mantissa > 2 * motion.start);
                *mantissa += if down { -by } else { by };
            }
        }
        (
            self.timestamps[series / SERIES_PER_HOST],
            *mantissa as f64 / motion.divisor,
        )
    }

    /// Gives one host in `one_in` a new name: its series end and as many begin.
    pub fn rename(&mut self, one_in: u64) {
        for host in 0..self.generations.len() {
            if self.rng.below(one_in) > 0 {
                continue;
            }
            self.generations[host] += 1;
            for (index, template) in self.templates.iter().enumerate() {
                let series = host * SERIES_PER_HOST + index;
                self.labels[series] = labels(template, self.first_host + host, self.generations[host]);
                self.mantissas[series] = template.motion.start;
            }
        }
    }
}

fn labels(template: &Template, host: usize, generation: u32) -> Labels {
    let region = ["eu-west-1", "us-east-1", "us-west-2", "ap-south-1"][host % 4];
    let zone = ["a", "b", "c"][host / 4 % 3];
    let team = ["storage", "checkout", "search", "platform", "billing"][host / 7 % 5];
    let renamed = if generation > 0 {
        format!("-{generation}")
    } else {
        String::new()
    };
    let shared = [
        ("__name__", template.metric.to_owned()),
        (
            "instance",
            format!("node-{host:06}{renamed}.{region}.example.net:9100"),
        ),
        ("job", "node".to_owned()),
        ("region", region.to_owned()),
        ("datacenter", format!("{region}{zone}")),
        ("cluster", format!("prod-{:02}-a", host / 500 % 100)),
        ("rack", format!("r{:02}", host / 12 % 90)),
        ("environment", "production".to_owned()),
        ("team", team.to_owned()),
    ];
    let own = template.labels.iter().map(|(name, value)| (*name, value.clone()));
    Labels::from_pairs(shared.into_iter().chain(own)).expect("BUG: the templates' names are unique")
}

fn constant(value: i64) -> Motion {
    Motion {
        per_mille: 0,
        step: 0,
        divisor: 1.0,
        gauge: false,
        start: value,
    }
}

fn counter(per_mille: u64, step: u64, divisor: f64) -> Motion {
    Motion {
        per_mille,
        step,
        divisor,
        gauge: false,
        start: 1_000_000,
    }
}

fn gauge(per_mille: u64, step: u64, divisor: f64, start: i64) -> Motion {
    Motion {
        per_mille,
        step,
        divisor,
        gauge: true,
        start,
    }
}

fn templates() -> Vec<Template> {
    let mut all = Vec::with_capacity(SERIES_PER_HOST);
    cpu(&mut all);
    disks(&mut all);
    networks(&mut all);
    filesystems(&mut all);
    system(&mut all);
    assert_eq!(all.len(), SERIES_PER_HOST, "BUG: the templates must fill a host");
    all
}

fn add(all: &mut Vec<Template>, metric: &'static str, labels: &[(&'static str, &str)], motion: Motion) {
    let labels = labels.iter().map(|(name, value)| (*name, (*value).to_owned()));
    all.push(Template {
        metric,
        labels: labels.collect(),
        motion,
    });
}

fn cpu(all: &mut Vec<Template>) {
    let modes = [
        ("idle", 1_000, 1_500),
        ("user", 900, 300),
        ("system", 850, 120),
        ("iowait", 300, 40),
        ("softirq", 250, 5),
        ("irq", 0, 0),
        ("nice", 10, 3),
        ("steal", 20, 3),
    ];
    for cpu in ["0", "1", "2", "3"] {
        for (mode, per_mille, step) in modes {
            let labels = [("cpu", cpu), ("mode", mode)];
            add(
                all,
                "node_cpu_seconds_total",
                &labels,
                counter(per_mille, step, 100.0),
            );
        }
    }
}

fn disks(all: &mut Vec<Template>) {
    for (device, busy) in [("nvme0n1", 600), ("nvme1n1", 60)] {
        let labels = [("device", device)];
        add(
            all,
            "node_disk_read_bytes_total",
            &labels,
            Motion {
                divisor: 1.0 / 512.0,
                ..counter(busy / 3, 4_000, 1.0)
            },
        );
        add(
            all,
            "node_disk_written_bytes_total",
            &labels,
            Motion {
                divisor: 1.0 / 4096.0,
                ..counter(busy, 900, 1.0)
            },
        );
        add(
            all,
            "node_disk_reads_completed_total",
            &labels,
            counter(busy / 3, 60, 1.0),
        );
        add(
            all,
            "node_disk_writes_completed_total",
            &labels,
            counter(busy, 200, 1.0),
        );
        add(
            all,
            "node_disk_read_time_seconds_total",
            &labels,
            counter(busy / 3, 90, 1_000.0),
        );
        add(
            all,
            "node_disk_write_time_seconds_total",
            &labels,
            counter(busy, 500, 1_000.0),
        );
        add(
            all,
            "node_disk_io_time_seconds_total",
            &labels,
            counter(busy, 300, 1_000.0),
        );
        add(all, "node_disk_io_now", &labels, gauge(busy / 20, 2, 1.0, 2));
    }
}

fn networks(all: &mut Vec<Template>) {
    for (device, busy) in [("eth0", 950), ("lo", 400), ("docker0", 0)] {
        let labels = [("device", device)];
        add(
            all,
            "node_network_receive_bytes_total",
            &labels,
            counter(busy, 2_000_000, 1.0),
        );
        add(
            all,
            "node_network_transmit_bytes_total",
            &labels,
            counter(busy, 900_000, 1.0),
        );
        add(
            all,
            "node_network_receive_packets_total",
            &labels,
            counter(busy, 3_000, 1.0),
        );
        add(
            all,
            "node_network_transmit_packets_total",
            &labels,
            counter(busy, 2_500, 1.0),
        );
        add(
            all,
            "node_network_receive_errs_total",
            &labels,
            counter(busy / 500, 1, 1.0),
        );
        add(all, "node_network_transmit_errs_total", &labels, constant(0));
        add(
            all,
            "node_network_receive_drop_total",
            &labels,
            counter(busy / 100, 3, 1.0),
        );
        add(all, "node_network_mtu_bytes", &labels, constant(1_500));
    }
}

fn filesystems(all: &mut Vec<Template>) {
    for (mount, busy) in [("/", 500), ("/var/lib/data", 700), ("/boot", 0)] {
        let labels = [("mountpoint", mount), ("fstype", "ext4")];
        let free = Motion {
            divisor: 1.0 / 4096.0,
            ..gauge(busy, 3_000, 1.0, 20_000_000)
        };
        add(all, "node_filesystem_avail_bytes", &labels, free);
        add(
            all,
            "node_filesystem_size_bytes",
            &labels,
            constant(422_212_465_065_984),
        );
        add(
            all,
            "node_filesystem_files_free",
            &labels,
            gauge(busy / 2, 30, 1.0, 15_000_000),
        );
        add(all, "node_filesystem_readonly", &labels, constant(0));
    }
}

fn system(all: &mut Vec<Template>) {
    let pages = |per_mille| Motion {
        divisor: 1.0 / 1024.0,
        ..gauge(per_mille, 20_000, 1.0, 4_000_000)
    };
    add(all, "node_memory_MemTotal_bytes", &[], constant(33_554_432_000));
    add(all, "node_memory_MemFree_bytes", &[], pages(1_000));
    add(all, "node_memory_MemAvailable_bytes", &[], pages(1_000));
    add(all, "node_memory_Cached_bytes", &[], pages(700));
    add(all, "node_memory_Buffers_bytes", &[], pages(250));
    add(all, "node_memory_Dirty_bytes", &[], pages(900));
    add(all, "node_memory_SwapTotal_bytes", &[], constant(0));
    add(all, "node_memory_SwapFree_bytes", &[], constant(0));
    add(all, "node_memory_Slab_bytes", &[], pages(500));
    add(all, "node_vmstat_oom_kill", &[], constant(0));
    add(all, "node_load1", &[], gauge(950, 60, 100.0, 150));
    add(all, "node_load5", &[], gauge(700, 15, 100.0, 150));
    add(all, "node_load15", &[], gauge(400, 5, 100.0, 150));
    add(all, "node_boot_time_seconds", &[], constant(1_759_000_000));
    add(all, "node_filefd_maximum", &[], constant(1_048_576));
    add(all, "node_procs_running", &[], gauge(600, 4, 1.0, 6));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn text_bytes(labels: &Labels) -> usize {
        labels.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    #[test]
    fn labels_are_unique_and_of_the_stated_length() {
        let fleet = Fleet::new(2_000, 5, 1);
        let unique: HashSet<_> = (0..fleet.series()).map(|series| fleet.labels(series)).collect();
        assert_eq!(unique.len(), 2_000);
        let bytes: usize = unique.iter().map(|labels| text_bytes(labels)).sum();
        assert!(
            (185..=195).contains(&(bytes / 2_000)),
            "{} bytes on average",
            bytes / 2_000
        );
    }

    #[test]
    fn about_two_thirds_stand_still() {
        let mut fleet = Fleet::new(1_000, 0, 1);
        let (mut last, mut still) = (vec![f64::NAN; 1_000], 0);
        for _ in 0..101 {
            fleet.advance();
            for (series, last) in last.iter_mut().enumerate() {
                let (_, value) = fleet.sample(series);
                still += usize::from(value == *last);
                *last = value;
            }
        }
        assert!(
            (63_000..70_000).contains(&still),
            "{still} of 100,000 steps stand still"
        );
    }

    #[test]
    fn equal_seeds_give_equal_fleets_and_time_rises() {
        let (mut a, mut b) = (Fleet::new(300, 0, 9), Fleet::new(300, 0, 9));
        let mut before = 0;
        for _ in 0..50 {
            a.advance();
            b.advance();
            let samples: Vec<_> = (0..300).map(|series| a.sample(series)).collect();
            assert_eq!(
                samples,
                (0..300).map(|series| b.sample(series)).collect::<Vec<_>>()
            );
            assert!(samples[0].0 > before);
            before = samples[0].0;
        }
        assert!(a.sample(0).1 >= 10_000.0);
    }

    #[test]
    fn renamed_hosts_have_new_series() {
        let mut fleet = Fleet::new(10_000, 0, 1);
        let before: Vec<Labels> = fleet.labels.clone();
        fleet.rename(10);
        let changed = before.iter().zip(&fleet.labels).filter(|(a, b)| a != b).count();
        assert!(
            changed % 100 == 0 && (100..=3_000).contains(&changed),
            "{changed}"
        );
    }
}

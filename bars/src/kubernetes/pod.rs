//! One pod: the series it exposes and how their values move.

use super::native::Observations;
use crate::adapter::Point;
use crate::rng::Rng;
use narthex::{Histogram, Labels, STALE_NAN_BITS};

/// Upper bounds of the classic histograms' buckets, in seconds, as client libraries propose them.
const BOUNDS: [f64; 12] = [
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    f64::INFINITY,
];
const CLASSIC_PER_POD: usize = 2;
pub(super) const NATIVE_PER_POD: usize = 2;
const SERIES_PER_CLASSIC: usize = BOUNDS.len() + 2;
pub(super) const SERIES_PER_POD: usize =
    SERIES_PER_CLASSIC * CLASSIC_PER_POD + SINGLES.len() + NATIVE_PER_POD;
const NAMESPACES: [&str; 5] = ["shop", "search", "payments", "ingress", "observability"];

/// How a series of single floats moves.
#[derive(Clone, Copy)]
enum Motion {
    /// A gauge that wanders around its start with a full mantissa.
    Wander,
    /// Seconds counted in nanoseconds.
    Nanoseconds,
    /// Whole events.
    Events(u64),
    /// Bytes in pages of 4096, going up and down.
    Pages,
    Constant(f64),
}

/// Metrics of one float each: name, the label that tells equal names apart, motion.
const SINGLES: [(&str, &str, Motion); 30] = [
    ("container_cpu_usage_seconds_total", "total", Motion::Nanoseconds),
    ("container_cpu_user_seconds_total", "total", Motion::Nanoseconds),
    ("container_cpu_system_seconds_total", "total", Motion::Nanoseconds),
    (
        "container_cpu_cfs_throttled_seconds_total",
        "total",
        Motion::Nanoseconds,
    ),
    (
        "container_pressure_cpu_waiting_seconds_total",
        "total",
        Motion::Nanoseconds,
    ),
    ("app_queue_latency_ewma_seconds", "default", Motion::Wander),
    ("app_queue_latency_ewma_seconds", "bulk", Motion::Wander),
    ("app_cache_hit_ratio", "l1", Motion::Wander),
    ("app_cache_hit_ratio", "l2", Motion::Wander),
    ("app_cpu_load_ewma", "1m", Motion::Wander),
    ("app_rate_limit_tokens", "default", Motion::Wander),
    ("container_memory_usage_bytes", "all", Motion::Pages),
    ("container_memory_rss", "all", Motion::Pages),
    ("container_memory_working_set_bytes", "all", Motion::Pages),
    ("container_memory_cache", "all", Motion::Pages),
    (
        "container_network_receive_bytes_total",
        "eth0",
        Motion::Events(400_000),
    ),
    (
        "container_network_transmit_bytes_total",
        "eth0",
        Motion::Events(900_000),
    ),
    (
        "container_network_receive_packets_total",
        "eth0",
        Motion::Events(700),
    ),
    (
        "container_network_transmit_packets_total",
        "eth0",
        Motion::Events(600),
    ),
    ("container_fs_writes_bytes_total", "vda", Motion::Events(8_192)),
    ("http_requests_total", "ok", Motion::Events(90)),
    ("http_requests_total", "redirect", Motion::Events(4)),
    ("http_requests_total", "failed", Motion::Events(1)),
    ("go_goroutines", "all", Motion::Events(2)),
    ("kube_pod_info", "all", Motion::Constant(1.0)),
    ("kube_pod_status_phase", "running", Motion::Constant(1.0)),
    ("kube_pod_status_phase", "failed", Motion::Constant(0.0)),
    ("kube_pod_container_resource_limits", "cpu", Motion::Constant(2.0)),
    (
        "kube_pod_container_resource_limits",
        "memory",
        Motion::Constant(4_294_967_296.0),
    ),
    ("kube_pod_start_time", "all", Motion::Constant(1_759_900_000.0)),
];

#[derive(Default)]
struct Classic {
    counts: [u64; BOUNDS.len()],
    sum: f64,
}

/// A running pod.
pub(super) struct Pod {
    labels: Vec<Labels>,
    singles: [f64; SINGLES.len()],
    /// What counters hold before they are divided.
    counted: [u64; SINGLES.len()],
    classic: [Classic; CLASSIC_PER_POD],
    native: [Observations; NATIVE_PER_POD],
    shown: Vec<Histogram>,
    /// Requests in a scrape, 0 for an idle pod.
    traffic: u64,
    timestamp: i64,
    last_tick: i64,
    /// The scrape shown is the one that ends its series.
    pub(super) ended: bool,
}

impl Pod {
    /// `number` is part of the name; the pod ends at `last_tick`.
    pub(super) fn new(slot: usize, number: u64, last_tick: i64, rng: &mut Rng) -> Self {
        let busy = rng.below(3) > 0;
        let traffic = if busy { 1 + rng.below(60) } else { 0 };
        Self {
            labels: labels(slot, number),
            singles: std::array::from_fn(|_| 0.1 + rng.unit()),
            counted: std::array::from_fn(|_| rng.below(100_000)),
            classic: Default::default(),
            native: Default::default(),
            shown: Vec::new(),
            traffic,
            timestamp: 0,
            last_tick,
            ended: false,
        }
    }

    pub(super) fn scrape(&mut self, tick: i64, timestamp: i64, rng: &mut Rng) {
        self.timestamp = timestamp;
        self.ended = tick >= self.last_tick;
        if self.ended {
            self.shown = self.native.iter().map(Observations::stale).collect();
            return;
        }
        for index in 0..SINGLES.len() {
            self.move_single(index, rng);
        }
        for _ in 0..self.traffic {
            self.serve_request(rng);
        }
        self.shown = self.native.iter().map(Observations::histogram).collect();
    }

    fn move_single(&mut self, index: usize, rng: &mut Rng) {
        let busy = self.traffic > 0;
        let counted = &mut self.counted[index];
        let value = &mut self.singles[index];
        match SINGLES[index].2 {
            Motion::Wander if busy => *value += (rng.unit() - 0.5) * 0.05 * *value,
            Motion::Nanoseconds if busy => {
                *counted += rng.below(3_000_000_000);
                *value = *counted as f64 / 1e9;
            }
            Motion::Events(most) if busy => {
                *counted += rng.below(most + 1);
                *value = *counted as f64;
            }
            Motion::Pages if busy || rng.below(20) == 0 => {
                *counted = (*counted + rng.below(400)).saturating_sub(195);
                *value = *counted as f64 * 4096.0;
            }
            Motion::Constant(constant) => *value = constant,
            _ => {}
        }
    }

    /// A request takes a log-normal time around 30 ms and is counted in every histogram.
    fn serve_request(&mut self, rng: &mut Rng) {
        for classic in &mut self.classic {
            let seconds = 0.03 * rng.normal().exp();
            let bucket = BOUNDS
                .iter()
                .position(|bound| seconds <= *bound)
                .unwrap_or(BOUNDS.len() - 1);
            classic.counts[bucket] += 1;
            classic.sum += seconds;
        }
        for native in &mut self.native {
            native.observe(0.03 * (0.6 * rng.normal()).exp());
        }
    }

    /// Shows the scrape, series after series.
    pub(super) fn each(&self, visit: &mut dyn FnMut(&Labels, i64, Point<'_>)) {
        let mut labels = self.labels.iter();
        let mut float = |value: f64| {
            let value = if self.ended {
                f64::from_bits(STALE_NAN_BITS)
            } else {
                value
            };
            let labels = labels.next().expect("BUG: a series without labels");
            visit(labels, self.timestamp, Point::Float(value));
        };
        self.singles.iter().for_each(|value| float(*value));
        for classic in &self.classic {
            let mut cumulative = 0;
            for count in classic.counts {
                cumulative += count;
                float(cumulative as f64);
            }
            float(classic.sum);
            float(cumulative as f64);
        }
        for (labels, histogram) in labels.zip(&self.shown) {
            visit(labels, self.timestamp, Point::Histogram(histogram));
        }
    }
}

/// Label sets in the order in which [`Pod::each`] shows the series.
fn labels(slot: usize, number: u64) -> Vec<Labels> {
    let pod = PodLabels::new(slot, number);
    let mut all = Vec::with_capacity(SERIES_PER_POD);
    for (metric, kind, _) in SINGLES {
        all.push(pod.with(metric, [("kind", kind), ("quantity", "value"), ("scope", "pod")]));
    }
    for handler in ["/api/v1/items", "/api/v1/orders"] {
        let shared = [("handler", handler), ("method", "GET")];
        for bound in BOUNDS {
            let le = if bound.is_infinite() {
                "+Inf".to_owned()
            } else {
                bound.to_string()
            };
            let own = [shared[0], shared[1], ("le", le.as_str())];
            all.push(pod.with("http_request_duration_seconds_bucket", own));
        }
        for metric in [
            "http_request_duration_seconds_sum",
            "http_request_duration_seconds_count",
        ] {
            all.push(pod.with(metric, [shared[0], shared[1], ("code", "200")]));
        }
    }
    for method in ["Get", "Put"] {
        let own = [
            ("grpc_method", method),
            ("grpc_service", "shop.v1.Items"),
            ("grpc_type", "unary"),
        ];
        all.push(pod.with("grpc_server_handling_seconds", own));
    }
    all
}

/// The 16 labels that all series of a pod have.
struct PodLabels(Vec<(&'static str, String)>);

impl PodLabels {
    fn new(slot: usize, number: u64) -> Self {
        let namespace = NAMESPACES[slot % NAMESPACES.len()];
        let app = format!("{namespace}-{}", ["api", "worker", "cache"][slot / 5 % 3]);
        let unique = crate::rng::mix(number);
        let node = slot / 20;
        Self(vec![
            ("namespace", namespace.to_owned()),
            (
                "pod",
                format!(
                    "{app}-{:08x}-{:05x}",
                    crate::rng::mix(slot as u64 / 40) as u32,
                    unique & 0xf_ffff
                ),
            ),
            ("container", app.clone()),
            ("uid", format!("{unique:016x}{:016x}", crate::rng::mix(unique))),
            ("node", format!("ip-10-{}-{}-17.internal", node / 250, node % 250)),
            (
                "instance",
                format!(
                    "10.{}.{}.{}:8080",
                    unique >> 8 & 255,
                    unique >> 16 & 255,
                    unique >> 24 & 255
                ),
            ),
            ("job", format!("kubernetes-pods/{app}")),
            ("app", app.clone()),
            ("version", format!("v1.{}.0", number % 7)),
            ("image", format!("example/{app}:1.{}.0", number % 7)),
            ("team", format!("team-{namespace}")),
            ("cluster", "prod-eu-1".to_owned()),
            ("region", "eu-west-1".to_owned()),
            (
                "zone",
                ["eu-west-1a", "eu-west-1b", "eu-west-1c"][node % 3].to_owned(),
            ),
            ("environment", "production".to_owned()),
            ("tier", "backend".to_owned()),
        ])
    }

    fn with(&self, metric: &str, own: [(&str, &str); 3]) -> Labels {
        let shared = self.0.iter().map(|(name, value)| (*name, value.as_str()));
        let pairs = shared.chain([("__name__", metric)]).chain(own);
        Labels::from_pairs(pairs).expect("BUG: the names of a pod's labels are unique")
    }
}

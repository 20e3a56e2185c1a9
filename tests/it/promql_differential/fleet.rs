//! What dashboards are about: machines with a node exporter, pods of a cluster with what is said about them, services with
//! requests and histograms, and series as recording rules write them.

use super::data::{Samples, classic, scraped, scraped_late};
use crate::promql::storage::Value;
use crate::random::Random;
use narthex::{Labels, stale_nan};

type Family = Vec<(Labels, Samples)>;

const MIB: f64 = 1_048_576.0;
const NODES: [&str; 2] = ["n1:9100", "n2:9100"];
/// Namespace, pod, application, node.
const PODS: [[&str; 4]; 5] = [
    ["shop", "cart-7d4f-x1", "cart", "n1"],
    ["shop", "cart-7d4f-x2", "cart", "n2"],
    ["shop", "pay-55c8-a9", "pay", "n1"],
    ["infra", "dns-0", "dns", "n2"],
    ["infra", "log-ship-k7", "log-ship", "n1"],
];

fn series(name: &str, labels: &[(&str, &str)]) -> Labels {
    let named = [("__name__", name)].into_iter().chain(labels.iter().copied());
    // A label without a value is none.
    let labels = named.filter(|label| !label.1.is_empty());
    Labels::from_pairs(labels).expect("labels")
}

/// A counter that grows by up to twice `rate` each second, and starts again once in a while.
fn grows(random: &mut Random, rate: f64, restarts: bool) -> Samples {
    let mut total = (random.unit() * 1000.0).floor();
    scraped(random, |random, _| {
        if restarts && random.once_in(60) {
            total = 0.0;
        }
        total += random.unit() * 30.0 * rate;
        Some(Value::Float(total))
    })
}

/// A gauge between two values, now and then the same as before.
fn between(random: &mut Random, low: f64, high: f64) -> Samples {
    let mut value = low;
    scraped(random, |random, _| {
        if !random.once_in(4) {
            value = low + random.unit() * (high - low);
        }
        Some(Value::Float(value))
    })
}

/// A value that is the same at each scrape, all of them on time.
fn fixed(random: &mut Random, value: f64) -> Samples {
    scraped_late(random, 0, |_, _| Some(Value::Float(value)))
}

/// One or zero, on time.
fn flips(random: &mut Random, times: usize) -> Samples {
    scraped_late(random, 0, |random, _| {
        Some(Value::Float(f64::from(u8::from(!random.once_in(times)))))
    })
}

pub(super) fn push(random: &mut Random, all: &mut Family) {
    for node in NODES {
        push_cpu_and_memory(random, node, all);
        push_disks_and_networks(random, node, all);
    }
    for pod in PODS {
        push_pod(random, pod, all);
    }
    push_cluster(random, all);
    push_services(random, all);
    push_rules(random, all);
}

fn push_cpu_and_memory(random: &mut Random, instance: &str, all: &mut Family) {
    let target = [("job", "node"), ("instance", instance)];
    for cpu in ["0", "1"] {
        for (mode, share) in [
            ("idle", 0.7),
            ("user", 0.2),
            ("system", 0.1),
            ("iowait", 0.02),
            ("steal", 0.0),
        ] {
            let labels = [target[0], target[1], ("cpu", cpu), ("mode", mode)];
            let labels = series("node_cpu_seconds_total", &labels);
            all.push((labels, grows(random, share, instance.starts_with("n2"))));
        }
    }
    for (name, mib) in [
        ("MemFree", 900.0),
        ("MemAvailable", 2_600.0),
        ("Buffers", 100.0),
        ("Cached", 1_500.0),
    ] {
        let labels = series(&format!("node_memory_{name}_bytes"), &target);
        all.push((labels, between(random, mib * MIB / 2.0, mib * MIB)));
    }
    all.push((
        series("node_memory_MemTotal_bytes", &target),
        fixed(random, 4096.0 * MIB),
    ));
    for (name, high) in [("node_load1", 4.0), ("node_load5", 3.0), ("node_load15", 2.0)] {
        all.push((series(name, &target), between(random, 0.0, high)));
    }
    all.push((
        series("node_boot_time_seconds", &target),
        fixed(random, 1_699_000_000.0),
    ));
    all.push((
        series("node_timex_offset_seconds", &target),
        between(random, -0.06, 0.06),
    ));
    let (name, _) = instance.split_once(':').expect("a port");
    let labels = [target[0], target[1], ("nodename", name), ("release", "6.1.0")];
    all.push((series("node_uname_info", &labels), fixed(random, 1.0)));
    all.push((series("up", &target), flips(random, 12)));
}

fn push_disks_and_networks(random: &mut Random, instance: &str, all: &mut Family) {
    let target = [("job", "node"), ("instance", instance)];
    for (device, fstype, mountpoint, gib) in [
        ("/dev/sda1", "ext4", "/", 40.0),
        ("/dev/sdb1", "xfs", "/var/lib/data", 200.0),
        ("tmpfs", "tmpfs", "/run", 1.0),
    ] {
        let labels = [
            target[0],
            target[1],
            ("device", device),
            ("fstype", fstype),
            ("mountpoint", mountpoint),
        ];
        let (size, inodes) = (gib * 1024.0 * MIB, gib * 65_536.0);
        let mut push =
            |name: &str, samples| all.push((series(&format!("node_filesystem_{name}"), &labels), samples));
        push("size_bytes", fixed(random, size));
        push("avail_bytes", between(random, 0.05 * size, 0.4 * size));
        push("files", fixed(random, inodes));
        push("files_free", between(random, 0.2 * inodes, 0.9 * inodes));
        push("readonly", fixed(random, 0.0));
    }
    for device in ["eth0", "lo"] {
        let labels = [target[0], target[1], ("device", device)];
        for (name, rate) in [
            ("receive_bytes", 1e6),
            ("transmit_bytes", 4e5),
            ("receive_errs", 0.01),
        ] {
            let labels = series(&format!("node_network_{name}_total"), &labels);
            all.push((labels, grows(random, rate, false)));
        }
    }
    let labels = [target[0], target[1], ("device", "sda")];
    for (name, rate) in [
        ("io_time_seconds", 0.4),
        ("read_bytes", 2e6),
        ("written_bytes", 5e6),
    ] {
        let labels = series(&format!("node_disk_{name}_total"), &labels);
        all.push((labels, grows(random, rate, true)));
    }
}

fn push_pod(random: &mut Random, [namespace, pod, app, node]: [&str; 4], all: &mut Family) {
    let who = [("namespace", namespace), ("pod", pod)];
    let with = |more: &[(&'static str, &str)]| -> Vec<(&str, String)> {
        let all = who.iter().chain(more.iter());
        all.map(|(name, value)| (*name, (*value).to_owned())).collect()
    };
    let mut push = |name: &str, more: &[(&'static str, &str)], samples| {
        let labels = with(more);
        let labels: Vec<(&str, &str)> = labels
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        all.push((series(name, &labels), samples));
    };
    push(
        "kube_pod_info",
        &[("node", node), ("host_network", "false")],
        fixed(random, 1.0),
    );
    push("kube_pod_labels", &[("label_app", app)], fixed(random, 1.0));
    for phase in ["Running", "Pending", "Failed"] {
        let value = f64::from(u8::from(phase == "Running"));
        push("kube_pod_status_phase", &[("phase", phase)], fixed(random, value));
    }
    for (resource, unit, requested, limit) in [
        ("cpu", "core", 0.25, 1.0),
        ("memory", "byte", 128.0 * MIB, 512.0 * MIB),
    ] {
        let labels = [("container", app), ("resource", resource), ("unit", unit)];
        push(
            "kube_pod_container_resource_requests",
            &labels,
            fixed(random, requested),
        );
        if namespace != "infra" {
            push(
                "kube_pod_container_resource_limits",
                &labels,
                fixed(random, limit),
            );
        }
    }
    for container in [app, ""] {
        let labels = [
            ("container", container),
            ("image", if container.is_empty() { "" } else { "app:1" }),
        ];
        push(
            "container_cpu_usage_seconds_total",
            &labels,
            grows(random, 0.3, true),
        );
        push(
            "container_memory_working_set_bytes",
            &labels,
            between(random, 50.0 * MIB, 600.0 * MIB),
        );
    }
    push(
        "kube_pod_container_status_restarts_total",
        &[("container", app)],
        restarts(random, app),
    );
}

/// How often a pod was restarted. One of them is gone for a while, and says so.
fn restarts(random: &mut Random, app: &str) -> Samples {
    let mut restarts = 0.0;
    scraped(random, |random, scrape| {
        restarts += f64::from(u8::from(random.once_in(50)));
        match (app, scrape) {
            ("dns", 100) => Some(Value::Float(stale_nan())),
            ("dns", 101..120) => None,
            _ => Some(Value::Float(restarts)),
        }
    })
}

fn push_cluster(random: &mut Random, all: &mut Family) {
    for (namespace, deployment, replicas) in [
        ("shop", "cart", 2.0),
        ("shop", "pay", 1.0),
        ("infra", "log-ship", 1.0),
    ] {
        let labels = [("namespace", namespace), ("deployment", deployment)];
        all.push((
            series("kube_deployment_spec_replicas", &labels),
            fixed(random, replicas),
        ));
        let available = scraped(random, |random, _| {
            Some(Value::Float(replicas - f64::from(u8::from(random.once_in(7)))))
        });
        all.push((
            series("kube_deployment_status_replicas_available", &labels),
            available,
        ));
    }
    for node in ["n1", "n2"] {
        for (condition, status, value) in [
            ("Ready", "true", 1.0),
            ("Ready", "false", 0.0),
            ("DiskPressure", "true", 0.0),
            ("DiskPressure", "false", 1.0),
        ] {
            let labels = [("node", node), ("condition", condition), ("status", status)];
            all.push((
                series("kube_node_status_condition", &labels),
                fixed(random, value),
            ));
        }
        for (resource, unit, value) in [("cpu", "core", 2.0), ("memory", "byte", 4096.0 * MIB)] {
            let labels = [("node", node), ("resource", resource), ("unit", unit)];
            all.push((
                series("kube_node_status_allocatable", &labels),
                fixed(random, value),
            ));
        }
    }
}

fn push_services(random: &mut Random, all: &mut Family) {
    for (instance, version) in [("s1:80", "1.9.2"), ("s2:80", "1.10.0")] {
        let target = [("job", "shop"), ("instance", instance)];
        for (method, code, rate) in [
            ("GET", "200", 20.0),
            ("GET", "500", 0.2),
            ("POST", "200", 5.0),
            ("POST", "404", 0.5),
        ] {
            let labels = [
                target[0],
                target[1],
                ("method", method),
                ("code", code),
                ("handler", "/api/cart"),
            ];
            all.push((series("http_requests_total", &labels), grows(random, rate, true)));
        }
        classic(random, &series("http_request_duration_seconds", &target), all);
        let info = [target[0], target[1], ("version", version), ("branch", "main")];
        all.push((series("build_info", &info), fixed(random, 1.0)));
        let resource = [
            target[0],
            target[1],
            ("k8s.cluster.name", "blue"),
            ("service.version", version),
        ];
        all.push((series("target_info", &resource), fixed(random, 1.0)));
        let utf8 = [
            target[0],
            target[1],
            ("http.route", "/café"),
            ("service.name", "shop"),
        ];
        all.push((series("http.server.requests", &utf8), grows(random, 10.0, true)));
        all.push((
            series("process_start_time_seconds", &target),
            fixed(random, 1_699_999_000.0),
        ));
        all.push((
            series("process_resident_memory_bytes", &target),
            between(random, 1e8, 2e8),
        ));
        all.push((series("go_goroutines", &target), between(random, 10.0, 90.0)));
        for quantile in ["0.5", "0.9", "0.99"] {
            let labels = [target[0], target[1], ("quantile", quantile)];
            all.push((
                series("go_gc_duration_seconds", &labels),
                between(random, 1e-5, 1e-3),
            ));
        }
    }
    push_queue_and_probe(random, all);
}

fn push_queue_and_probe(random: &mut Random, all: &mut Family) {
    for (partition, topic) in [("0", "orders"), ("1", "orders"), ("0", "mails")] {
        let labels = [
            ("consumergroup", "billing"),
            ("topic", topic),
            ("partition", partition),
        ];
        all.push((
            series("kafka_consumergroup_lag", &labels),
            between(random, 0.0, 500.0),
        ));
    }
    let probe = [("job", "blackbox"), ("instance", "https://shop.example/")];
    all.push((series("probe_success", &probe), flips(random, 15)));
    all.push((
        series("probe_ssl_earliest_cert_expiry", &probe),
        fixed(random, 1_700_600_000.0),
    ));
    all.push((
        series("probe_duration_seconds", &probe),
        between(random, 0.05, 1.5),
    ));
}

fn push_rules(random: &mut Random, all: &mut Family) {
    for (job, high) in [("shop", 0.03), ("api", 0.002)] {
        for window in ["5m", "30m", "1h"] {
            let labels = series(
                &format!("job:slo_errors_per_request:ratio_rate{window}"),
                &[("job", job)],
            );
            all.push((labels, between(random, 0.0, high)));
        }
        let labels = series("job:http_requests:rate5m", &[("job", job)]);
        all.push((labels, between(random, 5.0, 50.0)));
        let state = if job == "api" { "firing" } else { "pending" };
        let labels = [
            ("alertname", "HighErrors"),
            ("alertstate", state),
            ("job", job),
            ("severity", "page"),
        ];
        let alert = scraped(random, |random, scrape| {
            (scrape / 30 % 2 == 0 && !random.once_in(20)).then_some(Value::Float(1.0))
        });
        all.push((series("ALERTS", &labels), alert));
    }
}

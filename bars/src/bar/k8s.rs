//! Bar 2, generated data: bytes per sample of a Kubernetes-like set beside Prometheus' blocks.
//!
//! Native histograms count as one sample each, as Prometheus counts them.

use super::{Scale, disk};
use crate::kubernetes::{Cluster, Shape};
use crate::report::Report;
use anyhow::Result;
use std::path::Path;

pub fn run(scale: &Scale, prometheus: Option<&Path>) -> Result<bool> {
    let shape = Shape {
        pods: scale.of(200, 40),
        ticks: scale.of(960, 20),
        life_ticks: scale.of(300, 10),
        seed: 1,
    };
    let mut report = Report::new("k8s: generated pods, default options", scale.small);
    let make = || Cluster::new(shape);
    let (bytes, samples) = disk::measure(scale, "k8s", &make, &mut report)?;
    report.figure("k8s", bytes.kept as f64 / samples as f64, "B/sample");
    disk::rest("k8s", bytes, samples, &mut report);
    match prometheus {
        Some(binary) => drop(disk::beside("k8s", binary, &mut make(), bytes, &mut report)?),
        None => report.note("no ratio: give a Prometheus binary with --prometheus"),
    }
    Ok(report.print())
}

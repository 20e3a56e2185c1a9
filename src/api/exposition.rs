//! Prometheus' text format, written: families in the order of the table in `self_metrics`, each with help and type.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The content type of the text format.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A documented metric.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) name: &'static str,
    /// counter, gauge, histogram or summary.
    pub(super) kind: &'static str,
    /// Label names, for the page.
    pub(super) labels: &'static [&'static str],
    pub(super) help: &'static str,
}

/// A value of a family.
#[derive(Debug)]
pub(super) struct Sample {
    /// The family's, or that with an ending for a part of a histogram.
    pub(super) name: String,
    pub(super) labels: Vec<(String, String)>,
    pub(super) value: f64,
}

/// A page of metrics: families in order, each with its samples.
#[derive(Debug, Default)]
pub(super) struct Page {
    families: Vec<(&'static Family, Vec<Sample>)>,
}

fn escape(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

impl Page {
    /// Begins a family; its samples follow.
    pub(super) fn family(&mut self, family: &'static Family) {
        self.families.push((family, Vec::new()));
    }

    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let (family, samples) = self.families.last_mut().expect("BUG: a sample without a family");
        let is_documented = |label: &(&str, &str)| family.labels.contains(&label.0);
        debug_assert!(
            labels.iter().all(is_documented),
            "BUG: {name} has a label that is not documented"
        );
        let owned = |label: &(&str, &str)| (label.0.to_owned(), label.1.to_owned());
        samples.push(Sample {
            name: name.to_owned(),
            labels: labels.iter().map(owned).collect(),
            value,
        });
    }

    /// The families with their samples.
    pub(super) fn families(&self) -> impl Iterator<Item = (&'static Family, &[Sample])> {
        self.families
            .iter()
            .map(|(family, samples)| (*family, samples.as_slice()))
    }

    /// The page as text.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for (family, samples) in self.families() {
            let Family { name, kind, help, .. } = family;
            let help = help.replace('\n', " ");
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for sample in samples {
                text.push_str(&sample.name);
                for (index, (label, value)) in sample.labels.iter().enumerate() {
                    let open = if index == 0 { '{' } else { ',' };
                    let _ = write!(text, "{open}{label}=\"{}\"", escape(value));
                }
                let close = if sample.labels.is_empty() { "" } else { "}" };
                let _ = writeln!(text, "{close} {}", sample.value);
            }
        }
        text
    }
}

/// Upper bounds of the buckets, in seconds.
const BOUNDS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
];

/// Durations, counted in buckets.
#[derive(Debug, Default)]
pub(super) struct Durations {
    /// Those up to each bound and above the one before; the last has all above.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    nanos: AtomicU64,
}

impl Durations {
    pub(super) fn observe(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let place = BOUNDS
            .iter()
            .position(|bound| seconds <= *bound)
            .unwrap_or(BOUNDS.len());
        if let Some(bucket) = self.buckets.get(place) {
            bucket.fetch_add(1, Relaxed);
        }
        self.nanos
            .fetch_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    /// Writes the samples of the histogram `name` with one label more than `le`.
    pub(super) fn write(&self, page: &mut Page, name: &str, label: (&str, &str)) {
        let mut total = 0;
        let bucket_name = format!("{name}_bucket");
        for (place, bucket) in self.buckets.iter().enumerate() {
            total += bucket.load(Relaxed);
            let bound = BOUNDS
                .get(place)
                .map_or_else(|| "+Inf".to_owned(), f64::to_string);
            page.sample(&bucket_name, &[label, ("le", &bound)], total as f64);
        }
        page.sample(
            &format!("{name}_sum"),
            &[label],
            self.nanos.load(Relaxed) as f64 / 1e9,
        );
        page.sample(&format!("{name}_count"), &[label], total as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped_and_buckets_are_cumulative() {
        static FAMILY: Family = Family {
            name: "a",
            kind: "gauge",
            labels: &["x", "r", "le"],
            help: "Two\nlines.",
        };
        let mut page = Page::default();
        page.family(&FAMILY);
        page.sample("a", &[("x", "q\"\\\n")], 1.5);
        let durations = Durations::default();
        durations.observe(Duration::from_micros(500));
        durations.observe(Duration::from_secs(60));
        durations.write(&mut page, "d", ("r", "/"));
        let text = page.text();
        let text = text
            .strip_prefix("# HELP a Two lines.\n# TYPE a gauge\n")
            .expect("the head");
        assert!(text.starts_with("a{x=\"q\\\"\\\\\\n\"} 1.5\n"), "{text}");
        assert!(text.contains("d_bucket{r=\"/\",le=\"0.001\"} 1\n"), "{text}");
        assert!(
            text.contains("d_bucket{r=\"/\",le=\"10\"} 1\nd_bucket{r=\"/\",le=\"+Inf\"} 2\n"),
            "{text}"
        );
        assert!(
            text.contains("d_sum{r=\"/\"} 60.0005\nd_count{r=\"/\"} 2\n"),
            "{text}"
        );
    }
}

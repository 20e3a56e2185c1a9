//! How long it takes to parse a query and to check its types: of queries as dashboards have them, and of chains and lists so
//! long that anything but linear time would show.
//!
//! The time is CPU of this thread, the tree's end included. A text may have 4 MiB and expressions may nest 200 levels deep;
//! chains of operators do not count as nested, so that only the length of the text bounds them.

use super::Scale;
use crate::measure::thread_cpu;
use crate::report::{Bar, Report};
use anyhow::{Context, Result};
use narthex::testing::promql::check_query;

const RUNS: usize = 15;
/// Parses between two looks at the clock.
const REPEATS: u32 = 200;
/// Of a query of a dashboard, in microseconds; most of it is for patterns, which are compiled to see that they are some.
const TYPICAL_US_MAX: f64 = 250.0;
/// Terms of a chain, the shortest first.
const TERMS: [usize; 3] = [1_000, 10_000, 100_000];
const TERMS_SMALL: [usize; 3] = [100, 1_000, 10_000];
/// How much longer a term of the longest chain may take than one of the shortest, whose tree fits the caches; that of the longest has
/// tens of megabytes. Were the time quadratic, it would be a hundred times.
const RATIO_MAX: f64 = 3.0;

const TYPICAL: &[(&str, &str)] = &[
    ("a name", "up"),
    (
        "a rate",
        "sum by (job) (rate(http_requests_total{code=~\"5..\"}[5m]))",
    ),
    (
        "a quantile",
        "histogram_quantile(0.99, sum by (le, handler) (rate(http_request_duration_seconds_bucket{job=\"shop\"}[5m])))",
    ),
    (
        "a burn rate",
        "(job:errors:ratio_rate1h{job=\"shop\"} > (14.4 * 0.001) and job:errors:ratio_rate5m{job=\"shop\"} > (14.4 * 0.001)) \
         or (job:errors:ratio_rate6h{job=\"shop\"} > (6 * 0.001) and job:errors:ratio_rate30m{job=\"shop\"} > (6 * 0.001))",
    ),
    (
        "a join",
        "sum by (node) (rate(container_cpu_usage_seconds_total{container!=\"\", image!=\"\"}[5m]) \
         * on (namespace, pod) group_left (node) max by (namespace, pod, node) (kube_pod_info))",
    ),
    (
        "a subquery",
        "max_over_time(deriv(rate(requests_total{instance=~\"a.*|b.*\"}[1m])[5m:30s])[10m:2m] offset 1h)",
    ),
    (
        "a free disk",
        "(node_filesystem_avail_bytes{fstype!=\"\"} / node_filesystem_size_bytes{fstype!=\"\"} * 100 < 10 and \
         predict_linear(node_filesystem_avail_bytes{fstype!=\"\"}[6h], 24*60*60) < 0 and node_filesystem_readonly{fstype!=\"\"} == 0)",
    ),
];

/// A text of so many terms.
type Chain = fn(usize) -> String;

const CHAINS: &[(&str, Chain)] = &[
    ("a + a + ...", |terms| vec!["a"; terms].join(" + ")),
    ("a or b or ...", |terms| {
        let names: Vec<&str> = ["a", "b"].into_iter().cycle().take(terms).collect();
        names.join(" or ")
    }),
    ("1 ^ 1 * 1 - ...", |terms| {
        let operators = ["1 ^ ", "1 * ", "1 - "].into_iter().cycle();
        operators.take(terms - 1).collect::<String>() + "1"
    }),
    ("rate(a[5m]) + ...", |terms| {
        vec!["rate(a[5m])"; terms].join(" + ")
    }),
    ("a{l0=\"x\", l1=...}", |terms| {
        let matchers: Vec<String> = (0..terms).map(|term| format!("l{term}=\"x\"")).collect();
        format!("a{{{}}}", matchers.join(", "))
    }),
    ("sum by (l0, l1, ...)", |terms| {
        let names: Vec<String> = (0..terms).map(|term| format!("l{term}")).collect();
        format!("sum by ({}) (a)", names.join(", "))
    }),
];

pub fn run(scale: &Scale) -> Result<bool> {
    let mut report = Report::new("parser: parse and check, CPU", scale.small);
    for (name, text) in TYPICAL {
        let us = time_us(text, scale.of(REPEATS, 1))?;
        report.bar(name.to_owned(), us, "us", Bar::AtMost(TYPICAL_US_MAX));
    }
    let terms = scale.of(TERMS, TERMS_SMALL);
    for (name, chain) in CHAINS {
        let mut ns_by_terms = Vec::new();
        for terms in terms {
            let text = chain(terms);
            let repeats = (TERMS[1] / terms).max(1) as u32;
            let us = time_us(&text, repeats).with_context(|| format!("{terms} terms of {name}"))?;
            ns_by_terms.push(us * 1_000.0 / terms as f64);
            report.figure(format!("{name} of {terms}"), us / 1_000.0, "ms");
        }
        let [shortest, .., longest] = ns_by_terms[..] else {
            continue;
        };
        report.figure(format!("{name}, a term of the longest"), longest, "ns");
        report.bar(
            format!("{name}, longest to shortest"),
            longest / shortest,
            "times a term",
            Bar::AtMost(RATIO_MAX),
        );
    }
    let longest = "a + ".repeat(1 << 20) + "a";
    report.check(
        check_query(&longest).is_err(),
        "a text of more than 4 MiB is parsed",
    );
    let deepest = "(".repeat(1_000) + "a" + &")".repeat(1_000);
    report.check(
        check_query(&deepest).is_err(),
        "an expression may nest 1,000 levels deep",
    );
    report.note("limits: 4 MiB of text, 200 levels of nesting; chains of operators are not nested");
    Ok(report.print())
}

/// The least of some runs, in microseconds a parse: what else the machine does only adds.
fn time_us(text: &str, repeats: u32) -> Result<f64> {
    check_query(text)?;
    let mut least = f64::INFINITY;
    for _ in 0..RUNS {
        let begun = thread_cpu();
        for _ in 0..repeats {
            check_query(std::hint::black_box(text))?;
        }
        let us = (thread_cpu() - begun).as_secs_f64() * 1e6 / f64::from(repeats);
        least = least.min(us);
    }
    Ok(least)
}

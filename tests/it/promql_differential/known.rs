//! Where the two may differ: the peer is Prometheus 3.5, and narthex follows 3.14. Each entry names the change upstream, or
//! says that the answer is open in every version.

/// How exactly numbers have to agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exactness {
    /// Up to this number of units in the last place; of 0, in every bit.
    Ulps(u64),
    /// Which series have values when, but not which ones.
    Presence,
}

/// What a change makes of answers.
enum Allows {
    Ulps(u64),
    Values,
    /// A difference that is described so.
    Difference(fn(&str) -> bool),
}

struct Known {
    /// The pull request of prometheus/prometheus, or why the answer is open.
    upstream: &'static str,
    /// Which expressions it concerns.
    concerns: fn(&str) -> bool,
    allows: Allows,
}

/// Native histograms, by the names that the data has for them.
const HISTOGRAMS: &[&str] = &["rpc_", "sizes_bytes", "queue_depth", "mixed"];

fn has_any(expression: &str, words: &[&str]) -> bool {
    words.iter().any(|word| expression.contains(word))
}

const KNOWN: &[Known] = &[
    Known {
        upstream: "#16773: means of floats are divided sums again, where 3.5 keeps a running mean",
        concerns: |expression| expression.contains("avg"),
        allows: Allows::Ulps(16),
    },
    Known {
        upstream: "#16773, where a slope takes what means have in common away",
        concerns: |expression| {
            expression.contains("avg") && has_any(expression, &["deriv", "predict_linear", "delta", "std"])
        },
        allows: Allows::Ulps(1 << 24),
    },
    Known {
        upstream: "#16773, where a function is steep, as atanh near 1 and cos of what is large",
        concerns: |expression| {
            expression.contains("avg")
                && has_any(
                    expression,
                    &["atanh", "acos", "asin", "ln(", "log", "tan(", "sin(", "cos("],
                )
        },
        allows: Allows::Ulps(1 << 24),
    },
    Known {
        upstream: "#15687: sums and means of native histograms are compensated",
        concerns: |expression| has_any(expression, HISTOGRAMS) && has_any(expression, &["sum", "avg"]),
        allows: Allows::Ulps(16),
    },
    Known {
        upstream: "#15687, where counts cancel out, and a bucket is empty or just not",
        concerns: |expression| {
            has_any(expression, HISTOGRAMS)
                && has_any(expression, &["sum", "avg"])
                && expression.contains("delta")
        },
        allows: Allows::Values,
    },
    Known {
        upstream: "#15687, where a last digit decides what is rounded",
        concerns: |expression| {
            has_any(expression, HISTOGRAMS)
                && has_any(expression, &["sum", "avg"])
                && has_any(expression, &["floor", "ceil", "round"])
        },
        allows: Allows::Values,
    },
    Known {
        upstream: "#16828: the rate of a native histogram begins no earlier than where its count would be zero",
        concerns: |expression| {
            has_any(expression, HISTOGRAMS) && has_any(expression, &["rate(", "increase("])
        },
        allows: Allows::Values,
    },
    Known {
        upstream: "open: chunks of Prometheus have buckets without observations, of which an infinite factor makes NaN",
        concerns: |expression| has_any(expression, HISTOGRAMS) && has_any(expression, &["Inf", "NaN", "/ 0"]),
        allows: Allows::Values,
    },
    Known {
        upstream: "open: as before, where a negated count lets an empty bucket look like one that has not shrunk",
        concerns: |expression| {
            has_any(expression, HISTOGRAMS) && expression.contains("resets") && expression.contains('-')
        },
        allows: Allows::Values,
    },
    Known {
        upstream: "#19040: a NaN among the samples makes the deviation NaN",
        concerns: |expression| expression.contains("mad_over_time"),
        allows: Allows::Values,
    },
    Known {
        upstream: "open: variances depend on the order of the series in a group, which is not the same twice",
        concerns: |expression| has_any(expression, &["stddev", "stdvar"]),
        allows: Allows::Ulps(1 << 24),
    },
    Known {
        upstream: "#17424: a fraction of a classic histogram may begin in the first bucket, where 3.5 answers NaN",
        concerns: |expression| expression.contains("histogram_fraction"),
        allows: Allows::Difference(|difference| difference.ends_with("Some(Float(NaN)) there")),
    },
    Known {
        upstream: "#16725: a count that is no integer is refused even when there is nothing to choose from",
        concerns: |expression| has_any(expression, &["topk", "bottomk"]),
        allows: Allows::Difference(|difference| {
            let is_count = has_any(
                difference,
                &["Parameter value is NaN", "overflows int64", "underflows int64"],
            );
            is_count && difference.starts_with("refused here")
        }),
    },
    Known {
        upstream: "open: below histogram_count and the like Prometheus reads histograms without buckets, and finds none equal",
        concerns: |expression| {
            has_any(expression, HISTOGRAMS)
                && has_any(expression, &["histogram_count", "histogram_sum", "histogram_avg"])
                && has_any(expression, &[" == ", " != "])
        },
        allows: Allows::Difference(|difference| has_any(difference, &["only here", "only there", "None "])),
    },
    Known {
        upstream: "open: with `@` in the parameter of an aggregation, Prometheus reads on from that moment with each step",
        concerns: |expression| {
            expression.contains(" @ ")
                && has_any(expression, &["topk", "bottomk"])
                && expression.contains("scalar(")
        },
        allows: Allows::Difference(|difference| {
            difference.contains("refused there (Scalar value NaN overflows int64)")
        }),
    },
    Known {
        upstream: "open: as before, of a quantile",
        concerns: |expression| {
            expression.contains(" @ ")
                && has_any(expression, &["quantile (", "quantile by", "quantile without"])
                && expression.contains("scalar(")
        },
        allows: Allows::Values,
    },
    Known {
        upstream: "as of the numbers: `count_values` makes labels of them, where a last digit is another series",
        concerns: |expression| {
            expression.contains("count_values") && exactness(expression) != Exactness::Ulps(0)
        },
        allows: Allows::Difference(|difference| has_any(difference, &["only here", "only there"])),
    },
    Known {
        upstream: "open: which of equals are chosen",
        concerns: |expression| has_any(expression, &["topk", "bottomk"]),
        allows: Allows::Difference(|difference| {
            has_any(
                difference,
                &["None here", "None there", "only here", "only there"],
            )
        }),
    },
    Known {
        upstream: "open: as before, under a function over the chosen ones",
        concerns: |expression| has_any(expression, &["topk", "bottomk"]) && expression.contains(":]"),
        allows: Allows::Values,
    },
    Known {
        upstream: "#17668: what matches twice is refused, though a comparison would drop it",
        concerns: |expression| has_any(expression, &[" == ", " != ", " > ", " >= ", " < ", " <= "]),
        allows: Allows::Difference(|difference| {
            difference.starts_with("refused here (multiple matches for labels: many-to-one")
        }),
    },
];

/// How exactly the answers to an expression have to agree.
pub(super) fn exactness(expression: &str) -> Exactness {
    let mut exactness = Exactness::Ulps(0);
    for known in KNOWN {
        exactness = match (exactness, &known.allows) {
            (before, Allows::Difference(_)) => before,
            (before, _) if !(known.concerns)(expression) => before,
            (Exactness::Presence, _) | (_, Allows::Values) => Exactness::Presence,
            (Exactness::Ulps(before), Allows::Ulps(ulps)) => Exactness::Ulps(before.max(*ulps)),
        };
    }
    exactness
}

/// The change that a difference comes from, if it is one of these.
pub(super) fn reason(expression: &str, difference: &str) -> Option<&'static str> {
    let found = KNOWN.iter().find(|known| match known.allows {
        Allows::Difference(is_so) => (known.concerns)(expression) && is_so(difference),
        _ => false,
    });
    found.map(|known| known.upstream)
}

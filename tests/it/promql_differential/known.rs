//! Where the two may differ: the peer is an older Prometheus than the one that narthex follows. Each entry says why.

/// How exactly numbers have to agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exactness {
    /// Up to this number of units in the last place; of 0, in every bit.
    Ulps(u64),
    /// Which series have values when, but not which ones.
    Presence,
}

/// Calls that Prometheus has made more exact since, with the units in the last place that answers may differ by: means of
/// floats are divided sums now, sums and means of histograms and variances are compensated.
/// Variances also depend on the order of the series in a group, which is not the same twice.
const MORE_EXACT: &[(&str, u64)] = &[("avg", 16), ("sum", 16), ("stddev", 1 << 24), ("stdvar", 1 << 24)];

/// Native histograms, by the names that the data has for them.
const HISTOGRAMS: &[&str] = &["rpc_", "sizes_bytes", "queue_depth", "mixed"];

/// How exactly the answers to an expression have to agree.
pub(super) fn exactness(expression: &str) -> Exactness {
    let has = |words: &[&str]| words.iter().any(|word| expression.contains(word));
    // A NaN among the samples makes the deviation NaN today.
    if has(&["mad_over_time"]) {
        return Exactness::Presence;
    }
    // Since 3.6 the rate of a native histogram, too, begins no earlier than where the counter would be zero. An infinite
    // factor makes NaN of empty buckets, of which a chunk of Prometheus has more than what was written.
    if has(HISTOGRAMS) && has(&["rate(", "increase(", "Inf", "NaN", "/ 0"]) {
        return Exactness::Presence;
    }
    let used = MORE_EXACT.iter().filter(|(name, _)| expression.contains(name));
    Exactness::Ulps(used.map(|(_, ulps)| *ulps).max().unwrap_or(0))
}

/// Whether a difference is one between versions, or of choice. A count that is no integer is refused today even when there is
/// nothing to choose from, and which of equals are chosen is open.
pub(super) fn is_newer(expression: &str, difference: &str) -> bool {
    let chooses = ["topk", "bottomk"].iter().any(|call| expression.contains(call));
    let is_choice = [
        "None here",
        "None there",
        "only here",
        "only there",
        "refused here, 0 series there",
    ]
    .iter()
    .any(|word| difference.contains(word));
    // A second match of one-to-one matching is refused before a comparison may drop it.
    let compares = ["==", "!=", " > ", " <= ", " < "]
        .iter()
        .any(|operator| expression.contains(operator));
    (chooses && is_choice) || (compares && difference.starts_with("refused here, "))
}

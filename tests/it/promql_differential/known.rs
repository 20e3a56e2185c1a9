//! Where the two may differ: the peer is an older Prometheus than the one that narthex follows.

/// Calls that Prometheus has made more exact since: by how many units in the last place answers may differ.
const MORE_EXACT: &[(&str, u64)] = &[("avg", 16), ("sum", 16), ("stddev", 64), ("stdvar", 64)];

/// The tolerance of an expression: that of the least exact call in it.
pub(super) fn tolerance_ulps(expression: &str) -> u64 {
    let used = MORE_EXACT.iter().filter(|(name, _)| expression.contains(name));
    used.map(|(_, ulps)| *ulps).max().unwrap_or(0)
}

/// Differences that are none between versions.
pub(super) fn is_newer(_expression: &str, _difference: &str) -> bool {
    false
}

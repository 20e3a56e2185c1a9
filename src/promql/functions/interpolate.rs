//! Values between two samples, on the line that joins them.

use crate::model::float_histogram::{FloatHistogram, Unmixable};

/// The value on the line between two samples. A counter that was reset between them rose from zero.
pub(crate) fn interpolate(left: (i64, f64), right: (i64, f64), moment_ms: i64, is_counter: bool) -> f64 {
    let from = if is_counter && right.1 < left.1 {
        0.0
    } else {
        left.1
    };
    from + (right.1 - from) * (moment_ms - left.0) as f64 / (right.0 - left.0) as f64
}

/// Which reconciliations of custom buckets an operation on histograms made.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reconciled {
    pub(crate) add: bool,
    pub(crate) sub: bool,
}

/// The histogram on the line between two. A counter that was reset between them rose from nothing.
pub(crate) fn interpolate_histograms(
    left: (i64, &FloatHistogram),
    right: (i64, &FloatHistogram),
    moment_ms: i64,
    is_counter: bool,
) -> Result<(FloatHistogram, Reconciled), Unmixable> {
    let mut reconciled = Reconciled::default();
    if moment_ms == left.0 {
        return Ok((left.1.clone(), reconciled));
    }
    let mut result = right.1.clone();
    if moment_ms == right.0 {
        return Ok((result, reconciled));
    }
    let fraction = (moment_ms - left.0) as f64 / (right.0 - left.0) as f64;
    if is_counter && right.1.is_reset_from(left.1) {
        result.mul(fraction);
        return Ok((result, reconciled));
    }
    reconciled.sub = result.sub(left.1)?.custom_bounds;
    result.mul(fraction);
    reconciled.add = result.add(left.1)?.custom_bounds;
    Ok((result, reconciled))
}

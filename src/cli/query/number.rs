//! Numbers as Go prints them, in the two forms that Prometheus has.

/// The form of values: no exponent unless very small or large.
pub(super) fn plain(x: f64) -> String {
    let size = x.abs();
    if !x.is_finite() {
        special(x)
    } else if size != 0.0 && !(1e-6..1e21).contains(&size) {
        with_exponent(x)
    } else {
        format!("{x}")
    }
}

/// The form within a histogram: an exponent below -4 and from 6 on.
pub(super) fn general(x: f64) -> String {
    let exponent = exponent(x);
    if !x.is_finite() {
        special(x)
    } else if (-4..6).contains(&exponent) {
        format!("{x}")
    } else {
        with_exponent(x)
    }
}

/// Of the shortest digits.
fn exponent(x: f64) -> i32 {
    let text = format!("{x:e}");
    text.split_once('e')
        .and_then(|(_, exponent)| exponent.parse().ok())
        .unwrap_or(0)
}

/// `1.5e+07`
fn with_exponent(x: f64) -> String {
    let text = format!("{x:e}");
    let mantissa = text.split_once('e').map_or(text.as_str(), |parts| parts.0);
    let exponent = exponent(x);
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

fn special(x: f64) -> String {
    let text = match x {
        f64::INFINITY => "+Inf",
        f64::NEG_INFINITY => "-Inf",
        _ => "NaN",
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms() {
        let cases = [
            (0.0, "0", "0"),
            (-0.0, "-0", "-0"),
            (0.1, "0.1", "0.1"),
            (1e20, "100000000000000000000", "1e+20"),
            (1.5e21, "1.5e+21", "1.5e+21"),
            (123_456.0, "123456", "123456"),
            (1_234_567.0, "1234567", "1.234567e+06"),
            (0.000_01, "0.00001", "1e-05"),
            (-1.5e-7, "-1.5e-07", "-1.5e-07"),
            (f64::INFINITY, "+Inf", "+Inf"),
            (f64::NEG_INFINITY, "-Inf", "-Inf"),
            (f64::NAN, "NaN", "NaN"),
        ];
        for (x, in_plain, in_general) in cases {
            assert_eq!(
                (plain(x), general(x)),
                (in_plain.to_owned(), in_general.to_owned())
            );
        }
    }
}

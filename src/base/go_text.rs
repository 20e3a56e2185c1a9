//! Numbers as Go prints them: Prometheus' answers, labels and messages are made of these.

/// `strconv.FormatFloat(x, 'f', -1, 64)`: the shortest digits that read back as `x`, never with an exponent.
pub(crate) fn float_f(x: f64) -> String {
    if x.is_finite() { format!("{x}") } else { special(x) }
}

/// `strconv.FormatFloat(x, 'e', -1, 64)`
#[cfg(any(test, feature = "server"))]
fn float_e(x: f64) -> String {
    if !x.is_finite() {
        return special(x);
    }
    exponent_form(&format!("{x:e}"))
}

/// `%g` and `%v`: the shortest digits, with an exponent below -4 and from 6 on.
pub(crate) fn float_g(x: f64) -> String {
    if !x.is_finite() {
        return special(x);
    }
    let text = format!("{x:e}");
    if (-4..6).contains(&exponent_of(&text)) {
        format!("{x}")
    } else {
        exponent_form(&text)
    }
}

/// `%.Ng`: `digits` significant digits without the zeros at their end.
pub(crate) fn float_g_digits(x: f64, digits: usize) -> String {
    if !x.is_finite() {
        return special(x);
    }
    let digits = digits.max(1);
    let text = format!("{x:.*e}", digits - 1);
    let exponent = exponent_of(&text);
    let (mantissa, _) = text.split_once('e').unwrap_or((&text, ""));
    let mantissa = if mantissa.contains('.') {
        mantissa.trim_end_matches('0').trim_end_matches('.')
    } else {
        mantissa
    };
    let left = mantissa.bytes().filter(u8::is_ascii_digit).count() as i32;
    // As long as all digits stand before the point, only a number longer than `digits` gets an exponent.
    let limit = if left < digits as i32 && left > exponent {
        left
    } else {
        digits as i32
    };
    if exponent < -4 || exponent >= limit {
        return exponent_form(&format!("{mantissa}e{exponent}"));
    }
    let decimals = (left - 1 - exponent).max(0) as usize;
    format!("{:.*}", decimals, text.parse::<f64>().unwrap_or(x))
}

/// The number of a JSON answer, without its quotes: as [`float_f`], with an exponent when very small or large.
#[cfg(any(test, feature = "server"))]
pub(crate) fn float_json(x: f64) -> String {
    let size = x.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        float_e(x)
    } else {
        float_f(x)
    }
}

/// The number as OpenMetrics wants label values to be: [`float_g`], but never like an integer.
pub(crate) fn float_open_metrics(x: f64) -> String {
    let text = float_g(x);
    if text.contains(['.', 'e', 'N', 'I']) {
        text
    } else {
        text + ".0"
    }
}

fn special(x: f64) -> String {
    let text = match x {
        f64::INFINITY => "+Inf",
        f64::NEG_INFINITY => "-Inf",
        _ => "NaN",
    };
    text.to_owned()
}

fn exponent_of(text: &str) -> i32 {
    text.split_once('e')
        .and_then(|(_, exponent)| exponent.parse().ok())
        .unwrap_or(0)
}

/// `1.5e7` as `1.5e+07`.
fn exponent_form(text: &str) -> String {
    let exponent = exponent_of(text);
    let (mantissa, _) = text.split_once('e').unwrap_or((text, ""));
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortest_digits() {
        let table: &[(f64, &str, &str, &str)] = &[
            (0.0, "0", "0", "0e+00"),
            (-0.0, "-0", "-0", "-0e+00"),
            (1.0, "1", "1", "1e+00"),
            (0.1, "0.1", "0.1", "1e-01"),
            (100_000.0, "100000", "100000", "1e+05"),
            (1e20, "100000000000000000000", "1e+20", "1e+20"),
            (1e21, "1000000000000000000000", "1e+21", "1e+21"),
            (0.0001, "0.0001", "0.0001", "1e-04"),
            (0.00001, "0.00001", "1e-05", "1e-05"),
            (123_456_789.0, "123456789", "1.23456789e+08", "1.23456789e+08"),
            (-1.5e-7, "-0.00000015", "-1.5e-07", "-1.5e-07"),
            (1e100, &("1".to_owned() + &"0".repeat(100)), "1e+100", "1e+100"),
            (f64::INFINITY, "+Inf", "+Inf", "+Inf"),
            (f64::NEG_INFINITY, "-Inf", "-Inf", "-Inf"),
            (f64::NAN, "NaN", "NaN", "NaN"),
        ];
        for (x, f, g, e) in table {
            assert_eq!(
                (float_f(*x), float_g(*x), float_e(*x)),
                (f.to_string(), g.to_string(), e.to_string())
            );
        }
    }

    #[test]
    fn limited_digits() {
        let table = [
            (0.0, "0"),
            (1.0, "1"),
            (10.0, "10"),
            (99.9, "1e+02"),
            (100.0, "1e+02"),
            (123.0, "1.2e+02"),
            (0.125, "0.12"),
            (0.000_012_9, "1.3e-05"),
            (-2.5, "-2.5"),
        ];
        for (x, text) in table {
            assert_eq!(float_g_digits(x, 2), text, "{x}");
        }
    }

    #[test]
    fn numbers_of_json_and_of_labels() {
        assert_eq!(
            [1e21, 1e20, 1e-7, 1e-6, 0.0].map(float_json),
            ["1e+21", "100000000000000000000", "1e-07", "0.000001", "0"]
        );
        assert_eq!(
            [1.0, 0.0, 0.99, 1e30, -1.0, f64::NAN, f64::INFINITY].map(float_open_metrics),
            ["1.0", "0.0", "0.99", "1e+30", "-1.0", "NaN", "+Inf"]
        );
    }
}

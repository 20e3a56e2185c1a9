//! The parameters of a request: those of its query string and, of a POST, those of the form in its body.
//!
//! Times, durations and limits are read as Prometheus reads them and refused in its words.

use super::error::ApiError;
use super::state::App;
use crate::base::civil::rfc3339_ms;
use crate::promql::durations::parse_duration_ms;
use crate::promql::quote::quote;
use axum::extract::Request;
use axum::http::{Method, Uri, header};
use std::num::IntErrorKind;

/// Parameters in order, those of the body first.
#[derive(Debug, Default)]
pub(super) struct Params {
    pairs: Vec<(String, String)>,
    /// What is wrong with the form itself.
    fault: Option<String>,
}

/// The content type of a body that has parameters.
const FORM: &str = "application/x-www-form-urlencoded";

/// Bounds of times in milliseconds, about as far as 64 bits of nanoseconds would not reach.
const TIME_MS_MAX: f64 = 9.0e18 / 1000.0;

impl Params {
    /// Reads those of a request.
    pub(super) async fn of(app: &App, request: Request) -> Result<Self, ApiError> {
        let mut params = Self::default();
        let (parts, body) = request.into_parts();
        let kind = parts
            .headers
            .get(header::CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok());
        let is_form = kind
            .and_then(|kind| kind.split(';').next())
            .is_some_and(|kind| kind.trim().eq_ignore_ascii_case(FORM));
        if is_form && matches!(parts.method, Method::POST | Method::PUT | Method::PATCH) {
            let config = app.config.load_full();
            let body = app.admission.read(body, &config.http).await?;
            params.add(&body);
        }
        params.add(parts.uri.query().unwrap_or("").as_bytes());
        Ok(params)
    }

    /// Those of the query string alone, whatever the body is.
    pub(super) fn of_uri(uri: &Uri) -> Self {
        let mut params = Self::default();
        params.add(uri.query().unwrap_or("").as_bytes());
        params
    }

    /// Names and values, in their order.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Those of a query string.
    #[cfg(test)]
    pub(super) fn of_text(text: &str) -> Self {
        let mut params = Self::default();
        params.add(text.as_bytes());
        params
    }

    /// Pairs that cannot be read are left out and remembered.
    fn add(&mut self, form: &[u8]) {
        for pair in form.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            if pair.contains(&b';') {
                self.note("invalid semicolon separator in query".to_owned());
                continue;
            }
            let at = memchr::memchr(b'=', pair).unwrap_or(pair.len());
            let value = pair.get(at + 1..).unwrap_or_default();
            match (unescaped(&pair[..at]), unescaped(value)) {
                (Ok(name), Ok(value)) => self.pairs.push((name, value)),
                (Err(fault), _) | (_, Err(fault)) => self.note(fault),
            }
        }
    }

    fn note(&mut self, fault: String) {
        self.fault.get_or_insert(fault);
    }

    /// Refuses a form that cannot be read whole.
    pub(super) fn check_form(&self) -> Result<(), ApiError> {
        match &self.fault {
            Some(fault) => Err(ApiError::bad_data(format!("error parsing form values: {fault}"))),
            None => Ok(()),
        }
    }

    /// The first value of that name, or the empty text.
    pub(super) fn get(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or("")
    }

    /// All values of that name.
    pub(super) fn all<'p>(&'p self, name: &str) -> impl Iterator<Item = &'p str> {
        let named = self.pairs.iter().filter(move |pair| pair.0 == name);
        named.map(|pair| pair.1.as_str())
    }

    /// A time in milliseconds; without one the default.
    pub(super) fn time_ms(&self, name: &str, default_ms: i64) -> Result<i64, ApiError> {
        let text = self.get(name);
        if text.is_empty() {
            return Ok(default_ms);
        }
        parse_time_ms(text).ok_or_else(|| {
            let what = format!("invalid time value for '{name}': {}", no_time(text));
            invalid(name, &what)
        })
    }

    /// A time in milliseconds that must be there.
    pub(super) fn needed_time_ms(&self, name: &str) -> Result<i64, ApiError> {
        let text = self.get(name);
        parse_time_ms(text).ok_or_else(|| invalid(name, &no_time(text)))
    }

    /// A duration in seconds that must be there.
    pub(super) fn duration_s(&self, name: &str) -> Result<f64, ApiError> {
        parse_duration_s(self.get(name)).map_err(|fault| invalid(name, &fault))
    }

    /// A number that is not negative; without one, and for 0, no limit.
    pub(super) fn limit(&self, name: &str) -> Result<usize, ApiError> {
        let text = self.get(name);
        if text.is_empty() {
            return Ok(0);
        }
        match text.parse::<i64>() {
            Ok(limit) if limit < 0 => Err(invalid(name, "limit must be non-negative")),
            Ok(limit) => Ok(usize::try_from(limit).unwrap_or(usize::MAX)),
            Err(error) => {
                let what = match error.kind() {
                    IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
                    _ => "invalid syntax",
                };
                let what = format!("strconv.Atoi: parsing {}: {what}", quote(text));
                Err(invalid(name, &what))
            }
        }
    }
}

fn no_time(text: &str) -> String {
    format!("cannot parse {} to a valid timestamp", quote(text))
}

/// A parameter that is not what it must be.
pub(super) fn invalid(name: &str, what: &str) -> ApiError {
    ApiError::bad_data(format!("invalid parameter {name:?}: {what}"))
}

/// A time as seconds since 1970 or as RFC 3339 has it.
pub(super) fn parse_time_ms(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<f64>() {
        let ms =
            (seconds.trunc() * 1000.0 + (seconds.fract() * 1000.0).round()).clamp(-TIME_MS_MAX, TIME_MS_MAX);
        return (!ms.is_nan()).then_some(ms as i64);
    }
    match text {
        EARLIEST => Some(-TIME_MS_MAX as i64),
        LATEST => Some(TIME_MS_MAX as i64),
        _ => rfc3339_ms(text),
    }
}

/// How Prometheus writes the first and the last time that it knows.
const EARLIEST: &str = "-292273086-05-16T16:47:06Z";
const LATEST: &str = "292277025-08-18T07:12:54.999999999Z";

/// A duration as seconds or in Prometheus' units.
pub(super) fn parse_duration_s(text: &str) -> Result<f64, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        let is_within = (seconds * 1e9).abs() <= i64::MAX as f64;
        return match is_within {
            true => Ok(seconds),
            false => Err(format!(
                "cannot parse {} to a valid duration. It overflows int64",
                quote(text)
            )),
        };
    }
    parse_duration_ms(text)
        .map(|ms| ms as f64 / 1000.0)
        .map_err(|_| format!("cannot parse {} to a valid duration", quote(text)))
}

/// A truth as Go reads it.
pub(super) fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing {text:?}: invalid syntax")),
    }
}

/// A name or a value of a form.
fn unescaped(text: &[u8]) -> Result<String, String> {
    let bytes = unescaped_bytes(text, true)?;
    Ok(String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// The bytes that escapes of a URL stand for; in a form, spaces are pluses.
pub(super) fn unescaped_bytes(text: &[u8], is_form: bool) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        match first {
            b'+' if is_form => bytes.push(b' '),
            b'%' => {
                let digits = behind
                    .get(..2)
                    .and_then(|digits| std::str::from_utf8(digits).ok());
                let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
                let is_plain =
                    digits.is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
                match byte.filter(|_| is_plain) {
                    Some(byte) => bytes.push(byte),
                    None => {
                        let shown = String::from_utf8_lossy(&behind[..behind.len().min(2)]).into_owned();
                        return Err(format!("invalid URL escape \"%{shown}\""));
                    }
                }
                rest = behind.get(2..).unwrap_or_default();
            }
            _ => bytes.push(*first),
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_read_pair_by_pair() {
        let params = Params::of_text("query=a%2Bb+c&match[]=x&match%5B%5D=y&empty&bad=%zz");
        assert_eq!(params.get("query"), "a+b c");
        assert_eq!(params.all("match[]").collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!((params.get("empty"), params.get("bad")), ("", ""));
        assert_eq!(
            params.check_form().unwrap_err().message,
            "error parsing form values: invalid URL escape \"%zz\""
        );
    }

    #[test]
    fn times_are_seconds_or_rfc_3339() {
        for (text, wanted) in [
            ("1700000000", Some(1_700_000_000_000)),
            ("1700000000.1234", Some(1_700_000_000_123)),
            ("-1.5", Some(-1500)),
            ("1e3", Some(1_000_000)),
            ("2023-11-14T22:13:20Z", Some(1_700_000_000_000)),
            ("2023-11-15T00:13:20.25+02:00", Some(1_700_000_000_250)),
            ("2023-11-14 22:13:20Z", None),
            ("", None),
            ("NaN", None),
            ("yesterday", None),
        ] {
            assert_eq!(parse_time_ms(text), wanted, "{text:?}");
        }
        assert!(parse_time_ms(LATEST) > parse_time_ms("1700000000000"));
    }

    #[test]
    fn durations_are_seconds_or_have_units() {
        assert_eq!(parse_duration_s("1.5"), Ok(1.5));
        assert_eq!(parse_duration_s("1h30m"), Ok(5400.0));
        assert!(
            parse_duration_s("1e300")
                .unwrap_err()
                .ends_with("overflows int64")
        );
        assert!(parse_duration_s("soon").is_err());
    }

    #[test]
    fn truths_are_those_of_go() {
        assert_eq!((parse_bool("1"), parse_bool("F")), (Ok(true), Ok(false)));
        assert!(parse_bool("yes").is_err() && parse_bool("").is_err());
    }

    #[test]
    fn limits_are_counts() {
        assert_eq!(Params::of_text("").limit("limit"), Ok(0));
        assert_eq!(Params::of_text("limit=7").limit("limit"), Ok(7));
        for bad in ["-1", "x", "1.5"] {
            let params = Params::of_text(&format!("limit={bad}"));
            assert_eq!(params.limit("limit").unwrap_err().status.as_u16(), 400, "{bad}");
        }
    }
}

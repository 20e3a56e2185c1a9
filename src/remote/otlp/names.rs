//! Names of OpenTelemetry as Prometheus has them: a metric's name from its name and unit, a label's name from an attribute's key.
//!
//! The rules are those of Prometheus' own endpoint, so that what was sent there and is sent here now goes on under the same
//! names.

use crate::model::otlp_options::Translation;

/// Units that have a word. What stands nowhere here is its own word.
const UNITS: [(&str, &str); 26] = [
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    // As Prometheus spells it.
    ("TiBy", "tibibytes"),
    ("KBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("TBy", "terabytes"),
    ("m", "meters"),
    ("V", "volts"),
    ("A", "amperes"),
    ("J", "joules"),
    ("W", "watts"),
    ("g", "grams"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
    ("1", ""),
    ("%", "percent"),
];

/// Units behind a slash.
const PER_UNITS: [(&str, &str); 7] = [
    ("s", "second"),
    ("m", "minute"),
    ("h", "hour"),
    ("d", "day"),
    ("w", "week"),
    ("mo", "month"),
    ("y", "year"),
];

/// What of a metric's type shows in its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Gauge,
    /// A sum that only grows.
    Counter,
    Other,
}

/// The name of a metric; `None` when nothing is left of it.
pub(crate) fn metric_name(translation: Translation, name: &str, unit: &str, shape: Shape) -> Option<String> {
    let built = match (translation.escapes(), translation.has_suffixes()) {
        (true, true) => escaped_with_suffixes(name, unit, shape),
        (true, false) => {
            let parts = name.split(|c: char| !(c.is_ascii_alphanumeric() || c == ':' || c == '_'));
            let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
            not_with_a_digit(parts.join("_"))
        }
        (false, true) => with_suffixes(name, unit, shape),
        (false, false) => name.to_owned(),
    };
    let is_named = built == name || built.contains(|c| c != '_');
    (is_named && !built.is_empty()).then_some(built)
}

fn not_with_a_digit(name: String) -> String {
    match name.starts_with(|c: char| c.is_ascii_digit()) {
        true => format!("_{name}"),
        false => name,
    }
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == ':'
}

/// Words joined by underscores, the unit among them only if it is not there already.
fn escaped_with_suffixes(name: &str, unit: &str, shape: Shape) -> String {
    let words = name.split(|c| !is_name_char(c)).filter(|word| !word.is_empty());
    let mut words: Vec<&str> = words.collect();
    let (unit_word, per_word) = unit_words(unit);
    let (unit_word, per_word) = (clean(&unit_word), clean(&per_word));
    let mut unit_suffix = Some(unit_word.as_str()).filter(|unit| !words.contains(unit));
    let per_suffix = Some(per_word.as_str()).filter(|per| *per != "per_");
    let per_suffix = per_suffix.map(|per| per.strip_suffix('_').unwrap_or(per));
    let per_suffix = per_suffix.filter(|per| !per.is_empty() && !words.contains(per));
    if per_suffix.is_some() {
        unit_suffix = unit_suffix.map(|unit| unit.strip_suffix('_').unwrap_or(unit));
    }
    words.extend(unit_suffix.filter(|unit| !unit.is_empty()));
    words.extend(per_suffix);
    if let Some(word) = type_word(unit, shape) {
        words.retain(|one| *one != word);
        words.push(word);
    }
    not_with_a_digit(words.join("_"))
}

/// What the type puts at the end of a name.
fn type_word(unit: &str, shape: Shape) -> Option<&'static str> {
    match shape {
        Shape::Counter => Some("total"),
        Shape::Gauge if unit == "1" => Some("ratio"),
        _ => None,
    }
}

/// The name as it is, with what is not yet at its end.
fn with_suffixes(name: &str, unit: &str, shape: Shape) -> String {
    let (unit_word, per_word) = unit_words(unit);
    let word = type_word(unit, shape);
    let mut built = name;
    for ending in word.into_iter().chain([per_word.as_str()]) {
        built = without_ending(built, ending);
    }
    let mut built = built.to_owned();
    if !built.ends_with(&unit_word) {
        push_word(&mut built, &unit_word);
    }
    push_word(&mut built, &per_word);
    push_word(&mut built, word.unwrap_or(""));
    built
}

fn push_word(name: &mut String, word: &str) {
    if !word.is_empty() {
        name.push('_');
        name.push_str(word);
    }
}

/// The name without a word at its end and the character before it.
fn without_ending<'n>(name: &'n str, word: &str) -> &'n str {
    if word.is_empty() {
        return name;
    }
    let before = name.strip_suffix(word).map(str::char_indices);
    match before.and_then(|mut chars| chars.next_back()) {
        Some((at, _)) if at > 0 => name.get(..at).unwrap_or(name),
        _ => name,
    }
}

/// The words of a unit: of what stands before its slash and behind it.
fn unit_words(unit: &str) -> (String, String) {
    let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
    let word = |unit: &str, table: &[(&str, &str)]| {
        let unit = unit.trim();
        if unit.contains(['{', '}']) {
            return String::new();
        }
        let found = table.iter().find(|entry| entry.0 == unit);
        found.map_or(unit, |entry| entry.1).to_owned()
    };
    let per = word(per, &PER_UNITS);
    let per = if per.is_empty() { per } else { format!("per_{per}") };
    (word(main, &UNITS), per)
}

/// The word of a unit in letters, digits and single underscores.
fn clean(word: &str) -> String {
    let mut out = String::with_capacity(word.len());
    for c in word.chars() {
        if is_name_char(c) {
            out.push(c);
        } else if !out.is_empty() && !out.ends_with('_') {
            out.push('_');
        }
    }
    out
}

/// The unit in words, as metadata has it.
pub(crate) fn unit_name(unit: &str) -> String {
    let (unit, per) = unit_words(unit);
    let words = [clean(&unit), clean(&per)];
    let words: Vec<&str> = words.iter().map(|word| word.trim_matches('_')).collect();
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    words.join("_")
}

/// The name of the label for the attribute with this key; `None` when nothing is left of it.
pub(crate) fn label_name(translation: Translation, key: &str) -> Option<String> {
    if !translation.escapes() {
        return (!key.is_empty()).then(|| key.to_owned());
    }
    let escape = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let name: String = key.chars().map(escape).collect();
    let is_named = name == key || name.contains(|c| c != '_');
    if name.is_empty() || !is_named {
        return None;
    }
    let is_reserved = name.starts_with("__");
    Some(match name.chars().next() {
        Some('0'..='9') => format!("key_{name}"),
        Some('_') if !is_reserved => format!("key{name}"),
        _ => name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use Translation::{
        NoUtf8EscapingWithSuffixes, UnderscoreEscapingWithSuffixes, UnderscoreEscapingWithoutSuffixes,
        Untouched,
    };
    use proptest::prelude::*;

    #[track_caller]
    fn check(translation: Translation, cases: &[(&str, &str, Shape, &str)]) {
        for (name, unit, shape, wanted) in cases {
            let built = metric_name(translation, name, unit, *shape).unwrap_or_default();
            assert_eq!(built, *wanted, "{name:?} {unit:?} {shape:?}");
        }
    }

    #[test]
    fn units_and_types_stand_behind_names_once() {
        use Shape::{Counter, Gauge, Other};
        check(
            UnderscoreEscapingWithSuffixes,
            &[
                ("http.server.duration", "s", Other, "http_server_duration_seconds"),
                (
                    "http.server.duration.seconds",
                    "s",
                    Other,
                    "http_server_duration_seconds",
                ),
                ("seconds.spent", "s", Counter, "seconds_spent_total"),
                ("requests", "{requests}", Counter, "requests_total"),
                ("total.requests", "1", Counter, "requests_total"),
                ("usage", "1", Gauge, "usage_ratio"),
                ("usage", "1", Other, "usage"),
                ("usage", "%", Gauge, "usage_percent"),
                ("io", "By/s", Gauge, "io_bytes_per_second"),
                ("io", "{packets}/s", Gauge, "io_per_second"),
                ("io", "/s", Gauge, "io_per_second"),
                ("io", "m/{x}", Gauge, "io_meters"),
                ("io", "m/d", Gauge, "io_meters_per_day"),
                ("io", "blorg", Gauge, "io_blorg"),
                ("io", "k{r}g", Gauge, "io"),
                ("io", "a b", Gauge, "io_a_b"),
                ("io", "__x__", Gauge, "io_x_"),
                ("io", "__x__/s", Gauge, "io_x_per_second"),
                ("a..b:c__d", "", Other, "a_b:c_d"),
                ("1abc", "", Other, "_1abc"),
                ("_lead", "By", Gauge, "lead_bytes"),
                ("é.x", "", Other, "x"),
                ("日本", "", Other, ""),
                ("", "s", Other, "seconds"),
            ],
        );
        check(
            UnderscoreEscapingWithoutSuffixes,
            &[
                ("http.server.duration", "s", Other, "http_server_duration"),
                ("a__b", "s", Counter, "a__b"),
                ("1abc", "s", Other, "_1abc"),
            ],
        );
        check(
            NoUtf8EscapingWithSuffixes,
            &[
                ("http.server.duration", "s", Other, "http.server.duration_seconds"),
                ("http.duration.seconds", "s", Other, "http.duration.seconds"),
                ("requests.total", "1", Counter, "requests_total"),
                ("usage.ratio", "1", Gauge, "usage_ratio"),
                ("io", "By/s", Counter, "io_bytes_per_second_total"),
                ("日本", "ms", Gauge, "日本_milliseconds"),
                ("total", "", Counter, "total_total"),
            ],
        );
        check(Untouched, &[("http.duration", "s", Counter, "http.duration")]);
    }

    #[test]
    fn keys_become_names_of_labels() {
        for (key, wanted) in [
            ("http.method", Some("http_method")),
            ("a__b", Some("a__b")),
            ("a b-c", Some("a_b_c")),
            ("1st", Some("key_1st")),
            ("_x", Some("key_x")),
            (".x", Some("key_x")),
            ("__x__", Some("__x__")),
            ("日本", None),
            ("", None),
        ] {
            assert_eq!(
                label_name(UnderscoreEscapingWithSuffixes, key).as_deref(),
                wanted,
                "{key:?}"
            );
        }
        assert_eq!(
            label_name(Untouched, "http.method").as_deref(),
            Some("http.method")
        );
        assert_eq!(unit_name("By/s"), "bytes_per_second");
        assert_eq!((unit_name("{x}"), unit_name("1")), (String::new(), String::new()));
    }

    proptest! {
        #[test]
        fn escaped_names_are_names(name in ".{0,12}", unit in ".{0,8}") {
            for shape in [Shape::Gauge, Shape::Counter, Shape::Other] {
                if let Some(built) = metric_name(UnderscoreEscapingWithSuffixes, &name, &unit, shape) {
                    let is_name = |c: char| is_name_char(c) || c == '_';
                    prop_assert!(built.chars().all(is_name) && !built.starts_with(|c: char| c.is_ascii_digit()));
                }
                for translation in [NoUtf8EscapingWithSuffixes, UnderscoreEscapingWithoutSuffixes] {
                    metric_name(translation, &name, &unit, shape);
                }
            }
        }
    }
}

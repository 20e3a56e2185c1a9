//! Rollups and named aggregates: which windows are kept, of which series and for how long, and the metrics made of them.

use super::file::hint;
use super::resolve::Reader;
use super::units::parse_duration;
use crate::engine::options::Options;
use crate::engine::rollups::{Aggregate, AggregateFunction, Rollup};
use crate::index::LabelMatcher;
use crate::model::matcher::Matcher;
use crate::promql::parse::parse_selector;
use std::time::Duration;

/// The word for no rollups, since an empty variable is none at all.
const NONE: &str = "none";

const FIELDS: [&str; 5] = ["name", "selector", "interval", "functions", "retention"];

/// The settings `rollups` and `aggregates`.
pub(super) fn read(reader: &mut Reader<'_>) -> (Vec<Rollup>, Vec<Aggregate>) {
    let (rollups, faults) = parse_rollups(reader.text("rollups"));
    faults.iter().for_each(|what| reader.fault("rollups", what));
    let mut aggregates: Vec<Aggregate> = Vec::new();
    for (number, table) in reader.tables("aggregates") {
        let (aggregate, mut faults) = parse_aggregate(table);
        let is_taken = !aggregate.name.is_empty() && aggregates.iter().any(|one| one.name == aggregate.name);
        if is_taken {
            faults.push(format!("there is another table for `{}`", aggregate.name));
        }
        for what in faults {
            reader.fault("aggregates", &format!("entry {number}: {what}"));
        }
        aggregates.push(aggregate);
    }
    (rollups, aggregates)
}

/// Options with these rollups and aggregates.
pub(super) fn add_to(options: Options, rollups: &[Rollup], aggregates: &[Aggregate]) -> Options {
    let options = rollups.iter().cloned().fold(options, Options::rollup);
    aggregates.iter().cloned().fold(options, Options::aggregate)
}

/// Reads a list as `5m, 1h keep 5y of up or {job="node"}`, and says everything that is wrong with it.
pub(super) fn parse_rollups(text: &str) -> (Vec<Rollup>, Vec<String>) {
    let (mut rollups, mut faults) = (Vec::<Rollup>::new(), Vec::new());
    let entries = split(text, ",").into_iter().filter(|entry| !entry.is_empty());
    let entries: Vec<&str> = entries.collect();
    if matches!(entries.as_slice(), [NONE]) {
        return (rollups, faults);
    }
    for (number, entry) in (1..).zip(entries) {
        let (rollup, own_faults) = parse_rollup(entry);
        faults.extend(own_faults.iter().map(|what| format!("entry {number}: {what}")));
        let earlier = rollups
            .iter()
            .position(|earlier| earlier.resolution == rollup.resolution);
        if let Some(place) = earlier.filter(|_| !rollup.resolution.is_zero()) {
            faults.push(format!(
                "entry {number}: its windows are as wide as those of entry {}",
                place + 1
            ));
        }
        rollups.push(rollup);
    }
    (rollups, faults)
}

/// Reads `WIDTH [keep DURATION] [of SELECTOR [or SELECTOR]...]`.
fn parse_rollup(entry: &str) -> (Rollup, Vec<String>) {
    let mut faults = Vec::new();
    let (width, mut rest) = first_word(entry);
    let mut rollup = Rollup::every(noted(whole_seconds(width), &mut faults));
    while !rest.is_empty() {
        let (word, behind) = first_word(rest);
        match word {
            "keep" => {
                let (duration, behind) = first_word(behind);
                rollup.retention = noted(retention(duration), &mut faults);
                rest = behind;
            }
            "of" => {
                let sets = split(behind, " or ").into_iter().map(selector);
                rollup.matchers = sets.map(|set| noted(set, &mut faults)).collect();
                rest = "";
            }
            word => {
                faults.push(format!(
                    "`{word}` is neither `keep` nor `of`, as in `1h keep 5y of up`"
                ));
                rest = "";
            }
        }
    }
    (rollup, faults)
}

/// Reads a table of `aggregates`, and says everything that is wrong with it.
fn parse_aggregate(table: &[(String, Vec<String>)]) -> (Aggregate, Vec<String>) {
    let mut faults = Vec::new();
    let mut aggregate = Aggregate::new("", Vec::new(), Duration::ZERO);
    for (field, words) in table {
        let one = match words.as_slice() {
            [one] => Ok(one.as_str()),
            _ => Err(format!("`{field}` is one text")),
        };
        let in_field = |what: String| format!("`{field}`: {what}");
        match field.as_str() {
            "name" => aggregate.name = noted(one.and_then(metric_name), &mut faults),
            "selector" => {
                let matchers = one.and_then(|text| selector(text).map_err(in_field));
                aggregate.matchers = noted(matchers, &mut faults);
            }
            "interval" => {
                let width = one.and_then(|text| whole_seconds(text).map_err(in_field));
                aggregate.interval = noted(width, &mut faults);
            }
            "retention" => {
                let kept = one.and_then(|text| retention(text).map_err(in_field));
                aggregate.retention = noted(kept, &mut faults);
            }
            "functions" => {
                for word in words {
                    match function(word) {
                        Ok(function) if aggregate.functions.contains(&function) => {
                            faults.push(format!("`functions` names {word} twice"));
                        }
                        Ok(function) => aggregate.functions.push(function),
                        Err(what) => faults.push(what),
                    }
                }
            }
            _ => {
                let hint = hint(field, FIELDS.into_iter());
                faults.push(format!("unknown key `{field}`{hint}"));
            }
        }
    }
    let is_there = |name: &str| table.iter().any(|field| field.0 == name);
    for field in ["name", "selector", "interval"] {
        if !is_there(field) {
            faults.push(format!("`{field}` is missing"));
        }
    }
    let has_words = table
        .iter()
        .any(|field| field.0 == "functions" && !field.1.is_empty());
    if !has_words {
        faults.push(format!("no `functions`: any of {}", function_names()));
    }
    (aggregate, faults)
}

/// What was read, or its absence with a fault more.
fn noted<T: Default>(read: Result<T, String>, faults: &mut Vec<String>) -> T {
    read.unwrap_or_else(|what| {
        faults.push(what);
        T::default()
    })
}

fn first_word(text: &str) -> (&str, &str) {
    let text = text.trim();
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim_start())
}

/// Parts between separators that stand outside of braces and quotes.
fn split<'a>(text: &'a str, separator: &str) -> Vec<&'a str> {
    let (mut parts, mut start) = (Vec::new(), 0);
    let (mut depth, mut quote, mut is_escaped) = (0_usize, None, false);
    for (at, sign) in text.char_indices() {
        match (quote, sign) {
            (Some(_), _) if is_escaped => is_escaped = false,
            (Some('"' | '\''), '\\') => is_escaped = true,
            (Some(open), sign) if open == sign => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'' | '`') => quote = Some(sign),
            (None, '{') => depth += 1,
            (None, '}') => depth = depth.saturating_sub(1),
            (None, _) if depth == 0 && at >= start => {
                if text.get(at..).is_some_and(|rest| rest.starts_with(separator)) {
                    parts.push(text.get(start..at).unwrap_or("").trim());
                    start = at + separator.len();
                }
            }
            (None, _) => {}
        }
    }
    parts.push(text.get(start..).unwrap_or("").trim());
    parts
}

/// The width of windows.
fn whole_seconds(text: &str) -> Result<Duration, String> {
    let width = parse_duration(text)?;
    if width.is_zero() || width.subsec_nanos() != 0 {
        return Err(format!("windows of `{text}`: whole seconds are needed"));
    }
    Ok(width)
}

/// How long something is kept; 0 is for good.
fn retention(text: &str) -> Result<Option<Duration>, String> {
    let retention = parse_duration(text)?;
    Ok(Some(retention).filter(|retention| !retention.is_zero()))
}

fn selector(text: &str) -> Result<Vec<Matcher>, String> {
    let matchers = parse_selector(text).map_err(|error| format!("`{text}`: {error}"))?;
    LabelMatcher::compile_all(&matchers).map_err(|error| format!("`{text}`: {error}"))?;
    Ok(matchers)
}

fn metric_name(text: &str) -> Result<String, String> {
    let is_sign = |byte: u8| byte.is_ascii_alphanumeric() || b"_:".contains(&byte);
    let begins_well = !text.starts_with(|sign: char| sign.is_ascii_digit());
    match !text.is_empty() && begins_well && text.bytes().all(is_sign) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "`{text}` is not the name of a metric: letters, digits, `_` and `:`, no digit first"
        )),
    }
}

fn function(word: &str) -> Result<AggregateFunction, String> {
    let known = AggregateFunction::ALL.into_iter();
    let found = known.clone().find(|function| function.as_str() == word);
    found.ok_or_else(|| {
        let hint = hint(word, known.map(AggregateFunction::as_str));
        format!("`{word}` is none of {}{hint}", function_names())
    })
}

fn function_names() -> String {
    AggregateFunction::ALL.map(AggregateFunction::as_str).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn lists_have_widths_retentions_and_selectors() {
        let node = || Matcher::eq("job", "no,de or\"x");
        let up = || vec![Matcher::eq("__name__", "up")];
        for (text, expected) in [
            ("", vec![]),
            ("none", vec![]),
            (
                "5m, 1h",
                vec![Rollup::every(MINUTE * 5), Rollup::every(MINUTE * 60)],
            ),
            ("1m keep 0", vec![Rollup::every(MINUTE)]),
            (
                "1m keep 1d of {job=\"no,de or\\\"x\"} or up,1h",
                vec![
                    Rollup::every(MINUTE)
                        .keep(MINUTE * 1440)
                        .of(vec![node()])
                        .of(up()),
                    Rollup::every(MINUTE * 60),
                ],
            ),
        ] {
            assert_eq!(parse_rollups(text), (expected, vec![]), "{text}");
        }
    }

    #[test]
    fn every_fault_of_a_list_is_named() {
        let (_, faults) = parse_rollups("5m, 300s, 1500ms keep x, 0, 1h off up, 2h of up{, 3h of a=~\"(\"");
        let all = faults.join("\n");
        for part in [
            "entry 2: its windows are as wide as those of entry 1",
            "entry 3: windows of `1500ms`: whole seconds are needed",
            "entry 3: `x` is not a duration",
            "entry 4: windows of `0`: whole seconds are needed",
            "entry 5: `off` is neither `keep` nor `of`",
            "entry 6: `up{, 3h of a=~\"(\"`: ",
        ] {
            assert!(all.contains(part), "{part} in\n{all}");
        }
        assert_eq!(faults.len(), 6, "{all}");
        let (_, faults) = parse_rollups("1h of {a=~\"(\"} or up or {");
        assert_eq!(faults.len(), 2, "{faults:?}");
    }

    fn table(fields: &[(&str, &[&str])]) -> (Aggregate, Vec<String>) {
        let owned = |word: &&str| (*word).to_owned();
        let field = |field: &(&str, &[&str])| (field.0.to_owned(), field.1.iter().map(owned).collect());
        parse_aggregate(&fields.iter().map(field).collect::<Vec<_>>())
    }

    #[test]
    fn aggregates_are_read() {
        let (aggregate, faults) = table(&[
            ("name", &["cpu:15m"]),
            ("selector", &["cpu_busy{mode!=\"idle\"}"]),
            ("interval", &["15m"]),
            ("functions", &["avg", "increase"]),
            ("retention", &["1y"]),
        ]);
        let matchers = parse_selector("cpu_busy{mode!=\"idle\"}").expect("a selector");
        let expected = Aggregate::new("cpu:15m", matchers, MINUTE * 15)
            .with(AggregateFunction::Avg)
            .with(AggregateFunction::Increase)
            .keep(MINUTE * 1440 * 365);
        assert_eq!((aggregate, faults), (expected, vec![]));
    }

    #[test]
    fn every_fault_of_an_aggregate_is_named() {
        let (_, faults) = table(&[
            ("name", &["1:cpu"]),
            ("selector", &["up["]),
            ("interval", &["1ms"]),
            ("functions", &["avg", "mean", "avg", "maxx"]),
            ("retention", &["long"]),
            ("intervall", &["1m"]),
        ]);
        let all = faults.join("\n");
        for part in [
            "`1:cpu` is not the name of a metric",
            "`selector`: `up[`: ",
            "`interval`: windows of `1ms`",
            "`mean` is none of avg, sum, min, max, count, first, last, increase",
            "`functions` names avg twice",
            "`maxx` is none of avg, sum, min, max, count, first, last, increase; did you mean `max`?",
            "`retention`: `long` is not a duration",
            "unknown key `intervall`; did you mean `interval`?",
        ] {
            assert!(all.contains(part), "{part} in\n{all}");
        }
        assert_eq!(faults.len(), 8, "{all}");
        let (_, faults) = table(&[("functions", &[])]);
        assert_eq!(faults.len(), 4, "{faults:?}");
        assert!(faults[3].starts_with("no `functions`"), "{faults:?}");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[0-9mhs, {}\"'`\\\\a-z=~or]{0,24}") {
            let (rollups, faults) = parse_rollups(&text);
            prop_assert!(!faults.is_empty() || rollups.iter().all(|one| !one.resolution.is_zero()));
        }
    }
}

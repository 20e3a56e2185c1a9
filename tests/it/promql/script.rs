//! Prometheus' language for PromQL tests: `load`, `clear` and `eval`, a command for each block of lines.

use narthex::Labels;
use narthex::testing::promql::{
    SequenceValue, SeriesDescription, parse_duration_ms, parse_series_description,
};
use regex_automata::meta::Regex;
use std::fmt;

/// A command of a script.
#[derive(Debug, Clone)]
pub(super) enum Command {
    Clear,
    Load(Load),
    Eval(Box<Eval>),
}

/// Series with a value at each step, the first one at zero.
#[derive(Debug, Clone)]
pub(super) struct Load {
    pub(super) step_ms: i64,
    /// Classic histograms become native ones too, with their buckets.
    pub(super) with_nhcb: bool,
    pub(super) series: Vec<SeriesDescription>,
}

/// A query and what is expected of it.
#[derive(Debug, Clone)]
pub(super) struct Eval {
    pub(super) line: usize,
    pub(super) query: String,
    pub(super) is_range: bool,
    /// The first and the last step, and their distance; of an instant query, those of an expected range vector.
    pub(super) start_ms: i64,
    pub(super) end_ms: i64,
    pub(super) step_ms: i64,
    /// When an instant query is asked.
    pub(super) time_ms: i64,
    pub(super) expected: Expected,
    pub(super) ordered: bool,
    pub(super) fail: Option<Text>,
    pub(super) warnings: Notes,
    pub(super) infos: Notes,
}

/// The result that is expected.
#[derive(Debug, Clone)]
pub(super) enum Expected {
    Scalar(f64),
    String(String),
    /// Series in order, each with its values.
    Series(Vec<(Labels, Vec<SequenceValue>)>),
    /// Series, of an instant query whose result is a range vector.
    RangeVector(Vec<(Labels, Vec<SequenceValue>)>),
}

/// What is expected of warnings or infos.
#[derive(Debug, Clone)]
pub(super) enum Notes {
    /// Whatever there is.
    Any,
    None,
    /// At least one, no matter what.
    Some,
    /// Each of these, and no others.
    All(Vec<Text>),
}

/// An expected text.
#[derive(Clone)]
pub(super) enum Text {
    Any,
    Exact(String),
    Pattern { text: String, regex: Regex },
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("of any text"),
            Self::Exact(text) | Self::Pattern { text, .. } => write!(f, "{text:?}"),
        }
    }
}

impl Text {
    pub(super) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(expected) => expected == text,
            Self::Pattern { regex, .. } => regex.is_match(text),
        }
    }
}

type Parsed<T> = Result<T, String>;

/// Reads a script. An error has its line.
pub(super) fn parse(text: &str) -> Parsed<Vec<Command>> {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .map(|line| if line.starts_with('#') { "" } else { line })
        .collect();
    let mut commands = Vec::new();
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        let first = at;
        at += 1;
        if line.is_empty() {
            continue;
        }
        let word = line.split([' ', '\t']).next().unwrap_or_default();
        let block_end = lines[at..].iter().position(|line| line.is_empty());
        let block = &lines[at..block_end.map_or(lines.len(), |end| at + end)];
        let command = match word {
            "clear" => Command::Clear,
            _ if word.starts_with("load") => {
                at += block.len();
                parse_load(line, block)
                    .map(Command::Load)
                    .map_err(|error| in_line(first, error))?
            }
            _ if word.starts_with("eval") => {
                let (eval, used) =
                    parse_eval(line, first + 1, block).map_err(|error| in_line(first, error))?;
                at += used;
                Command::Eval(Box::new(eval))
            }
            _ => return Err(in_line(first, format!("invalid command {line:?}"))),
        };
        commands.push(command);
    }
    Ok(commands)
}

fn in_line(index: usize, error: String) -> String {
    format!("line {}: {error}", index + 1)
}

fn series(line: &str) -> Parsed<SeriesDescription> {
    parse_series_description(line).map_err(|error| format!("{line}: {error}"))
}

fn parse_load(line: &str, block: &[&str]) -> Parsed<Load> {
    let (word, step) = line.split_once([' ', '\t']).ok_or("invalid load command")?;
    Ok(Load {
        step_ms: parse_duration_ms(step.trim())?,
        with_nhcb: word == "load_with_nhcb",
        series: block.iter().map(|line| series(line)).collect::<Parsed<_>>()?,
    })
}

/// Takes the next word of `rest`.
fn word<'a>(rest: &mut &'a str) -> Parsed<&'a str> {
    let trimmed = rest.trim_start();
    let (word, behind) = trimmed
        .split_once([' ', '\t'])
        .ok_or("invalid evaluation command")?;
    *rest = behind.trim_start();
    Ok(word)
}

fn keyword(rest: &mut &str, expected: &str) -> Parsed<()> {
    let found = word(rest)?;
    if found == expected {
        return Ok(());
    }
    Err(format!("expected {expected:?}, found {found:?}"))
}

/// Reads an `eval` command, and says how many lines of its block it took.
fn parse_eval(line: &str, line_number: usize, block: &[&str]) -> Parsed<(Eval, usize)> {
    let mut rest = line;
    let command = word(&mut rest)?;
    let is_range = match word(&mut rest)? {
        "instant" => false,
        "range" => true,
        other => return Err(format!("invalid kind of evaluation {other:?}")),
    };
    let mut eval = Eval {
        line: line_number,
        query: String::new(),
        is_range,
        start_ms: 0,
        end_ms: 0,
        step_ms: 0,
        time_ms: 0,
        expected: Expected::Series(Vec::new()),
        ordered: command == "eval_ordered",
        fail: (command == "eval_fail").then_some(Text::Any),
        warnings: if command == "eval_warn" {
            Notes::Some
        } else {
            Notes::Any
        },
        infos: if command == "eval_info" {
            Notes::Some
        } else {
            Notes::Any
        },
    };
    if is_range {
        keyword(&mut rest, "from")?;
        eval.start_ms = parse_duration_ms(word(&mut rest)?)?;
        keyword(&mut rest, "to")?;
        eval.end_ms = parse_duration_ms(word(&mut rest)?)?;
        keyword(&mut rest, "step")?;
        eval.step_ms = parse_duration_ms(word(&mut rest)?)?;
    } else {
        keyword(&mut rest, "at")?;
        eval.time_ms = parse_duration_ms(word(&mut rest)?)?;
        (eval.start_ms, eval.end_ms) = (eval.time_ms, eval.time_ms);
    }
    rest.clone_into(&mut eval.query);
    let mut used = 0;
    for line in block {
        used += 1;
        if !parse_expectation(&mut eval, line)? {
            break;
        }
    }
    Ok((eval, used))
}

/// Reads one line of expectation. `false` if it must be the last one.
fn parse_expectation(eval: &mut Eval, line: &str) -> Parsed<bool> {
    if let Some(message) = line.strip_prefix("expected_fail_message") {
        eval.fail = Some(Text::Exact(message.trim().to_owned()));
        return Ok(false);
    }
    if let Some(pattern) = line.strip_prefix("expected_fail_regexp") {
        eval.fail = Some(parse_pattern(pattern)?);
        return Ok(false);
    }
    if let Some(times) = line.strip_prefix("expect range vector") {
        let mut rest = times;
        keyword(&mut rest, "from")?;
        eval.start_ms = parse_duration_ms(word(&mut rest)?)?;
        keyword(&mut rest, "to")?;
        eval.end_ms = parse_duration_ms(word(&mut rest)?)?;
        keyword(&mut rest, "step")?;
        eval.step_ms = parse_duration_ms(rest.trim())?;
        eval.expected = Expected::RangeVector(Vec::new());
        return Ok(true);
    }
    if let Some(quoted) = line.strip_prefix("expect string") {
        eval.expected = Expected::String(parse_string(quoted.trim())?);
        return Ok(true);
    }
    if let Some(expectation) = line.strip_prefix("expect ") {
        return parse_note(eval, expectation.trim()).map(|()| true);
    }
    if let Ok(value) = line.parse::<f64>() {
        eval.expected = Expected::Scalar(value);
        return Ok(false);
    }
    let description = series(line)?;
    let expected = (description.labels, description.values);
    match &mut eval.expected {
        Expected::Series(all) | Expected::RangeVector(all) => all.push(expected),
        other => *other = Expected::Series(vec![expected]),
    }
    if !eval.is_range
        && matches!(&eval.expected, Expected::Series(all) if all.iter().any(|(_, values)| values.len() > 1))
    {
        return Err("more than one value for an instant query".to_owned());
    }
    Ok(true)
}

/// `warn msg: text`, `no_info`, `ordered` and the like.
fn parse_note(eval: &mut Eval, expectation: &str) -> Parsed<()> {
    let (kind, rest) = expectation.split_once([' ', '\t']).unwrap_or((expectation, ""));
    let rest = rest.trim();
    let text = if let Some(message) = rest.strip_prefix("msg:") {
        Text::Exact(message.trim().to_owned())
    } else if let Some(pattern) = rest.strip_prefix("regex:") {
        parse_pattern(pattern)?
    } else if rest.is_empty() {
        Text::Any
    } else {
        return Err(format!("invalid expectation {expectation:?}"));
    };
    match kind {
        "ordered" => eval.ordered = true,
        "fail" => eval.fail = Some(text),
        "warn" => expect_note(&mut eval.warnings, text),
        "info" => expect_note(&mut eval.infos, text),
        "no_warn" => eval.warnings = Notes::None,
        "no_info" => eval.infos = Notes::None,
        _ => return Err(format!("invalid expectation {expectation:?}")),
    }
    Ok(())
}

fn expect_note(notes: &mut Notes, text: Text) {
    match notes {
        Notes::All(texts) => texts.push(text),
        other => *other = Notes::All(vec![text]),
    }
}

fn parse_pattern(pattern: &str) -> Parsed<Text> {
    let text = pattern.trim().to_owned();
    let regex = Regex::new(&text).map_err(|error| error.to_string())?;
    Ok(Text::Pattern { text, regex })
}

/// A text in double quotes or backquotes, by way of a label.
fn parse_string(quoted: &str) -> Parsed<String> {
    if !quoted.starts_with(['"', '`']) {
        return Err("a quoted string literal is required".to_owned());
    }
    let labels = series(&format!("x{{text={quoted}}}"))?.labels;
    Ok(labels.get("text").unwrap_or_default().to_owned())
}

//! The runner's own test: an expectation that is changed must be seen to fail.

use super::script::{Command, Eval, Expected, Notes, Text};
use super::storage::Storage;
use super::{own_scripts, run, script};
use narthex::Labels;
use narthex::testing::promql::SequenceValue;

/// The evaluation with one of its expectations changed, in every way there is.
fn corrupted(eval: &Eval) -> Vec<(&'static str, Eval)> {
    let mut wrong = Vec::new();
    let mut push = |what, change: &dyn Fn(&mut Eval)| {
        let mut eval = eval.clone();
        change(&mut eval);
        wrong.push((what, eval));
    };
    if eval.fail.is_some() {
        push("no failure", &|eval| eval.fail = None);
        push("another failure", &|eval| {
            eval.fail = Some(Text::Exact("another".to_owned()))
        });
        return wrong;
    }
    push("a failure", &|eval| eval.fail = Some(Text::Any));
    push("another warning", &|eval| eval.warnings = another_note());
    push("another info", &|eval| eval.infos = another_note());
    if matches!(eval.warnings, Notes::All(_)) {
        push("no warning", &|eval| eval.warnings = Notes::None);
    }
    if matches!(eval.infos, Notes::All(_)) {
        push("no info", &|eval| eval.infos = Notes::None);
    }
    match &eval.expected {
        Expected::Scalar(_) => push("another number", &|eval| {
            if let Expected::Scalar(value) = &mut eval.expected {
                *value = other_float(*value);
            }
        }),
        Expected::String(_) => push("another text", &|eval| {
            eval.expected = Expected::String("another".to_owned());
        }),
        Expected::Series(series) | Expected::RangeVector(series) => {
            push("one series more", &|eval| {
                let labels = Labels::from_pairs([("never", "there")]).expect("a label");
                series_of(eval).push((labels, vec![SequenceValue::Float(1.0)]));
            });
            for index in 0..series.len() {
                push("one series less", &|eval| drop(series_of(eval).remove(index)));
                push("another value", &|eval| {
                    series_of(eval)[index].1.iter_mut().for_each(other_value);
                });
            }
            if eval.ordered && series.len() > 1 {
                push("another order", &|eval| series_of(eval).reverse());
            }
        }
    }
    wrong
}

fn another_note() -> Notes {
    Notes::All(vec![Text::Exact("another".to_owned())])
}

fn series_of(eval: &mut Eval) -> &mut Vec<(Labels, Vec<SequenceValue>)> {
    match &mut eval.expected {
        Expected::Series(series) | Expected::RangeVector(series) => series,
        other => panic!("no series are expected but {other:?}"),
    }
}

fn other_float(value: f64) -> f64 {
    if value.is_finite() {
        value + value.abs() * 1e-5 + 1e-300
    } else {
        0.0
    }
}

fn other_value(value: &mut SequenceValue) {
    *value = match value {
        SequenceValue::Omitted => SequenceValue::Float(1.0),
        SequenceValue::Float(value) => SequenceValue::Float(other_float(*value)),
        SequenceValue::Histogram { histogram, .. } => {
            let mut histogram = histogram.clone();
            histogram.sum = other_float(histogram.sum);
            SequenceValue::Histogram {
                histogram,
                has_hint: false,
            }
        }
    };
}

#[test]
fn changed_expectations_are_seen() {
    let mut changes = 0;
    for (name, text) in own_scripts() {
        let mut storage = Storage::default();
        for command in script::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}")) {
            match command {
                Command::Clear => storage = Storage::default(),
                Command::Load(load) => storage
                    .load(&load)
                    .unwrap_or_else(|error| panic!("{name}: {error}")),
                Command::Eval(eval) => {
                    for (what, wrong) in corrupted(&eval) {
                        changes += 1;
                        let verdict = run::judge(&storage, &wrong);
                        assert!(verdict.is_err(), "{name}, line {}: {what} is not seen", eval.line);
                    }
                }
            }
        }
    }
    assert!(changes > 100, "only {changes} changes were tried");
}

#[test]
fn scripts_that_are_none_are_refused() {
    let wrong = [
        "what",
        "load",
        "load x\n a 1",
        "load 1m\n a 1+1",
        "eval instant a",
        "eval instant at 1x a",
        "eval range from 0 to 1m a",
        "eval instant at 1m a\n expect nothing",
        "eval instant at 1m a\n expect fail because",
        "eval instant at 1m a\n expect fail regex: (",
        "eval instant at 1m a\n a 1 2",
        "eval instant at 1m a\n expect string a",
        "eval instant at 1m a\n expect range vector from 1m",
    ];
    for text in wrong {
        assert!(script::parse(text).is_err(), "{text}");
    }
}

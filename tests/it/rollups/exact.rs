//! Random queries: from rollups the same answer as from samples, bit for bit but for the last bit of sums, and no rollups
//! where the steps do not fit.

use super::world::{NARROW_MS, START_MS, WIDE_MS, World};
use crate::world::Rng;
use narthex::{Db, Labels, QueryAnswer, QueryPoint, QuerySample, QueryValue};

const FUNCTIONS: &[&str] = &[
    "count_over_time",
    "present_over_time",
    "absent_over_time",
    "min_over_time",
    "max_over_time",
    "first_over_time",
    "last_over_time",
    "sum_over_time",
    "avg_over_time",
    "rate",
    "increase",
    "delta",
    "resets",
];

const SELECTORS: &[&str] = &[
    "counter",
    "fractions",
    "gauge",
    "odd",
    "mixed",
    "{host=\"a\"}",
    "{__name__=~\"counter|gauge\"}",
    "counter{host=\"b\"}",
];

/// A query over a range of time.
#[derive(Debug)]
struct Question {
    text: String,
    range_ms: (i64, i64),
    step_ms: i64,
    /// What is summed up, if the last bit may differ.
    summed: Option<String>,
}

fn duration(ms: i64) -> String {
    format!("{}ms", ms)
}

fn aligned(rng: &mut Rng, end_ms: i64) -> Question {
    let width_ms = *rng.pick(&[NARROW_MS, WIDE_MS]);
    let times = |rng: &mut Rng, most: u64| width_ms * (1 + rng.below(most) as i64);
    let steps = 1 + rng.below(40) as i64;
    let step_ms = times(rng, 6);
    let latest = end_ms / width_ms + 2;
    let end_ms = (latest - rng.below(40) as i64) * width_ms;
    let range_ms = (end_ms - step_ms * (steps - 1), end_ms);
    let selector = *rng.pick(SELECTORS);
    let offset = match rng.below(4) {
        0 => format!(" offset {}", duration(times(rng, 50))),
        1 => format!(" @ {}", (START_MS + times(rng, 60)) / 1000),
        _ => String::new(),
    };
    if rng.chance(5) {
        let text = match rng.below(3) {
            0 => format!("timestamp({selector}{offset})"),
            1 => format!(
                "max_over_time({selector}[{}:{}])",
                duration(step_ms * 4),
                duration(width_ms)
            ),
            _ => format!("{selector}{offset}"),
        };
        return Question {
            text,
            range_ms,
            step_ms,
            summed: None,
        };
    }
    let function = *rng.pick(FUNCTIONS);
    let window = duration(times(rng, 60));
    let text = format!("{function}({selector}[{window}]{offset})");
    let text = match rng.below(5) {
        0 if !text.starts_with("absent") => format!("sum by (host) ({text})"),
        1 => format!("{text} + on () group_left() vector(1)"),
        _ => text,
    };
    let is_sum = matches!(function, "sum_over_time" | "avg_over_time");
    let summed = is_sum.then(|| format!("{selector}[{window}]{offset}"));
    Question {
        text,
        range_ms,
        step_ms,
        summed,
    }
}

/// Steps that are no multiples of any width: the windows in the middle may still be whole.
fn misaligned(rng: &mut Rng, end_ms: i64) -> Question {
    let question = aligned(rng, end_ms);
    let shift_ms = 1 + rng.below(NARROW_MS as u64 - 1) as i64;
    let range_ms = (question.range_ms.0 - shift_ms, question.range_ms.1 - shift_ms);
    let step_ms = question.step_ms - rng.below(NARROW_MS as u64) as i64;
    Question {
        range_ms,
        step_ms,
        ..question
    }
}

/// Cuts so close to each other and to no edge of a window that rollups are of no use.
fn useless(rng: &mut Rng, end_ms: i64) -> Question {
    let function = *rng.pick(FUNCTIONS);
    let selector = *rng.pick(SELECTORS);
    let window = duration(NARROW_MS / 2 + rng.below(NARROW_MS as u64 * 8) as i64);
    let step_ms = NARROW_MS + 1 + rng.below(NARROW_MS as u64 / 2) as i64;
    let end_ms = end_ms - rng.below(200_000) as i64;
    Question {
        text: format!("{function}({selector}[{window}])"),
        range_ms: (end_ms - step_ms * 120, end_ms),
        step_ms,
        summed: None,
    }
}

fn ask(db: &Db, text: &str, question: &Question) -> Result<QueryAnswer, String> {
    let asked = if question.range_ms.0 == question.range_ms.1 {
        db.query(text, question.range_ms.0)
    } else {
        db.query_range(text, question.range_ms, question.step_ms)
    };
    asked.map_err(|error| error.to_string())
}

/// Every value with its series and time.
fn points(answer: &QueryAnswer) -> Vec<(Labels, i64, String)> {
    let bits = |value: f64| match value.is_nan() {
        // Which NaN an operation makes is the processor's.
        true => "NaN".to_owned(),
        false => format!("{:016x}", value.to_bits()),
    };
    let text = |point: &QueryPoint| match point {
        QueryPoint::Float(value) => bits(*value),
        other => format!("{other:?}"),
    };
    let mut all = Vec::new();
    match &answer.value {
        QueryValue::Vector(samples) => {
            let point = |one: &QuerySample| (one.labels.clone(), one.timestamp_ms, text(&one.value));
            all.extend(samples.iter().map(point));
        }
        QueryValue::Matrix(series) => {
            for one in series {
                let floats = one.floats.iter().map(|(time, value)| (*time, bits(*value)));
                let histograms = one
                    .histograms
                    .iter()
                    .map(|(time, value)| (*time, format!("{value:?}")));
                all.extend(
                    floats
                        .chain(histograms)
                        .map(|(time, text)| (one.labels.clone(), time, text)),
                );
            }
        }
        other => panic!("{other:?}"),
    }
    all.sort();
    all
}

fn is_rolled(answer: &QueryAnswer) -> bool {
    answer.infos.iter().any(|info| info.contains("rollups of"))
}

/// Whether answers are the same but for what rounding may do to sums.
fn differ_in_last_bits(
    question: &Question,
    world: &World,
    rolled: &QueryAnswer,
    plain: &QueryAnswer,
) -> bool {
    let Some(summed) = &question.summed else {
        return false;
    };
    // No sum is of more than this.
    let bound = format!(
        "sum(count_over_time({summed}) * abs(max_over_time({summed})))
        + sum(count_over_time({summed}) * abs(min_over_time({summed})))"
    );
    let bounds = points(&ask(&world.plain, &bound, question).expect("a bound"));
    let bound_at = |time: i64| {
        let found = bounds.iter().find(|point| point.1 == time);
        found.map_or(0.0, |point| parse(&point.2))
    };
    let (rolled, plain) = (points(rolled), points(plain));
    let is_near = |(one, other): (&(Labels, i64, String), &(Labels, i64, String))| {
        let (a, b) = (parse(&one.2), parse(&other.2));
        let is_same = a == b || (a.is_nan() && b.is_nan());
        let bound = bound_at(one.1) * 2f64.powi(-50);
        one.0 == other.0 && one.1 == other.1 && (is_same || (a - b).abs() <= bound)
    };
    rolled.len() == plain.len() && rolled.iter().zip(&plain).all(is_near)
}

fn parse(bits: &str) -> f64 {
    u64::from_str_radix(bits, 16).map_or(f64::NAN, f64::from_bits)
}

/// Asks both and compares. Returns whether rollups were read.
fn compare(world: &World, question: &Question) -> bool {
    let text = &question.text;
    let (rolled, plain) = match (
        ask(&world.rolled, text, question),
        ask(&world.plain, text, question),
    ) {
        (Ok(rolled), Ok(plain)) => (rolled, plain),
        (rolled, plain) => {
            let errors = (rolled.err(), plain.err());
            assert_eq!(errors.0, errors.1, "{question:?}");
            return false;
        }
    };
    assert!(!is_rolled(&plain));
    let (found, wanted) = (points(&rolled), points(&plain));
    if found != wanted && !differ_in_last_bits(question, world, &rolled, &plain) {
        let different: Vec<_> = found
            .iter()
            .zip(&wanted)
            .filter(|(a, b)| a != b)
            .take(3)
            .collect();
        panic!(
            "{question:?}: {} points, wanted {}: {different:?}",
            found.len(),
            wanted.len()
        );
    }
    assert_eq!(rolled.warnings, plain.warnings, "{question:?}");
    is_rolled(&rolled)
}

fn play(seed: u64, rounds: usize, questions: usize) -> (usize, usize) {
    let dir = tempfile::tempdir().expect("a folder");
    let mut world = World::new(dir.path(), seed);
    let (mut asked, mut used) = (0, 0);
    for round in 0..rounds {
        let minutes = 20 + world.rng().below(60) as i64;
        world.scrape(minutes);
        for _ in 0..world.rng().below(4) {
            world.disturb();
            world.upkeep();
        }
        world.upkeep();
        if round % 5 == 4 {
            world = world.reopen(dir.path());
        }
        for _ in 0..questions {
            let now_ms = world.now_ms;
            let question = aligned(world.rng(), now_ms);
            asked += 1;
            used += usize::from(compare(&world, &question));
            let question = misaligned(world.rng(), now_ms);
            compare(&world, &question);
            let question = useless(world.rng(), now_ms);
            assert!(!compare(&world, &question), "rollups for {question:?}");
        }
    }
    (asked, used)
}

/// `NARTHEX_ROLLUP_CASES` makes it so many questions, about.
#[test]
fn rollups_give_the_answers_of_samples() {
    let cases = std::env::var("NARTHEX_ROLLUP_CASES")
        .ok()
        .and_then(|text| text.parse().ok());
    let seed = std::env::var("NARTHEX_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(7);
    let (mut asked, mut used, mut number) = (0, 0, 0);
    while asked < cases.unwrap_or(1_500) {
        let (more_asked, more_used) = play(seed + number, 20, 25);
        (asked, used, number) = (asked + more_asked, used + more_used, number + 1);
    }
    eprintln!("{asked} questions that fit, {used} answered from rollups, as many that do not fit");
    assert!(used * 3 > asked, "{used} of {asked} were answered from rollups");
}

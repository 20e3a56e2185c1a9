//! Random series, queries over them and steps. A seed decides all of it.

use crate::labels;
use crate::model::float_histogram::FloatHistogram;
use crate::model::sample::stale_nan;
use crate::promql::source::SeriesSamples;
use crate::promql::testing::Table;
use crate::promql::testing_thinned::Dice;
use crate::promql::value::Steps;
use std::sync::Arc;

/// What kind of numbers the series have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbers {
    /// Integers whose sums are exact, besides infinities and NaN.
    Whole,
    /// Fractions of very different magnitude, infinities and NaN.
    Any,
    /// Finite ones whose sums overflow.
    Huge,
}

/// A query and its steps.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) query: String,
    pub(super) steps: Steps,
    pub(super) lookback_ms: i64,
    pub(super) delayed_name_removal: bool,
    /// A sum stands in it, whose last bits may differ.
    pub(super) has_sums: bool,
}

const FUNCTIONS: [&str; 15] = [
    "count_over_time",
    "present_over_time",
    "absent_over_time",
    "min_over_time",
    "max_over_time",
    "first_over_time",
    "ts_of_first_over_time",
    "last_over_time",
    "ts_of_last_over_time",
    "rate",
    "increase",
    "delta",
    "resets",
    "sum_over_time",
    "avg_over_time",
];
/// Of [`FUNCTIONS`] those that are no sums.
const EXACT: usize = 13;

const SELECTORS: [&str; 8] = [
    "c_total",
    "g",
    "g",
    "h",
    "c_total{i=\"1\"}",
    "g{i!=\"0\"}",
    "{__name__=~\"g|c_total\",i=\"2\"}",
    "{i=\"1\"}",
];

/// A table of three metrics.
pub(super) fn table(dice: &mut Dice, numbers: Numbers) -> Table {
    let mut table = Table::default();
    for metric in ["c_total", "g", "h"] {
        for i in ["0", "1", "2"] {
            let mut series = SeriesSamples {
                labels: labels! { "__name__" => metric, "i" => i },
                ..SeriesSamples::default()
            };
            fill(&mut series, metric, dice, numbers);
            table = table.add(series);
        }
    }
    table
}

fn fill(series: &mut SeriesSamples, metric: &str, dice: &mut Dice, numbers: Numbers) {
    let is_regular = dice.once_in(2);
    let is_around_zero = numbers != Numbers::Huge && dice.once_in(3);
    let has_histograms = metric == "h" && dice.once_in(2);
    let mut at_ms = dice.below(200_000) as i64;
    let mut counter = 0.0;
    for _ in 0..dice.below(40) {
        at_ms += if is_regular {
            10_000
        } else {
            1 + dice.below(20_000) as i64
        };
        if dice.once_in(12) {
            at_ms += dice.below(100_000) as i64;
        }
        if has_histograms && !dice.once_in(4) {
            counter = if dice.once_in(6) { 1.0 } else { counter + 2.0 };
            series.histograms.timestamps_ms.push(at_ms);
            series.histograms.values.push(Arc::new(histogram(counter)));
            continue;
        }
        let value = if dice.once_in(25) {
            stale_nan()
        } else if metric == "c_total" {
            counter = if dice.once_in(9) {
                0.0
            } else {
                counter + step(dice, numbers)
            };
            counter
        } else if is_around_zero {
            dice.pick(&[-0.0, 0.0, -1.0, -0.0, 0.0, f64::NAN])
        } else {
            gauge(dice, numbers)
        };
        series.floats.timestamps_ms.push(at_ms);
        series.floats.values.push(value);
    }
}

fn histogram(count: f64) -> FloatHistogram {
    FloatHistogram {
        count,
        sum: count * 3.0,
        positive: [(1, count)].into_iter().collect(),
        ..FloatHistogram::default()
    }
}

/// What a counter grows by.
fn step(dice: &mut Dice, numbers: Numbers) -> f64 {
    match numbers {
        Numbers::Whole => dice.below(50) as f64,
        Numbers::Any => dice.below(1000) as f64 / 7.0,
        Numbers::Huge => dice.below(10) as f64 * 1e307,
    }
}

fn gauge(dice: &mut Dice, numbers: Numbers) -> f64 {
    if numbers == Numbers::Huge {
        return (dice.below(11) as f64 - 3.0) * 2e307;
    }
    match dice.below(24) {
        0 => f64::NAN,
        1 => f64::INFINITY,
        2 => f64::NEG_INFINITY,
        3 | 4 => -0.0,
        5..=8 => 0.0,
        9..=16 => dice.below(4) as f64 - 1.0,
        _ if numbers == Numbers::Whole => dice.below(2_000_000) as f64 - 1e6,
        17..=20 => (dice.below(2_000_000) as f64 - 1e6) / 300.0,
        _ => (dice.below(2000) as f64 - 1e3) * 10_f64.powi(dice.below(40) as i32 - 20),
    }
}

pub(super) fn case(dice: &mut Dice, numbers: Numbers) -> Case {
    let step_ms = dice.pick(&[1, 7_321, 10_000, 15_000, 30_000, 60_000, 60_000, 100_000]);
    let steps = Steps {
        start_ms: dice.below(600_000) as i64 - 50_000,
        step_ms,
        count: if dice.once_in(4) { 1 } else { 2 + dice.below(10) },
    };
    let mut query = Query {
        dice,
        step_ms,
        numbers,
        has_sums: false,
    };
    let text = query.text();
    let has_sums = query.has_sums;
    Case {
        query: text,
        steps,
        lookback_ms: dice.pick(&[300_000, 60_000, 7_000]),
        delayed_name_removal: dice.once_in(4),
        has_sums,
    }
}

struct Query<'d> {
    dice: &'d mut Dice,
    step_ms: i64,
    numbers: Numbers,
    has_sums: bool,
}

impl Query<'_> {
    /// Sums in larger expressions are compared as they are, which works when they are exact.
    fn text(&mut self) -> String {
        match self.dice.below(20) {
            0..=8 => {
                let window = self.window();
                self.call(&window, true)
            }
            9 | 10 => self.instant(),
            11 => format!("timestamp({})", self.instant()),
            12 => {
                let (outer, inner) = (self.dice.below(EXACT), self.exact_call());
                format!("{}({inner}[{}ms:17s])", FUNCTIONS[outer], self.range_ms())
            }
            13 => format!(
                "max_over_time({}[90s:{}ms])",
                self.instant(),
                self.range_ms().max(9_000)
            ),
            14 => format!("sum by (i) ({})", self.exact_call()),
            15 => format!("topk(2, {}) or absent({})", self.exact_call(), self.instant()),
            16 | 17 => {
                // One select, made twice.
                let window = self.window();
                let (left, right) = (self.exact_call_of(&window), self.exact_call_of(&window));
                format!("{left} - on (i, __name__) {right}")
            }
            18 => {
                let selector = self.instant();
                format!("{selector} + on (i, __name__) {selector} * {}", self.exact_call())
            }
            _ => format!("histogram_count({}) or {}", self.instant(), self.exact_call()),
        }
    }

    fn exact_call(&mut self) -> String {
        let window = self.window();
        self.exact_call_of(&window)
    }

    fn exact_call_of(&mut self, window: &str) -> String {
        self.call(window, self.numbers == Numbers::Whole)
    }

    fn call(&mut self, window: &str, may_sum: bool) -> String {
        let function = self.dice.below(if may_sum { FUNCTIONS.len() } else { EXACT });
        self.has_sums |= function >= EXACT;
        format!("{}({window})", FUNCTIONS[function])
    }

    fn window(&mut self) -> String {
        let selector = self.dice.pick(&SELECTORS);
        let window = format!("{selector}[{}ms]{}", self.range_ms(), self.modifiers());
        if self.dice.once_in(6) {
            format!("({window})")
        } else {
            window
        }
    }

    fn instant(&mut self) -> String {
        format!("{}{}", self.dice.pick(&SELECTORS), self.modifiers())
    }

    fn range_ms(&mut self) -> i64 {
        if self.dice.once_in(2) {
            self.step_ms * (1 + self.dice.below(5) as i64)
        } else {
            1 + self.dice.below(200_000) as i64
        }
    }

    fn modifiers(&mut self) -> String {
        let offset = match self.dice.below(6) {
            0 => format!(" offset {}ms", 1 + self.dice.below(100_000)),
            1 => format!(" offset -{}ms", 1 + self.dice.below(100_000)),
            _ => String::new(),
        };
        let at = match self.dice.below(8) {
            0 => format!(" @ {}.{:03}", self.dice.below(500), self.dice.below(1000)),
            1 => " @ start()".to_owned(),
            2 => " @ end()".to_owned(),
            _ => String::new(),
        };
        format!("{at}{offset}")
    }
}

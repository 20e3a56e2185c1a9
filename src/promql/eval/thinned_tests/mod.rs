//! Thinned series against samples: the same queries over a table that thins and over one that does not.

mod cases;
mod same;

use self::cases::{Case, Numbers};
use self::same::check;
use crate::promql::eval::EvalOptions;
use crate::promql::eval::error::EvalError;
use crate::promql::testing::{Table, notes, options, run_with};
use crate::promql::testing_thinned::{Dice, Fault, INFO, ThinnedTable};
use crate::promql::value::{QueryValue, Steps};

const NUMBERS: [Numbers; 3] = [Numbers::Whole, Numbers::Any, Numbers::Huge];
const CASES_OF_A_TABLE: usize = 24;

/// Checks as many tables as `tables`, up to the first case that is not answered as it should be. Says how many cases were asked.
fn check_cases(tables: u64, fault: Fault) -> Result<usize, String> {
    let mut asked = 0;
    for seed in 0..tables {
        let mut dice = Dice(seed);
        let numbers = dice.pick(&NUMBERS);
        let table = cases::table(&mut dice, numbers);
        let mut source = ThinnedTable::new(&table, seed);
        source.fault = fault;
        for _ in 0..CASES_OF_A_TABLE {
            let case: Case = cases::case(&mut dice, numbers);
            let before = source.asked.get();
            check(&table, &source, &case, numbers)
                .map_err(|difference| format!("seed {seed}, {numbers:?}, {case:?}: {difference}"))?;
            asked += usize::from(source.asked.get() > before);
        }
    }
    Ok(asked)
}

#[test]
fn thinned_series_answer_what_samples_answer() {
    let asked = check_cases(460, Fault::Nothing).unwrap_or_else(|difference| panic!("{difference}"));
    assert!(asked > 10_000, "{asked} cases were asked");
}

#[test]
fn a_source_that_is_wrong_is_found_out() {
    let faults = [
        Fault::DropsAfterFalls,
        Fault::Miscounts,
        Fault::TellsLastOfEquals,
        Fault::HidesStaleMarkers,
        Fault::RoundsSums,
    ];
    for fault in faults {
        assert!(check_cases(60, fault).is_err(), "{fault:?}");
    }
}

fn minutes() -> Table {
    let values = |scale: f64| (0..240).map(move |at| f64::from(at % 50) * scale);
    Table::default()
        .floats("x_total{i=\"a\"}", 15, values(1.0))
        .floats("x_total{i=\"b\"}", 15, values(3.0))
        .floats("le_bucket{le=\"1\"}", 15, values(1.0))
        .floats("le_bucket{le=\"+Inf\"}", 15, values(2.0))
}

const STEPS: Steps = Steps {
    start_ms: 600_000,
    step_ms: 300_000,
    count: 9,
};

#[test]
fn what_needs_all_samples_is_not_asked() {
    let table = minutes();
    let queries = [
        "quantile_over_time(0.5, x_total[10m])",
        "stddev_over_time(x_total[10m])",
        "stdvar_over_time(x_total[10m])",
        "mad_over_time(x_total[10m])",
        "ts_of_max_over_time(x_total[10m])",
        "ts_of_min_over_time(x_total[10m])",
        "changes(x_total[10m])",
        "irate(x_total[10m])",
        "idelta(x_total[10m])",
        "deriv(x_total[10m])",
        "predict_linear(x_total[10m], 60)",
        "double_exponential_smoothing(x_total[10m], 0.5, 0.5)",
        "rate(x_total[10m] anchored)",
        "increase(x_total[10m] smoothed)",
        "resets(x_total[10m] anchored)",
        "x_total smoothed",
        "histogram_quantile(0.5, quantile_over_time(0.5, le_bucket[10m]))",
    ];
    for query in queries {
        let source = ThinnedTable::new(&table, 1);
        let outcome = run_with(&source, &options(), query, STEPS);
        assert!(outcome.value.is_ok(), "{query}: {:?}", outcome.value);
        assert_eq!(source.asked.get(), 0, "{query}");
    }
    let with_starts = EvalOptions {
        start_timestamps: true,
        ..options()
    };
    for query in [
        "rate(x_total[10m])",
        "max_over_time(x_total[10m])",
        "start_timestamp(x_total)",
    ] {
        let source = ThinnedTable::new(&table, 1);
        assert!(run_with(&source, &with_starts, query, STEPS).value.is_ok());
        assert_eq!(source.asked.get(), 0, "{query}");
    }
    let source = ThinnedTable::new(&table, 1);
    let one = Steps { count: 1, ..STEPS };
    assert!(run_with(&source, &options(), "x_total[10m]", one).value.is_ok());
    assert_eq!(source.asked.get(), 0);
}

#[test]
fn short_stretches_are_not_asked() {
    let table = minutes();
    // Stretches of five minutes, of five minutes in the mean, of a minute.
    let cases = [
        ("max_over_time(x_total[10m])", 300_000, 1),
        ("max_over_time(x_total[10m])", 300_001, 0),
        ("x_total", 300_000, 1),
        ("x_total", 300_001, 0),
        ("max_over_time(x_total[1m])", 150_000, 0),
        ("max_over_time(max_over_time(x_total[2m])[30m:1m])", 60_001, 0),
        ("max_over_time(x_total[10m])", 0, 0),
    ];
    for (query, thins_from_ms, asked) in cases {
        let mut source = ThinnedTable::new(&table, 1);
        source.thins_from_ms = thins_from_ms;
        assert!(run_with(&source, &options(), query, STEPS).value.is_ok());
        assert_eq!(source.asked.get(), asked, "{query} from {thins_from_ms}");
    }
}

/// A query over samples and over thinned series, and how many reads it made of the latter.
fn reads(table: &Table, query: &str) -> (usize, usize) {
    let raw = run_with(table, &options(), query, STEPS);
    let selects = table.selects.get();
    let source = ThinnedTable::new(table, 1);
    let thinned = run_with(&source, &options(), query, STEPS);
    assert_eq!(raw.value, thinned.value, "{query}");
    (source.asked.get(), table.selects.get() - selects)
}

#[test]
fn a_select_that_is_made_twice_is_thinned_for_each_use() {
    let table = minutes();
    let max = "max_over_time(x_total[10m])";
    let median = "quantile_over_time(0.5, x_total[10m])";
    let cases = [
        (format!("{max} - min_over_time(x_total[10m])"), (2, 0)),
        (format!("{max} / {max} + rate(x_total[10m])"), (3, 0)),
        ("x_total - x_total".to_owned(), (2, 0)),
        // What needs the samples reads them once, wherever it stands.
        (format!("{max} - {median}"), (1, 1)),
        (format!("{median} - {max}"), (1, 1)),
        (format!("{median} + {max} - {median}"), (1, 1)),
    ];
    for (query, wanted) in cases {
        assert_eq!(reads(&table, &query), wanted, "{query}");
    }
}

#[test]
fn what_is_thinned_is_told_and_counted() {
    let table = minutes();
    let source = ThinnedTable::new(&table, 3);
    let query = "count_over_time(x_total{i=\"a\"}[10m]) + x_total{i=\"a\"}";
    let outcome = run_with(&source, &options(), query, STEPS);
    let info = format!("PromQL info: {INFO}");
    assert_eq!(notes(&outcome.annotations, query), ["a warning", &info]);
    let raw = run_with(&table, &options(), query, STEPS);
    assert_eq!(raw.value, outcome.value);
    // Windows have two stretches each.
    assert_eq!((raw.samples_counted, outcome.samples_counted), (9 * 41, 9 * 3));
    assert!(outcome.samples_read < raw.samples_read / 10);
}

#[test]
fn thinned_series_are_of_the_budget() {
    let table = minutes();
    let mut options = options();
    let source = ThinnedTable::new(&table, 3);
    options.samples_max = 4;
    let query = "max_over_time(x_total[10m])";
    let outcome = run_with(&source, &options, query, STEPS);
    assert_eq!(outcome.value, Err(EvalError::TooManySamples));
    options.cancel.cancel();
    let outcome = run_with(&source, &options, query, STEPS);
    assert_eq!(outcome.value, Err(EvalError::Canceled));
    assert!(source.asked.get() > 0);
}

/// What is read of a month before each hour of a year is a sample of each hour, and a sweep looks at each of those once.
#[test]
fn a_year_of_months_is_swept() {
    let hours = (0..9_480).map(|at| f64::from(at * 7_919 % 1_000));
    let table = Table::default().floats("x", 3_600, hours);
    let source = ThinnedTable::new(&table, 6);
    let steps = Steps {
        start_ms: 720 * 3_600_000,
        step_ms: 3_600_000,
        count: 8_760,
    };
    let outcome = run_with(&source, &options(), "max_over_time(x[30d])", steps);
    let Ok(QueryValue::Matrix(series)) = outcome.value else {
        panic!("no matrix");
    };
    assert_eq!(source.asked.get(), 1);
    assert_eq!(outcome.samples_read, 9_479);
    assert!(series[0].floats.len() == 8_760 && series[0].floats.iter().all(|(_, value)| *value > 900.0));
}

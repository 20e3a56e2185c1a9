//! `narthex cardinality`: distinct series over a range of time, by metric and label name, or what grew between two.

use super::json::Json;
use super::text::{count, table};
use super::{Failure, open};
use narthex::{CardinalityEstimate, Change, Distinct, Growth, LabelCardinality, Warning};
use std::cmp::Reverse;
use std::io::{self, Write};
use std::ops::Bound;
use std::path::Path;

/// Label names and metrics that are listed.
const TOP: usize = 10;

/// A range of timestamps.
pub(super) type Span = (Bound<i64>, Bound<i64>);

/// `1000..2000`, the end not included; either may be left out.
pub(super) fn span(text: &str) -> Result<Span, String> {
    let bad =
        || "two timestamps in the unit of the database, as in 1000..2000; either may be left out".to_owned();
    let (from, to) = text.split_once("..").ok_or_else(bad)?;
    let bound = |text: &str, bound: fn(i64) -> Bound<i64>| match text {
        "" => Ok(Bound::Unbounded),
        number => number.parse().map(bound).map_err(|_| bad()),
    };
    Ok((bound(from, Bound::Included)?, bound(to, Bound::Excluded)?))
}

/// `true` unless something could not be read.
pub(super) fn run(
    dir: &Path,
    range: Span,
    before: Option<Span>,
    json: bool,
    out: &mut impl Write,
) -> Result<bool, Failure> {
    let db = open(dir)?;
    let warnings = if let Some(before) = before {
        let growth = db.growth(before, range)?;
        if json {
            writeln!(out, "{}", growth_json(&growth))?;
        } else {
            print_growth(&growth, out)?;
        }
        growth.warnings
    } else {
        let estimate = db.cardinality_between(range)?;
        if json {
            writeln!(out, "{}", estimate_json(&estimate))?;
        } else {
            print_estimate(&estimate, out)?;
        }
        estimate.warnings
    };
    if !json {
        for warning in &warnings {
            writeln!(out, "  not read: {}", warning.reason)?;
        }
    }
    Ok(warnings.is_empty())
}

/// With a mark when it is not certain.
fn distinct(number: &Distinct) -> String {
    let mark = if number.at_least == number.at_most {
        ""
    } else {
        "~"
    };
    format!("{mark}{}", count(number.estimate))
}

fn top_names(estimate: &CardinalityEstimate) -> Vec<(&String, &LabelCardinality)> {
    let mut names: Vec<_> = estimate.label_names.iter().collect();
    names.sort_by_key(|(_, entry)| Reverse(entry.values.estimate));
    names.truncate(TOP);
    names
}

fn top_metrics(estimate: &CardinalityEstimate) -> Vec<(&String, &Distinct)> {
    let mut metrics: Vec<_> = estimate.metrics.iter().collect();
    metrics.sort_by_key(|(_, series)| Reverse(series.estimate));
    metrics.truncate(TOP);
    metrics
}

fn print_estimate(estimate: &CardinalityEstimate, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{} series", distinct(&estimate.series))?;
    let mut rows = vec![["label name", "values", "series", "most frequent value"].map(str::to_owned)];
    for (name, entry) in top_names(estimate) {
        let value = entry.top.first().map_or("", |top| top.0.as_str());
        rows.push([
            name.clone(),
            distinct(&entry.values),
            distinct(&entry.series),
            value.to_owned(),
        ]);
    }
    writeln!(out)?;
    table(&rows, out)?;
    let mut rows = vec![["metric", "series"].map(str::to_owned)];
    for (metric, series) in top_metrics(estimate) {
        rows.push([metric.clone(), distinct(series)]);
    }
    writeln!(out)?;
    table(&rows, out)
}

fn change_cells(change: &Change) -> [String; 4] {
    [change.before, change.after, change.added, change.gone].map(count)
}

fn print_growth(growth: &Growth, out: &mut impl Write) -> io::Result<()> {
    let row = |name: &str, change: &Change, last: &str| {
        let [before, after, added, gone] = change_cells(change);
        [name.to_owned(), before, after, added, gone, last.to_owned()]
    };
    let head = |name: &str, last: &str| {
        let cells = [name, "before", "after", "added", "gone", last];
        cells.map(str::to_owned)
    };
    let mut rows = vec![
        head("series of metric", "label to blame"),
        row("(all)", &growth.series, ""),
    ];
    for metric in growth.metrics.iter().take(TOP) {
        let label = metric.labels.first().map_or("", |label| label.0.as_str());
        rows.push(row(&metric.metric, &metric.series, label));
    }
    table(&rows, out)?;
    let mut rows = vec![head("values of label", "series blamed on it")];
    for label in growth.label_names.iter().take(TOP) {
        rows.push(row(&label.name, &label.values, &count(label.blamed)));
    }
    writeln!(out)?;
    table(&rows, out)
}

fn distinct_json(number: &Distinct) -> Json {
    Json::Object(vec![
        ("estimate", number.estimate.into()),
        ("at_least", number.at_least.into()),
        ("at_most", number.at_most.into()),
    ])
}

fn warnings_json(warnings: &[Warning]) -> Json {
    warnings
        .iter()
        .map(|warning| Json::from(warning.reason.as_str()))
        .collect()
}

fn estimate_json(estimate: &CardinalityEstimate) -> Json {
    let name = |(name, entry): (&String, &LabelCardinality)| {
        let top = entry.top.iter().map(|(value, series)| {
            Json::Object(vec![
                ("value", value.as_str().into()),
                ("series", (*series).into()),
            ])
        });
        Json::Object(vec![
            ("name", name.as_str().into()),
            ("values", distinct_json(&entry.values)),
            ("series", distinct_json(&entry.series)),
            ("top", top.collect()),
        ])
    };
    let metric = |(metric, series): (&String, &Distinct)| {
        Json::Object(vec![
            ("name", metric.as_str().into()),
            ("series", distinct_json(series)),
        ])
    };
    Json::Object(vec![
        ("series", distinct_json(&estimate.series)),
        ("label_names", top_names(estimate).into_iter().map(name).collect()),
        ("metrics", top_metrics(estimate).into_iter().map(metric).collect()),
        ("damage", warnings_json(&estimate.warnings)),
    ])
}

fn change_json(change: &Change) -> Json {
    Json::Object(vec![
        ("before", change.before.into()),
        ("after", change.after.into()),
        ("added", change.added.into()),
        ("gone", change.gone.into()),
    ])
}

fn growth_json(growth: &Growth) -> Json {
    let metrics = growth.metrics.iter().take(TOP).map(|metric| {
        let labels = metric.labels.iter().map(|(name, values)| {
            Json::Object(vec![
                ("name", name.as_str().into()),
                ("values", change_json(values)),
            ])
        });
        Json::Object(vec![
            ("name", metric.metric.as_str().into()),
            ("series", change_json(&metric.series)),
            ("labels", labels.collect()),
        ])
    });
    let names = growth.label_names.iter().take(TOP).map(|label| {
        Json::Object(vec![
            ("name", label.name.as_str().into()),
            ("blamed", label.blamed.into()),
            ("values", change_json(&label.values)),
            ("series", change_json(&label.series)),
        ])
    });
    Json::Object(vec![
        ("series", change_json(&growth.series)),
        ("metrics", metrics.collect()),
        ("label_names", names.collect()),
        ("damage", warnings_json(&growth.warnings)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read() {
        assert_eq!(span("-5..70"), Ok((Bound::Included(-5), Bound::Excluded(70))));
        assert_eq!(span(".."), Ok((Bound::Unbounded, Bound::Unbounded)));
        assert_eq!(span("7.."), Ok((Bound::Included(7), Bound::Unbounded)));
        for bad in ["", "7", "a..b", "1..2..3", "1.5..2"] {
            assert!(span(bad).is_err(), "{bad}");
        }
    }
}

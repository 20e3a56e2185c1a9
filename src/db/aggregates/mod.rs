//! Named continuous aggregates: metrics that are made of other series while a query reads them.
//!
//! A select that names one, by equality or by a regular expression, is answered with a sample at the end of each window
//! that is over. Windows come from rollups where these hold and from samples everywhere else, so an aggregate is there from
//! the moment that the options name it, and minds what comes late, is corrected or deleted at once. A stored metric of the same name
//! is hidden, and a warning says so.

mod fold;
mod info;
mod listing;
mod made;
mod select;
mod union;
mod windows;

pub use info::AggregateInfo;
pub(super) use listing::{list, metadata};
pub(super) use select::{is_named, select};

use crate::engine::error::Error;
use crate::engine::options::Options;
use crate::engine::rollups::{Aggregate, AggregateFunction};
use crate::model::labels::{LabelError, Labels, METRIC_NAME};
use crate::model::matcher::{MatchOp, Matcher};
use std::collections::BTreeSet;

/// The label that the name of the source stands in, where an aggregate is not of one metric only.
const SOURCE_NAME: &str = "metric";
/// What a label of a series that has that name gets in front, as often as it takes.
const OWN: &str = "exported_";

/// A metric that an aggregate makes.
#[derive(Debug, Clone)]
struct Metric<'a> {
    aggregate: &'a Aggregate,
    function: AggregateFunction,
    name: String,
}

/// All metrics that aggregates make.
fn metrics(options: &Options) -> impl Iterator<Item = Metric<'_>> {
    options.aggregates.iter().flat_map(|aggregate| {
        aggregate.functions.iter().map(|function| Metric {
            aggregate,
            function: *function,
            name: format!("{}:{}", aggregate.name, function.as_str()),
        })
    })
}

/// Refuses aggregates without a name or a function, and two metrics of one name.
pub(super) fn check(options: &Options) -> Result<(), Error> {
    for aggregate in &options.aggregates {
        if aggregate.name.is_empty() || aggregate.functions.is_empty() {
            let what = format!("the aggregate {:?} needs a name and a function", aggregate.name);
            return Err(Error::InvalidOptions(what));
        }
    }
    let mut names = BTreeSet::new();
    for metric in metrics(options) {
        if !names.insert(metric.name.clone()) {
            let what = format!("two aggregates make {:?}", metric.name);
            return Err(Error::InvalidOptions(what));
        }
    }
    Ok(())
}

/// How series of a source are called as those of a metric.
#[derive(Debug, Clone)]
struct Renaming {
    name: String,
    /// The source's own name becomes a label.
    keeps_name: bool,
}

impl Renaming {
    fn of(metric: &Metric<'_>) -> Self {
        let is_name =
            |one: &Matcher| one.name == METRIC_NAME && one.op == MatchOp::Equal && !one.value.is_empty();
        Self {
            name: metric.name.clone(),
            keeps_name: !metric.aggregate.matchers.iter().any(is_name),
        }
    }

    fn apply(&self, labels: &Labels) -> Result<Labels, LabelError> {
        let mut pairs: Vec<(String, &str)> = vec![(METRIC_NAME.to_owned(), &self.name)];
        for (name, value) in labels.iter() {
            if name == METRIC_NAME {
                if self.keeps_name {
                    pairs.push((SOURCE_NAME.to_owned(), value));
                }
                continue;
            }
            let mut name = name.to_owned();
            if self.keeps_name && name == SOURCE_NAME {
                while name == SOURCE_NAME || labels.get(&name).is_some() {
                    name.insert_str(0, OWN);
                }
            }
            pairs.push((name, value));
        }
        Labels::from_pairs(pairs)
    }

    /// What series of the source must meet for those of the metric to meet `matchers`, as far as that can be said.
    fn of_source(&self, metric: &Metric<'_>, matchers: &[Matcher]) -> Vec<Matcher> {
        let mut all = metric.aggregate.matchers.clone();
        for matcher in matchers.iter().filter(|one| one.name != METRIC_NAME) {
            let mut matcher = matcher.clone();
            if self.keeps_name {
                if matcher.name == SOURCE_NAME {
                    METRIC_NAME.clone_into(&mut matcher.name);
                } else if matcher.name.starts_with(OWN) {
                    continue;
                }
            }
            all.push(matcher);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels;
    use std::time::Duration;

    fn metric_of(aggregate: &Aggregate) -> Metric<'_> {
        Metric {
            aggregate,
            function: AggregateFunction::Max,
            name: "a:max".to_owned(),
        }
    }

    fn aggregate(matchers: Vec<Matcher>) -> Aggregate {
        Aggregate::new("a", matchers, Duration::from_secs(60)).with(AggregateFunction::Max)
    }

    #[test]
    fn series_of_one_metric_lose_its_name_and_others_keep_it_as_a_label() {
        let series = labels! { "__name__" => "cpu", "host" => "a", "metric" => "own" };
        let one = aggregate(vec![Matcher::eq("__name__", "cpu")]);
        let renamed = Renaming::of(&metric_of(&one)).apply(&series);
        assert_eq!(
            renamed,
            Ok(labels! { "__name__" => "a:max", "host" => "a", "metric" => "own" })
        );
        let many = aggregate(vec![Matcher::re("__name__", "cpu")]);
        let renaming = Renaming::of(&metric_of(&many));
        assert_eq!(
            renaming.apply(&series),
            Ok(labels! {
                "__name__" => "a:max", "exported_metric" => "own", "host" => "a", "metric" => "cpu"
            })
        );
        let twice = labels! { "__name__" => "cpu", "exported_metric" => "x", "metric" => "own" };
        assert_eq!(
            renaming.apply(&twice),
            Ok(labels! {
                "__name__" => "a:max", "exported_exported_metric" => "own", "exported_metric" => "x",
                "metric" => "cpu"
            })
        );
        assert_eq!(
            renaming.apply(&labels! { "host" => "a" }),
            Ok(labels! { "__name__" => "a:max", "host" => "a" })
        );
    }

    #[test]
    fn conditions_on_the_metric_are_conditions_on_the_name_of_the_source() {
        let many = aggregate(vec![Matcher::eq("job", "node")]);
        let metric = metric_of(&many);
        let asked = [
            Matcher::eq("__name__", "a:max"),
            Matcher::re("metric", "cpu|mem"),
            Matcher::eq("host", "a"),
            Matcher::eq("exported_metric", "x"),
        ];
        assert_eq!(
            Renaming::of(&metric).of_source(&metric, &asked),
            [
                Matcher::eq("job", "node"),
                Matcher::re("__name__", "cpu|mem"),
                Matcher::eq("host", "a")
            ]
        );
        let one = aggregate(vec![Matcher::eq("__name__", "cpu")]);
        let metric = metric_of(&one);
        assert_eq!(
            Renaming::of(&metric).of_source(&metric, &asked[1..3]),
            [Matcher::eq("__name__", "cpu"), asked[1].clone(), asked[2].clone()]
        );
    }

    #[test]
    fn two_metrics_of_one_name_are_refused() {
        let whole = || aggregate(vec![Matcher::eq("__name__", "cpu")]);
        assert!(check(&Options::in_memory().aggregate(whole())).is_ok());
        for wrong in [
            Options::in_memory().aggregate(whole()).aggregate(whole()),
            Options::in_memory().aggregate(whole().with(AggregateFunction::Max)),
            Options::in_memory().aggregate(Aggregate::new("a", Vec::new(), Duration::from_secs(60))),
            Options::in_memory().aggregate(
                Aggregate::new("", Vec::new(), Duration::from_secs(60)).with(AggregateFunction::Max),
            ),
        ] {
            assert!(matches!(check(&wrong), Err(Error::InvalidOptions(_))));
        }
    }
}

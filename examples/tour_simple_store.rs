//! A tour for users of a simple embedded store: `add`, `get`, `range`, `update` and `delete` over metrics with tags.
//!
//! The store below is all of the glue. A second value for the same moment is refused and said to be, so nothing is
//! overwritten by accident; `update` says that it is meant. What `delete` hides can be brought back for a day.
//! Keys with values beside the samples are toured by `examples/columns.rs`.
//!
//! Output:
//!
//! ```text
//! add: true
//! get temperature{room="kitchen"} at 10: Some(20.5)
//! get temperature{room="kitchen"} at 11: None
//! batch: 4 of 5 stored, 1 refused as Conflict, as in temperature{room="kitchen"} at 10
//! range 10 to 30 with tags room=kitchen: 10=20.5 20=21 30=21.5
//! range 10 to 30 without tags: 10=3
//! by tags floor=0:
//!   humidity{floor="0", room="hall"}: 10=55
//!   temperature{floor="0", room="hall"}: 10=18
//! by metric temperature:
//!   temperature: 10=3
//!   temperature{floor="0", room="hall"}: 10=18
//!   temperature{room="kitchen"}: 10=20.5 20=21 30=21.5
//! keys: humidity temperature
//! tags: floor room
//! add over another value: false
//! update at 20: true, now Some(22.0)
//! update where no point is: false
//! delete at 30: 10=20.5 20=22
//! undelete: 10=20.5 20=22 30=21.5
//! delete temperature{room="kitchen"}: keys are humidity temperature
//! delete the metric temperature: keys are humidity
//! ```

use narthex::{CommitReport, Db, Error, Labels, ListOptions, Matcher, Options, Sample};
use std::io::Write;
use std::ops::RangeBounds;

type Tags<'a> = &'a [(&'a str, &'a str)];

/// A store of points under a metric and its tags.
struct Store {
    db: Db,
}

impl Store {
    /// Adds one point; `false` when another value stands there already.
    fn add(&self, metric: &str, tags: Tags<'_>, time: i64, value: f64) -> Result<bool, Error> {
        Ok(self.add_batch(&[(metric, tags, time, value)])?.accepted == 1)
    }

    /// Adds many points at once; the report names what was refused and why.
    fn add_batch(&self, points: &[(&str, Tags<'_>, i64, f64)]) -> Result<CommitReport, Error> {
        let mut batch = self.db.batch();
        for (metric, tags, time, value) in points {
            let mut pairs = vec![("__name__", *metric)];
            pairs.extend_from_slice(tags);
            batch.push_pairs(&pairs, *time, *value);
        }
        batch.commit()
    }

    /// Puts another value in the place of a point, wherever it is stored; `false` when there is no point.
    fn update(&self, metric: &str, tags: Tags<'_>, time: i64, value: f64) -> Result<bool, Error> {
        if self.get(metric, tags, time)?.is_none() {
            return Ok(false);
        }
        let mut batch = self.db.batch();
        batch.correct(&labels_of(metric, tags), time, value);
        Ok(batch.commit()?.corrections == 1)
    }

    /// Hides the points of one series; the number is what `undelete` takes.
    fn delete(&self, metric: &str, tags: Tags<'_>, times: impl RangeBounds<i64>) -> Result<u64, Error> {
        self.db.delete_series(&labels_of(metric, tags), times)
    }

    /// Hides every series of a metric.
    fn delete_metric(&self, metric: &str) -> Result<u64, Error> {
        self.db.delete(&[Matcher::eq("__name__", metric)], ..)
    }

    /// The value at one moment.
    fn get(&self, metric: &str, tags: Tags<'_>, time: i64) -> Result<Option<f64>, Error> {
        let points = self.range(metric, tags, time, time)?;
        Ok(points.first().and_then(|sample| sample.value.as_float()))
    }

    /// The points of the metric with exactly these tags, both ends included; no tags means the metric without tags.
    fn range(&self, metric: &str, tags: Tags<'_>, start: i64, end: i64) -> Result<Vec<Sample>, Error> {
        let found = self.select(Some(metric), tags, start, end)?;
        let exact = found
            .into_iter()
            .find(|(labels, _)| labels.len() == tags.len() + 1);
        Ok(exact.map(|(_, samples)| samples).unwrap_or_default())
    }

    /// Every series with these tags among its own, of one metric or of all.
    fn select(
        &self,
        metric: Option<&str>,
        tags: Tags<'_>,
        start: i64,
        end: i64,
    ) -> Result<Vec<(Labels, Vec<Sample>)>, Error> {
        let name = metric.map(|metric| Matcher::eq("__name__", metric));
        let tags = tags.iter().map(|(tag, value)| Matcher::eq(*tag, *value));
        let matchers: Vec<Matcher> = name.into_iter().chain(tags).collect();
        let mut found = Vec::new();
        for series in self.db.select(&matchers, start..=end)? {
            let series = series?;
            found.push((series.labels().clone(), series.samples().collect()));
        }
        Ok(found)
    }

    /// All metrics.
    fn keys(&self) -> Result<Vec<String>, Error> {
        let metrics = self
            .db
            .label_values("__name__", &[], .., ListOptions::default())?;
        Ok(metrics.items)
    }

    /// All tags.
    fn tags(&self) -> Result<Vec<String>, Error> {
        let mut names = self.db.label_names(&[], .., ListOptions::default())?.items;
        names.retain(|name| name != "__name__");
        Ok(names)
    }
}

/// The name of a series. Two tags of one name would be a mistake of this program.
fn labels_of(metric: &str, tags: Tags<'_>) -> Labels {
    let pairs = tags.iter().copied().chain([("__name__", metric)]);
    Labels::from_pairs(pairs).unwrap_or_default()
}

fn print(samples: &[Sample]) -> String {
    let points = samples.iter().map(|sample| {
        let value = sample.value.as_float().unwrap_or(f64::NAN);
        format!("{}={value}", sample.timestamp)
    });
    points.collect::<Vec<_>>().join(" ")
}

pub(crate) fn run(out: &mut impl Write) -> Result<(), Box<dyn std::error::Error>> {
    let store = Store {
        db: Db::open(Options::in_memory())?,
    };
    let kitchen: Tags<'_> = &[("room", "kitchen")];
    let hall: Tags<'_> = &[("room", "hall"), ("floor", "0")];

    writeln!(out, "add: {}", store.add("temperature", kitchen, 10, 20.5)?)?;
    for time in [10, 11] {
        let value = store.get("temperature", kitchen, time)?;
        writeln!(out, "get temperature{{room=\"kitchen\"}} at {time}: {value:?}")?;
    }

    let report = store.add_batch(&[
        ("temperature", kitchen, 20, 21.0),
        ("temperature", kitchen, 30, 21.5),
        ("temperature", kitchen, 10, 99.0), // Not what stands there.
        ("temperature", hall, 10, 18.0),
        ("humidity", hall, 10, 55.0),
    ])?;
    for refused in &report.rejected {
        let (accepted, count) = (report.accepted, refused.count);
        let (reason, example) = (refused.reason, &refused.example);
        let total = accepted + count;
        writeln!(
            out,
            "batch: {accepted} of {total} stored, {count} refused as {reason:?}, as in {example}"
        )?;
    }
    store.add("temperature", &[], 10, 3.0)?;

    let with_tags = print(&store.range("temperature", kitchen, 10, 30)?);
    writeln!(out, "range 10 to 30 with tags room=kitchen: {with_tags}")?;
    let without_tags = print(&store.range("temperature", &[], 10, 30)?);
    writeln!(out, "range 10 to 30 without tags: {without_tags}")?;

    writeln!(out, "by tags floor=0:")?;
    for (labels, samples) in store.select(None, &[("floor", "0")], 0, 100)? {
        writeln!(out, "  {labels}: {}", print(&samples))?;
    }
    writeln!(out, "by metric temperature:")?;
    for (labels, samples) in store.select(Some("temperature"), &[], 0, 100)? {
        writeln!(out, "  {labels}: {}", print(&samples))?;
    }
    writeln!(out, "keys: {}", store.keys()?.join(" "))?;
    writeln!(out, "tags: {}", store.tags()?.join(" "))?;
    change(&store, kitchen, out)?;
    store.db.close()?;
    Ok(())
}

/// `update` and `delete`, and what can be taken back.
fn change(store: &Store, kitchen: Tags<'_>, out: &mut impl Write) -> Result<(), Box<dyn std::error::Error>> {
    let again = store.add("temperature", kitchen, 20, 22.0)?;
    writeln!(out, "add over another value: {again}")?;
    let updated = store.update("temperature", kitchen, 20, 22.0)?;
    let value = store.get("temperature", kitchen, 20)?;
    writeln!(out, "update at 20: {updated}, now {value:?}")?;
    let updated = store.update("temperature", kitchen, 25, 22.0)?;
    writeln!(out, "update where no point is: {updated}")?;

    let points = || {
        store
            .range("temperature", kitchen, 0, 100)
            .map(|found| print(&found))
    };
    let deletion = store.delete("temperature", kitchen, 30..=30)?;
    writeln!(out, "delete at 30: {}", points()?)?;
    store.db.undelete(deletion)?;
    writeln!(out, "undelete: {}", points()?)?;

    store.delete("temperature", kitchen, ..)?;
    writeln!(
        out,
        "delete temperature{{room=\"kitchen\"}}: keys are {}",
        store.keys()?.join(" ")
    )?;
    store.delete_metric("temperature")?;
    writeln!(
        out,
        "delete the metric temperature: keys are {}",
        store.keys()?.join(" ")
    )?;
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    run(&mut std::io::stdout())
}

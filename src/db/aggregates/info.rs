//! The aggregates of a database, and how far rollups have them ready.

use crate::db::Db;
use crate::engine::rollups::Aggregate;

/// An aggregate and how far its windows are there already. What is not there is made of samples when it is read.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct AggregateInfo {
    /// As the options have it.
    pub aggregate: Aggregate,
    /// The first time that windows are kept of, in the unit of the database; `None` while there are none.
    pub from: Option<i64>,
    /// The last one.
    pub to: Option<i64>,
    /// The part of the time from the first sample to the last one that has windows, between 0 and 1. It stays below 1 while
    /// samples come, since windows are kept when their time has been over for a while.
    pub covered_share: f64,
    /// Whether windows of this width are being made now.
    pub is_being_made: bool,
}

impl Db {
    /// The aggregates of the options, and how far the windows of each are there. Waits for no work.
    ///
    /// ```
    /// use narthex::{Aggregate, AggregateFunction, Db, Matcher, Options, labels};
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let busy = vec![Matcher::eq("__name__", "cpu_busy")];
    /// let hourly = Aggregate::new("cpu:1h", busy, Duration::from_secs(3600)).with(AggregateFunction::Max);
    /// let db = Db::open(Options::in_memory().aggregate(hourly))?;
    /// let mut batch = db.batch();
    /// for minute in 1..=120 {
    ///     batch.push(&labels! { "__name__" => "cpu_busy" }, minute * 60_000, minute as f64);
    /// }
    /// batch.commit()?;
    /// let answer = db.query("scalar(cpu:1h:max)", 2 * 3_600_000)?;
    /// assert!(matches!(answer.value, narthex::QueryValue::Scalar { value: 120.0, .. }));
    /// assert_eq!(db.aggregates()[0].from, None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn aggregates(&self) -> Vec<AggregateInfo> {
        let engine = self.engine();
        let info = |aggregate: &Aggregate| {
            let width = engine.precision.units(aggregate.interval);
            let cover = engine.cover(width, &aggregate.matchers);
            AggregateInfo {
                aggregate: aggregate.clone(),
                from: cover.bounds.map(|bounds| bounds.0),
                to: cover.bounds.map(|bounds| bounds.1),
                covered_share: cover.share,
                is_being_made: cover.is_making,
            }
        };
        engine.options.aggregates.iter().map(info).collect()
    }
}

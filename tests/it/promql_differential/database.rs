//! The data in a database in a folder: the first half in segments, the second in the head and the log.

use super::data::{BASE_MS, Data, INTERVAL_MS, SCRAPES};
use crate::promql::storage::Value;
use narthex::{Batch, Counts, Db, FloatHistogram, Histogram, Labels, Options};
use std::path::Path;

pub(super) fn filled(folder: &Path, data: &Data) -> Db {
    let db = Db::open(Options::new(folder).background(false)).expect("a new database");
    let middle_ms = BASE_MS + SCRAPES / 2 * INTERVAL_MS;
    write(&db, data, |timestamp_ms| timestamp_ms < middle_ms);
    db.flush().expect("a flush");
    write(&db, data, |timestamp_ms| timestamp_ms >= middle_ms);
    db
}

fn write(db: &Db, data: &Data, is_in: impl Fn(i64) -> bool) {
    let mut batch = db.batch();
    for (labels, samples) in &data.series {
        for (timestamp_ms, value) in samples.iter().filter(|sample| is_in(sample.0)) {
            push(&mut batch, labels, *timestamp_ms, value);
        }
    }
    let report = batch.commit().expect("a commit");
    assert_eq!(report.rejected_count(), 0, "{report:?}");
}

fn push(batch: &mut Batch, labels: &Labels, timestamp_ms: i64, value: &Value) {
    match value {
        Value::Float(value) => batch.push(labels, timestamp_ms, *value),
        Value::Histogram(value) => batch.push_histogram(labels, timestamp_ms, &stored(value)),
    }
}

fn stored(value: &FloatHistogram) -> Histogram {
    Histogram {
        reset_hint: value.reset_hint,
        schema: value.schema,
        zero_threshold: value.zero_threshold,
        sum: value.sum,
        positive_spans: value.positive.spans().to_vec(),
        negative_spans: value.negative.spans().to_vec(),
        custom_values: value.custom_values.to_vec(),
        counts: Counts::Float {
            count: value.count,
            zero_count: value.zero_count,
            positive: value.positive.counts().to_vec(),
            negative: value.negative.counts().to_vec(),
        },
    }
}

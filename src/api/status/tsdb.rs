//! What a tenant's database consists of, in Prometheus' words: `status/tsdb` and `status/tsdb/blocks`.

use crate::api::envelope::{self, Notes};
use crate::api::error::ApiError;
use crate::api::json;
use crate::api::params::Params;
use crate::api::pieces::answer;
use crate::api::state::App;
use crate::api::tenant::Tenant;
use crate::db::Db;
use crate::engine::head_labels::HeadLabels;
use crate::engine::inventory::SegmentInfo;
use crate::segment::meta::ulid_text;
use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use std::io::Write as _;
use std::sync::Arc;

/// Entries of each list, unless a request wants more or fewer.
const ENTRIES: usize = 10;
const ENTRIES_MAX: usize = 10_000;

/// The series in memory and the labels that they have most of.
pub(super) async fn head(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
    request: Request,
) -> Result<Response, ApiError> {
    let params = Params::of(&app, request).await?;
    let most = entries(params.get("limit"))?;
    let turn = app.admission.turn(&app.config.load_full().http).await?;
    answer(json::CONTENT_TYPE, move |out| {
        let _turn = turn;
        let db = tenant.db()?;
        let stats = db.stats()?;
        let labels = tenant.head_labels(db, ENTRIES_MAX);
        // As in Prometheus, the bounds of nothing are the wrong way round.
        let bounds = stats.head_bounds.map(|(min, max)| (db.to_ms(min), db.to_ms(max)));
        let (time_min, time_max) = bounds.unwrap_or((i64::MAX, i64::MIN));
        envelope::success(out, &Notes::default(), |out| {
            let buffer = out.buffer();
            // A vector takes whatever is written to it.
            let _ = write!(
                buffer,
                "{{\"headStats\":{{\"numSeries\":{},\"numLabelPairs\":{},\"chunkCount\":{},\
                 \"minTime\":{time_min},\"maxTime\":{time_max}}}",
                stats.head_series, labels.pairs, labels.chunks
            );
            let HeadLabels {
                metrics,
                names,
                value_bytes,
                pair_series,
                ..
            } = &*labels;
            let lists = [
                ("seriesCountByMetricName", metrics),
                ("labelValueCountByLabelName", names),
                ("memoryInBytesByLabelName", value_bytes),
                ("seriesCountByLabelValuePair", pair_series),
            ];
            for (name, entries) in lists {
                let _ = write!(out.buffer(), ",\"{name}\":");
                envelope::long_list(out, entries.iter().take(most), |buffer, (name, count)| {
                    buffer.extend_from_slice(b"{\"name\":");
                    envelope::string(buffer, name);
                    let _ = write!(buffer, ",\"value\":{count}}}");
                })?;
            }
            out.buffer().push(b'}');
            Ok(())
        })
    })
    .await
}

fn entries(limit: &str) -> Result<usize, ApiError> {
    match limit.parse::<i64>() {
        _ if limit.is_empty() => Ok(ENTRIES),
        Ok(limit) if limit > ENTRIES_MAX as i64 => {
            Err(ApiError::bad_data(format!("limit must not exceed {ENTRIES_MAX}")))
        }
        Ok(limit) if limit > 0 => Ok(usize::try_from(limit).unwrap_or(ENTRIES_MAX)),
        Ok(_) | Err(_) => Err(ApiError::bad_data("limit must be a positive number")),
    }
}

/// The segments as blocks. A series has one run of samples in a segment, so there are as many chunks as series.
pub(super) async fn blocks(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
) -> Result<Response, ApiError> {
    let turn = app.admission.turn(&app.config.load_full().http).await?;
    answer(json::CONTENT_TYPE, move |out| {
        let _turn = turn;
        let db = tenant.db()?;
        envelope::success(out, &Notes::default(), |out| {
            out.buffer().extend_from_slice(b"{\"blocks\":");
            envelope::long_list(out, db.segments(), |buffer, segment| block(buffer, db, &segment))?;
            out.buffer().push(b'}');
            Ok(())
        })
    })
    .await
}

fn block(buffer: &mut Vec<u8>, db: &Db, segment: &SegmentInfo) {
    let meta = &segment.meta;
    // Blocks end before their last time.
    let end_ms = db.to_ms(meta.time_max).saturating_add(1);
    let _ = write!(
        buffer,
        "{{\"ulid\":\"{}\",\"minTime\":{},\"maxTime\":{end_ms},\"stats\":{{\"numSamples\":{}",
        ulid_text(meta.ulid),
        db.to_ms(meta.time_min),
        meta.floats + meta.histograms
    );
    for (name, count) in [
        ("numFloatSamples", meta.floats),
        ("numHistogramSamples", meta.histograms),
    ] {
        if count > 0 {
            let _ = write!(buffer, ",\"{name}\":{count}");
        }
    }
    let _ = write!(
        buffer,
        ",\"numSeries\":{0},\"numChunks\":{0}}},\"compaction\":{{\"level\":{1},\"sources\":",
        meta.series,
        u32::from(meta.level) + 1
    );
    envelope::list(buffer, &meta.sources, |buffer, source| {
        envelope::string(buffer, &ulid_text(*source));
    });
    let _ = write!(buffer, "}},\"version\":1,\"bytes\":{}}}", segment.bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::options::Options;

    #[test]
    fn all_values_of_the_head_are_counted() {
        let db = Db::open(Options::in_memory()).expect("a database");
        const HOSTS: u64 = 10_001;
        let mut batch = db.batch();
        for host in 0..HOSTS {
            let labels = crate::labels! { "__name__" => "up", "host" => &format!("{host:06}") };
            batch.push(&labels, 1_000, 1.0);
        }
        batch.commit().expect("a commit");
        let found = db.head_labels(2);
        assert_eq!((found.pairs, found.chunks), (HOSTS + 1, HOSTS));
        let named = |name: &str, count: u64| (name.to_owned(), count);
        assert_eq!(found.metrics, [named("up", HOSTS)]);
        assert_eq!(found.names, [named("host", HOSTS), named("__name__", 1)]);
        assert_eq!(
            found.value_bytes,
            [named("__name__", 12 * HOSTS), named("host", 12 * HOSTS)]
        );
        assert_eq!(
            found.pair_series,
            [named("__name__=up", HOSTS), named("host=000000", 1)]
        );
    }

    #[test]
    fn lists_have_ten_entries_or_as_many_as_are_asked_for() {
        assert_eq!(entries("").expect("the default"), 10);
        assert_eq!(entries("1").expect("one"), 1);
        assert_eq!(entries("10000").expect("the most"), 10_000);
        for bad in ["0", "-1", "x", "1.5", "10001"] {
            assert_eq!(entries(bad).expect_err("refused").status.as_u16(), 400, "{bad}");
        }
    }
}

//! Samples go out in lines, series after series, as they are read: an export takes the memory of one series.
//!
//! Native histograms have no words in these formats, nor have stale markers outside of JSON lines; they are left out and counted.

use super::LEFT_OUT;
use crate::api::error::ApiError;
use crate::api::params::{Params, invalid};
use crate::api::pieces::{Out, answer};
use crate::api::selection::Selection;
use crate::api::state::App;
use crate::api::tenant::Tenant;
use crate::doors::csv::Columns;
use crate::doors::{json_lines, prometheus};
use crate::engine::series::Series;
use crate::index::LabelMatcher;
use crate::model::labels::Labels;
use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use std::sync::Arc;

/// Rows with labels in each are sent when they are about so many bytes.
const RUN_BYTES: usize = 256 << 10;
/// Samples of a line unless a request wants fewer, so that a line has no more than some hundred kilobytes.
const ROWS_MAX: usize = 10_000;

/// What an export is written in.
enum Form {
    Lines,
    Text,
    Csv(Columns),
}

impl Form {
    fn content_type(&self) -> &'static str {
        match self {
            Self::Lines => "application/x-ndjson",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::Csv(_) => "text/csv; charset=utf-8",
        }
    }

    /// Rows that are written before they are sent.
    fn rows_at_once(&self, labels: &Labels) -> usize {
        let row_bytes = match self {
            Self::Lines => return usize::MAX,
            Self::Text => labels.as_bytes().len(),
            Self::Csv(columns) => columns.row_bytes(labels),
        };
        (RUN_BYTES / row_bytes.max(1)).max(1)
    }

    /// Writes some samples of a series; returns how many are left out.
    fn write(&self, out: &mut Vec<u8>, labels: &Labels, samples: &[(i64, u64)]) -> usize {
        match self {
            Self::Lines => {
                json_lines::write(out, labels, samples);
                0
            }
            Self::Text => prometheus::write(out, labels, samples),
            Self::Csv(columns) => columns.write(out, labels, samples),
        }
    }
}

/// `/api/v1/export`.
pub(super) async fn export(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
    request: Request,
) -> Result<Response, ApiError> {
    let params = Params::of(&app, request).await?;
    let form = match params.get("format") {
        "" => Form::Lines,
        "prometheus" => Form::Text,
        _ => return Err(invalid("format", "it is prometheus, or not given for JSON lines")),
    };
    send(&app, tenant, &params, form).await
}

/// `/api/v1/export/csv`.
pub(super) async fn csv(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
    request: Request,
) -> Result<Response, ApiError> {
    let params = Params::of(&app, request).await?;
    let columns = Columns::parse(params.get("format")).map_err(|fault| {
        let example = "as format=__name__,job,__value__,__timestamp__:unix_ms";
        invalid("format", &format!("{fault}; {example}"))
    })?;
    send(&app, tenant, &params, Form::Csv(columns)).await
}

async fn send(app: &App, tenant: Arc<Tenant>, params: &Params, form: Form) -> Result<Response, ApiError> {
    params.check_form()?;
    if !params.has_matchers() {
        return Err(invalid(
            "match[]",
            "it is needed, as match[]={__name__!=\"\"} for all series",
        ));
    }
    let selection = Selection::of(params, (i64::MIN, i64::MAX), ApiError::bad_data)?;
    let rows_max = match params.limit("max_rows_per_line")? {
        0 => ROWS_MAX,
        rows => rows.min(ROWS_MAX),
    };
    let turn = app.reads.clone().acquire_owned().await;
    answer(form.content_type(), move |out| {
        let _turn = turn;
        out.counts(LEFT_OUT);
        write(out, &tenant, &selection, &form, rows_max)
    })
    .await
}

fn write(
    out: &mut Out,
    tenant: &Tenant,
    selection: &Selection,
    form: &Form,
    rows_max: usize,
) -> Result<(), ApiError> {
    let db = tenant.db()?;
    let range = db.range_of_ms(selection.start_ms, selection.end_ms);
    if let Form::Csv(columns) = form {
        columns.write_head(out.buffer());
    }
    let (mut series, mut samples) = (Series::default(), Vec::new());
    let mut done: Vec<Vec<LabelMatcher>> = Vec::new();
    for matchers in &selection.sets {
        let mut cursor = db.select(matchers, range.clone())?;
        while cursor.next_into(&mut series)? {
            // A series that two sets select is written once.
            if done.iter().any(|set| is_selected(set, series.labels())) {
                continue;
            }
            out.count(series.histograms().len());
            let (times, bits) = (series.float_timestamps(), series.float_bits());
            let rows = form.rows_at_once(series.labels()).min(rows_max);
            for (times, bits) in times.chunks(rows).zip(bits.chunks(rows)) {
                samples.clear();
                samples.extend(times.iter().map(|time| db.to_ms(*time)).zip(bits.iter().copied()));
                let left_out = form.write(out.buffer(), series.labels(), &samples);
                out.count(left_out);
                out.flow()?;
            }
            if out.is_abandoned() {
                return Err(ApiError::canceled());
            }
        }
        if let [first, ..] = cursor.warnings() {
            let message = format!("a part could not be read: {}", first.reason);
            return Err(ApiError::internal(message));
        }
        let compiled = LabelMatcher::compile_all(matchers);
        done.push(compiled.map_err(|error| ApiError::bad_data(error.to_string()))?);
    }
    Ok(())
}

fn is_selected(matchers: &[LabelMatcher], labels: &Labels) -> bool {
    LabelMatcher::all_match(matchers, |name| labels.get(name).unwrap_or(""))
}

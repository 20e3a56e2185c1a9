//! Bodies of lines come in. 204 when all of them are stored; otherwise 400 with what is wrong with which, and the good ones are stored.

use super::{LEFT_OUT, STORED};
use crate::api::auth::Caller;
use crate::api::error::ApiError;
use crate::api::native::body::Arriving;
use crate::api::native::refusal::Refusal;
use crate::api::params::Params;
use crate::api::remote_write::tell_durability;
use crate::api::state::App;
use crate::api::tenant::Tenant;
use crate::api::writing::{Piece, Tally, Writer};
use crate::doors::csv::{ColumnMap, Csv};
use crate::doors::json_lines::JsonLines;
use crate::doors::prometheus::Prometheus;
use crate::doors::{self, Fault, Reader, Sink};
use crate::model::labels::{Labels, LabelsRef};
use crate::model::metadata::MetadataRef;
use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post};
use serde_json::json;
use std::sync::Arc;

/// Lines may be longer than those of other formats, since one of JSON has many samples.
const LINE_BYTES_MAX: usize = 10 << 20;

/// A reader, and the time of samples without one.
pub(super) struct Source {
    pub(super) reader: Box<dyn Reader + Send>,
    pub(super) time_ms: Option<i64>,
}

/// Puts lines into a piece.
pub(super) struct Lines<'p, 'w> {
    pub(super) piece: &'p mut Piece<'w>,
    pub(super) time_ms: Option<i64>,
}

impl Lines<'_, '_> {
    fn time(&self, time_ms: Option<i64>) -> i64 {
        time_ms.or(self.time_ms).unwrap_or(self.piece.now_ms)
    }
}

impl Sink for Lines<'_, '_> {
    fn line(&mut self) {
        self.piece.next();
    }

    fn sample(&mut self, labels: LabelsRef<'_>, time_ms: Option<i64>, value: f64) {
        self.piece.sample(labels, self.time(time_ms), value);
    }

    fn exemplar(&mut self, labels: LabelsRef<'_>, own: Labels, time_ms: Option<i64>, value: f64) {
        self.piece.exemplar(labels, own, self.time(time_ms), value);
    }

    fn metadata(&mut self, metric: &str, metadata: MetadataRef<'_>) {
        self.piece.metadata(metric, metadata);
    }

    fn left_out(&mut self) {
        self.piece.leave_out();
    }

    fn refuse(&mut self, fault: Fault) {
        self.piece
            .refuse(|| Refusal::field(fault.reason, "", fault.message, fault.hint));
    }
}

pub(super) fn store_lines(
    writer: &Writer,
    text: &[u8],
    is_end: bool,
    source: &mut Source,
    tally: &mut Tally,
) -> Result<usize, ApiError> {
    let mut piece = writer.begin(tally)?;
    let mut lines = Lines {
        piece: &mut piece,
        time_ms: source.time_ms,
    };
    let read = doors::read(&mut *source.reader, text, is_end, &mut lines);
    piece.commit()?;
    Ok(read)
}

/// Stores the lines of a request.
pub(super) async fn store(
    app: Arc<App>,
    tenant: Arc<Tenant>,
    caller: &Caller,
    request: Request,
    source: Source,
) -> Result<Tally, Refusal> {
    let (parts, body) = request.into_parts();
    let writer = Arc::new(Writer::new(app.clone(), tenant, caller, &parts.headers)?);
    let limits = writer.limits();
    let mut arriving = Arriving::new(&parts.headers, body, &app.admission, &limits)?;
    let begun = (Vec::new(), false);
    let stored = writer.store_stream(&mut arriving, begun, LINE_BYTES_MAX, source, store_lines);
    Ok(stored.await?.1)
}

/// What is said when nothing is wrong, or what is.
pub(super) fn judged(mut tally: Tally) -> Result<Response, Refusal> {
    if tally.failed == 0 {
        let mut response = StatusCode::NO_CONTENT.into_response();
        let headers = response.headers_mut();
        tell_durability(headers, tally.durability);
        headers.insert(STORED, tally.stored.into());
        if tally.left_out > 0 {
            headers.insert(LEFT_OUT, tally.left_out.into());
        }
        return Ok(response);
    }
    let errors = tally.told("line", 1);
    let first = errors.first().map(|first| {
        let error = first["error"].as_str().unwrap_or("");
        format!("; line {}: {error}", first["line"])
    });
    let (stored, failed) = (tally.stored, tally.failed);
    let message = format!("stored {stored}, refused {failed}{}", first.unwrap_or_default());
    let data = json!({
        "stored": stored,
        "dropped": tally.dropped,
        "left_out": tally.left_out,
        "failed": failed,
        "errors": errors,
    });
    Err(Refusal::from(ApiError::bad_data(message))
        .hint("data.errors says of each what is wrong with it; what is right is stored")
        .with("data", data))
}

/// Labels that take the place of those of lines: `extra_label=name=value`.
pub(super) fn extra_labels(params: &Params) -> Result<Vec<(String, String)>, Refusal> {
    let pair = |text: &str| match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => {
            let message = format!("extra_label {text:?} is no name with a value");
            Err(Refusal::field(
                "bad_parameter",
                "extra_label",
                message,
                "as extra_label=job=node",
            ))
        }
    };
    params.all("extra_label").map(pair).collect()
}

/// The time of samples without one.
fn time_ms(params: &Params) -> Result<Option<i64>, Refusal> {
    match params.get("timestamp") {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| {
            let hint = "send milliseconds since 1970";
            Refusal::field(
                "bad_parameter",
                "timestamp",
                "timestamp is no time".to_owned(),
                hint,
            )
        }),
    }
}

fn is_open_metrics(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.trim().starts_with("application/openmetrics-text"))
}

/// What reads the body of a request with these parameters and headers.
type SourceOf = fn(&Params, &HeaderMap) -> Result<Source, Refusal>;

/// A route that stores the lines of bodies.
pub(super) fn taking(source_of: SourceOf) -> MethodRouter<Arc<App>> {
    post(
        move |State(app): State<Arc<App>>,
              Extension(caller): Extension<Caller>,
              Extension(tenant): Extension<Arc<Tenant>>,
              request: Request| async move {
            let source = source_of(&Params::of_uri(request.uri()), request.headers())?;
            judged(store(app, tenant, &caller, request, source).await?)
        },
    )
}

pub(super) fn json_lines(params: &Params, _: &HeaderMap) -> Result<Source, Refusal> {
    Ok(Source {
        reader: Box::new(JsonLines::new(extra_labels(params)?)),
        time_ms: None,
    })
}

pub(super) fn prometheus(params: &Params, headers: &HeaderMap) -> Result<Source, Refusal> {
    let reader = Prometheus::new(is_open_metrics(headers), extra_labels(params)?);
    Ok(Source {
        reader: Box::new(reader),
        time_ms: time_ms(params)?,
    })
}

pub(super) fn csv(params: &Params, _: &HeaderMap) -> Result<Source, Refusal> {
    let map = ColumnMap::parse(params.get("format")).map_err(|fault| {
        let hint = "as format=2:metric:ask,3:metric:bid,1:label:ticker,4:time:unix_s";
        Refusal::field("bad_parameter", "format", format!("format: {fault}"), hint)
    })?;
    Ok(Source {
        reader: Box::new(Csv::new(map, extra_labels(params)?)),
        time_ms: time_ms(params)?,
    })
}

//! `format_query` and `parse_query`: a query as it reads best, and as a tree.

use super::envelope::{self, Notes};
use super::error::ApiError;
use super::params::Params;
use super::pieces::{Out, answer};
use super::state::App;
use super::{json, query_tree};
use crate::promql::ParseOptions;
use crate::promql::ast::Expr;
use crate::promql::parse::parse;
use crate::promql::print::pretty;
use crate::promql::query::QueryError;
use axum::extract::{Request, State};
use axum::response::Response;
use std::sync::Arc;

/// `/api/v1/format_query`.
pub(super) async fn format(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    with_parsed(&app, request, |out, expr| {
        // What nests too deep for indented lines stays on one.
        let text = pretty(expr).unwrap_or_else(|| expr.to_string());
        envelope::string(out.buffer(), &text);
        Ok(())
    })
    .await
}

/// `/api/v1/parse_query`.
pub(super) async fn parsed(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    with_parsed(&app, request, query_tree::tree).await
}

async fn with_parsed(
    app: &App,
    request: Request,
    write: impl FnOnce(&mut Out, &Expr) -> Result<(), ApiError> + Send + 'static,
) -> Result<Response, ApiError> {
    let params = Params::of(app, request).await?;
    let turn = app.admission.turn(&app.config.load_full().http).await?;
    answer(json::CONTENT_TYPE, move |out| {
        let _turn = turn;
        let expr = parse(params.get("query"), ParseOptions::default()).map_err(QueryError::Parse)?;
        envelope::success(out, &Notes::default(), |out| write(out, &expr))
    })
    .await
}

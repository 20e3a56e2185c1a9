//! Queries of the folder of a database, without a server. A process may be writing to it.

use super::answer::Answer;
use super::{When, fault};
use crate::cli::{Failure, open};
use narthex::QueryOptions;
use std::path::Path;

pub(super) fn ask(dir: &Path, query: &str, when: When) -> Result<Answer, Failure> {
    let db = open(dir)?;
    let options = QueryOptions::default();
    let answer = match when {
        When::At(time_ms) => db.query_with(query, time_ms, &options),
        When::Range { start, end, step } => db.query_range_with(query, (start, end), step, &options),
    };
    let answer = answer.map_err(|error| Failure::Query(fault::shown(&error.to_string(), query)))?;
    Ok(Answer::from(answer))
}

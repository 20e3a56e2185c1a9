//! Snapshots and backups by name, and bringing one of them into the running database.
//!
//! A request names a copy and never a path: its folder lies in one of two folders of the tenant, and a name has nothing in it that
//! leads anywhere else.

use super::body::Fields;
use crate::api::admin_tsdb::made_name;
use crate::api::error::ApiError;
use crate::api::json;
use crate::api::router::{ADMIN, Of, Route, route};
use crate::api::state::{App, aside};
use crate::api::tenant::Tenant;
use crate::base::civil::rfc3339;
use crate::config::Config;
use crate::db::Db;
use crate::engine::attach::AttachReport;
use crate::engine::backup_folder::{self, BackupInfo, SnapshotInfo};
use crate::engine::error::Error;
use crate::engine::options::Options;
use crate::io::{DiskFs, Fs, remove_tree};
use crate::segment::names;
use axum::Extension;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;

const NAME_BYTES_MAX: usize = 128;
/// Begins the name of the folder in which a snapshot becomes a backup; no request can name it.
const PASSING: &str = ".of-snapshot-";
/// What is said where logs, events and columns stay behind.
const RECORDS_STAY: &str =
    "logs, events and columns were not brought: they come with a restore into an empty folder only";

pub(super) fn routes() -> Vec<Route> {
    let tenant = |path, handler| route(path, ADMIN, Of::Tenant, handler);
    vec![
        tenant("/api/v1/admin/snapshot", post(snapshot)),
        tenant("/api/v1/admin/snapshots", get(snapshots)),
        tenant("/api/v1/admin/backup", post(backup)),
        tenant("/api/v1/admin/backups", get(backups)),
        tenant("/api/v1/admin/restore", post(restore)),
    ]
}

/// The name of a snapshot or backup, which is that of its folder.
#[derive(Debug, Clone, PartialEq, Eq)]
struct CopyName(String);

impl CopyName {
    fn parse(text: &str) -> Result<Self, ApiError> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        let is_name =
            text.starts_with(|sign: char| sign.is_ascii_alphanumeric()) && text.bytes().all(is_plain);
        if is_name && text.len() <= NAME_BYTES_MAX {
            return Ok(Self(text.to_owned()));
        }
        Err(ApiError::bad_data(format!(
            "{text:?} is no name: up to {NAME_BYTES_MAX} letters, digits, hyphens and underscores, a letter or digit first"
        )))
    }

    /// The one that a body names.
    fn of(fields: &Fields, field: &str) -> Result<Option<Self>, ApiError> {
        fields.text(field)?.map(Self::parse).transpose()
    }

    /// The same, or a new one.
    fn of_or_made(fields: &Fields) -> Result<Self, ApiError> {
        Ok(Self::of(fields, "name")?.unwrap_or_else(|| Self(made_name())))
    }
}

/// Where a tenant's copies are.
struct Places {
    fs: Arc<dyn Fs>,
    snapshots: PathBuf,
    backups: PathBuf,
}

impl Places {
    fn of(tenant: &Tenant, config: &Config) -> Self {
        let backups = config.backup_dir.as_deref().unwrap_or(&config.data);
        Self {
            fs: Arc::new(DiskFs),
            snapshots: tenant.name.folder(&config.data).join(names::SNAPSHOTS),
            backups: tenant.name.folder(backups).join(names::BACKUPS),
        }
    }
}

/// The body of a request, read.
async fn fields(app: &App, request: Request, known: &[&str]) -> Result<Fields, ApiError> {
    let limits = app.config.load_full();
    let body = app.admission.read(request.into_body(), &limits.http).await?;
    Fields::of(&body, known)
}

/// In words of names instead of folders.
fn in_names(error: Error, kind: &str, name: &CopyName) -> ApiError {
    match error {
        Error::NotEmpty(_) => {
            let what = format!("there is a {kind} {} already, or one that is being made", name.0);
            ApiError::new(StatusCode::CONFLICT, "bad_data", what)
        }
        Error::NotFound(_) => ApiError::not_found(format!("there is no {kind} {}", name.0)),
        other => other.into(),
    }
}

async fn snapshot(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
    request: Request,
) -> Result<Response, ApiError> {
    let name = CopyName::of_or_made(&fields(&app, request, &["name"]).await?)?;
    aside(move || {
        let places = Places::of(&tenant, &app.config.load());
        let made = tenant.db()?.snapshot(places.snapshots.join(&name.0));
        let report = made.map_err(|error| in_names(error, "snapshot", &name))?;
        tracing::info!(tenant = %tenant.name, name = name.0, lsn = report.lsn, "a snapshot was made");
        let missing = report.missing.iter().filter_map(|path| path.file_name());
        let missing: Vec<_> = missing.map(|name| name.to_string_lossy()).collect();
        Ok(json::success(json!({
            "name": name.0,
            "lsn": report.lsn,
            "segmentsLinked": report.segments_linked,
            "segmentsCopied": report.segments_copied,
            "bytesCopied": report.bytes_copied,
            "records": report.records,
            "missing": missing,
        })))
    })
    .await
}

async fn backup(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
    request: Request,
) -> Result<Response, ApiError> {
    let fields = fields(&app, request, &["name", "since", "start", "end"]).await?;
    let name = CopyName::of_or_made(&fields)?;
    let since = CopyName::of(&fields, "since")?;
    let range_ms = fields.range_ms()?;
    aside(move || {
        let places = Places::of(&tenant, &app.config.load());
        let db = tenant.db()?;
        if let Some(since) = &since {
            // That all of its chain is there is better found now than by a restore.
            let chain = backup_folder::chain_of(&places.fs, &places.backups, &since.0);
            chain.map_err(|error| in_names(error, "backup", since))?;
        }
        let earlier = since.as_ref().map(|since| places.backups.join(&since.0));
        let (start_ms, end_ms) = range_ms.unwrap_or((i64::MIN, i64::MAX));
        let range = db.range_of_ms(start_ms, end_ms);
        let made = db.backup(places.backups.join(&name.0), range, earlier.as_deref());
        let report = made.map_err(|error| in_names(error, "backup", &name))?;
        tracing::info!(tenant = %tenant.name, name = name.0, lsn = report.lsn, is_sound = report.is_sound(), "a backup was made");
        let data = json!({
            "name": name.0,
            "since": since.map(|since| since.0),
            "lsn": report.lsn,
            "segmentsCopied": report.segments_copied,
            "bytesCopied": report.bytes_copied,
            "segmentsKnown": report.segments_known,
            "records": report.records,
            "sound": report.is_sound(),
        });
        Ok(json::success_with(data, &report.faults))
    })
    .await
}

/// What is to be brought.
enum Brought {
    Backup(CopyName),
    Snapshot(CopyName),
}

impl Brought {
    fn of(fields: &Fields) -> Result<Self, ApiError> {
        match (CopyName::of(fields, "backup")?, CopyName::of(fields, "snapshot")?) {
            (Some(name), None) => Ok(Self::Backup(name)),
            (None, Some(name)) => Ok(Self::Snapshot(name)),
            _ => Err(ApiError::bad_data(
                "the body names either a \"backup\" or a \"snapshot\" to bring",
            )),
        }
    }
}

/// Brings the samples of a backup or snapshot into the running database.
async fn restore(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
    request: Request,
) -> Result<Response, ApiError> {
    let brought = Brought::of(&fields(&app, request, &["backup", "snapshot"]).await?)?;
    aside(move || {
        let places = Places::of(&tenant, &app.config.load());
        let db = tenant.db()?;
        let (report, records, chain) = match &brought {
            Brought::Backup(name) => {
                let chain = backup_folder::chain_of(&places.fs, &places.backups, &name.0);
                let (chain, info) = chain.map_err(|error| in_names(error, "backup", name))?;
                (db.attach(&chain)?, info.records.unwrap_or(0), names_of(&chain))
            }
            Brought::Snapshot(name) => {
                let (report, records) = attach_snapshot(db, &places, name)?;
                (report, records, vec![name.0.clone()])
            }
        };
        tracing::info!(tenant = %tenant.name, ?chain, lsn = report.lsn, samples = report.samples, "samples were brought back");
        let data = json!({
            "chain": chain,
            "lsn": report.lsn,
            "segments": report.segments,
            "bytes": report.bytes,
            "samples": report.samples,
            "recordsLeftOut": records,
        });
        let warnings = (records > 0).then(|| RECORDS_STAY.to_owned());
        Ok(json::success_with(data, warnings.as_slice()))
    })
    .await
}

fn names_of(chain: &[PathBuf]) -> Vec<String> {
    let names = chain.iter().filter_map(|folder| folder.file_name());
    names.map(|name| name.to_string_lossy().into_owned()).collect()
}

/// Opens the snapshot, which takes what is in its log to segments, makes a backup of it that is gone afterwards, and attaches
/// that. With the number of records that stay behind.
fn attach_snapshot(db: &Db, places: &Places, name: &CopyName) -> Result<(AttachReport, u64), ApiError> {
    let folder = places.snapshots.join(&name.0);
    // An opening would make a new database of a folder that is not there.
    if !places
        .fs
        .exists(&folder.join(names::MANIFEST))
        .map_err(Error::from)?
    {
        return Err(ApiError::not_found(format!("there is no snapshot {}", name.0)));
    }
    let opened = Db::open(Options::new(&folder).background(false).compaction(false))?;
    // Nobody else has this folder: whoever makes it has the snapshot open.
    let passing = places.backups.join(format!("{PASSING}{}", name.0));
    let attached = remove_tree(&*places.fs, &passing)
        .map_err(Error::from)
        .and_then(|()| opened.backup(&passing, .., None))
        .and_then(|backup| Ok((db.attach(&[&passing])?, backup.records)));
    if let Err(error) = remove_tree(&*places.fs, &passing) {
        tracing::warn!(%error, "the copy of a snapshot stays until it is brought again");
    }
    let closed = opened.close();
    let attached = attached?;
    closed?;
    Ok(attached)
}

async fn snapshots(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
) -> Result<Response, ApiError> {
    aside(move || {
        let places = Places::of(&tenant, &app.config.load());
        let found = backup_folder::snapshots_in(&places.fs, &places.snapshots)?;
        let found = found.iter().filter(|one| CopyName::parse(&one.name).is_ok());
        Ok(json::success(
            json!({ "snapshots": found.map(of_snapshot).collect::<Vec<_>>() }),
        ))
    })
    .await
}

fn of_snapshot(snapshot: &SnapshotInfo) -> Value {
    json!({
        "name": snapshot.name,
        "complete": snapshot.is_whole,
        "files": snapshot.files,
        "bytes": snapshot.bytes,
    })
}

async fn backups(
    State(app): State<Arc<App>>,
    Extension(tenant): Extension<Arc<Tenant>>,
) -> Result<Response, ApiError> {
    aside(move || {
        let places = Places::of(&tenant, &app.config.load());
        let db = tenant.db()?;
        let (mut found, faults) = backup_folder::backups_in(&places.fs, &places.backups)?;
        found.retain(|one| CopyName::parse(&one.name).is_ok());
        let shown: Vec<Value> = found.iter().map(|one| of_backup(db, one, &found)).collect();
        Ok(json::success_with(json!({ "backups": shown }), &faults))
    })
    .await
}

fn of_backup(db: &Db, backup: &BackupInfo, all: &[BackupInfo]) -> Value {
    let since = all.iter().find(|one| backup.leans_on(one));
    let time = |at: i64, none: i64| (at != none).then(|| rfc3339(db.to_ms(at)));
    json!({
        "name": backup.name,
        "incremental": backup.is_incremental(),
        "since": since.map(|since| &since.name),
        "start": time(backup.range.0, i64::MIN),
        "end": time(backup.range.1, i64::MAX),
        "lsn": backup.lsn,
        "segments": backup.segments,
        "segmentsHere": backup.segments_here,
        "bytes": backup.bytes_here,
        "samples": backup.samples,
        "records": backup.records,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_nowhere_else() {
        for good in ["a", "Monday-1_b", "20261127T153057Z-1716c057ef73be07"] {
            assert!(CopyName::parse(good).is_ok(), "{good}");
        }
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        for bad in [
            "", "-", "-rf", ".", "..", "a.b", "../a", "a/b", "/a", "a\\b", "a\0", "a b", "ä", "~a", &long,
        ] {
            assert!(CopyName::parse(bad).is_err(), "{bad}");
        }
        assert!(CopyName::parse(&format!("{PASSING}a")).is_err());
    }

    #[test]
    fn one_thing_is_brought_at_a_time() {
        let brought = |body: &str| {
            Fields::of(body.as_bytes(), &["backup", "snapshot"]).and_then(|fields| Brought::of(&fields))
        };
        assert!(matches!(brought(r#"{"backup": "a"}"#), Ok(Brought::Backup(_))));
        assert!(matches!(
            brought(r#"{"snapshot": "a"}"#),
            Ok(Brought::Snapshot(_))
        ));
        for bad in [
            "",
            r#"{"backup": "a", "snapshot": "b"}"#,
            r#"{"backup": 1}"#,
            r#"{"backup": "a/b"}"#,
        ] {
            assert!(brought(bad).is_err(), "{bad}");
        }
    }
}

//! One tenant: its database, and all that is kept for its writers. No state of a tenant is reached but through this.

use super::error::ApiError;
use super::lifecycle::ServeError;
use super::walk::LastWalk;
use crate::base::clock::{Clock as _, SystemClock};
use crate::config::Config;
use crate::config::tenants::TenantName;
use crate::db::Db;
use crate::engine::error::Error;
use crate::engine::head_labels::HeadLabels;
use crate::engine::metric_sizes::MetricSizes;
use crate::engine::options::Options;
use crate::engine::progress::OpenProgress;
use crate::head::HeadMemory;
use crate::io::{DiskFs, Fs};
use crate::model::relabel_rule::RelabelRule;
use crate::remote::ha::{Elections, HaLabels};
use crate::remote::intake::Intake;
use crate::remote::journal::Journal;
use crate::remote::otlp::delta::Deltas;
use crate::remote::quota::Quota;
use crate::remote::relabel::Rule;
use arc_swap::ArcSwap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

/// The file in the database's folder that says which replicas are elected.
const ELECTIONS: &str = "elections";
/// All senders of a tenant together.
const EVERYONE: &str = "";

/// A tenant of the server; without tenants, its only one.
#[derive(Debug)]
pub(crate) struct Tenant {
    pub(super) name: TenantName,
    pub(super) opening: Arc<OpenProgress>,
    /// It came to be after the server's start, which does not wait for it.
    pub(super) is_new: bool,
    /// Set once its opening has ended; without a database it did not open.
    opened: OnceLock<Option<Db>>,
    /// What becomes of series that are written; a reload replaces it.
    pub(super) intake: ArcSwap<Intake>,
    pub(super) journal: Journal,
    /// Totals of what OpenTelemetry sends as deltas.
    pub(super) deltas: Mutex<Deltas>,
    /// What each sender owes.
    senders: Quota,
    /// What they owe together.
    total: Quota,
    last_memory: LastWalk<HeadMemory>,
    last_labels: LastWalk<HeadLabels>,
    last_sizes: LastWalk<MetricSizes>,
}

impl Tenant {
    pub(super) fn new(name: TenantName, intake: Intake, is_new: bool) -> Self {
        Self {
            name,
            opening: Arc::default(),
            is_new,
            opened: OnceLock::new(),
            intake: ArcSwap::from_pointee(intake),
            journal: Journal::default(),
            deltas: Mutex::default(),
            senders: Quota::default(),
            total: Quota::default(),
            last_memory: LastWalk::default(),
            last_labels: LastWalk::default(),
            last_sizes: LastWalk::default(),
        }
    }

    /// One that cannot be opened.
    pub(super) fn failed(name: TenantName) -> Self {
        let tenant = Self::new(name, Intake::default(), false);
        tenant.opened.get_or_init(|| None);
        tenant
    }

    /// One that does not exist, to be read: it has an empty database in memory.
    pub(super) fn absent() -> Result<Self, Error> {
        let tenant = Self::new(TenantName::anonymous(), Intake::default(), true);
        let db = Db::open(Options::in_memory().background(false))?;
        tenant.opened.get_or_init(|| Some(db));
        Ok(tenant)
    }

    /// The same under the name that somebody asks for.
    pub(super) fn absent_as(&self, name: TenantName) -> Self {
        let tenant = Self::new(name, Intake::default(), true);
        if let Some(opened) = self.opened.get() {
            tenant.opened.get_or_init(|| opened.clone());
        }
        tenant
    }

    /// Its database, once it is open.
    pub(super) fn db(&self) -> Result<&Db, ApiError> {
        match self.opened.get() {
            Some(Some(db)) => Ok(db),
            Some(None) => {
                let message = format!("the tenant {} does not open; see the log of narthex", self.name);
                Err(ApiError::unavailable(message))
            }
            None => Err(ApiError::unavailable("the database is being opened")),
        }
    }

    /// Whether its opening has ended, well or not.
    pub(super) fn is_done(&self) -> bool {
        self.opened.get().is_some()
    }

    pub(super) fn is_failed(&self) -> bool {
        matches!(self.opened.get(), Some(None))
    }

    /// Opens its database. Takes as long as the log is to be replayed.
    pub(super) fn open(&self, config: &Config) -> Result<(), Error> {
        let begun = Instant::now();
        let options = config.options_of(&self.name).progress(self.opening.clone());
        match Db::open(options) {
            Ok(db) => {
                let recovery = db.recovery();
                tracing::info!(
                    tenant = %self.name,
                    took_ms = begun.elapsed().as_millis() as u64,
                    log_records = recovery.records,
                    samples = recovery.samples,
                    lost_samples = recovery.lost_samples,
                    "ready"
                );
                self.opened.get_or_init(|| Some(db));
                Ok(())
            }
            Err(error) => {
                self.opened.get_or_init(|| None);
                Err(error)
            }
        }
    }

    /// Memory of the head, as it is or was lately.
    pub(super) fn memory(&self, db: &Db) -> Arc<HeadMemory> {
        let begun = Instant::now();
        self.last_memory.get(begun, || (db.memory(), begun.elapsed()))
    }

    /// The labels that the series in memory have most of, as they are or were lately.
    pub(super) fn head_labels(&self, db: &Db, most: usize) -> Arc<HeadLabels> {
        let begun = Instant::now();
        self.last_labels
            .get(begun, || (db.head_labels(most), begun.elapsed()))
    }

    /// What each metric takes in segments, as it is or was lately.
    pub(super) fn metric_sizes(&self, db: &Db) -> Arc<MetricSizes> {
        let begun = Instant::now();
        self.last_sizes
            .get(begun, || (db.metric_sizes(), begun.elapsed()))
    }

    /// Refuses a write while the sender or the tenant owes too much.
    pub(super) fn check_quota(&self, config: &Config, sender: &str, now_ms: i64) -> Result<(), ApiError> {
        let own = config.ingest.samples_per_second;
        let all = config.samples_per_second_of(&self.name);
        let limits = [
            (own, &self.senders, sender, "ingest.samples_per_second"),
            (all, &self.total, EVERYONE, "tenants.samples_per_second"),
        ];
        for (limit, quota, who, setting) in limits.into_iter().filter(|limit| limit.0 > 0) {
            if let Some(wait_s) = quota.wait_s(who, limit, now_ms) {
                return Err(ApiError::over_quota(limit, setting, wait_s));
            }
        }
        Ok(())
    }

    /// Notes what was written, for the quotas.
    pub(super) fn charge(&self, config: &Config, sender: &str, samples: usize, now_ms: i64) {
        let own = config.ingest.samples_per_second;
        if own > 0 {
            self.senders.charge(sender, samples, own, now_ms);
        }
        let all = config.samples_per_second_of(&self.name);
        if all > 0 {
            self.total.charge(EVERYONE, samples, all, now_ms);
        }
    }
}

/// The rules for series that are written to the database in `folder`.
pub(super) fn intake(config: &Config, folder: &Path) -> Result<Intake, ServeError> {
    let compile = |(number, text): (usize, &RelabelRule)| {
        Rule::compile(text).map_err(|what| ServeError::Relabel {
            number: number + 1,
            what,
        })
    };
    let rules = config.ingest.relabel.iter().enumerate().map(compile);
    let ha = match &config.ingest.ha {
        None => None,
        Some((cluster, replica, timeout)) => {
            let file = (Arc::new(DiskFs) as Arc<dyn Fs>, folder.join(ELECTIONS));
            let labels = HaLabels {
                cluster: cluster.clone(),
                replica: replica.clone(),
            };
            let elections = Elections::open(Some(file), *timeout, SystemClock.now_ms());
            Some((labels, elections.map_err(Error::from)?))
        }
    };
    Ok(Intake::new(rules.collect::<Result<_, _>>()?, ha))
}

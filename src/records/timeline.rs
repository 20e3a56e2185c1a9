//! What logs and events have in common: records in order of time, and a second order by device.
//!
//! A record stands once, under its position. Under its device there is only the position, so that the records of one
//! device in a stretch of time are found without meeting those of others. Both are written in one batch.

use super::error::RecordError;
use super::position::{self, Position};
use super::store::{Change, KeyRange, Space, View};
use crate::base::bytes::Corrupt;
use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow, RangeBounds};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};

/// Records that retention drops in one step.
const DROPPED_PER_STEP: usize = 2048;

/// The records of one kind.
#[derive(Debug)]
pub(crate) struct Timeline {
    main: Space,
    devices: Space,
    /// For errors.
    dir: PathBuf,
    /// Everything older is gone. What is written there later lowers it again.
    oldest: AtomicI64,
}

/// Which records, before anything of them is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Window {
    /// First and last time, both included; the first is larger than the last when there is none.
    pub(crate) times: (i64, i64),
    pub(crate) device: Option<String>,
    pub(crate) is_oldest_first: bool,
    pub(crate) limit: usize,
    /// The token of an earlier page.
    pub(crate) cursor: Option<String>,
}

impl Window {
    pub(crate) fn new(range: &impl RangeBounds<i64>) -> Self {
        let first = match range.start_bound() {
            Bound::Included(first) => Some(*first),
            Bound::Excluded(before) => before.checked_add(1),
            Bound::Unbounded => Some(i64::MIN),
        };
        let last = match range.end_bound() {
            Bound::Included(last) => Some(*last),
            Bound::Excluded(behind) => behind.checked_sub(1),
            Bound::Unbounded => Some(i64::MAX),
        };
        Self {
            times: first.zip(last).unwrap_or((0, -1)),
            device: None,
            is_oldest_first: false,
            limit: 1000,
            cursor: None,
        }
    }

    /// The same records, all of them, oldest first.
    pub(crate) fn whole(&self) -> Self {
        Self {
            is_oldest_first: true,
            cursor: None,
            ..self.clone()
        }
    }
}

/// What is done with a record and its place.
pub(crate) type Look<'a> = dyn FnMut(Position, &[u8]) -> Result<ControlFlow<()>, RecordError> + 'a;

/// Whether a stored record is asked for.
pub(crate) type Keep<'a> = dyn Fn(&[u8]) -> Result<bool, Corrupt> + 'a;

impl Timeline {
    pub(crate) fn new(main: Space, devices: Space, dir: &Path) -> Self {
        Self {
            main,
            devices,
            dir: dir.to_owned(),
            oldest: AtomicI64::new(i64::MIN),
        }
    }

    fn corrupt(&self, corrupt: &Corrupt) -> RecordError {
        RecordError::corrupt(&self.dir, self.main.name(), corrupt)
    }

    /// What writes a record. The device's name is not too long.
    pub(crate) fn put(&self, at: Position, mut device_prefix: Vec<u8>, value: Vec<u8>) -> [Change; 2] {
        self.oldest.fetch_min(at.time, Ordering::AcqRel);
        let mut key = Vec::with_capacity(16);
        at.encode(&mut key);
        at.encode(&mut device_prefix);
        [
            Change::put(self.main, key, value),
            Change::put(self.devices, device_prefix, Vec::new()),
        ]
    }

    /// Visits the records of a window in its order, without its limit.
    pub(crate) fn scan(
        &self,
        view: &dyn View,
        window: &Window,
        visit: &mut Look<'_>,
    ) -> Result<(), RecordError> {
        let after = window.cursor.as_deref().map(Position::from_token).transpose()?;
        let (first, last) = window.times;
        if first > last {
            return Ok(());
        }
        let backwards = !window.is_oldest_first;
        let times = (first.max(self.oldest.load(Ordering::Acquire)), last);
        let Some(device) = &window.device else {
            let range = position::positions(&[], times, backwards, after);
            return view.scan(self.main, &range, backwards, &mut |key, value| {
                let at = Position::decode(key).map_err(|error| self.corrupt(&error))?;
                visit(at, value)
            });
        };
        let range = position::positions(&position::name_prefix(device)?, times, backwards, after);
        let mut main_key = Vec::with_capacity(16);
        view.scan(self.devices, &range, backwards, &mut |key, _| {
            let at = position::position_at_end(key).map_err(|error| self.corrupt(&error))?;
            main_key.clear();
            at.encode(&mut main_key);
            let Some(value) = view.get(self.main, &main_key)? else {
                return Err(self.corrupt(&Corrupt::new("a device names a record that is not there", 0)));
            };
            visit(at, &value)
        })
    }

    /// The records of a window that are kept, up to its limit, and where the next page goes on.
    pub(crate) fn page<T>(
        &self,
        view: &dyn View,
        window: &Window,
        keep: &Keep<'_>,
        decode: impl Fn(i64, &[u8]) -> Result<T, Corrupt>,
    ) -> Result<(Vec<T>, Option<String>), RecordError> {
        let mut found = Vec::new();
        let mut last = None;
        let mut is_cut = false;
        self.scan(view, window, &mut |at, value| {
            if !keep(value).map_err(|error| self.corrupt(&error))? {
                return Ok(ControlFlow::Continue(()));
            }
            if found.len() == window.limit {
                is_cut = true;
                return Ok(ControlFlow::Break(()));
            }
            found.push(decode(at.time, value).map_err(|error| self.corrupt(&error))?);
            last = Some(at);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok((found, last.filter(|_| is_cut).map(Position::token)))
    }

    /// Visits the kept records of a window, oldest first.
    pub(crate) fn each(
        &self,
        view: &dyn View,
        window: &Window,
        keep: &Keep<'_>,
        mut visit: impl FnMut(i64, &[u8]) -> Result<(), Corrupt>,
    ) -> Result<(), RecordError> {
        self.scan(view, &window.whole(), &mut |at, value| {
            let looked = keep(value).and_then(|kept| if kept { visit(at.time, value) } else { Ok(()) });
            looked.map_err(|error| self.corrupt(&error))?;
            Ok(ControlFlow::Continue(()))
        })
    }

    /// How many kept records there are in each interval that has any; intervals begin at multiples of their length.
    pub(crate) fn count(
        &self,
        view: &dyn View,
        window: &Window,
        interval: i64,
        keep: &Keep<'_>,
    ) -> Result<Vec<(i64, u64)>, RecordError> {
        if interval <= 0 {
            return Err(RecordError::Invalid(format!("{interval} is no interval")));
        }
        let mut counts = BTreeMap::new();
        self.each(view, window, keep, |time, _| {
            *counts.entry(bucket(time, interval)).or_insert(0) += 1;
            Ok(())
        })?;
        Ok(counts.into_iter().collect())
    }

    /// The time of the newest record.
    pub(crate) fn newest(&self, view: &dyn View) -> Result<Option<i64>, RecordError> {
        let mut newest = None;
        let window = Window {
            is_oldest_first: false,
            ..Window::new(&..)
        };
        self.scan(view, &window, &mut |at, _| {
            newest = Some(at.time);
            Ok(ControlFlow::Break(()))
        })?;
        Ok(newest)
    }

    /// What drops some of the records from before a time, and the time before which there is nothing once it is done.
    pub(crate) fn drop_before(
        &self,
        view: &dyn View,
        before: i64,
        device: impl Fn(&[u8]) -> Result<String, Corrupt>,
    ) -> Result<(Vec<Change>, i64), RecordError> {
        let mut changes = Vec::new();
        let (mut count, mut reached) = (0, before);
        let window = Window::new(&..before).whole();
        self.scan(view, &window, &mut |at, value| {
            let mut key = Vec::new();
            at.encode(&mut key);
            changes.push(Change::delete(self.main, key));
            let prefix = device(value).map_err(|error| self.corrupt(&error));
            match prefix.and_then(|device| position::name_prefix(&device)) {
                Ok(mut prefix) => {
                    at.encode(&mut prefix);
                    changes.push(Change::delete(self.devices, prefix));
                }
                Err(error) => tracing::warn!(%error, "a record that does not decode is dropped"),
            }
            count += 1;
            if count == DROPPED_PER_STEP {
                reached = at.time;
                return Ok(ControlFlow::Break(()));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok((changes, reached))
    }

    /// Says that there is nothing older than `time`, so that no scan walks over what was dropped. `seen` is the watermark
    /// from before the look; where somebody wrote an older record meanwhile, the next step looks again.
    pub(crate) fn nothing_before(&self, seen: i64, time: i64) {
        let order = (Ordering::AcqRel, Ordering::Acquire);
        let raised = self
            .oldest
            .compare_exchange(seen, time.max(seen), order.0, order.1);
        if raised.is_err() {
            tracing::debug!("records older than the retention came in");
        }
    }

    /// Everything older is known to be gone.
    pub(crate) fn watermark(&self) -> i64 {
        self.oldest.load(Ordering::Acquire)
    }

    /// The devices that have records, sorted.
    pub(crate) fn devices(&self, view: &dyn View) -> Result<Vec<String>, RecordError> {
        names(view, self.devices, &self.dir)
    }
}

/// The names at the front of the keys of a space, sorted; what lies between two of them is skipped.
pub(crate) fn names(view: &dyn View, space: Space, dir: &Path) -> Result<Vec<String>, RecordError> {
    let mut names = Vec::new();
    let mut from = Vec::new();
    loop {
        let mut found = None;
        let range = KeyRange {
            from: from.clone(),
            ..KeyRange::all()
        };
        view.scan(space, &range, false, &mut |key, _| {
            let name = position::split_name(key);
            let name = name.map_err(|error| RecordError::corrupt(dir, space.name(), &error))?;
            found = Some(name.0.to_owned());
            Ok(ControlFlow::Break(()))
        })?;
        let Some(name) = found else {
            names.sort_unstable();
            return Ok(names);
        };
        from = position::behind(&position::name_prefix(&name)?);
        names.push(name);
    }
}

/// The beginning of the interval that a time lies in.
pub(crate) fn bucket(time: i64, interval: i64) -> i64 {
    time.saturating_sub(time.rem_euclid(interval))
}

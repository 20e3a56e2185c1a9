//! Reads all records: whether each decodes, and whether devices name what is there.

use super::Records;
use super::columns::ColumnValue;
use super::error::RecordError;
use super::events::{self, EventPoint};
use super::logs::{self, LogPoint};
use super::position::{Position, name_prefix, position_at_end};
use super::store::{KeyRange, Space, View};
use crate::base::bytes::Corrupt;
use std::ops::ControlFlow;

/// Faults that are told of each kind.
const FAULTS_MAX: usize = 20;

/// What was read.
#[derive(Debug, Default)]
pub(crate) struct RecordCheck {
    pub(crate) logs: u64,
    pub(crate) events: u64,
    pub(crate) columns: u64,
    pub(crate) faults: Vec<String>,
}

type Device = fn(&[u8]) -> Result<String, Corrupt>;

impl Records {
    pub(crate) fn verify(&self) -> Result<RecordCheck, RecordError> {
        self.read(|view| {
            let mut check = RecordCheck::default();
            let decodes = |at: Position, value: &[u8]| LogPoint::decode(at.time, value).map(|_| ());
            let spaces = (Space::Logs, Space::LogDevices);
            check.logs = check.timeline(view, spaces, decodes, logs::device_of)?;
            let decodes = |at: Position, value: &[u8]| EventPoint::decode(at.time, value).map(|_| ());
            let spaces = (Space::Events, Space::EventDevices);
            check.events = check.timeline(view, spaces, decodes, events::device_of)?;
            let mut told = Told::default();
            view.scan(Space::Columns, &KeyRange::all(), false, &mut |_, value| {
                check.columns += 1;
                told.note(Space::Columns, ColumnValue::decode(value).map(|_| ()));
                Ok(ControlFlow::Continue(()))
            })?;
            check.faults.extend(told.0);
            Ok(check)
        })
    }
}

/// Faults of one kind.
#[derive(Default)]
struct Told(Vec<String>);

impl Told {
    fn note(&mut self, space: Space, result: Result<(), Corrupt>) {
        if let Err(error) = result
            && self.0.len() < FAULTS_MAX
        {
            self.0.push(format!("records: {}: {error}", space.name()));
        }
    }
}

impl RecordCheck {
    fn timeline(
        &mut self,
        view: &dyn View,
        (main, devices): (Space, Space),
        decodes: impl Fn(Position, &[u8]) -> Result<(), Corrupt>,
        device: Device,
    ) -> Result<u64, RecordError> {
        let mut told = Told::default();
        let (mut count, mut named) = (0u64, 0u64);
        view.scan(main, &KeyRange::all(), false, &mut |key, value| {
            count += 1;
            let place = Position::decode(key).and_then(|at| {
                decodes(at, value)?;
                Ok((at, device(value)?))
            });
            match place {
                Err(error) => told.note(main, Err(error)),
                Ok((at, device)) => {
                    let mut key = name_prefix(&device)?;
                    at.encode(&mut key);
                    if view.get(devices, &key)?.is_none() {
                        told.note(main, Err(Corrupt::new("the device does not name it", 0)));
                    }
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        view.scan(devices, &KeyRange::all(), false, &mut |key, _| {
            named += 1;
            told.note(devices, position_at_end(key).map(|_| ()));
            Ok(ControlFlow::Continue(()))
        })?;
        if named != count {
            told.note(devices, Err(Corrupt::new("as many names as records", 0)));
        }
        self.faults.extend(told.0);
        Ok(count)
    }
}

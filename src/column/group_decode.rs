//! Reading a group, one series at a time.

#![deny(clippy::indexing_slicing, clippy::unwrap_used)]

use super::decimal::{POWERS, quotient};
use super::group::{HEAD_SAME_KIND, HEAD_SAME_TIME, Kind, OWNER_REFERENCE, OWNER_SPECIALS};
use super::{GROUP_SERIES_MAX, TimeRef, integers, specials};
use crate::base::bytes::{Corrupt, Cursor};

/// An opened group: its directory is read, its bodies are not.
#[derive(Debug)]
pub(crate) struct GroupReader<'a> {
    times: Vec<TimeRef>,
    slots: [Slot; GROUP_SERIES_MAX],
    count: usize,
    bodies: &'a [u8],
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    kind: Kind,
    /// Index into the time references.
    time: u8,
    /// Constants: the value.
    bits: u64,
    /// Other kinds: where the body is.
    start: usize,
    end: usize,
}

/// Buffers of the decoder, kept between groups.
#[derive(Debug, Default)]
pub(crate) struct DecodeScratch {
    columns: [Column; GROUP_SERIES_MAX],
    distances: Vec<i64>,
}

/// The decoded integers of one series.
#[derive(Debug, Default)]
struct Column {
    /// Whether the rest belongs to the group being read.
    valid: bool,
    exponent: u8,
    owner: u8,
    /// Where the body goes on behind the integers.
    body_rest: usize,
    integers: Vec<i64>,
}

/// Reads the series of one group; what was decoded for one series serves those that refer to it.
#[derive(Debug)]
pub(crate) struct GroupValues<'g, 'a, 's> {
    group: &'g GroupReader<'a>,
    scratch: &'s mut DecodeScratch,
}

impl<'a> GroupReader<'a> {
    /// Reads the directory.
    pub(crate) fn open(bytes: &'a [u8]) -> Result<Self, Corrupt> {
        let mut cursor = Cursor::new(bytes);
        let head = cursor.u8("group head")?;
        if head >= 1 << 6 {
            return Err(Corrupt::new("flags of a group", 0));
        }
        let mut group = Self {
            times: Vec::new(),
            slots: [Slot::default(); GROUP_SERIES_MAX],
            count: usize::from(head & 15) + 1,
            bodies: &[],
        };
        group.read_times(&mut cursor, head & HEAD_SAME_TIME != 0)?;
        group.read_kinds(&mut cursor, head & HEAD_SAME_KIND != 0)?;
        group.read_directory(&mut cursor)?;
        Ok(group)
    }

    fn read_times(&mut self, cursor: &mut Cursor<'_>, same: bool) -> Result<(), Corrupt> {
        let repeats = if same {
            u16::MAX << 1
        } else {
            cursor.u16("repeated time references")?
        };
        if repeats & 1 != 0 {
            return Err(cursor.corrupt("repeated time references"));
        }
        let mut previous = TimeRef::default();
        for (index, slot) in self.slots.iter_mut().take(self.count).enumerate() {
            if repeats >> index & 1 == 0 {
                previous = TimeRef::decode(cursor, &previous)?;
                self.times.push(previous.clone());
            }
            slot.time = self.times.len() as u8 - 1;
        }
        Ok(())
    }

    fn read_kinds(&mut self, cursor: &mut Cursor<'_>, same: bool) -> Result<(), Corrupt> {
        let at = cursor.position();
        let bytes = if same { 1 } else { self.count.div_ceil(2) };
        let bytes = cursor.take(bytes, "kinds of a group")?;
        for (index, slot) in self.slots.iter_mut().take(self.count).enumerate() {
            let byte = bytes.get(if same { 0 } else { index / 2 }).copied().unwrap_or(0);
            let nibble = if same { byte } else { byte >> (index % 2 * 4) & 15 };
            slot.kind = Kind::from_nibble(nibble).ok_or(Corrupt::new("kind of a series", at))?;
        }
        Ok(())
    }

    fn read_directory(&mut self, cursor: &mut Cursor<'a>) -> Result<(), Corrupt> {
        let mut constant = 0;
        let mut end = 0;
        for slot in self.slots.iter_mut().take(self.count) {
            constant = match slot.kind {
                Kind::Zero => 0,
                Kind::Repeat => constant,
                Kind::Whole => quotient(cursor.ivarint("constant")?, 1.0),
                Kind::Decimal => {
                    let power = read_power(cursor)?;
                    quotient(cursor.ivarint("constant")?, power)
                }
                Kind::Bits => cursor.u64("constant")?,
                _ => {
                    slot.start = end;
                    end += cursor.length(cursor.remaining(), "length of a series")?;
                    slot.end = end;
                    continue;
                }
            };
            slot.bits = constant;
        }
        self.bodies = cursor.rest();
        if end > self.bodies.len() {
            return Err(cursor.corrupt("bodies of a group"));
        }
        Ok(())
    }

    /// Number of series.
    pub(crate) fn series_count(&self) -> usize {
        self.count
    }

    /// The time reference of the series in `slot`, counted from 0.
    pub(crate) fn time_ref(&self, slot: usize) -> Result<&TimeRef, Corrupt> {
        let times = self.slots.get(..self.count).and_then(|slots| slots.get(slot));
        times
            .and_then(|slot| self.times.get(usize::from(slot.time)))
            .ok_or(Corrupt::new("slot of a group", 0))
    }

    /// Decodes the values of one series, in place of what `out` held, and at most those it builds on.
    pub(crate) fn decode_values(
        &self,
        slot: usize,
        scratch: &mut DecodeScratch,
        out: &mut Vec<u64>,
    ) -> Result<(), Corrupt> {
        self.values(scratch).decode(slot, out)
    }

    /// For reading several series: each is decoded once, also when others refer to it.
    pub(crate) fn values<'g, 's>(&'g self, scratch: &'s mut DecodeScratch) -> GroupValues<'g, 'a, 's> {
        for column in &mut scratch.columns {
            column.valid = false;
        }
        GroupValues { group: self, scratch }
    }
}

impl GroupValues<'_, '_, '_> {
    /// Decodes the values of one series, as the bits of floats, in place of what `out` held.
    pub(crate) fn decode(&mut self, slot: usize, out: &mut Vec<u64>) -> Result<(), Corrupt> {
        out.clear();
        let rows = self.group.time_ref(slot)?.rows();
        let entry = self.slot(slot)?;
        match entry.kind {
            Kind::Zero | Kind::Repeat | Kind::Whole | Kind::Decimal | Kind::Bits => {
                out.resize(rows, entry.bits);
                return Ok(());
            }
            Kind::Wholes | Kind::Decimals | Kind::Distances | Kind::Floats => {}
        }
        self.decode_column(slot, rows)?;
        let body = self.group.bodies.get(..entry.end).unwrap_or(&[]);
        let column = self
            .scratch
            .columns
            .get(slot)
            .ok_or(Corrupt::new("slot of a group", 0))?;
        let mut cursor = Cursor::new(body);
        cursor.take(column.body_rest, "body of a series")?;
        let power = power(column.exponent)?;
        match entry.kind {
            Kind::Floats => out.extend(column.integers.iter().map(|&bits| bits as u64)),
            Kind::Distances => {
                self.scratch.distances.clear();
                integers::decode(&mut cursor, rows, &mut self.scratch.distances)?;
                let pairs = column.integers.iter().zip(&self.scratch.distances);
                out.extend(
                    pairs.map(|(&mantissa, &distance)| {
                        quotient(mantissa, power).wrapping_add(distance as u64)
                    }),
                );
            }
            _ if column.exponent == 0 => {
                out.extend(
                    column
                        .integers
                        .iter()
                        .map(|&mantissa| (mantissa as f64).to_bits()),
                );
            }
            _ => out.extend(column.integers.iter().map(|&mantissa| quotient(mantissa, power))),
        }
        if column.owner & OWNER_SPECIALS != 0 {
            specials::patch(&mut cursor, out)?;
        }
        Ok(())
    }

    fn slot(&self, slot: usize) -> Result<Slot, Corrupt> {
        let slots = self.group.slots.get(..self.group.count);
        let entry = slots.and_then(|slots| slots.get(slot));
        entry.copied().ok_or(Corrupt::new("slot of a group", 0))
    }

    /// Decodes the integers of one series and of those it refers to, unless they are there already. References go
    /// back only, so this ends.
    fn decode_column(&mut self, slot: usize, rows: usize) -> Result<(), Corrupt> {
        if self.scratch.columns.get(slot).is_some_and(|column| column.valid) {
            return Ok(());
        }
        let entry = self.slot(slot)?;
        let mut cursor = Cursor::new(self.group.bodies.get(..entry.end).unwrap_or(&[]));
        cursor.take(entry.start, "body of a series")?;
        let Some(column) = self.scratch.columns.get_mut(slot) else {
            return Err(cursor.corrupt("slot of a group"));
        };
        column.exponent = match entry.kind {
            Kind::Decimals | Kind::Distances => cursor.u8("exponent of a series")?,
            _ => 0,
        };
        column.integers.clear();
        column.owner = integers::decode(&mut cursor, rows, &mut column.integers)?;
        column.body_rest = cursor.position();
        let back = usize::from(column.owner & OWNER_REFERENCE);
        if back > 0 {
            let target = slot
                .checked_sub(back)
                .ok_or_else(|| cursor.corrupt("reference of a series"))?;
            self.add_reference(slot, target, rows)?;
        }
        if let Some(column) = self.scratch.columns.get_mut(slot) {
            column.valid = true;
        }
        Ok(())
    }

    /// Adds the integers of `target` to those of `slot`.
    fn add_reference(&mut self, slot: usize, target: usize, rows: usize) -> Result<(), Corrupt> {
        let refused = Corrupt::new("reference of a series", 0);
        let entry = self.slot(target)?;
        let same_rows = self.group.time_ref(target)?.rows() == rows;
        if !same_rows || !matches!(entry.kind, Kind::Wholes | Kind::Decimals) {
            return Err(refused);
        }
        self.decode_column(target, rows)?;
        let Some((before, from_here)) = self.scratch.columns.split_at_mut_checked(slot) else {
            return Err(refused);
        };
        let (Some(other), Some(column)) = (before.get(target), from_here.first_mut()) else {
            return Err(refused);
        };
        column.exponent = other.exponent;
        for (own, other) in column.integers.iter_mut().zip(&other.integers) {
            *own = own.wrapping_add(*other);
        }
        Ok(())
    }
}

fn read_power(cursor: &mut Cursor<'_>) -> Result<f64, Corrupt> {
    let exponent = cursor.u8("exponent of a constant")?;
    power(exponent).map_err(|_| cursor.corrupt("exponent of a constant"))
}

fn power(exponent: u8) -> Result<f64, Corrupt> {
    let power = POWERS.get(usize::from(exponent)).copied();
    power.ok_or(Corrupt::new("exponent of a series", 0))
}

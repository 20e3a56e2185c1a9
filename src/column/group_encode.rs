//! Writing a group.

use super::decimal::{self, POWERS, Special};
use super::group::{HEAD_SAME_KIND, HEAD_SAME_TIME, Kind, OWNER_REFERENCE, OWNER_SPECIALS};
use super::integers_encode::IntegerWriter;
use super::transform::difference_bits;
use super::{GROUP_SERIES_MAX, ROWS_MAX, TimeRef, specials};
use crate::base::varint;

/// How many series back a reference may go.
const REFERENCE_MAX: usize = 7;

/// Most series decoded to read one, besides itself. Without this limit groups would be 1 % smaller.
const CHAIN_MAX: u8 = 5;

/// Exponents tried for decimals with distances: sums of milli-, micro- and nanoseconds.
const DISTANCE_EXPONENTS: [u8; 3] = [3, 6, 9];

/// One series to encode: as many values as its time reference has rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GroupSeries<'a> {
    pub(crate) time: &'a TimeRef,
    /// The bits of the floats.
    pub(crate) values: &'a [u64],
}

/// Buffers of the encoder, kept between groups.
#[derive(Debug, Default)]
pub(crate) struct EncodeScratch {
    integers: IntegerWriter,
    slots: [Slot; GROUP_SERIES_MAX],
    directory: Vec<u8>,
    bodies: Vec<u8>,
    difference: Vec<i64>,
    distances: Vec<i64>,
    specials: Vec<Special>,
    finite: Vec<u64>,
    trial: Vec<u8>,
    last_constant: u64,
}

/// What the encoder knows of a series of the group.
#[derive(Debug, Default)]
struct Slot {
    kind: Kind,
    exponent: u8,
    /// Links of its reference chain.
    chain: u8,
    mantissas: Vec<i64>,
}

/// Appends a group of 1 to 16 series, of at most [`ROWS_MAX`] rows each.
pub(crate) fn encode_group(series: &[GroupSeries<'_>], scratch: &mut EncodeScratch, out: &mut Vec<u8>) {
    assert!(
        (1..=GROUP_SERIES_MAX).contains(&series.len()),
        "BUG: a group has 1 to 16 series"
    );
    scratch.directory.clear();
    scratch.bodies.clear();
    scratch.last_constant = 0;
    for (slot, one) in series.iter().enumerate() {
        assert!(
            one.values.len() == one.time.rows() && one.values.len() <= ROWS_MAX,
            "BUG: a series has as many values as timestamps"
        );
        scratch.encode_series(series, slot);
    }
    let kinds = &scratch.slots[..series.len()];
    let same_time = series.iter().all(|one| one.time == series[0].time);
    let same_kind = kinds.iter().all(|slot| slot.kind == kinds[0].kind);
    let mut head = (series.len() - 1) as u8;
    if same_time {
        head |= HEAD_SAME_TIME;
    }
    if same_kind {
        head |= HEAD_SAME_KIND;
    }
    out.push(head);
    write_times(series, same_time, out);
    if same_kind {
        out.push(kinds[0].kind as u8);
    } else {
        let nibble = |slot: Option<&Slot>| slot.map_or(0, |slot| slot.kind as u8);
        out.extend(
            kinds
                .chunks(2)
                .map(|pair| nibble(pair.first()) | nibble(pair.get(1)) << 4),
        );
    }
    out.extend_from_slice(&scratch.directory);
    out.extend_from_slice(&scratch.bodies);
}

fn write_times(series: &[GroupSeries<'_>], same_time: bool, out: &mut Vec<u8>) {
    let none = TimeRef::default();
    if same_time {
        series[0].time.encode(&none, out);
        return;
    }
    let repeats = |slot: usize| slot > 0 && series[slot].time == series[slot - 1].time;
    let bits = (0..series.len())
        .filter(|&slot| repeats(slot))
        .fold(0u16, |bits, slot| bits | 1 << slot);
    out.extend_from_slice(&bits.to_le_bytes());
    let mut previous = &none;
    for slot in (0..series.len()).filter(|&slot| !repeats(slot)) {
        series[slot].time.encode(previous, out);
        previous = series[slot].time;
    }
}

impl EncodeScratch {
    fn encode_series(&mut self, series: &[GroupSeries<'_>], slot: usize) {
        let values = series[slot].values;
        let first = values.first().copied().unwrap_or(0);
        self.slots[slot].chain = 0;
        if values.iter().all(|&bits| bits == first) {
            self.slots[slot].kind = self.encode_constant(first);
            return;
        }
        let body_start = self.bodies.len();
        let exponent = decimal::scan(values, &mut self.slots[slot].mantissas, &mut self.specials);
        self.slots[slot].kind = match exponent {
            Some(exponent) => self.encode_decimals(series, slot, exponent),
            None => self.encode_floats(values),
        };
        varint::write_u64(&mut self.directory, (self.bodies.len() - body_start) as u64);
    }

    fn encode_constant(&mut self, bits: u64) -> Kind {
        let same = bits == self.last_constant;
        self.last_constant = bits;
        if bits == 0 {
            return Kind::Zero;
        }
        if same {
            return Kind::Repeat;
        }
        for exponent in 0..POWERS.len() as u8 {
            let Some(mantissa) = decimal::mantissa(bits, exponent) else {
                continue;
            };
            if exponent == 0 {
                varint::write_i64(&mut self.directory, mantissa);
                return Kind::Whole;
            }
            if mantissa.unsigned_abs() >= 1 << 48 {
                break;
            }
            self.directory.push(exponent);
            varint::write_i64(&mut self.directory, mantissa);
            return Kind::Decimal;
        }
        self.directory.extend_from_slice(&bits.to_le_bytes());
        Kind::Bits
    }

    fn encode_decimals(&mut self, series: &[GroupSeries<'_>], slot: usize, exponent: u8) -> Kind {
        self.slots[slot].exponent = exponent;
        let mut owner = if self.specials.is_empty() {
            0
        } else {
            OWNER_SPECIALS
        };
        let mut choice = self.integers.choose(&self.slots[slot].mantissas);
        let mut reference = 0;
        if let Some(back) = self.best_reference(series, slot) {
            let pairs = self.slots[slot]
                .mantissas
                .iter()
                .zip(&self.slots[slot - back].mantissas);
            self.difference.clear();
            self.difference
                .extend(pairs.map(|(own, other)| own.wrapping_sub(*other)));
            let with = self.integers.choose(&self.difference);
            if with.cost < choice.cost {
                (choice, reference) = (with, back);
            }
        }
        owner |= reference as u8 & OWNER_REFERENCE;
        if reference > 0 {
            self.slots[slot].chain = self.slots[slot - reference].chain + 1;
            self.integers
                .encode(&self.difference, choice, owner, &mut self.bodies);
        } else {
            if exponent > 0 {
                self.bodies.push(exponent);
            }
            self.integers
                .encode(&self.slots[slot].mantissas, choice, owner, &mut self.bodies);
        }
        if !self.specials.is_empty() {
            specials::encode(&self.specials, &mut self.bodies);
        }
        if exponent > 0 && reference == 0 {
            Kind::Decimals
        } else {
            Kind::Wholes
        }
    }

    /// The earlier series with the smallest differences to this one, as the number of places it lies back.
    fn best_reference(&self, series: &[GroupSeries<'_>], slot: usize) -> Option<usize> {
        let own = &self.slots[slot];
        let fits = |back: &usize| {
            let other = &self.slots[slot - back];
            matches!(other.kind, Kind::Wholes | Kind::Decimals)
                && other.exponent == own.exponent
                && other.chain < CHAIN_MAX
                && series[slot].time == series[slot - back].time
        };
        let backs = (1..=REFERENCE_MAX.min(slot)).filter(fits);
        backs.min_by_key(|back| difference_bits(&own.mantissas, &self.slots[slot - back].mantissas))
    }

    /// Full-precision floats: as decimals with distances, or as their bits.
    fn encode_floats(&mut self, values: &[u64]) -> Kind {
        self.take_out_specials(values);
        let owner = if self.specials.is_empty() {
            0
        } else {
            OWNER_SPECIALS
        };
        self.distances.clear();
        self.distances.extend(self.finite.iter().map(|&bits| bits as i64));
        let choice = self.integers.choose(&self.distances);
        self.trial.clear();
        self.integers
            .encode(&self.distances, choice, owner, &mut self.trial);
        let mut best = None;
        let mut best_cost = choice.cost;
        for exponent in DISTANCE_EXPONENTS {
            if !decimal::nearest(&self.finite, exponent, &mut self.difference, &mut self.distances) {
                break;
            }
            let mantissas = self.integers.choose(&self.difference);
            let distances = self.integers.choose(&self.distances);
            if mantissas.cost + distances.cost < best_cost {
                best_cost = mantissas.cost + distances.cost;
                best = Some(exponent);
            }
        }
        let kind = match best {
            Some(exponent) => self.encode_distances(exponent, owner),
            None => Kind::Floats,
        };
        if kind == Kind::Floats {
            self.bodies.extend_from_slice(&self.trial);
        }
        if !self.specials.is_empty() {
            specials::encode(&self.specials, &mut self.bodies);
        }
        kind
    }

    /// Decimals with distances, unless that is longer than the bits in `trial`.
    fn encode_distances(&mut self, exponent: u8, owner: u8) -> Kind {
        let start = self.bodies.len();
        decimal::nearest(&self.finite, exponent, &mut self.difference, &mut self.distances);
        self.bodies.push(exponent);
        let choice = self.integers.choose(&self.difference);
        self.integers
            .encode(&self.difference, choice, owner, &mut self.bodies);
        let choice = self.integers.choose(&self.distances);
        self.integers.encode(&self.distances, choice, 0, &mut self.bodies);
        if self.bodies.len() - start < self.trial.len() {
            return Kind::Distances;
        }
        self.bodies.truncate(start);
        Kind::Floats
    }

    /// Splits `values` in finite ones, with gaps filled from before, and specials.
    fn take_out_specials(&mut self, values: &[u64]) {
        self.specials.clear();
        self.finite.clear();
        let is_finite = |bits: u64| f64::from_bits(bits).is_finite();
        let mut last = values.iter().copied().find(|&bits| is_finite(bits)).unwrap_or(0);
        for (row, &bits) in values.iter().enumerate() {
            if is_finite(bits) {
                last = bits;
            } else {
                self.specials.push(Special {
                    row: row as u32,
                    bits,
                });
            }
            self.finite.push(last);
        }
    }
}

//! The writer's side of blocks: which shape a block takes, and writing it.
//!
//! A block's values are sorted once. Leaving out some of the smallest and largest values as exceptions then is a
//! matter of two indices, so that a grid of such cuts costs little to try.

use super::bitpack::{pack, packed_len, width_of};
use super::blocks::{BaseKind, EXCEPTIONS_PACKED, SHAPE_SPARSE, SHAPE_WIDTH_64, symmetric_base};
use crate::base::varint;

/// How many of the smallest and of the largest values may become exceptions.
const TAILS: [usize; 16] = [0, 1, 2, 3, 4, 6, 8, 11, 14, 18, 24, 32, 42, 56, 75, 100];

/// Shape of one block; for a sparse block, of the values that are not zero.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlockPlan {
    pub(super) sparse: bool,
    width: u32,
    base: i64,
    base_kind: BaseKind,
    /// Bytes, roughly: exceptions are estimated.
    cost: usize,
    pub(super) has_exceptions: bool,
}

/// Plans and writes the blocks of one column, one after the other.
#[derive(Debug, Default)]
pub(super) struct BlockWriter {
    sorted: Vec<i64>,
    nonzero: Vec<i64>,
}

impl BlockWriter {
    /// The cheapest shape found for `values`, where the block before has the base `previous`.
    pub(super) fn plan(&mut self, values: &[i64], previous: i64) -> BlockPlan {
        self.sorted.clear();
        self.sorted.extend_from_slice(values);
        self.sorted.sort_unstable();
        let dense = plan_packed(&self.sorted, previous);
        let zeros = values.iter().filter(|&&value| value == 0).count();
        let bitmap = values.len().div_ceil(8) + 1;
        if zeros == 0 || zeros == values.len() || bitmap >= dense.cost {
            return dense;
        }
        self.nonzero.clear();
        self.nonzero
            .extend(self.sorted.iter().filter(|&&value| value != 0));
        let mut sparse = plan_packed(&self.nonzero, previous);
        sparse.cost += bitmap;
        sparse.sparse = true;
        if sparse.cost < dense.cost { sparse } else { dense }
    }

    /// Writes `values` in the planned shape.
    pub(super) fn write(
        &mut self,
        values: &[i64],
        plan: &BlockPlan,
        column_has_exceptions: bool,
        out: &mut Vec<u8>,
    ) {
        if plan.sparse {
            out.push(SHAPE_SPARSE);
        }
        let shape = if plan.width == 64 {
            SHAPE_WIDTH_64
        } else {
            plan.width as u8
        };
        out.push(shape | (plan.base_kind as u8) << 6);
        if plan.base_kind == BaseKind::Stored {
            varint::write_i64(out, plan.base);
        }
        let mut packed = values;
        if plan.sparse {
            self.nonzero.clear();
            self.nonzero.extend(values.iter().filter(|&&value| value != 0));
            packed = &self.nonzero;
            write_bitmap(values.iter().map(|&value| value != 0), out);
        }
        pack(
            packed.iter().map(|value| value.wrapping_sub(plan.base) as u64),
            plan.width,
            out,
        );
        if column_has_exceptions {
            write_exceptions(packed, plan, out);
        }
    }
}

impl BlockPlan {
    /// The base the next block may refer to.
    pub(super) fn base(&self) -> i64 {
        self.base
    }

    /// What the packed bits leave out of `value`.
    fn high(&self, value: i64) -> i64 {
        match self.width {
            64 => 0,
            width => value.wrapping_sub(self.base) >> width,
        }
    }
}

fn write_bitmap(bits: impl Iterator<Item = bool>, out: &mut Vec<u8>) {
    for (index, bit) in bits.enumerate() {
        if index % 8 == 0 {
            out.push(0);
        }
        if let Some(byte) = out.last_mut() {
            *byte |= u8::from(bit) << (index % 8);
        }
    }
}

fn write_exceptions(packed: &[i64], plan: &BlockPlan, out: &mut Vec<u8>) {
    if !plan.has_exceptions {
        out.push(0);
        return;
    }
    let highs = packed.iter().map(|&value| varint::zigzag(plan.high(value)));
    let exceptions = highs.clone().filter(|&high| high != 0);
    let (mut count, mut widest, mut varint_bytes) = (0, 0, 0);
    for high in exceptions.clone() {
        count += 1;
        widest = widest.max(width_of(high - 1));
        varint_bytes += varint_len(high);
    }
    let in_varints = varint_bytes <= packed_len(count, widest) + 1;
    out.push(count as u8 | if in_varints { 0 } else { EXCEPTIONS_PACKED });
    if count > packed.len().div_ceil(8) {
        write_bitmap(highs.map(|high| high != 0), out);
    } else {
        let positions = highs.enumerate().filter(|&(_, high)| high != 0);
        out.extend(positions.map(|(position, _)| position as u8));
    }
    if in_varints {
        exceptions.for_each(|high| varint::write_u64(out, high));
    } else {
        out.push(widest as u8);
        pack(exceptions.map(|high| high - 1), widest, out);
    }
}

/// The cheapest frame of reference for sorted values.
fn plan_packed(sorted: &[i64], previous: i64) -> BlockPlan {
    let count = sorted.len();
    let mut best = plan_cut(sorted, 0, 0, previous);
    for &low in TAILS.iter().take_while(|&&low| low * 3 <= count) {
        // Further cuts cost at least two bytes an exception.
        for &high in TAILS.iter().take_while(|&&high| (low + high) * 2 <= count) {
            let width = width_of(sorted[count - 1 - high].wrapping_sub(sorted[low]) as u64);
            let least = packed_len(count, width) + (low + high).min(count / 8) + 3;
            if low + high == 0 || least >= best.cost {
                continue;
            }
            let plan = plan_cut(sorted, low, high, previous);
            if plan.cost < best.cost {
                best = plan;
            }
        }
    }
    best
}

/// The frame of reference for sorted values with so many of the smallest and largest ones as exceptions.
fn plan_cut(sorted: &[i64], low: usize, high: usize, previous: i64) -> BlockPlan {
    let (first, last) = (sorted[low], sorted[sorted.len() - 1 - high]);
    let tight = width_of(last.wrapping_sub(first) as u64);
    let stored_cost = varint_len(varint::zigzag(first));
    let mut plan = BlockPlan {
        sparse: false,
        width: tight,
        base: first,
        base_kind: BaseKind::Stored,
        cost: stored_cost + packed_len(sorted.len(), tight),
        has_exceptions: low + high > 0,
    };
    let mut offer = |width: u32, base: i64, base_kind: BaseKind| {
        let cost = packed_len(sorted.len(), width);
        if cost <= plan.cost {
            plan = BlockPlan {
                width,
                base,
                base_kind,
                cost,
                ..plan
            };
        }
    };
    let widest = (first ^ (first >> 63)) | (last ^ (last >> 63));
    let signed = width_of(widest as u64 * 2 + 1);
    offer(signed, symmetric_base(signed), BaseKind::Symmetric);
    if first >= previous {
        offer(
            width_of(last.wrapping_sub(previous) as u64),
            previous,
            BaseKind::Previous,
        );
    }
    if first >= 0 {
        offer(width_of(last as u64), 0, BaseKind::Zero);
    }
    plan.cost += 1 + tail_cost(&plan, sorted, low, high);
    plan
}

/// Bytes of the exceptions, from the outermost and innermost on each side.
fn tail_cost(plan: &BlockPlan, sorted: &[i64], low: usize, high: usize) -> usize {
    let count = low + high;
    if count == 0 {
        return 0;
    }
    let zigzag = |index: usize| varint::zigzag(plan.high(sorted[index]));
    let (mut widest, mut varints) = (0, 0);
    if low > 0 {
        let (outer, inner) = (zigzag(0), zigzag(low - 1));
        widest = outer;
        varints += low * (varint_len(outer) + varint_len(inner)) / 2;
    }
    if high > 0 {
        let last = sorted.len() - 1;
        let (outer, inner) = (zigzag(last), zigzag(last + 1 - high));
        widest = widest.max(outer);
        varints += high * (varint_len(outer) + varint_len(inner)) / 2;
    }
    let positions = count.min(sorted.len().div_ceil(8));
    1 + positions + varints.min(1 + packed_len(count, width_of(widest)))
}

fn varint_len(value: u64) -> usize {
    (64 - value.leading_zeros()).div_ceil(7).max(1) as usize
}

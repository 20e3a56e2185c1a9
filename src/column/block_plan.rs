//! The writer's side of blocks: which shape a block takes, and writing it.
//!
//! A block's values are sorted once. Leaving out some of the smallest and largest values as exceptions then is a
//! matter of two indices, so that a grid of such cuts costs little to try.

use super::bitpack::{pack, packed_len, width_of};
use super::blocks::{BaseKind, SHAPE_SPARSE, SHAPE_WIDTH_64, symmetric_base};
use crate::base::varint;

/// How many of the smallest and of the largest values may become exceptions.
const TAILS: [usize; 10] = [0, 1, 2, 3, 5, 8, 12, 18, 26, 36];

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
            write_bitmap(values, out);
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

fn write_bitmap(values: &[i64], out: &mut Vec<u8>) {
    for eight in values.chunks(8) {
        let bits = eight
            .iter()
            .enumerate()
            .map(|(bit, &value)| u8::from(value != 0) << bit);
        out.push(bits.fold(0, |byte, bit| byte | bit));
    }
}

fn write_exceptions(packed: &[i64], plan: &BlockPlan, out: &mut Vec<u8>) {
    let count_at = out.len();
    out.push(0);
    if !plan.has_exceptions {
        return;
    }
    for (position, &value) in packed.iter().enumerate() {
        if plan.high(value) != 0 {
            out.push(position as u8);
        }
    }
    out[count_at] = (out.len() - count_at - 1) as u8;
    for &value in packed {
        if plan.high(value) != 0 {
            varint::write_i64(out, plan.high(value));
        }
    }
}

/// The cheapest frame of reference for sorted values.
fn plan_packed(sorted: &[i64], previous: i64) -> BlockPlan {
    let count = sorted.len();
    let mut best = plan_cut(sorted, 0, 0, previous);
    for &low in TAILS.iter().take_while(|&&low| low * 4 <= count) {
        // Further cuts cost at least two bytes an exception.
        for &high in TAILS.iter().take_while(|&&high| (low + high) * 3 <= count) {
            if low + high == 0 || best.cost <= 2 * (low + high) {
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
    let len = |value: i64| varint_len(varint::zigzag(plan.high(value)));
    let mut cost = usize::from(low + high > 0) + low + high;
    if low > 0 {
        cost += low * (len(sorted[0]) + len(sorted[low - 1])) / 2;
    }
    if high > 0 {
        let outer = sorted.len() - 1;
        cost += high * (len(sorted[outer]) + len(sorted[outer + 1 - high])) / 2;
    }
    cost
}

fn varint_len(value: u64) -> usize {
    (64 - value.leading_zeros()).div_ceil(7).max(1) as usize
}

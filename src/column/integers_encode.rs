//! The writer's side of integer columns.

use super::block_plan::{BlockPlan, BlockWriter};
use super::integers::{HEAD_DIVISOR, HEAD_EXCEPTIONS, block_rows};
use super::transform::{Order, choose_order, common_divisor, slope};
use crate::base::varint;

/// How a column is written, and what it costs in 256ths of a bit, roughly.
#[derive(Debug, Clone, Copy)]
pub(super) struct Choice {
    divisor: u64,
    order: Order,
    pub(super) cost: u64,
}

/// Writes integer columns; keeps its buffers between calls.
#[derive(Debug, Default)]
pub(super) struct IntegerWriter {
    divided: Vec<i64>,
    packed: Vec<i64>,
    plans: Vec<BlockPlan>,
    blocks: BlockWriter,
}

impl IntegerWriter {
    /// How `values` are best written.
    pub(super) fn choose(&mut self, values: &[i64]) -> Choice {
        let divisor = common_divisor(values).max(1);
        let (order, row_cost) = choose_order(divide(values, divisor, &mut self.divided));
        Choice {
            divisor,
            order,
            cost: u64::from(row_cost) * values.len() as u64,
        }
    }

    /// How `values` are written shortest, found by trying: for columns that are few and much used.
    pub(super) fn choose_by_trying(&mut self, values: &[i64]) -> Choice {
        let mut shortest = (usize::MAX, self.choose(values));
        for order in [Order::Line, Order::Delta, Order::DeltaDelta, Order::Plain] {
            let choice = Choice { order, ..shortest.1 };
            let mut trial = Vec::new();
            self.encode(values, choice, 0, &mut trial);
            if trial.len() < shortest.0 {
                shortest = (trial.len(), choice);
            }
        }
        shortest.1
    }

    /// Appends `values` as a column whose head carries the four bits `owner`. The reader must know the row count.
    pub(super) fn encode(&mut self, values: &[i64], choice: Choice, owner: u8, out: &mut Vec<u8>) {
        let Some(&first) = values.first() else { return };
        let Choice { divisor, order, .. } = choice;
        let divided = divide(values, divisor, &mut self.divided);
        self.packed.clear();
        let step = reduce(divided, order, &mut self.packed);
        let has_exceptions = self.plan();
        let mut head = owner << 4 | order as u8;
        if divisor != 1 {
            head |= HEAD_DIVISOR;
        }
        if has_exceptions {
            head |= HEAD_EXCEPTIONS;
        }
        out.push(head);
        if divisor != 1 {
            varint::write_u64(out, divisor);
        }
        if divisor != 1 || order != Order::Plain {
            varint::write_i64(out, first);
        }
        if values.len() > 1 && matches!(order, Order::DeltaDelta | Order::Line) {
            varint::write_i64(out, step);
        }
        for (block, plan) in self.packed.chunks(block_rows(self.packed.len())).zip(&self.plans) {
            self.blocks.write(block, plan, has_exceptions, out);
        }
    }

    /// Plans every block; true when one of them has exceptions.
    fn plan(&mut self) -> bool {
        self.plans.clear();
        let mut previous = 0;
        for block in self.packed.chunks(block_rows(self.packed.len())) {
            let plan = self.blocks.plan(block, previous);
            previous = plan.base();
            self.plans.push(plan);
        }
        self.plans.iter().any(|plan| plan.has_exceptions)
    }
}

/// The distances to the first value, divided; `values` themselves when there is nothing to divide by.
fn divide<'a>(values: &'a [i64], divisor: u64, divided: &'a mut Vec<i64>) -> &'a [i64] {
    if divisor == 1 {
        return values;
    }
    divided.clear();
    let first = values[0];
    divided.extend(values.iter().map(|&value| {
        let distance = value.wrapping_sub(first);
        let share = (distance.unsigned_abs() / divisor) as i64;
        if distance < 0 { share.wrapping_neg() } else { share }
    }));
    divided
}

/// Fills `packed` with what is left for the blocks and answers the step of the order.
fn reduce(values: &[i64], order: Order, packed: &mut Vec<i64>) -> i64 {
    let deltas = values.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]));
    match order {
        Order::Plain => {
            packed.extend_from_slice(values);
            0
        }
        Order::Delta => {
            packed.extend(deltas);
            0
        }
        Order::DeltaDelta => {
            let mut before = values.get(1).map_or(0, |second| second.wrapping_sub(values[0]));
            let step = before;
            packed.extend(deltas.skip(1).map(|delta| {
                let second = delta.wrapping_sub(before);
                before = delta;
                second
            }));
            step
        }
        Order::Line => {
            let step = slope(values);
            let mut line = values[0];
            packed.extend(values.iter().skip(1).map(|&value| {
                line = line.wrapping_add(step);
                value.wrapping_sub(line)
            }));
            step
        }
    }
}

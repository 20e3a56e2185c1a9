//! What is done to integers before they are packed: taking out a common divisor, and differences.
//!
//! The estimates here only steer the writer; a wrong one costs bytes, never correctness.

/// How a column's integers are turned into smaller ones; the discriminants are the bits on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// The values themselves.
    Plain = 0,
    /// The difference to the value before.
    Delta = 1,
    /// The difference to the difference before.
    DeltaDelta = 2,
    /// The difference to a straight line through the first value.
    Line = 3,
}

/// The greatest divisor of every difference to the first value: 0 when all are equal.
pub(super) fn common_divisor(values: &[i64]) -> u64 {
    let Some((&first, rest)) = values.split_first() else {
        return 0;
    };
    let mut divisor = 0u64;
    for &value in rest {
        let distance = value.wrapping_sub(first).unsigned_abs();
        if distance == 0 || distance == divisor {
            continue;
        }
        divisor = gcd(divisor, distance);
        if divisor == 1 {
            return 1;
        }
    }
    divisor
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    if a.is_power_of_two() {
        return 1 << a.trailing_zeros().min(b.trailing_zeros());
    }
    while a != 0 {
        (a, b) = (b % a, a);
    }
    b
}

/// Slope of the line from the first to the last value, rounded towards zero.
pub(super) fn slope(values: &[i64]) -> i64 {
    match values {
        [first, .., last] => last.wrapping_sub(*first) / (values.len() as i64 - 1),
        _ => 0,
    }
}

/// How wide the integers of one sample are.
struct Widths {
    counts: [u16; 65],
    /// Every magnitude or-ed together: its width is the largest there is.
    union: u64,
}

impl Widths {
    fn new() -> Self {
        Self {
            counts: [0; 65],
            union: 0,
        }
    }

    #[inline]
    fn add(&mut self, value: i64) {
        let magnitude = ((value << 1) ^ (value >> 63)) as u64;
        self.counts[64 - magnitude.leading_zeros() as usize] += 1;
        self.union |= magnitude;
    }

    /// Bits of a sample of `rows` rows as a frame of reference or as a sparse block, whichever is less; an exception
    /// takes 16 bits and what exceeds the width.
    fn bits(&self, rows: u32) -> u32 {
        let nonzero = rows - u32::from(self.counts[0]);
        let mut best = u32::MAX;
        // Going down from the widest: the exceptions' bits without and with what fits in the width.
        let (mut exceptions, mut exception_bits) = (0u32, 0u32);
        for width in (0..=64 - self.union.leading_zeros()).rev() {
            let patched = exception_bits - exceptions * width;
            let dense = rows * width;
            let sparse = rows + nonzero * width;
            best = best.min(patched + dense.min(sparse));
            let count = u32::from(self.counts[width as usize]);
            exceptions += count;
            exception_bits += count * (16 + width);
        }
        best
    }
}

/// The order that makes `values` smallest, and roughly how many bits a row then takes, times 256.
pub(super) fn choose_order(values: &[i64]) -> (Order, u32) {
    let rows = values.len();
    if rows < 3 {
        return (Order::Delta, 64 * 256);
    }
    let step = slope(values);
    let middle = values[rows / 2];
    let mut plain = Widths::new();
    let mut delta = Widths::new();
    let mut steady = Widths::new();
    let mut second = Widths::new();
    let mut line = Widths::new();
    let mut sampled = 0;
    for window in sample_windows(rows) {
        sampled += window.len() as u32 - 2;
        let start = window.start;
        let mut before = values[start + 1];
        let mut delta_before = before.wrapping_sub(values[start]);
        let mut on_line = values[0].wrapping_add(step.wrapping_mul(start as i64 + 1));
        for &value in &values[start + 2..window.end] {
            let difference = value.wrapping_sub(before);
            on_line = on_line.wrapping_add(step);
            plain.add(value.wrapping_sub(middle));
            delta.add(difference);
            steady.add(difference.wrapping_sub(step));
            second.add(difference.wrapping_sub(delta_before));
            line.add(value.wrapping_sub(on_line));
            (before, delta_before) = (value, difference);
        }
    }
    let offers = [
        (Order::Delta, delta.bits(sampled).min(steady.bits(sampled))),
        (Order::Plain, plain.bits(sampled)),
        (Order::DeltaDelta, second.bits(sampled)),
        (Order::Line, line.bits(sampled)),
    ];
    let (mut order, mut bits) = offers[0];
    for (other, other_bits) in offers {
        // A saving below one part in 64 does not pay for another order's header and decoding.
        if other_bits + other_bits / 64 < bits {
            (order, bits) = (other, other_bits);
        }
    }
    (order, (u64::from(bits) * 256 / u64::from(sampled)) as u32)
}

/// Roughly how many bits the deltas of `values - reference` take in a sample.
pub(super) fn difference_bits(values: &[i64], reference: &[i64]) -> u32 {
    let mut delta = Widths::new();
    let mut sampled = 0;
    for window in sample_windows(values.len()) {
        let mut pairs = values[window.clone()].iter().zip(&reference[window.clone()]);
        let distance = |(own, other): (&i64, &i64)| own.wrapping_sub(*other);
        let Some(mut before) = pairs.next().map(distance) else {
            continue;
        };
        for here in pairs.map(distance) {
            delta.add(here.wrapping_sub(before));
            before = here;
        }
        sampled += window.len() as u32 - 1;
    }
    delta.bits(sampled)
}

/// Up to three windows that stand for all rows; together at most 256 rows.
fn sample_windows(rows: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let window = if rows <= 144 { rows } else { 48 };
    let starts = if rows <= 144 {
        [0, rows, rows]
    } else {
        [0, (rows - 48) / 2, rows - 48]
    };
    starts
        .into_iter()
        .filter(move |&start| start < rows)
        .map(move |start| start..start + window)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divisors_of_differences() {
        assert_eq!(common_divisor(&[]), 0);
        assert_eq!(common_divisor(&[7, 7]), 0);
        assert_eq!(common_divisor(&[5, 4101, 8197, 5]), 4096);
        assert_eq!(common_divisor(&[1, 31, 61, 16]), 15);
        assert_eq!(common_divisor(&[i64::MIN, i64::MAX]), 1);
        assert_eq!(common_divisor(&[0, i64::MIN]), 1 << 63);
    }

    #[test]
    fn orders_fit_the_shape_of_the_data() {
        let random = |i: i64| ((i * 2_654_435_761) >> 9) % 1000;
        let line: Vec<i64> = (0..500)
            .map(|i| 150_000 * i + (random(i) - 500) * i.min(1))
            .collect();
        assert_eq!(choose_order(&line).0, Order::Line);
        let parabola: Vec<i64> = (0..500).map(|i| i * i * 1000).collect();
        assert_eq!(choose_order(&parabola).0, Order::DeltaDelta);
        let noise: Vec<i64> = (0..500)
            .map(|i| (random(i) - 500) * (i - 250).abs().min(1))
            .collect();
        assert_eq!(choose_order(&noise).0, Order::Plain);
        let steps: Vec<i64> = (0..500).map(|i| i / 50 * 1000).collect();
        assert_eq!(choose_order(&steps).0, Order::Delta);
    }
}

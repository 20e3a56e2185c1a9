//! Circular functions and their inverses, after Cephes; large angles are reduced as Payne and Hanek do.

use super::{NAN, polynomial};
use std::f64::consts::{FRAC_2_PI, FRAC_PI_2, FRAC_PI_4, PI};

const SIN: [f64; 6] = [
    f64::from_bits(0x3de5_d8fd_1fd1_9ccd),
    f64::from_bits(0xbe5a_e5e5_a929_1f5d),
    f64::from_bits(0x3ec7_1de3_567d_48a1),
    f64::from_bits(0xbf2a_01a0_19bf_df03),
    f64::from_bits(0x3f81_1111_1110_f7d0),
    f64::from_bits(0xbfc5_5555_5555_5548),
];
const COS: [f64; 6] = [
    f64::from_bits(0xbda8_fa49_a086_1a9b),
    f64::from_bits(0x3e21_ee9d_7b4e_3f05),
    f64::from_bits(0xbe92_7e4f_7eac_4bc6),
    f64::from_bits(0x3efa_01a0_19c8_44f5),
    f64::from_bits(0xbf56_c16c_16c1_4f91),
    f64::from_bits(0x3fa5_5555_5555_554b),
];
const TAN_UPPER: [f64; 3] = [
    f64::from_bits(0xc0c9_92d8_d24f_3f38),
    f64::from_bits(0x4131_99ec_a5fc_9ddd),
    f64::from_bits(0xc171_1fea_d329_9176),
];
const TAN_LOWER: [f64; 5] = [
    1.0,
    f64::from_bits(0x40ca_b8a5_eeb3_6572),
    f64::from_bits(0xc134_27bc_582a_bc96),
    f64::from_bits(0x4177_d98f_c2ea_d8ef),
    f64::from_bits(0xc189_afe0_3cbe_5a31),
];
const ATAN_UPPER: [f64; 5] = [
    -0.8750608600031904,
    -16.157537187333652,
    -75.00855792314705,
    -122.88666844901361,
    -64.85021904942025,
];
const ATAN_LOWER: [f64; 6] = [
    1.0,
    24.858464901423062,
    165.02700983169885,
    432.88106049129027,
    485.3903996359137,
    194.5506571482614,
];

/// From here on an angle is reduced by [`reduce_large`].
const LARGE: f64 = (1 << 29) as f64;

/// 4/pi in binary: words of 64 digits, the first one before the point.
#[rustfmt::skip]
const FOUR_OVER_PI: [u64; 20] = [
    0x0000000000000001, 0x45f306dc9c882a53, 0xf84eafa3ea69bb81, 0xb6c52b3278872083, 0xfca2c757bd778ac3,
    0x6e48dc74849ba5c0, 0x0c925dd413a32439, 0xfc3bd63962534e7d, 0xd1046bea5d768909, 0xd338e04d68befc82,
    0x7323ac7306a673e9, 0x3908bf177bf25076, 0x3ff12fffbc0b301f, 0xde5e2316b414da3e, 0xda6cfd9e4f96136e,
    0x9e8c7ecd3cbfd45a, 0xea4f758fd7cbe2f6, 0x7a0e73ef14a525d4, 0xd7f6bf623f1aba10, 0xac06608df8f6d757,
];

/// The even number of eighths of a turn next to a positive angle, modulo 8, and the angle that is left.
fn reduce(x: f64) -> (u64, f64) {
    // pi/4 in three parts, of which the first two have so few digits that their products below are exact.
    const PARTS: [f64; 3] = [
        f64::from_bits(0x3fe9_21fb_4000_0000),
        f64::from_bits(0x3e64_442d_0000_0000),
        f64::from_bits(0x3ce8_4698_98cc_5170),
    ];
    if x >= LARGE {
        return reduce_large(x);
    }
    let mut eighths = (x * (2.0 * FRAC_2_PI)) as u64;
    eighths += eighths & 1;
    let count = eighths as f64;
    (
        eighths & 7,
        ((x - count * PARTS[0]) - count * PARTS[1]) - count * PARTS[2],
    )
}

fn reduce_large(x: f64) -> (u64, f64) {
    let exponent = ((x.to_bits() >> 52) & 0x7ff) as i32 - 1023 - 52;
    let mantissa = u128::from(x.to_bits() & 0x000f_ffff_ffff_ffff | 1 << 52);
    // Only digits of 4/pi matter whose product with x is less than 8, and some behind them.
    let first = (exponent + 61) as usize;
    let word = |number: usize| {
        let digits = u128::from(FOUR_OVER_PI[first / 64 + number]) << 64
            | u128::from(FOUR_OVER_PI[first / 64 + number + 1]);
        u128::from((digits << (first % 64) >> 64) as u64)
    };
    let high = (word(0) * mantissa) as u64;
    let middle = word(1) * mantissa;
    let low = (word(2) * mantissa) >> 64;
    let sum = (u128::from(high) << 64).wrapping_add(middle).wrapping_add(low);
    let eighths = (sum >> 125) as u64;
    // The rest as a number below 1, its digits cut off. Go takes the last of them from three places too far ahead.
    let rest = (sum >> 61) as u64;
    let zeros = rest.leading_zeros();
    let digits = u128::from(rest) << 64 | sum & u128::from(u64::MAX);
    let bits = (digits << (zeros + 1) >> 76) as u64;
    let fraction = f64::from_bits(bits | u64::from(1022 - zeros) << 52);
    if eighths & 1 == 1 {
        ((eighths + 1) & 7, (fraction - 1.0) * FRAC_PI_4)
    } else {
        (eighths, fraction * FRAC_PI_4)
    }
}

fn sin_series(z: f64) -> f64 {
    let square = z * z;
    z + z * square * polynomial(square, &SIN)
}

fn cos_series(z: f64) -> f64 {
    let square = z * z;
    1.0 - 0.5 * square + square * square * polynomial(square, &COS)
}

/// The sine.
pub(crate) fn sin(x: f64) -> f64 {
    if x == 0.0 || x.is_nan() {
        return x;
    }
    if x.is_infinite() {
        return NAN;
    }
    let (eighths, z) = reduce(x.abs());
    let size = if eighths & 3 == 2 {
        cos_series(z)
    } else {
        sin_series(z)
    };
    if (x < 0.0) != (eighths > 3) { -size } else { size }
}

/// The cosine.
pub(crate) fn cos(x: f64) -> f64 {
    if !x.is_finite() {
        return NAN;
    }
    let (eighths, z) = reduce(x.abs());
    let size = if eighths & 3 == 2 {
        sin_series(z)
    } else {
        cos_series(z)
    };
    if (eighths > 3) != (eighths & 3 > 1) {
        -size
    } else {
        size
    }
}

/// The tangent.
pub(crate) fn tan(x: f64) -> f64 {
    if x == 0.0 || x.is_nan() {
        return x;
    }
    if x.is_infinite() {
        return NAN;
    }
    let (eighths, z) = reduce(x.abs());
    let square = z * z;
    let mut size = z;
    if square > 1e-14 {
        size = z + z * (square * polynomial(square, &TAN_UPPER) / polynomial(square, &TAN_LOWER));
    }
    if eighths & 2 == 2 {
        size = -1.0 / size;
    }
    if x < 0.0 { -size } else { size }
}

/// The arc tangent for 0 to 0.66.
fn atan_series(x: f64) -> f64 {
    let square = x * x;
    let ratio = square * polynomial(square, &ATAN_UPPER) / polynomial(square, &ATAN_LOWER);
    x * ratio + x
}

/// The arc tangent of what is not negative.
fn atan_positive(x: f64) -> f64 {
    /// What pi/2 is more than the nearest float.
    const PI_2_REST: f64 = 6.123233995736766e-17;
    const TAN_3_PI_8: f64 = 2.414213562373095;
    if x <= 0.66 {
        return atan_series(x);
    }
    if x > TAN_3_PI_8 {
        return FRAC_PI_2 - atan_series(1.0 / x) + PI_2_REST;
    }
    FRAC_PI_4 + atan_series((x - 1.0) / (x + 1.0)) + 0.5 * PI_2_REST
}

/// The arc tangent.
pub(crate) fn atan(x: f64) -> f64 {
    if x == 0.0 {
        return x;
    }
    if x > 0.0 {
        atan_positive(x)
    } else {
        -atan_positive(-x)
    }
}

/// The arc sine.
pub(crate) fn asin(x: f64) -> f64 {
    if x == 0.0 {
        return x;
    }
    let size = x.abs();
    if size > 1.0 {
        return NAN;
    }
    let leg = (1.0 - size * size).sqrt();
    let angle = if size > 0.7 {
        FRAC_PI_2 - atan_positive(leg / size)
    } else {
        atan_positive(size / leg)
    };
    if x < 0.0 { -angle } else { angle }
}

/// The arc cosine.
pub(crate) fn acos(x: f64) -> f64 {
    FRAC_PI_2 - asin(x)
}

/// The angle of the point `(x, y)`.
pub(crate) fn atan2(y: f64, x: f64) -> f64 {
    const THREE_PI_4: f64 = 2.356194490192345;
    if y.is_nan() || x.is_nan() {
        return NAN;
    }
    let size = match (y, x) {
        _ if y == 0.0 => {
            if x.is_sign_positive() {
                0.0
            } else {
                PI
            }
        }
        _ if x == 0.0 => FRAC_PI_2,
        _ if x.is_infinite() => match (x > 0.0, y.is_infinite()) {
            (true, true) => FRAC_PI_4,
            (true, false) => 0.0,
            (false, true) => THREE_PI_4,
            (false, false) => PI,
        },
        _ if y.is_infinite() => FRAC_PI_2,
        _ => {
            let angle = atan(y / x);
            return match x < 0.0 {
                true if angle <= 0.0 => angle + PI,
                true => angle - PI,
                false => angle,
            };
        }
    };
    size.copysign(y)
}

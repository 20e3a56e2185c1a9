//! The layout of a group: the values and time references of up to 16 series.
//!
//! ```text
//! head      u8       bits 0-3  number of series - 1
//!                    bit  4    all series have the same time reference
//!                    bit  5    all series are of the same kind
//! same      u16      without bit 4: bit i is set where series i has the time reference of series i - 1; bit 0 is 0
//! times              every time reference not repeated, one after the other
//! kinds     nibbles  kind of each series, low nibble first; with bit 5: one byte for all
//! directory          per series, by kind:
//! ```
//!
//! | kind | the series is | directory |
//! |---|---|---|
//! | 0 | the constant 0.0 | nothing |
//! | 1 | the constant of the last series before that is a constant; 0.0 if there is none | nothing |
//! | 2 | a constant whole number | ivarint |
//! | 3 | a constant decimal | u8 exponent, ivarint mantissa |
//! | 4 | another constant | u64 bits |
//! | 5 | decimals; exponent 0, or that of the series referred to | uvarint length of its body |
//! | 6 | decimals | uvarint length of its body |
//! | 7 | decimals and distances from them | uvarint length of its body |
//! | 8 | bits of floats | uvarint length of its body |
//!
//! The bodies follow in the order of the series:
//!
//! ```text
//! exponent   u8              kinds 6 and 7
//! integers   integer column  mantissas (kinds 5, 6, 7) or bits (kind 8); the owner's bits 0-2: reference, bit 3: specials
//! distances  integer column  kind 7: units in the last place from mantissa / 10^exponent to the value
//! specials                   with bit 3 of the owner
//! ```
//!
//! Reference r above 0 (kind 5 only): the column holds the mantissas less those of the series r places before, which
//! is of kind 5 or 6 and has the same number of rows, and may refer further back itself.

/// Flags of the head.
pub(super) const HEAD_SAME_TIME: u8 = 1 << 4;
pub(super) const HEAD_SAME_KIND: u8 = 1 << 5;

/// Bits the owner of an integer column has in its head.
pub(super) const OWNER_REFERENCE: u8 = 7;
pub(super) const OWNER_SPECIALS: u8 = 1 << 3;

/// How a series is stored; the discriminants are the nibbles on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Kind {
    #[default]
    Zero = 0,
    Repeat = 1,
    Whole = 2,
    Decimal = 3,
    Bits = 4,
    Wholes = 5,
    Decimals = 6,
    Distances = 7,
    Floats = 8,
}

impl Kind {
    pub(super) fn from_nibble(nibble: u8) -> Option<Kind> {
        Some(match nibble {
            0 => Kind::Zero,
            1 => Kind::Repeat,
            2 => Kind::Whole,
            3 => Kind::Decimal,
            4 => Kind::Bits,
            5 => Kind::Wholes,
            6 => Kind::Decimals,
            7 => Kind::Distances,
            8 => Kind::Floats,
            _ => return None,
        })
    }
}

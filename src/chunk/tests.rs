//! Property tests of the XOR chunk, and of both kinds of histogram chunk.

use super::xor::{XorAppender, XorIter, decode_into, last_timestamp};
use proptest::prelude::*;

fn value_bits() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => (0i32..50).prop_map(|n| f64::from(n).to_bits()),
        2 => any::<f64>().prop_map(f64::to_bits),
        1 => any::<u64>(),
        1 => prop_oneof![
            Just(0x7ff0_0000_0000_0002u64),
            Just((-0.0f64).to_bits()),
            Just(f64::INFINITY.to_bits()),
            Just(f64::NEG_INFINITY.to_bits()),
            Just(u64::MAX),
        ],
    ]
}

fn steps() -> impl Strategy<Value = i64> {
    prop_oneof![
        6 => Just(15_000i64),
        3 => -10i64..10,
        2 => -600_000i64..600_000,
        1 => any::<i64>(),
    ]
}

fn samples() -> impl Strategy<Value = Vec<(i64, u64)>> {
    (
        any::<i64>(),
        proptest::collection::vec((steps(), value_bits()), 0..150),
    )
        .prop_map(|(start, rest)| {
            let mut timestamp = start;
            rest.into_iter()
                .map(|(step, value)| {
                    timestamp = timestamp.wrapping_add(step);
                    (timestamp, value)
                })
                .collect()
        })
}

fn xor_chunk(samples: &[(i64, u64)]) -> XorAppender {
    let mut appender = XorAppender::new();
    for &(timestamp, value) in samples {
        appender.append(timestamp, value);
    }
    appender
}

proptest! {
    #[test]
    fn xor_round_trip(samples in samples(), cut in 0usize..150) {
        let appender = xor_chunk(&samples);
        prop_assert_eq!(usize::from(appender.count()), samples.len());
        let read: Result<Vec<_>, _> = XorIter::new(appender.bytes()).unwrap().collect();
        prop_assert_eq!(&read.unwrap(), &samples);
        let (mut timestamps, mut values) = (Vec::new(), Vec::new());
        decode_into(appender.bytes(), &mut timestamps, &mut values).unwrap();
        prop_assert_eq!(timestamps.into_iter().zip(values).collect::<Vec<_>>(), samples.clone());
        prop_assert_eq!(last_timestamp(appender.bytes()).unwrap(), samples.last().map(|s| s.0));

        let cut = cut.min(samples.len());
        let mut resumed = XorAppender::resume(xor_chunk(&samples[..cut]).bytes()).unwrap();
        for &(timestamp, value) in &samples[cut..] {
            resumed.append(timestamp, value);
        }
        prop_assert_eq!(resumed.bytes(), appender.bytes());
        prop_assert_eq!(resumed.last(), appender.last());
    }

    #[test]
    fn xor_survives_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_into(&bytes, &mut Vec::new(), &mut Vec::new());
        let _ = XorAppender::resume(&bytes);
    }

    #[test]
    fn xor_notices_missing_bytes(samples in samples(), keep in 0usize..1000) {
        let bytes = xor_chunk(&samples).into_bytes();
        if keep < bytes.len() && !samples.is_empty() {
            prop_assert!(decode_into(&bytes[..keep], &mut Vec::new(), &mut Vec::new()).is_err());
        }
    }
}

#[test]
fn an_open_chunk_is_small() {
    assert!(size_of::<XorAppender>() <= 56);
    assert_eq!(XorAppender::new().bytes(), [0, 0]);
}

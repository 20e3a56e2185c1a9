//! Tests of the whole codec: lists and groups there and back, and damaged bytes.

use super::*;
use crate::base::bytes::{Corrupt, Cursor};
use crate::model::sample::STALE_NAN_BITS;
use proptest::prelude::*;

/// Series of one group with their timestamps.
type Data = Vec<(Vec<i64>, Vec<u64>)>;

fn encode(data: &Data) -> (Vec<u8>, Vec<u8>) {
    let mut builder = ColumnSetBuilder::default();
    let refs: Vec<TimeRef> = data.iter().map(|(times, _)| builder.place(times)).collect();
    let series: Vec<GroupSeries<'_>> = refs
        .iter()
        .zip(data)
        .map(|(time, (_, values))| GroupSeries { time, values })
        .collect();
    let (mut columns, mut group) = (Vec::new(), Vec::new());
    builder.encode(&mut columns);
    encode_group(&series, &mut EncodeScratch::default(), &mut group);
    (columns, group)
}

/// Decodes every series on its own, and all of them in order.
fn decode(columns: &[u8], group: &[u8]) -> Result<Data, Corrupt> {
    let columns = ColumnSetReader::open(columns)?;
    let group = GroupReader::open(group)?;
    let (mut scratch, mut data) = (DecodeScratch::default(), Data::new());
    for slot in 0..group.series_count() {
        let (mut column, mut times, mut values) = (TimeColumn::default(), Vec::new(), Vec::new());
        let time = group.time_ref(slot)?;
        if time.rows() > 0 {
            columns.decode(time.column, &mut column)?;
            let bounds = columns.bounds(time.column)?;
            assert_eq!(
                (column.times.first(), column.times.len()),
                (Some(&bounds.first), bounds.rows)
            );
            time.materialize(&column, &mut times)?;
        }
        group.decode_values(slot, &mut scratch, &mut values)?;
        data.push((times, values));
    }
    let mut in_order = group.values(&mut scratch);
    let mut values = Vec::new();
    for (slot, (_, expected)) in data.iter().enumerate() {
        in_order.decode(slot, &mut values)?;
        assert_eq!(&values, expected);
    }
    Ok(data)
}

fn check(data: &Data) -> usize {
    let (columns, group) = encode(data);
    assert_eq!(&decode(&columns, &group).unwrap(), data);
    group.len()
}

fn regular(rows: usize) -> Vec<i64> {
    (0..rows as i64)
        .map(|row| 1_700_000_000_000 + row * 15_000)
        .collect()
}

fn series(rows: usize, value: impl Fn(i64) -> f64) -> (Vec<i64>, Vec<u64>) {
    (
        regular(rows),
        (0..rows as i64).map(|row| value(row).to_bits()).collect(),
    )
}

#[test]
fn a_group_of_constants_takes_a_few_bytes() {
    assert!(check(&vec![series(480, |_| 0.0); 16]) <= 8);
    assert!(check(&vec![series(480, |_| 1.0); 16]) <= 16);
    assert!(check(&vec![series(480, |_| f64::NAN); 16]) <= 24);
    let (_, stale) = series(1, |_| f64::from_bits(STALE_NAN_BITS));
    assert!(check(&vec![(regular(1), stale); 1]) <= 16);
}

#[test]
fn a_stale_marker_at_the_end_costs_a_few_bytes() {
    let steady = series(480, |row| (row * 1000 + row * row % 7) as f64);
    let mut ended = steady.clone();
    ended.1[479] = STALE_NAN_BITS;
    assert!(check(&vec![ended]) <= check(&vec![steady]) + 8);
}

#[test]
fn histograms_are_stored_as_differences() {
    let bucket = |le: i64| series(480, move |row| (row * 37 % 11 + row * 100 * le) as f64);
    let together = check(&(1..=12).map(bucket).collect());
    let alone: usize = (1..=12).map(|le| check(&vec![bucket(le)])).sum();
    assert!(together * 2 < alone, "{together} {alone}");
}

#[test]
fn awkward_values_come_back_bit_for_bit() {
    let odd = [
        -0.0,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::MIN_POSITIVE,
        f64::MAX,
        f64::MIN,
        5e-324,
        0.1 + 0.2,
        1234.567890123456,
        9_007_199_254_740_993.0,
        f64::from_bits(STALE_NAN_BITS),
        f64::from_bits(0xfff8_dead_beef_0001),
    ];
    let mut data = vec![series(odd.len(), |row| odd[row as usize])];
    data.push(series(200, |row| {
        if row % 20 == 7 {
            odd[row as usize % odd.len()]
        } else {
            row as f64 / 10.0
        }
    }));
    data.push(series(200, |row| (row as f64).sqrt() * 1e6));
    data.push(series(300, |row| (0..row).map(|step| step as f64 * 1e-9).sum()));
    data.push(series(0, |_| 0.0));
    data.push(series(1, |_| 7.25));
    data.push(series(2, |row| 7.25 + row as f64));
    check(&data);
}

#[test]
fn the_longest_series_fits() {
    check(&vec![series(ROWS_MAX, |row| (row * row % 1013) as f64)]);
}

#[test]
fn small_differences_of_timestamps_share_a_column() {
    let all = regular(480);
    let mut missed = all.clone();
    missed.remove(77);
    let mut late = all.clone();
    late[100] += 9;
    let mut ended = all[..300].to_vec();
    ended.push(all[299] + 14_999);
    let mut builder = ColumnSetBuilder::default();
    for list in [
        &all[50..400],
        &all,
        &all[100..],
        &missed,
        &late,
        &ended,
        &all[3..9],
    ] {
        assert_eq!(builder.place(list).column, 0);
    }
    assert_eq!(builder.len(), 1);
    let other: Vec<i64> = all.iter().map(|time| time + 700).collect();
    assert_eq!(builder.place(&other).column, 1);
}

#[test]
fn a_patch_used_often_becomes_a_column() {
    let all = regular(480);
    let mut late = all.clone();
    late[100] += 9;
    let mut builder = ColumnSetBuilder::default();
    for _ in 0..100 {
        builder.place(&all);
        builder.place(&late);
    }
    assert_eq!(builder.len(), 2);
}

#[test]
fn regular_timestamps_take_next_to_nothing() {
    let mut builder = ColumnSetBuilder::default();
    builder.place(&regular(480));
    let mut bytes = Vec::new();
    builder.encode(&mut bytes);
    assert!(bytes.len() < 48, "{}", bytes.len());
}

#[test]
fn timestamps_at_both_ends_of_the_range() {
    check(&vec![(vec![i64::MIN, -1, 0, i64::MAX], vec![1, 2, 3, 4])]);
    check(&vec![(vec![i64::MIN], vec![0]), (vec![i64::MAX], vec![0])]);
}

fn any_values(rows: usize) -> impl Strategy<Value = Vec<u64>> {
    let step = prop_oneof![
        3 => Just(0i64),
        3 => -5i64..5,
        2 => (-1000i64..1000).prop_map(|step| step * 4096),
        1 => any::<i64>().prop_map(|step| step >> 20),
    ];
    let odd = prop_oneof![
        200 => Just(None),
        1 => Just(Some(STALE_NAN_BITS)),
        1 => Just(Some((-0.0f64).to_bits())),
        1 => any::<u64>().prop_map(Some),
    ];
    let scale = prop_oneof![Just(1.0), Just(10.0), Just(1000.0), Just(1e9), Just(3.0)];
    (proptest::collection::vec((step, odd), rows), scale).prop_map(|(steps, scale)| {
        let mut sum = 0i64;
        let value = |(step, odd): (i64, Option<u64>)| {
            sum = sum.wrapping_add(step);
            odd.unwrap_or((sum as f64 / scale).to_bits())
        };
        steps.into_iter().map(value).collect()
    })
}

fn any_times() -> impl Strategy<Value = Vec<i64>> {
    let gaps = proptest::collection::vec(prop_oneof![50 => Just(15_000i64), 1 => 1i64..100_000], 0..400);
    (gaps, 0i64..3).prop_map(|(gaps, start)| {
        let mut time = start * 15_000;
        gaps.into_iter()
            .map(|gap| {
                time += gap;
                time
            })
            .collect()
    })
}

fn any_data() -> impl Strategy<Value = Data> {
    let one = any_times().prop_flat_map(|times| {
        let rows = times.len();
        (Just(times), any_values(rows))
    });
    let shared = (any_times(), 1usize..=16).prop_flat_map(|(times, count)| {
        let rows = times.len();
        let values = proptest::collection::vec(any_values(rows), count);
        values.prop_map(move |values| values.into_iter().map(|values| (times.clone(), values)).collect())
    });
    prop_oneof![proptest::collection::vec(one, 1..=16), shared]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn groups_round_trip(data in any_data()) {
        check(&data);
    }

    #[test]
    fn integers_round_trip(values in proptest::collection::vec(any::<i64>(), 0..500), shift in 0u32..64, factor: i64) {
        let values: Vec<i64> = values.iter().map(|value| (value >> shift).wrapping_mul(factor)).collect();
        let mut writer = integers_encode::IntegerWriter::default();
        let choice = writer.choose(&values);
        let (mut bytes, mut back) = (Vec::new(), Vec::new());
        writer.encode(&values, choice, 9, &mut bytes);
        let mut cursor = Cursor::new(&bytes);
        let owner = integers::decode(&mut cursor, values.len(), &mut back).unwrap();
        prop_assert_eq!(owner, if values.is_empty() { 0 } else { 9 });
        prop_assert!(cursor.is_empty());
        prop_assert_eq!(back, values);
    }

    #[test]
    fn placed_lists_come_back(lists in proptest::collection::vec((any_times(), any::<u64>(), 0usize..50), 1..20)) {
        let mut builder = ColumnSetBuilder::default();
        let base: Vec<i64> = regular(300);
        let mut placed = Vec::new();
        for (fresh, mask, cut) in lists {
            // Half of the lists are the same one with rows cut off, left out or moved.
            let mut list = if mask & 1 == 0 { fresh } else { base.clone() };
            list.drain(..cut.min(list.len()));
            if mask & 2 != 0 && list.len() > 9 {
                list.remove((mask >> 8) as usize % list.len());
            }
            if mask & 4 != 0 && let Some(last) = list.last_mut() {
                *last += 3;
            }
            placed.push((builder.place(&list), list));
        }
        let mut bytes = Vec::new();
        builder.encode(&mut bytes);
        let reader = ColumnSetReader::open(&bytes).unwrap();
        for (time, list) in placed.iter().filter(|(_, list)| !list.is_empty()) {
            let (mut column, mut back) = (TimeColumn::default(), Vec::new());
            reader.decode(time.column, &mut column).unwrap();
            time.materialize(&column, &mut back).unwrap();
            prop_assert_eq!(&back, list);
            prop_assert_eq!(time.rows(), list.len());
        }
    }

    #[test]
    fn damaged_bytes_never_panic(
        data in any_data(),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let (mut columns, mut group) = encode(&data);
        for (at, bits) in &flips {
            let at = at.index(columns.len() + group.len());
            let split = columns.len();
            if at < split { columns[at] ^= bits } else { group[at - split] ^= bits }
        }
        let _ = decode(&columns, &group);
        group.truncate(cut.index(group.len()));
        let _ = decode(&columns, &group);
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&bytes, &bytes);
    }
}

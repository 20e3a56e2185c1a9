//! What to merge next, chosen from the manifest alone.
//!
//! Time is cut in *partitions* as long as the longest segment may be. Within a partition segments stand in the order of
//! their last LSN, and a merge takes neighbours in that order:
//!
//! * **Tiers.** A run of three or more is merged when everything but its largest segment weighs nearly twice as much as
//!   that one. In steady ingest this makes three of one size into one of the next: 2 h, 6 h, 18 h, ..., so that a sample
//!   is written again a logarithmic number of times, and a partition has few segments whatever came in which order.
//! * **Crowds.** A partition with too many segments merges its lightest run of them.
//! * **Rest.** A partition that is over and that nothing was added to for a while becomes one segment.
//!
//! Then single segments are written again: those that a retention rule is about, and old ones to be compressed.
//!
//! A run must be *contiguous*: no other segment that overlaps one of its members may stand between that member and the
//! end of the run, since the result stands where its last member stood. A deletion that can still be withdrawn parts
//! what stands before it from what stands behind.

use super::manifest::SegmentEntry;
use std::collections::BTreeSet;

/// Segments of a run that is merged for its weight.
const RUN_MIN: usize = 3;
/// Most segments that are merged at once.
const RUN_MAX: usize = 32;
/// What the other members of a run must weigh for one that the largest weighs, in tenths.
const OTHERS_TENTHS: u128 = 17;
/// A partition with more segments than this merges some whatever they weigh.
const CROWD: usize = 12;
/// What must have come to a partition's largest segment for the rest to be merged with it, in hundredths.
const REST_HUNDREDTHS: u128 = 3;

/// How merges are chosen.
#[derive(Debug, Clone)]
pub(crate) struct PickOptions {
    /// Length of a partition.
    pub(crate) partition: i64,
    /// Most samples of a merged segment.
    pub(crate) samples_max: u64,
    /// A partition is over when there are samples newer than its end by this much.
    pub(crate) margin: i64,
    /// Newest timestamp of the database.
    pub(crate) newest: i64,
    pub(crate) now_ms: i64,
    /// After this long without a new segment a partition that is over is at rest.
    pub(crate) rest_ms: i64,
    /// Everything that was written up to this LSN stands in segments.
    pub(crate) settled_lsn: u64,
    /// Merge whatever can be merged.
    pub(crate) is_full: bool,
    /// Only segments that reach into this time, both ends included.
    pub(crate) within: Option<(i64, i64)>,
    /// Segments that cannot be read whole. They are no members, and stand in the way like any other.
    pub(crate) unreadable: BTreeSet<u64>,
}

impl PickOptions {
    /// Whether a segment may be a member at all.
    pub(crate) fn is_wanted(&self, segment: &SegmentEntry) -> bool {
        self.within
            .is_none_or(|(from, to)| segment.time_min <= to && segment.time_max >= from)
    }
}

/// A deletion, as far as merging minds it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Barrier {
    pub(crate) lsn: u64,
    /// LSN of the undelete that withdrew it. `None`: it may still be withdrawn, so what stands before it stays apart from
    /// what stands behind. Otherwise samples from between the two must not move behind the undelete, nor samples from
    /// before the deletion behind it, as long as anything from before the deletion stays where it is; and the latter must
    /// not stop before the undelete while something from between the two may stand there or in the head.
    pub(crate) withdrawn: Option<u64>,
    pub(crate) from: i64,
    pub(crate) to: i64,
}

/// The sequence numbers of the segments to merge next, in the order of their LSNs.
pub(crate) fn pick(
    segments: &[SegmentEntry],
    barriers: &[Barrier],
    options: &PickOptions,
) -> Option<Vec<u64>> {
    let mut all: Vec<&SegmentEntry> = segments.iter().collect();
    all.sort_by_key(|segment| (partition_of(segment, options), segment.lsn_last, segment.time_min));
    let partitions = all.chunk_by(|a, b| partition_of(a, options) == partition_of(b, options));
    let mut best: Option<(u128, &[&SegmentEntry])> = None;
    for partition in partitions.filter(|partition| partition.len() > 1) {
        let near = overlapping(partition, segments);
        let found = pick_in(partition, &near, barriers, options);
        // The lightest merge first: it is soonest done and shortens most.
        if let Some(run) = found {
            let weight = weight_of(run);
            if best.is_none_or(|best| weight < best.0) {
                best = Some((weight, run));
            }
        }
    }
    best.map(|best| best.1.iter().map(|segment| segment.sequence).collect())
}

fn pick_in<'a, 'b>(
    partition: &'a [&'b SegmentEntry],
    near: &[&SegmentEntry],
    barriers: &[Barrier],
    options: &PickOptions,
) -> Option<&'a [&'b SegmentEntry]> {
    let is_allowed = |run: &&[&SegmentEntry]| {
        weight_of(run) <= u128::from(options.samples_max)
            && run.iter().all(|member| options.is_wanted(member))
            && !run
                .iter()
                .any(|member| options.unreadable.contains(&member.sequence))
            && is_contiguous(run, near)
            && !is_parted(run, near, barriers, options.settled_lsn)
    };
    let is_at_rest = is_over(partition, options) && is_quiet(partition, options);
    if options.is_full || is_at_rest {
        let mut longest = runs(partition, 2).filter(is_allowed);
        return longest.next();
    }
    let tier = runs(partition, RUN_MIN)
        .filter(|run| is_worthwhile(run))
        .filter(is_allowed)
        .min_by_key(|run| weight_of(run) / run.len() as u128);
    if tier.is_some() || partition.len() <= CROWD {
        return tier;
    }
    let crowd = runs(partition, RUN_MIN).filter(is_allowed);
    crowd.min_by_key(|run| weight_of(run) / run.len() as u128)
}

/// Every run of neighbours of at least `least` segments, the longest first.
fn runs<'a, 'b>(
    partition: &'a [&'b SegmentEntry],
    least: usize,
) -> impl Iterator<Item = &'a [&'b SegmentEntry]> {
    let longest = partition.len().min(RUN_MAX);
    (least..=longest)
        .rev()
        .flat_map(move |length| partition.windows(length))
}

fn partition_of(segment: &SegmentEntry, options: &PickOptions) -> i64 {
    segment.time_min.div_euclid(options.partition.max(1))
}

fn weight_of(run: &[&SegmentEntry]) -> u128 {
    run.iter().map(|segment| u128::from(segment.samples.max(1))).sum()
}

fn largest_of(run: &[&SegmentEntry]) -> u128 {
    run.iter()
        .map(|segment| u128::from(segment.samples.max(1)))
        .max()
        .unwrap_or(0)
}

fn is_worthwhile(run: &[&SegmentEntry]) -> bool {
    let largest = largest_of(run);
    (weight_of(run) - largest) * 10 >= largest * OTHERS_TENTHS
}

fn is_over(partition: &[&SegmentEntry], options: &PickOptions) -> bool {
    let Some(first) = partition.first() else {
        return false;
    };
    let end = (i128::from(partition_of(first, options)) + 1) * i128::from(options.partition.max(1));
    i128::from(options.newest) >= end + i128::from(options.margin)
}

/// Whether nothing was added for a while; a little that was added waits longer. Added is everything but the largest
/// segment, whether it is as it was flushed or was written again since, to be compressed or by a tier.
fn is_quiet(partition: &[&SegmentEntry], options: &PickOptions) -> bool {
    let main = partition.iter().max_by_key(|segment| segment.samples);
    let added = partition
        .iter()
        .filter(|segment| main.is_none_or(|main| main.sequence != segment.sequence));
    let latest_ms = added.map(|segment| segment.created_ms).max();
    let quiet_ms = latest_ms.map_or(i64::MAX, |latest| options.now_ms.saturating_sub(latest));
    let (weight, largest) = (weight_of(partition), largest_of(partition));
    let is_much = (weight - largest) * 100 >= largest * REST_HUNDREDTHS;
    quiet_ms >= options.rest_ms.saturating_mul(if is_much { 1 } else { 12 })
}

/// The segments that overlap some time of a partition's: mostly the partition itself.
fn overlapping<'a>(partition: &[&SegmentEntry], segments: &'a [SegmentEntry]) -> Vec<&'a SegmentEntry> {
    let time_min = partition.iter().map(|segment| segment.time_min).min();
    let time_max = partition.iter().map(|segment| segment.time_max).max();
    let is_near = |segment: &&SegmentEntry| {
        time_max.is_some_and(|time_max| segment.time_min <= time_max)
            && time_min.is_some_and(|time_min| segment.time_max >= time_min)
    };
    segments.iter().filter(is_near).collect()
}

/// Whether the result, which stands where the last member stood, is on the same side of every other segment as each
/// member was; `near` are those that overlap the partition.
fn is_contiguous(run: &[&SegmentEntry], near: &[&SegmentEntry]) -> bool {
    let last = run.iter().map(|segment| segment.lsn_last).max().unwrap_or(0);
    let is_member = |segment: &SegmentEntry| run.iter().any(|member| member.sequence == segment.sequence);
    let others = near
        .iter()
        .filter(|segment| segment.lsn_last <= last && !is_member(segment));
    let mut between = others.flat_map(|other| run.iter().map(move |member| (other, member)));
    !between.any(|(other, member)| overlap(other, member) && other.lsn_last >= member.lsn_last)
}

fn overlap(a: &SegmentEntry, b: &SegmentEntry) -> bool {
    a.time_min <= b.time_max && b.time_min <= a.time_max
}

/// Whether a deletion keeps members of the run apart.
fn is_parted(run: &[&SegmentEntry], near: &[&SegmentEntry], barriers: &[Barrier], settled_lsn: u64) -> bool {
    let last = run.iter().map(|segment| segment.lsn_last).max().unwrap_or(0);
    let is_member = |segment: &SegmentEntry| run.iter().any(|member| member.sequence == segment.sequence);
    let is_over_run = |segment: &SegmentEntry| run.iter().any(|member| overlap(segment, member));
    barriers.iter().any(|barrier| {
        let overlaps =
            |segment: &SegmentEntry| segment.time_min <= barrier.to && segment.time_max >= barrier.from;
        let is_below = |segment: &SegmentEntry| segment.lsn_last < barrier.lsn && overlaps(segment);
        let is_crossed = |lsn: u64| {
            let is_before = |member: &&SegmentEntry| member.lsn_last < lsn && overlaps(member);
            lsn <= last && run.iter().any(is_before)
        };
        match barrier.withdrawn {
            None => is_crossed(barrier.lsn),
            Some(undelete) => {
                let leaves_some = || {
                    near.iter()
                        .any(|other| is_below(other) && !is_member(other) && is_over_run(other))
                };
                let is_more_between = || {
                    let is_between = |other: &SegmentEntry| (last + 1..undelete).contains(&other.lsn_last);
                    settled_lsn < undelete || near.iter().any(|other| is_between(other) && is_over_run(other))
                };
                is_crossed(barrier.lsn) && last < undelete && is_more_between()
                    || (is_crossed(barrier.lsn) || is_crossed(undelete)) && leaves_some()
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn options() -> PickOptions {
        PickOptions {
            partition: 240 * HOUR,
            samples_max: u64::MAX,
            margin: 2 * HOUR,
            newest: 0,
            now_ms: 0,
            rest_ms: 6 * HOUR,
            settled_lsn: 0,
            is_full: false,
            within: None,
            unreadable: BTreeSet::new(),
        }
    }

    /// A segment from hours to hours, with its last LSN and samples; its sequence is that LSN.
    fn segment(from: i64, to: i64, lsn: u64, samples: u64) -> SegmentEntry {
        SegmentEntry {
            sequence: lsn,
            time_min: from * HOUR,
            time_max: to * HOUR - 1,
            lsn_first: lsn,
            lsn_last: lsn,
            samples,
            ..SegmentEntry::default()
        }
    }

    fn picked(segments: &[SegmentEntry]) -> Vec<u64> {
        pick(segments, &[], &options()).unwrap_or_default()
    }

    #[test]
    fn table() {
        let ordered = |count: i64| -> Vec<SegmentEntry> {
            (0..count)
                .map(|n| segment(2 * n, 2 * n + 2, n as u64 + 1, 100))
                .collect()
        };
        assert_eq!(picked(&ordered(2)), Vec::<u64>::new(), "two are not enough");
        assert_eq!(picked(&ordered(3)), [1, 2, 3], "three of one size");
        let mut next = vec![
            segment(0, 6, 3, 300),
            segment(6, 8, 4, 100),
            segment(8, 10, 5, 100),
        ];
        assert_eq!(picked(&next), Vec::<u64>::new(), "a large one waits");
        next.push(segment(10, 12, 6, 100));
        assert_eq!(picked(&next), [4, 5, 6], "the small ones go without it");
        let apart = [
            segment(0, 2, 1, 100),
            segment(2, 4, 2, 100),
            segment(240, 242, 3, 100),
        ];
        assert_eq!(picked(&apart), Vec::<u64>::new(), "another partition");
    }

    #[test]
    fn another_segment_in_between_stops_a_merge() {
        // 2 lies in another partition by its start, yet overlaps 1 and stands between it and 3.
        let segments = [
            segment(240, 250, 1, 100),
            segment(230, 245, 2, 100),
            segment(240, 250, 3, 100),
            segment(240, 250, 4, 100),
        ];
        assert_eq!(picked(&segments), Vec::<u64>::new());
        let mut beside = segments.to_vec();
        beside[1].time_max = 239 * HOUR;
        assert_eq!(picked(&beside), [1, 3, 4]);
    }

    #[test]
    fn what_cannot_be_read_is_left_and_is_in_the_way() {
        let unreadable = |sequence| PickOptions {
            unreadable: BTreeSet::from([sequence]),
            ..options()
        };
        let all: Vec<SegmentEntry> = (1..=5).map(|lsn| segment(0, 2, lsn, 100)).collect();
        assert_eq!(pick(&all, &[], &unreadable(2)), Some(vec![3, 4, 5]));
        assert_eq!(pick(&all, &[], &unreadable(3)), None, "no three of a side");
        let beside = segment(0, 2, 6, 100);
        let beside = [all.as_slice(), &[beside]].concat();
        assert_eq!(pick(&beside, &[], &unreadable(3)), Some(vec![4, 5, 6]));
    }

    #[test]
    fn a_young_deletion_parts_and_a_withdrawn_one_takes_all() {
        let segments = [
            segment(0, 2, 10, 100),
            segment(2, 4, 20, 100),
            segment(4, 6, 30, 100),
        ];
        let barrier = |lsn, from, to, withdrawn| Barrier {
            lsn,
            withdrawn,
            from: from * HOUR,
            to: to * HOUR,
        };
        let with = |barrier| pick(&segments, &[barrier], &options());
        assert_eq!(with(barrier(15, 0, 9, None)), None);
        assert_eq!(with(barrier(15, 5, 9, None)), Some(vec![10, 20, 30]), "beside it");
        assert_eq!(with(barrier(35, 0, 9, None)), Some(vec![10, 20, 30]), "above all");
        assert_eq!(with(barrier(15, 0, 9, Some(17))), Some(vec![10, 20, 30]));
        let mut more = segments.to_vec();
        more.push(segment(-200, 1, 5, 100));
        let left_behind = pick(&more, &[barrier(15, 0, 9, Some(17))], &options());
        assert_eq!(left_behind, None);
        // 10 and 20 stand between delete and undelete, 30 behind it, and 5 below both.
        let left_behind = pick(&more, &[barrier(7, 0, 9, Some(25))], &options());
        assert_eq!(left_behind, None);
        assert_eq!(
            with(barrier(15, 0, 9, Some(31))),
            None,
            "stops before the undelete"
        );
        assert_eq!(with(barrier(15, 0, 9, Some(30))), Some(vec![10, 20, 30]));
    }

    #[test]
    fn a_merge_may_end_before_an_undelete_when_nothing_else_does() {
        let segments = [
            segment(0, 2, 10, 100),
            segment(0, 2, 20, 100),
            segment(0, 2, 30, 100),
        ];
        let barrier = Barrier {
            lsn: 15,
            withdrawn: Some(40),
            from: 0,
            to: 9 * HOUR,
        };
        let with = |segments: &[SegmentEntry], settled_lsn| {
            let options = PickOptions {
                settled_lsn,
                samples_max: 300,
                ..options()
            };
            pick(segments, &[barrier], &options)
        };
        assert_eq!(with(&segments, 39), None, "something may be in the head");
        assert_eq!(with(&segments, 40), Some(vec![10, 20, 30]));
        let mut more = segments.to_vec();
        more.push(segment(0, 2, 35, 100));
        let beside = Some(vec![20, 30, 35]);
        assert_eq!(with(&more, 40), beside, "and here in a segment, so 10 stays");
    }

    #[test]
    fn a_partition_at_rest_becomes_one() {
        let segments = [segment(0, 230, 1, 1000), segment(5, 6, 2, 50)];
        let at = |newest: i64, now: i64| {
            let options = PickOptions {
                newest: newest * HOUR,
                now_ms: now * HOUR,
                ..options()
            };
            pick(&segments, &[], &options)
        };
        assert_eq!(at(241, 100), None, "not over");
        assert_eq!(at(243, 5), None, "not quiet");
        assert_eq!(at(243, 6), Some(vec![1, 2]));
        let full = PickOptions {
            is_full: true,
            ..options()
        };
        assert_eq!(pick(&segments, &[], &full), Some(vec![1, 2]));
        let within = |from: i64, to: i64| {
            let within = Some((from * HOUR, to * HOUR));
            pick(
                &segments,
                &[],
                &PickOptions {
                    within,
                    ..full.clone()
                },
            )
        };
        assert_eq!(within(5, 5), Some(vec![1, 2]));
        assert_eq!(within(100, 200), None, "one of them is not asked for");
    }

    #[test]
    fn a_little_waits_also_once_it_was_written_again() {
        let main = segment(0, 230, 1, 100_000);
        let little = SegmentEntry {
            level: 1,
            created_ms: 100 * HOUR,
            ..segment(5, 6, 2, 5)
        };
        let at = |now: i64| {
            let options = PickOptions {
                newest: 500 * HOUR,
                now_ms: now * HOUR,
                ..options()
            };
            pick(&[main.clone(), little.clone()], &[], &options)
        };
        assert_eq!(at(171), None, "rests for less than twelve times six hours");
        assert_eq!(at(172), Some(vec![1, 2]));
    }

    /// Plays merges on a long row of equal flushes.
    #[test]
    fn steady_ingest_costs_a_logarithm_and_leaves_few() {
        let mut segments: Vec<SegmentEntry> = Vec::new();
        let (mut written, mut most) = (0u64, 0);
        for n in 0..120 {
            segments.push(segment(2 * n, 2 * n + 2, n as u64 + 1, 100));
            written += 100;
            while let Some(run) = pick(&segments, &[], &options()) {
                let members: Vec<SegmentEntry> = segments
                    .iter()
                    .filter(|one| run.contains(&one.sequence))
                    .cloned()
                    .collect();
                segments.retain(|one| !run.contains(&one.sequence));
                let samples = members.iter().map(|one| one.samples).sum();
                let last = members.iter().map(|one| one.lsn_last).max().unwrap_or(0);
                written += samples;
                segments.push(SegmentEntry {
                    time_min: members.iter().map(|one| one.time_min).min().unwrap_or(0),
                    time_max: members.iter().map(|one| one.time_max).max().unwrap_or(0),
                    samples,
                    level: 1,
                    ..members
                        .iter()
                        .find(|one| one.lsn_last == last)
                        .cloned()
                        .unwrap_or_default()
                });
            }
            most = most.max(segments.len());
        }
        assert!(most <= 10, "{most} segments at once");
        assert!(
            written <= 120 * 100 * 6,
            "every sample written {} times",
            written / 12_000
        );
    }
}

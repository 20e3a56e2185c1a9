//! Every way of reading, compared with the twin.

use super::Kind;
use super::episode::{Episode, SERIES, TICK};
use crate::play::{self, Contents, Seen, difference, number_of, series, xor};
use narthex::{Db, Encoding, ListOptions, Matcher};
use std::collections::BTreeSet;

impl Episode<'_> {
    pub(super) fn read_something(&mut self) {
        self.happens(Kind::Read);
        match self.dice.below(9) {
            0 => self.read_everything(),
            1..=3 => self.read_a_range(),
            4 => self.read_newest_first(),
            5 => self.read_chunks(),
            6 => self.read_lists(),
            7 => self.read_aside(),
            _ => self.read_read_only(),
        }
    }

    pub(super) fn read_everything(&mut self) {
        let expected = self.twin.contents(|_| true, i64::MIN, i64::MAX);
        let found = self.contents(&self.db(), &[], i64::MIN, i64::MAX);
        self.compare(&expected, &found, "everything");
    }

    fn contents(&self, db: &Db, matchers: &[Matcher], from: i64, to: i64) -> Contents {
        match play::read(db, matchers, from, to) {
            Ok((contents, 0)) => contents,
            Ok((_, warnings)) => self.fail(&format!("{warnings} warnings")),
            Err(error) => self.fail(&format!("reading: {error}")),
        }
    }

    fn compare(&self, expected: &Contents, found: &Contents, what: &str) {
        if expected != found {
            self.fail(&format!("{what}: {}", difference(expected, found)));
        }
    }

    pub(super) fn range(&mut self) -> (i64, i64) {
        match self.dice.below(8) {
            0 => (i64::MIN, self.now * TICK),
            1 => (self.now * TICK, i64::MAX),
            2 => (i64::MIN, i64::MIN + 1),
            3 => (i64::MAX, i64::MAX),
            _ => {
                let from = (self.now - self.dice.below(60) as i64) * TICK + self.dice.below(2) as i64;
                (from, from + self.dice.below(20) as i64 * TICK)
            }
        }
    }

    /// Matchers, and what they mean.
    pub(super) fn matchers(&mut self) -> (Vec<Matcher>, impl Fn(usize) -> bool + use<>) {
        let number = self.dice.below(SERIES);
        let case = self.dice.below(6);
        let matchers = match case {
            0 => vec![Matcher::eq("number", number.to_string())],
            1 => vec![Matcher::eq("__name__", "memory_bytes")],
            2 => vec![
                Matcher::re("instance", "host-[12]"),
                Matcher::ne("number", number.to_string()),
            ],
            3 => vec![Matcher::eq("zone", ""), Matcher::not_re("number", "1.*")],
            4 => vec![Matcher::re("zone", ".+")],
            _ => vec![],
        };
        let wanted = move |other: usize| match case {
            0 => other == number,
            1 => other % 3 == 1,
            2 => (5..15).contains(&other) && other != number,
            3 => other % 2 == 1 && !other.to_string().starts_with('1'),
            4 => other.is_multiple_of(2),
            _ => true,
        };
        (matchers, wanted)
    }

    fn read_a_range(&mut self) {
        let (from, to) = self.range();
        let (matchers, wanted) = self.matchers();
        let expected = self.twin.contents(wanted, from, to);
        let found = self.contents(&self.db(), &matchers, from, to);
        self.compare(&expected, &found, &format!("{matchers:?} in {from}..={to}"));
    }

    fn read_newest_first(&mut self) {
        let (from, to) = self.range();
        let expected = self.twin.contents(|_| true, from, to);
        let mut found = Contents::new();
        let cursor = self.db().select(&[], from..=to);
        for one in cursor.unwrap_or_else(|error| self.fail(&error.to_string())) {
            let one = one.unwrap_or_else(|error| self.fail(&error.to_string()));
            let number = number_of(one.labels());
            let mut last = None;
            for sample in one.samples().rev() {
                assert!(last.is_none_or(|last| last > sample.timestamp), "newest first");
                last = Some(sample.timestamp);
                let kept = (play::seen(&sample.value), sample.start_timestamp);
                found.insert((number, sample.timestamp), kept);
            }
        }
        self.compare(&expected, &found, "newest first");
    }

    /// Chunks hold the same samples; floats are decoded, histograms counted.
    fn read_chunks(&mut self) {
        let (from, to) = self.range();
        let (matchers, wanted) = self.matchers();
        let expected = self.twin.contents(wanted, from, to);
        let mut floats = BTreeSet::new();
        let mut histograms = 0;
        let chunks = self.db().select_chunks(&matchers, from..=to);
        for one in chunks.unwrap_or_else(|error| self.fail(&error.to_string())) {
            let one = one.unwrap_or_else(|error| self.fail(&error.to_string()));
            let number = number_of(&one.labels);
            let mut last = None;
            for chunk in &one.chunks {
                assert!(
                    last < Some(chunk.min_time) && chunk.min_time <= chunk.max_time,
                    "chunks follow each other"
                );
                last = Some(chunk.max_time);
                if chunk.encoding != Encoding::Xor {
                    histograms += xor::count(&chunk.bytes);
                    continue;
                }
                let samples = xor::decode(&chunk.bytes);
                assert_eq!(samples.first().map(|sample| sample.0), Some(chunk.min_time));
                assert_eq!(samples.last().map(|sample| sample.0), Some(chunk.max_time));
                floats.extend(
                    samples
                        .into_iter()
                        .map(|(timestamp, bits)| (number, timestamp, bits)),
                );
            }
        }
        let mut expected_floats = BTreeSet::new();
        let mut expected_histograms = 0;
        for ((number, timestamp), (seen, _)) in &expected {
            match seen {
                Seen::Float(bits) => drop(expected_floats.insert((*number, *timestamp, *bits))),
                _ => expected_histograms += 1,
            }
        }
        if (&floats, histograms) != (&expected_floats, expected_histograms) {
            let lost: Vec<_> = expected_floats.difference(&floats).take(5).collect();
            let new: Vec<_> = floats.difference(&expected_floats).take(5).collect();
            self.fail(&format!("chunks in {from}..={to}: lost {lost:?}, invented {new:?}, {histograms} histograms of {expected_histograms}"));
        }
    }

    /// A listing names every series with samples in the range; beyond that only series that have data elsewhere.
    fn read_lists(&mut self) {
        let (from, to) = if self.dice.percent(40) {
            (i64::MIN, i64::MAX)
        } else {
            self.range()
        };
        let (matchers, wanted) = self.matchers();
        let within: BTreeSet<usize> = self
            .twin
            .contents(&wanted, from, to)
            .keys()
            .map(|place| place.0)
            .collect();
        let anywhere = self.listable(&within, &wanted, from, to);
        let db = self.db();
        let listed = db.series(&matchers, from..=to, ListOptions::default());
        let listed = listed.unwrap_or_else(|error| self.fail(&error.to_string())).items;
        let numbers: BTreeSet<usize> = listed.iter().map(number_of).collect();
        if !within.is_subset(&numbers) || !numbers.is_subset(&anywhere) || numbers.len() != listed.len() {
            self.fail(&format!(
                "series {matchers:?} in {from}..={to}: {numbers:?}, wanted {within:?} to {anywhere:?}"
            ));
        }
        assert!(listed.is_sorted(), "series in label order");
        let counted = db
            .count_series(&matchers, from..=to)
            .map(|counted| counted.series);
        if counted.as_ref().ok() != Some(&(listed.len() as u64)) {
            self.fail(&format!(
                "{counted:?} of {} series {matchers:?} counted",
                listed.len()
            ));
        }
        for name in ["instance", "zone", "__name__"] {
            let values = db.label_values(name, &matchers, from..=to, ListOptions::default());
            let values = values.unwrap_or_else(|error| self.fail(&error.to_string())).items;
            let of = |numbers: &BTreeSet<usize>| -> BTreeSet<String> {
                let labels = numbers.iter().map(|number| series(*number));
                labels
                    .filter_map(|labels| labels.get(name).map(str::to_owned))
                    .collect()
            };
            let found: BTreeSet<String> = values.iter().cloned().collect();
            if !of(&within).is_subset(&found) || !found.is_subset(&of(&anywhere)) || !values.is_sorted() {
                self.fail(&format!(
                    "values of {name} {matchers:?} in {from}..={to}: {values:?}"
                ));
            }
        }
        let names = db.label_names(&matchers, from..=to, ListOptions::default());
        let names = names.unwrap_or_else(|error| self.fail(&error.to_string())).items;
        if !within.is_empty()
            && !["__name__", "instance", "number"]
                .iter()
                .all(|name| names.iter().any(|one| one == name))
        {
            self.fail(&format!("label names {names:?}"));
        }
    }

    /// Series that may be listed: those that show something in the range, and those of which some is outside of it, for
    /// segments tell no more than where a series begins and ends.
    fn listable(
        &self,
        within: &BTreeSet<usize>,
        wanted: impl Fn(usize) -> bool,
        from: i64,
        to: i64,
    ) -> BTreeSet<usize> {
        let mut listable = within.clone();
        listable.extend(self.twin.exemplars(from, to).into_keys());
        for (series, (first, last)) in self.twin.bounds() {
            if first <= to && last >= from && (first < from || last > to) {
                listable.insert(series);
            }
        }
        listable.retain(|series| wanted(*series));
        listable
    }

    /// Exemplars, metadata and checksums.
    pub(super) fn read_aside(&mut self) {
        let (from, to) = if self.dice.percent(50) {
            (i64::MIN, i64::MAX)
        } else {
            self.range()
        };
        let db = self.db();
        let found = db
            .exemplars(&[], from..=to)
            .unwrap_or_else(|error| self.fail(&error.to_string()));
        let key = |one: &narthex::Exemplar| (one.timestamp, one.value.to_bits(), one.labels.clone());
        let mut expected = self.twin.exemplars(from, to);
        for (labels, mut exemplars) in found {
            let number = number_of(&labels);
            assert!(
                exemplars.is_sorted_by_key(|one| one.timestamp),
                "exemplars in order of time"
            );
            let mut wanted = expected.remove(&number).unwrap_or_default();
            exemplars.sort_by_key(key);
            wanted.sort_by_key(key);
            if exemplars != wanted {
                self.fail(&format!(
                    "exemplars of {number}: {exemplars:?}, wanted {wanted:?}"
                ));
            }
        }
        if !expected.is_empty() {
            self.fail(&format!("exemplars are missing: {expected:?}"));
        }
        if db.metadata(None) != self.twin.metadata() {
            self.fail(&format!(
                "metadata {:?}, wanted {:?}",
                db.metadata(None),
                self.twin.metadata()
            ));
        }
        self.read_deletions();
        let verified = db.verify().unwrap_or_else(|error| self.fail(&error.to_string()));
        if !verified.is_sound() {
            self.fail(&format!("{verified:?}"));
        }
    }

    /// A second database that only reads, beside the one that writes.
    fn read_read_only(&mut self) {
        let options = self.options().read_only(true);
        let db = Db::open(options).unwrap_or_else(|error| self.fail(&format!("opening beside: {error}")));
        let expected = self.twin.contents(|_| true, i64::MIN, i64::MAX);
        let found = self.contents(&db, &[], i64::MIN, i64::MAX);
        self.compare(&expected, &found, "read only");
        if db.deletions() != self.db().deletions() {
            self.fail(&format!(
                "deletions {:?}, beside {:?}",
                self.db().deletions(),
                db.deletions()
            ));
        }
        if db.metadata(None) != self.twin.metadata() {
            self.fail(&format!(
                "metadata {:?}, wanted {:?}",
                db.metadata(None),
                self.twin.metadata()
            ));
        }
    }
}

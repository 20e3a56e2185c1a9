//! Batches: what is put in them, and what their report must say.

use super::Kind;
use super::episode::{Episode, SERIES, TICK};
use super::memory::Newest;
use super::policy::{Class, policy_of};
use super::twin::{Place, Verdict};
use crate::play::{float, histogram, series};
use narthex::{
    Batch, CommitReport, Durability, Exemplar, Labels, Metadata, MetricType, Overwrite, Reject, Sample,
    Value, labels,
};
use std::collections::BTreeSet;
use std::time::Duration;

/// A batch in the making, and what its report must say.
struct Draft {
    batch: Batch,
    places: Vec<Place>,
    floats: usize,
    histograms: usize,
    exemplars: usize,
    metadata: usize,
    duplicates: usize,
    conflicts: usize,
    corrections: usize,
    /// Recorded at the end, with the time of the commit.
    entries: Vec<(String, Metadata)>,
    is_always: bool,
}

impl Episode<'_> {
    pub(super) fn write_batch(&mut self) {
        if self.dice.percent(30) {
            self.now += 1;
        }
        let mut draft = self.draft();
        if self.dice.percent(2) {
            self.push_run(&mut draft);
        }
        for _ in 0..1 + self.dice.below(14) {
            match self.dice.below(100) {
                0..=75 => self.push_sample(&mut draft),
                76..=87 => self.push_correction(&mut draft),
                88..=94 => self.push_exemplar(&mut draft),
                _ => self.push_metadata(&mut draft),
            }
        }
        self.commit(draft);
    }

    /// More series than the others, which leave memory after a while: the head needs several of its slabs.
    pub(super) fn write_many_series(&mut self) {
        let mut draft = self.draft();
        for number in 1_000..2_500 {
            let sample = Sample {
                timestamp: self.now * TICK,
                value: Value::Float(number as f64),
                start_timestamp: 0,
            };
            self.coverage.count(Kind::Write);
            self.push(&mut draft, (number, sample.timestamp), &sample);
        }
        self.commit(draft);
    }

    /// So many samples of one series that chunks are full.
    fn push_run(&mut self, draft: &mut Draft) {
        let number = self.dice.below(SERIES);
        let from = self
            .newest
            .get(&number)
            .copied()
            .unwrap_or(0)
            .max(self.now * TICK);
        if from == i64::MAX {
            return;
        }
        for index in 1..60 + self.dice.below(240) as i64 {
            let Some(timestamp) = from.checked_add(index * 50) else {
                return;
            };
            let sample = Sample {
                timestamp,
                value: self.value(number),
                start_timestamp: 0,
            };
            self.coverage.count(Kind::Write);
            self.touch((number, timestamp), Kind::Write);
            self.push(draft, (number, timestamp), &sample);
        }
        self.now += 2;
    }

    fn draft(&mut self) -> Draft {
        let mut batch = self.db().batch();
        let interval = Durability::Interval(Duration::from_millis(50));
        let durability =
            *self
                .dice
                .pick(&[Durability::Always, interval, Durability::Never, Durability::Never]);
        batch.durability(durability);
        Draft {
            batch,
            places: Vec::new(),
            floats: 0,
            histograms: 0,
            exemplars: 0,
            metadata: 0,
            duplicates: 0,
            conflicts: 0,
            corrections: 0,
            entries: Vec::new(),
            is_always: durability == Durability::Always,
        }
    }

    /// A timestamp near the present; at either end of time for a few series.
    fn timestamp(&mut self, number: usize) -> i64 {
        if self.setup.has_extremes && number % 10 == 7 && self.dice.percent(6) {
            return *self
                .dice
                .pick(&[i64::MIN, i64::MIN + 1, i64::MAX, i64::MAX - 1, -TICK, 0, 1]);
        }
        let jitter = if number % 4 == 3 {
            self.dice.below(3) as i64
        } else {
            0
        };
        (self.now - self.dice.below(20) as i64) * TICK + jitter
    }

    /// Chooses a sample by what it is to the database, and pushes it.
    fn push_sample(&mut self, draft: &mut Draft) {
        let number = self.dice.below(SERIES);
        let (place, kind) = match self.dice.below(100) {
            0..=29 => ((number, self.now * TICK), Kind::Write),
            30..=49 => ((number, self.timestamp(number)), Kind::Late),
            50..=64 => (self.some_place(number), Kind::Retry),
            65..=79 => (self.some_place(number), Kind::Conflict),
            _ if draft.places.is_empty() => ((number, self.timestamp(number)), Kind::Write),
            _ => (*self.dice.pick(&draft.places), Kind::SameBatch),
        };
        let there = self.twin.winner(place).cloned();
        let is_repeat = kind == Kind::Retry || kind == Kind::SameBatch && self.dice.percent(50);
        let value = match there {
            Some(value) if is_repeat => value,
            _ => self.value(place.0),
        };
        let sample = self.sample(place, value);
        let kind = self.name(place, &sample, kind);
        self.coverage.count(kind);
        self.touch(place, kind);
        let policy = match policy_of(place.0) {
            Overwrite::First => Some(Kind::First),
            Overwrite::Last => Some(Kind::Last),
            Overwrite::Max => Some(Kind::Maximum),
            Overwrite::Reject => None,
        };
        self.count_more(place, &sample, policy);
        if policy.is_none() {
            self.meet_class(place, Class::Ordinary, &sample);
        }
        self.push(draft, place, &sample);
    }

    /// A correction, most of them where something is or was.
    fn push_correction(&mut self, draft: &mut Draft) {
        let number = self.dice.below(SERIES);
        let place = match self.dice.below(10) {
            0 => (number, self.now * TICK),
            1..=2 => (number, self.timestamp(number)),
            3..=4 if !draft.places.is_empty() => *self.dice.pick(&draft.places),
            _ => self.some_place(number),
        };
        let value = match self.twin.winner(place) {
            Some(there) if self.dice.percent(25) => there.clone(),
            _ => self.value(number),
        };
        let sample = self.sample(place, value);
        self.coverage.count(Kind::Correction);
        self.touch(place, Kind::Correction);
        self.count_more(place, &sample, None);
        if policy_of(place.0) == Overwrite::Reject {
            self.meet_class(place, Class::Correction, &sample);
        }
        let verdict = self.twin.verdict_of_correction(place, &sample.value);
        if self.dice.percent(50)
            && let (Value::Float(value), 0) = (&sample.value, sample.start_timestamp)
        {
            draft.batch.correct(&series(place.0), place.1, *value);
        } else {
            draft.batch.correct_sample(&series(place.0), &sample);
        }
        self.judged(draft, place, &sample, verdict);
    }

    fn meet_class(&mut self, place: Place, comes: Class, sample: &Sample) {
        let standing = self.twin.standing(place);
        self.coverage.meet(standing, comes, &sample.value);
    }

    /// A sample of a value, sometimes with a start timestamp.
    fn sample(&mut self, place: Place, value: Value) -> Sample {
        let start_timestamp = if place.0.is_multiple_of(3) && self.dice.percent(50) {
            place.1.saturating_sub(1 + self.dice.below(3) as i64 * TICK)
        } else {
            0
        };
        Sample {
            timestamp: place.1,
            value,
            start_timestamp,
        }
    }

    /// Counts what a sample is beside its first kind.
    fn count_more(&mut self, place: Place, sample: &Sample, policy: Option<Kind>) {
        let histogram = matches!(sample.value, Value::Histogram(_)).then_some(Kind::Histogram);
        let start = (sample.start_timestamp != 0).then_some(Kind::StartTimestamp);
        for kind in [histogram, start, policy].into_iter().flatten() {
            self.coverage.count(kind);
            self.collide(place, kind);
        }
    }

    /// What the sample is in truth, whatever was intended.
    fn name(&self, place: Place, sample: &Sample, intended: Kind) -> Kind {
        match self.twin.winner(place) {
            _ if intended == Kind::SameBatch => Kind::SameBatch,
            Some(there) if *there == sample.value => Kind::Retry,
            Some(_) => Kind::Conflict,
            None if self.newest.get(&place.0).is_some_and(|newest| *newest > place.1) => Kind::Late,
            None => Kind::Write,
        }
    }

    pub(super) fn some_place(&mut self, number: usize) -> Place {
        let from = (number, (self.now - self.dice.below(25) as i64) * TICK);
        let found = self.twin.place_after(from);
        found.unwrap_or((number, self.now * TICK))
    }

    fn value(&mut self, number: usize) -> Value {
        let is_histogram = match number % 5 {
            4 => self.dice.percent(90),
            _ => self.dice.percent(3),
        };
        if is_histogram {
            Value::Histogram(histogram(&mut self.dice).into())
        } else {
            Value::Float(float(&mut self.dice))
        }
    }

    fn push(&mut self, draft: &mut Draft, place: Place, sample: &Sample) {
        let verdicts = self.twin.verdicts(place, &sample.value, policy_of(place.0));
        let [(verdict, _)] = verdicts[..] else {
            let before = self.draft();
            self.commit(std::mem::replace(draft, before));
            return self.commit_alone(place, sample, verdicts);
        };
        put(&mut draft.batch, place, sample, self.dice.percent(20));
        self.judged(draft, place, sample, verdict);
    }

    /// Notes what must be said of a sample of the draft.
    fn judged(&mut self, draft: &mut Draft, place: Place, sample: &Sample, verdict: Verdict) {
        self.note(|| {
            let seen = crate::play::seen(&sample.value);
            format!("{place:?} {seen:?} {} {verdict:?}", sample.start_timestamp)
        });
        self.twin.live_max = self.twin.live_max.max(Some(place.1));
        let class = match verdict {
            Verdict::New(class) => class,
            Verdict::Same => return draft.duplicates += 1,
            Verdict::Conflict => return draft.conflicts += 1,
        };
        match &sample.value {
            Value::Float(_) => draft.floats += 1,
            Value::Histogram(_) => draft.histograms += 1,
        }
        draft.corrections += usize::from(class != Class::Ordinary);
        self.twin.add_sample(place, sample, class);
        draft.places.push(place);
        let newest = self.newest.entry(place.0).or_insert(place.1);
        *newest = (*newest).max(place.1);
    }

    /// A sample that may be judged in several ways: the report says how it was.
    fn commit_alone(&mut self, place: Place, sample: &Sample, verdicts: Vec<(Verdict, BTreeSet<Newest>)>) {
        let mut batch = self.db().batch();
        batch.durability(Durability::Always);
        put(&mut batch, place, sample, false);
        let report = batch.commit();
        let report = report.unwrap_or_else(|error| self.fail(&error.to_string()));
        let found = (
            report.floats + report.histograms,
            report.duplicates,
            report.rejected_count(),
            report.corrections,
        );
        self.note(|| {
            let seen = crate::play::seen(&sample.value);
            format!("{place:?} {seen:?} alone, {verdicts:?}: {found:?}")
        });
        self.coverage.commits += 1;
        self.coverage.alone += 1;
        self.twin.live_max = self.twin.live_max.max(Some(place.1));
        let says = |verdict: Verdict| match verdict {
            Verdict::New(class) => (1, 0, 0, usize::from(class != Class::Ordinary)),
            Verdict::Same => (0, 1, 0, 0),
            Verdict::Conflict => (0, 0, 1, 0),
        };
        let said = verdicts.into_iter().find(|one| says(one.0) == found);
        let (verdict, possible) =
            said.unwrap_or_else(|| self.fail(&format!("{place:?} {sample:?}: {report:?}")));
        self.twin.learn(place.0, possible);
        if let Verdict::New(class) = verdict {
            self.twin.add_sample(place, sample, class);
        }
        self.twin.committed(report.lsn);
        self.twin.all_durable();
    }

    fn push_exemplar(&mut self, draft: &mut Draft) {
        let is_repeat = self.dice.percent(40) && !self.exemplars.is_empty();
        let (number, exemplar) = if is_repeat {
            *self.coverage.colliding.entry(Kind::Exemplar).or_default() += 1;
            self.dice.pick(&self.exemplars).clone()
        } else {
            let exemplar = Exemplar {
                labels: labels! { "trace_id" => ["a", "b", ""][self.dice.below(3)] },
                timestamp: (self.now - self.dice.below(3) as i64) * TICK,
                value: self.dice.below(2) as f64,
            };
            (self.dice.below(SERIES / 4), exemplar)
        };
        self.coverage.count(Kind::Exemplar);
        draft.batch.push_exemplar(&series(number), &exemplar);
        self.twin.live_max = self.twin.live_max.max(Some(exemplar.timestamp));
        draft.exemplars += usize::from(self.twin.add_exemplar(number, &exemplar));
        self.exemplars.push((number, exemplar));
    }

    fn push_metadata(&mut self, draft: &mut Draft) {
        let entry = Metadata {
            metric_type: *self.dice.pick(&[MetricType::Counter, MetricType::Gauge]),
            help: ["Requests.", "Anfragen – gezählt."][self.dice.below(2)].into(),
            unit: String::new(),
        };
        let metric = ["requests_total", "memory_bytes", "never_written"][self.dice.below(3)];
        self.coverage.count(Kind::Metadata);
        draft.batch.push_metadata(metric, &entry);
        draft.entries.push((metric.to_owned(), entry));
    }

    fn commit(&mut self, mut draft: Draft) {
        let now = narthex::Clock::now_ms(&*self.clock);
        for (metric, entry) in std::mem::take(&mut draft.entries) {
            if self.twin.add_metadata(&metric, now, &entry) {
                draft.metadata += 1;
            } else {
                *self.coverage.colliding.entry(Kind::Metadata).or_default() += 1;
            }
        }
        let report = draft.batch.commit();
        let report = report.unwrap_or_else(|error| self.fail(&format!("commit: {error}")));
        self.coverage.commits += 1;
        let expected = (
            draft.floats,
            draft.histograms,
            draft.exemplars,
            draft.metadata,
            draft.duplicates,
            draft.conflicts,
            draft.corrections,
        );
        let found = (
            report.floats,
            report.histograms,
            report.exemplars,
            report.metadata,
            report.duplicates,
            conflicts(&report),
            report.corrections,
        );
        if expected != found || report.accepted != draft.floats + draft.histograms + draft.duplicates {
            self.fail(&format!(
                "floats, histograms, exemplars, metadata, duplicates, conflicts, corrections: expected {expected:?}, found {found:?}: {report:?}"
            ));
        }
        self.note(|| format!("commit {} always {}", report.lsn, draft.is_always));
        self.twin.committed(report.lsn);
        if draft.is_always {
            self.twin.all_durable();
        }
    }
}

fn put(batch: &mut Batch, place: Place, sample: &Sample, by_pairs: bool) {
    let labels: Labels = series(place.0);
    match &sample.value {
        _ if sample.start_timestamp != 0 => batch.push_sample(&labels, sample),
        Value::Float(value) if by_pairs => {
            let pairs: Vec<(&str, &str)> = labels.iter().collect();
            batch.push_pairs(&pairs, sample.timestamp, *value);
        }
        Value::Float(value) => batch.push(&labels, sample.timestamp, *value),
        Value::Histogram(histogram) => batch.push_histogram(&labels, sample.timestamp, histogram),
    }
}

fn conflicts(report: &CommitReport) -> usize {
    let conflicts = report
        .rejected
        .iter()
        .filter(|one| one.reason == Reject::Conflict);
    let count = conflicts.map(|one| one.count).sum();
    assert_eq!(
        count,
        report.rejected_count(),
        "refused for another reason: {report:?}"
    );
    count
}

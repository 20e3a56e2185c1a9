//! Power losses and kills at every sync and at thousands of random moments: what was acknowledged is back as its policy
//! promises, batches are whole and a run, nothing is invented, and the database goes on.

pub(crate) mod story;

use crate::play::{self, Dice, from_environment};
use narthex::testing::{CrashMode, CrashPoint, Record, SimFs};
use narthex::{Db, Durability, Sample, Value};
use std::time::Duration;
use story::{Happened, Known, Story, options};

const SEED: u64 = 20_240_918;
const POLICIES: [Durability; 3] = [
    Durability::Always,
    Durability::Interval(Duration::from_millis(100)),
    Durability::Never,
];

/// How many records an image may hold.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    least: usize,
    most: usize,
}

impl Bounds {
    fn after_power_loss(known: Known) -> Self {
        Self {
            least: known.durable,
            most: known.begun,
        }
    }

    fn after_kill(known: Known) -> Self {
        Self {
            least: known.handed,
            most: known.begun,
        }
    }
}

/// Opens an image and says how many records it holds.
fn recover(story: &Story, image: &SimFs, bounds: Bounds) -> Result<(Db, Bounds), String> {
    let db = Db::open(options(image, story.durability)).map_err(|error| format!("opening: {error}"))?;
    let report = db.recovery();
    if !report.gaps.is_empty() || !report.quarantined.is_empty() || report.lost_samples > 0 {
        return Err(format!("{report:?}"));
    }
    let (contents, warnings) = play::read(&db, &[], i64::MIN, i64::MAX).map_err(|error| error.to_string())?;
    if warnings > 0 {
        return Err(format!("{warnings} warnings"));
    }
    let survivors = story.survivors(&db, &contents)?;
    if *survivors.end() < bounds.least || *survivors.start() > bounds.most {
        return Err(format!("{survivors:?} records survived, not {bounds:?}"));
    }
    let survivors = Bounds {
        least: *survivors.start(),
        most: *survivors.end(),
    };
    Ok((db, survivors))
}

/// A place that no workload touches.
const AFTERWARDS: (usize, i64) = (7, 77);

/// The database of an image takes writes, and a power loss right after shows the same and what was written.
fn check_goes_on(story: &Story, image: &SimFs, db: &Db, dice: &mut Dice) -> Result<(), String> {
    let before = play::read_all(db);
    let mut batch = db.batch();
    let sample = Sample {
        timestamp: AFTERWARDS.1,
        value: Value::Float(1.5),
        start_timestamp: 0,
    };
    batch.durability(Durability::Always);
    batch.push_sample(&play::series(AFTERWARDS.0), &sample);
    let report = batch
        .commit()
        .map_err(|error| format!("the first commit after: {error}"))?;
    if report.floats != 1 {
        return Err(format!("the first commit after: {report:?}"));
    }
    if dice.percent(30) {
        db.flush()
            .map_err(|error| format!("the first flush after: {error}"))?;
    }
    let mut expected = before;
    expected.insert(AFTERWARDS, (play::seen(&sample.value), 0));
    let again = image.crash(dice.next(), *dice.pick(&CrashMode::ALL));
    let db =
        Db::open(options(&again, story.durability)).map_err(|error| format!("opening again: {error}"))?;
    let found = play::read_all(&db);
    if found != expected {
        return Err(format!(
            "after the second recovery: {}",
            play::difference(&expected, &found)
        ));
    }
    Ok(())
}

/// A crash while an image is being opened leaves what opening it would have shown.
fn check_crash_while_opening(
    story: &Story,
    image: &SimFs,
    bounds: Bounds,
    dice: &mut Dice,
) -> Result<usize, String> {
    let opened = image.kill();
    opened.record(Record::Changes);
    let (db, shown) = recover(story, &opened, bounds)?;
    let points = opened.take_crash_points();
    opened.record(Record::Nothing);
    // Before it was opened, only what was durable is sure to survive a power loss; afterwards all that was shown.
    for point in &points {
        let mode = *dice.pick(&CrashMode::ALL);
        let crashed = point.crash(dice.next(), mode);
        recover(story, &crashed, bounds).map_err(|error| {
            format!(
                "crash while opening, {:?} {}: {mode:?}: {error}",
                point.call, point.index
            )
        })?;
    }
    drop(db);
    for mode in CrashMode::ALL {
        let crashed = opened.crash(dice.next(), mode);
        recover(story, &crashed, shown).map_err(|error| format!("crash after opening: {mode:?}: {error}"))?;
    }
    Ok(points.len())
}

/// What is tried with the images of one story.
struct Trial<'a> {
    story: &'a Story,
    dice: Dice,
    cuts: usize,
    opening_cuts: usize,
    /// Images that lack batches which had been handed to the operating system.
    lossy: usize,
}

impl<'a> Trial<'a> {
    fn new(story: &'a Story, seed: u64) -> Self {
        Self {
            story,
            dice: Dice(seed),
            cuts: 0,
            opening_cuts: 0,
            lossy: 0,
        }
    }

    fn fail(&self, point: &CrashPoint, what: &str, error: &str) -> ! {
        let (story, side) = (self.story, if point.is_after { "after" } else { "before" });
        panic!(
            "{what} {side} call {} ({:?}), {:?}: {error}",
            point.index, point.call, story.durability
        );
    }

    fn power_loss(&mut self, point: &CrashPoint, mode: CrashMode) {
        let known = self.story.known_at(point.tag);
        let bounds = Bounds::after_power_loss(known);
        let image = point.crash(self.dice.next(), mode);
        let untouched = image.kill();
        let what = format!("{mode:?}");
        match recover(self.story, &image, bounds) {
            Ok((db, survivors)) => {
                self.lossy += usize::from(survivors.most < known.handed);
                check_goes_on(self.story, &image, &db, &mut self.dice)
                    .unwrap_or_else(|error| self.fail(point, &what, &error));
                if self.cuts.is_multiple_of(60) {
                    self.opening_cuts +=
                        check_crash_while_opening(self.story, &untouched, survivors, &mut self.dice)
                            .unwrap_or_else(|error| self.fail(point, &what, &error));
                }
            }
            Err(error) => self.fail(point, &what, &error),
        }
        self.cuts += 1;
    }

    fn kill(&mut self, point: &CrashPoint) {
        let known = self.story.known_at(point.tag);
        let image = point.kill();
        match recover(self.story, &image, Bounds::after_kill(known)) {
            Ok((db, _)) => check_goes_on(self.story, &image, &db, &mut self.dice)
                .unwrap_or_else(|error| self.fail(point, "kill", &error)),
            Err(error) => self.fail(point, "kill", &error),
        }
        if self.cuts.is_multiple_of(13) {
            // The process dies, and the power fails while it starts again.
            let bounds = Bounds::after_power_loss(known);
            let seed = self.dice.next();
            self.opening_cuts +=
                check_crash_while_opening(self.story, &point.kill(), bounds, &mut Dice(seed))
                    .unwrap_or_else(|error| self.fail(point, "kill", &error));
        }
        self.cuts += 1;
    }
}

/// The stories together had everything in them.
fn check_happened(stories: &[Happened]) {
    let sum = |of: fn(&Happened) -> usize| stories.iter().map(of).sum::<usize>();
    assert!(sum(|one| one.batches) >= 100, "{stories:?}");
    assert!(
        sum(|one| one.flushes) >= 6 && sum(|one| one.checkpoints) >= 6,
        "{stories:?}"
    );
    assert!(
        sum(|one| one.rotations) >= 6 && sum(|one| one.evicted) >= 6,
        "{stories:?}"
    );
    assert!(sum(|one| one.reopenings) >= 3, "{stories:?}");
    assert!(
        sum(|one| one.corrections) >= 50 && sum(|one| one.deletes) >= 8 && sum(|one| one.undeletes) >= 4,
        "{stories:?}"
    );
}

#[test]
fn every_sync_may_be_the_last() {
    let seed = from_environment("NARTHEX_SEED", SEED);
    let mut happened = Vec::new();
    for (index, durability) in POLICIES.into_iter().enumerate() {
        let story = Story::play(seed + index as u64, durability, 100, Record::Syncs);
        let points = story.fs.take_crash_points();
        let mut trial = Trial::new(&story, seed);
        for point in &points {
            CrashMode::ALL
                .into_iter()
                .for_each(|mode| trial.power_loss(point, mode));
            trial.kill(point);
        }
        eprintln!(
            "crash: NARTHEX_SEED={seed} {durability:?}: {:?}, {} sync points, {} cuts, {} while opening, {} lost something",
            story.happened,
            points.len(),
            trial.cuts,
            trial.opening_cuts,
            trial.lossy
        );
        assert_eq!(story.known_last().handed, story.records());
        assert!(points.len() >= 200, "{} sync points", points.len());
        happened.push(story.happened);
    }
    check_happened(&happened);
}

#[test]
fn random_cuts_lose_nothing_that_was_promised() {
    let seed = from_environment("NARTHEX_SEED", SEED);
    let cuts_wanted = from_environment("NARTHEX_CRASH_CUTS", 2_400) as usize;
    let mut cuts = 0;
    let mut dice = Dice(seed ^ 0x5eed);
    while cuts < cuts_wanted {
        let durability = *dice.pick(&POLICIES);
        let story = Story::play(dice.next(), durability, 150, Record::Changes);
        let points = story.fs.take_crash_points();
        let mut trial = Trial::new(&story, dice.next());
        for _ in 0..200 {
            let point = dice.pick(&points);
            if dice.percent(10) {
                trial.kill(point);
            } else {
                trial.power_loss(
                    point,
                    *dice.pick(&[CrashMode::Prefix, CrashMode::Scatter, CrashMode::Garbage]),
                );
            }
        }
        cuts += trial.cuts;
        eprintln!(
            "crash: NARTHEX_SEED={seed} {durability:?}: {:?}, {} moments, {} cuts, {} while opening, {} lost something",
            story.happened,
            points.len(),
            trial.cuts,
            trial.opening_cuts,
            trial.lossy
        );
    }
    assert!(cuts >= cuts_wanted);
}

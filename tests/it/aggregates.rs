//! Named aggregates against PromQL over their source in a second database, which has none: with what comes late, is corrected
//! or deleted, before there are rollups and after, and when the database was opened again.

use crate::play::from_environment;
use crate::world::Rng;
use narthex::testing::SimFs;
use narthex::{
    Aggregate, AggregateFunction, Clock, Counts, Db, Durability, Histogram, Labels, ListOptions, ManualClock,
    Matcher, MetricType, Options, Overwrite, QueryAnswer, QueryOptions, QueryPoint, QueryValue, ResetHint,
    Rollup, Span, labels, stale_nan,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const START_MS: i64 = 1_700_000_000_000;
const INTERVAL_MS: i64 = 10_000;
/// More than one tile.
const WINDOWS: i64 = 520;

type Points = BTreeMap<Labels, BTreeMap<i64, f64>>;

fn aggregate(name: &str, matchers: Vec<Matcher>) -> Aggregate {
    let aggregate = Aggregate::new(name, matchers, Duration::from_millis(INTERVAL_MS as u64));
    let functions = AggregateFunction::ALL.into_iter();
    functions.fold(aggregate, Aggregate::with)
}

fn of_x() -> Aggregate {
    aggregate("x:10s", vec![Matcher::eq("__name__", "x")])
}

fn of_hosts() -> Aggregate {
    aggregate("hosts", vec![Matcher::re("host", "counter|gauge")])
}

fn plain(dir: &str, fs: &SimFs, clock: &Arc<ManualClock>) -> Options {
    Options::new(dir)
        .fs(Arc::new(fs.clone()))
        .clock(clock.clone())
        .background(false)
        .durability(Durability::Never)
        .overwrite(Overwrite::Last)
        .segment_span(Duration::from_secs(300))
        .flush_samples_min(1_000)
        .wal_sizes(64 << 10, 16 << 10)
}

/// Two databases with one history.
struct World {
    fs: SimFs,
    clock: Arc<ManualClock>,
    db: Db,
    twin: Db,
    rng: Rng,
    values: BTreeMap<&'static str, f64>,
    deletions: Vec<(u64, u64)>,
    has_rollup: bool,
}

fn with_aggregates(options: Options, has_rollup: bool) -> Options {
    let options = options.aggregate(of_x()).aggregate(of_hosts());
    match has_rollup {
        true => options.rollup(Rollup::every(Duration::from_secs(5))),
        false => options,
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let (fs, clock) = (SimFs::new(), Arc::new(ManualClock::new(START_MS)));
        let has_rollup = seed % 2 == 1;
        Self {
            db: Db::open(with_aggregates(plain("db", &fs, &clock), has_rollup)).expect("a database"),
            twin: Db::open(plain("twin", &fs, &clock)).expect("its twin"),
            fs,
            clock,
            rng: Rng::new(seed),
            values: BTreeMap::new(),
            deletions: Vec::new(),
            has_rollup,
        }
    }

    fn value(&mut self, host: &'static str) -> f64 {
        let value = self.values.entry(host).or_default();
        let rng = &mut self.rng;
        *value = match host {
            "counter" if rng.chance(40) => 0.0,
            "counter" => *value + rng.below(5) as f64,
            "gauge" => rng.below(1_000) as f64 / 10.0,
            _ => return *rng.pick(&[0.0, -0.0, f64::NAN, f64::INFINITY, 1e308, -2.5, 7.0]),
        };
        *value
    }

    /// Writes a sample of each series now and then, to both.
    fn write(&mut self, from_ms: i64, to_ms: i64, one_in: u64) {
        let (mut batch, mut twin) = (self.db.batch(), self.twin.batch());
        for (name, host, pause_ms) in [
            ("x", "counter", 3_000),
            ("x", "gauge", 4_000),
            ("x", "odd", 7_000),
            ("x", "sparse", 47_000),
            ("y", "counter", 5_000),
        ] {
            let series = labels! { "__name__" => name, "host" => host, "zone" => if host == "odd" { "" } else { "z" } };
            let mut at = from_ms + self.rng.below(pause_ms) as i64;
            while at < to_ms {
                let value = match self.rng.chance(30) {
                    true => stale_nan(),
                    false => self.value(host),
                };
                if one_in < 2 || self.rng.chance(one_in) {
                    batch.push(&series, at, value);
                    twin.push(&series, at, value);
                }
                at += (pause_ms / 2 + self.rng.below(pause_ms)) as i64;
            }
        }
        batch.commit().expect("a commit");
        twin.commit().expect("a commit");
        if to_ms > self.clock.now_ms() {
            self.clock.set(to_ms);
        }
    }

    fn both(&self) -> [&Db; 2] {
        [&self.db, &self.twin]
    }

    fn change(&mut self) {
        let now_ms = self.clock.now_ms();
        let from_ms = START_MS + self.rng.below((now_ms - START_MS) as u64) as i64;
        let to_ms = now_ms.min(from_ms + self.rng.below(200_000) as i64);
        match self.rng.below(7) {
            0 => self.write(from_ms, to_ms, 4),
            1 => {
                let host = *self.rng.pick(&["counter", "gauge", "sparse"]);
                let matchers = [Matcher::eq("host", host)];
                let ids = self.both().map(|db| db.delete(&matchers, from_ms..=to_ms));
                let [one, other] = ids.map(|id| id.expect("a deletion"));
                self.deletions.push((one, other));
            }
            2 => {
                if let Some((one, other)) = self.deletions.pop() {
                    self.db.undelete(one).expect("an undelete");
                    self.twin.undelete(other).expect("an undelete");
                }
            }
            3 => self.both().iter().for_each(|db| db.flush().expect("a flush")),
            4 => self.step(),
            5 => {
                self.both().iter().for_each(|db| db.flush().expect("a flush"));
                self.step();
            }
            _ => self.reopen(),
        }
    }

    fn step(&self) {
        for db in self.both() {
            while db.step().expect("a step") {}
        }
    }

    fn close(&mut self) {
        let open = std::mem::replace(&mut self.db, self.twin.clone());
        open.close().expect("a close");
    }

    fn reopen(&mut self) {
        self.close();
        let options = plain("db", &self.fs, &self.clock);
        self.db = Db::open(with_aggregates(options, self.has_rollup)).expect("an opening");
    }

    /// Every function over all windows.
    fn check(&self) {
        let now_ms = self.clock.now_ms();
        for function in AggregateFunction::ALL {
            let name = function.as_str();
            let wanted = over_source(&self.twin, "x", function, now_ms);
            let found = made(&self.db, &format!("x:10s:{name}"), now_ms);
            compare(
                function,
                &found,
                &renamed(&wanted, &format!("x:10s:{name}"), None),
            );
            let mut wanted = Points::new();
            for metric in ["x", "y"] {
                let selector = format!("{metric}{{host=~\"counter|gauge\"}}");
                let of_one = over_source(&self.twin, &selector, function, now_ms);
                wanted.extend(renamed(&of_one, &format!("hosts:{name}"), Some(metric)));
            }
            let found = made(&self.db, &format!("hosts:{name}"), now_ms);
            compare(function, &found, &wanted);
        }
    }
}

fn with_experiments() -> QueryOptions {
    let mut options = QueryOptions::default();
    options.experimental = true;
    options
}

fn points(answer: QueryAnswer) -> Points {
    let QueryValue::Matrix(all) = answer.value else {
        panic!("not series: {answer:?}");
    };
    let mut points = Points::new();
    for series in all {
        assert!(series.histograms.is_empty(), "{:?}", series.labels);
        points.insert(series.labels, series.floats.into_iter().collect());
    }
    points
}

/// What a metric that an aggregate makes has up to now.
fn made(db: &Db, selector: &str, now_ms: i64) -> Points {
    let range_s = (now_ms - START_MS) / 1000 + 100;
    let answer = db.query_with(&format!("{selector}[{range_s}s]"), now_ms, &with_experiments());
    points(answer.expect("an answer"))
}

/// What a function comes to over the source at the ends of the windows.
fn over_source(db: &Db, selector: &str, function: AggregateFunction, now_ms: i64) -> Points {
    let first_ms = START_MS / INTERVAL_MS * INTERVAL_MS;
    let last_ms = now_ms / INTERVAL_MS * INTERVAL_MS;
    if function == AggregateFunction::Increase {
        let range_s = (now_ms - START_MS) / 1000 + 100;
        let samples = db.query(&format!("{selector}[{range_s}s]"), now_ms);
        let all = points(samples.expect("samples"));
        return all
            .into_iter()
            .map(|(labels, samples)| (labels, growth(&samples, last_ms)))
            .filter(|(_, windows)| !windows.is_empty())
            .collect();
    }
    let query = format!("{}_over_time({selector}[10s])", function.as_str());
    let answer = db.query_range_with(&query, (first_ms, last_ms), INTERVAL_MS, &with_experiments());
    points(answer.expect("an answer"))
}

/// What a counter grows by in each window, sample by sample.
fn growth(samples: &BTreeMap<i64, f64>, last_ms: i64) -> BTreeMap<i64, f64> {
    let mut windows: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
    for (at, value) in samples {
        let end = (at + INTERVAL_MS - 1) / INTERVAL_MS * INTERVAL_MS;
        windows.entry(end).or_default().push(*value);
    }
    let mut grown = BTreeMap::new();
    for (end, values) in windows.iter().filter(|window| *window.0 <= last_ms) {
        let before = windows.get(&(end - INTERVAL_MS)).and_then(|values| values.last());
        let all: Vec<f64> = before.into_iter().chain(values).copied().collect();
        let falls = all.windows(2).filter(|pair| pair[1] < pair[0]);
        let whole = all[all.len() - 1] - all[0];
        grown.insert(*end, falls.fold(whole, |sum, pair| sum + pair[0]));
    }
    grown
}

/// The series as those of an aggregate; the name of the source stands in `metric`.
fn renamed(all: &Points, name: &str, metric: Option<&str>) -> Points {
    let rename = |labels: &Labels| {
        let rest = labels.iter().filter(|pair| pair.0 != "__name__");
        let more = metric.map(|metric| ("metric", metric));
        Labels::from_pairs(rest.chain([("__name__", name)]).chain(more)).expect("labels")
    };
    all.iter()
        .map(|(labels, points)| (rename(labels), points.clone()))
        .collect()
}

fn compare(function: AggregateFunction, found: &Points, wanted: &Points) {
    let is_summed = matches!(function, AggregateFunction::Sum | AggregateFunction::Avg);
    let is_same = |one: f64, other: f64| {
        one.to_bits() == other.to_bits()
            || (one.is_nan() && other.is_nan() && function == AggregateFunction::Increase)
            || (is_summed && (one.is_nan() && other.is_nan() || (one - other).abs() <= 1e-12 * other.abs()))
    };
    let series = |points: &Points| points.keys().cloned().collect::<Vec<_>>();
    assert_eq!(series(found), series(wanted), "{function:?}");
    for (labels, wanted) in wanted {
        let found = &found[labels];
        assert_eq!(
            found.keys().collect::<Vec<_>>(),
            wanted.keys().collect::<Vec<_>>(),
            "{function:?} {labels:?}"
        );
        for (at, value) in wanted {
            let other = found[at];
            assert!(
                is_same(other, *value),
                "{function:?} {labels:?} {at}: {other} not {value}"
            );
        }
    }
}

fn texts(db: &Db, label: &str, matchers: &[Matcher]) -> Vec<String> {
    let listed = db.label_values(label, matchers, .., ListOptions::default());
    listed.expect("a listing").items
}

#[test]
fn aggregates_are_what_promql_says_of_their_source() {
    for seed in 0..from_environment("NARTHEX_AGGREGATE_SEEDS", 4) {
        let mut world = World::new(seed);
        let end_ms = START_MS + WINDOWS * INTERVAL_MS;
        while world.clock.now_ms() < end_ms {
            let now_ms = world.clock.now_ms();
            let pause_ms = 100_000 + world.rng.below(900_000) as i64;
            world.write(now_ms, now_ms + pause_ms, 1);
            world.change();
            if world.rng.chance(3) {
                world.check();
            }
        }
        for _ in 0..6 {
            world.check();
            world.change();
        }
        world.both().iter().for_each(|db| db.flush().expect("a flush"));
        world.step();
        world.check();
        world.reopen();
        world.check();
        for info in world.db.aggregates() {
            assert!(info.covered_share > 0.4, "{info:?}");
        }
    }
}

#[test]
fn a_new_aggregate_is_there_at_once_and_then_filled_in() {
    let mut world = World::new(7);
    world.write(START_MS, START_MS + 6_000_000, 1);
    world.db.flush().expect("a flush");
    world.close();
    let hour = Aggregate::new(
        "late",
        vec![Matcher::eq("__name__", "y")],
        Duration::from_secs(10),
    )
    .with(AggregateFunction::Max);
    let options = plain("db", &world.fs, &world.clock).aggregate(hour);
    let db = Db::open(options.clone()).expect("an opening");
    let now_ms = world.clock.now_ms();
    let wanted = over_source(&world.twin, "y", AggregateFunction::Max, now_ms);
    let wanted = renamed(&wanted, "late:max", None);
    let check = |db: &Db| compare(AggregateFunction::Max, &made(db, "late:max", now_ms), &wanted);
    let infos = || db.aggregates();
    assert_eq!((infos()[0].from, infos()[0].covered_share), (None, 0.0));
    check(&db);
    let mut was_being_made = false;
    while db.step().expect("a step") {
        was_being_made |= infos()[0].is_being_made;
    }
    assert!(was_being_made);
    assert!(!infos()[0].is_being_made);
    let info = infos().remove(0);
    assert!(
        info.from.is_some() && info.to.is_some_and(|to| to < now_ms),
        "{info:?}"
    );
    assert!((0.4..1.0).contains(&info.covered_share), "{info:?}");
    check(&db);
    db.close().expect("a close");
    check(&Db::open(options).expect("an opening"));
}

#[test]
fn windows_outlive_the_samples() {
    let mut world = World::new(12);
    let options = || plain("short", &world.fs, &world.clock).retention(Duration::from_secs(3_600));
    let db = Db::open(with_aggregates(options(), false)).expect("a database");
    let early = labels! { "__name__" => "x", "host" => "early", "zone" => "z" };
    for db in [&db, &world.twin] {
        let mut batch = db.batch();
        batch.push(&early, START_MS + 5_000, 3.0);
        batch.commit().expect("a commit");
    }
    world.db = db;
    for part in 0..30 {
        let from_ms = START_MS + part * 300_000;
        world.write(from_ms, from_ms + 300_000, 1);
        world.db.flush().expect("a flush");
        world.step();
    }
    let db = &world.db;
    let now_ms = world.clock.now_ms();
    let stored = texts(db, "host", &[Matcher::eq("__name__", "x")]);
    assert!(!stored.contains(&"early".to_owned()), "{stored:?}");
    let made_of = texts(db, "host", &[Matcher::eq("__name__", "x:10s:max")]);
    assert_eq!(made_of, ["counter", "early", "gauge", "odd", "sparse"]);
    for function in AggregateFunction::ALL {
        let name = format!("x:10s:{}", function.as_str());
        // What is not told of a window goes with its samples: more falls than a counter has, and sums without an end.
        let hosts = match function {
            AggregateFunction::Increase => "{host=~\"counter|early\"}",
            _ => "{host!~\"odd|sparse\"}",
        };
        let wanted = over_source(&world.twin, &format!("x{hosts}"), function, now_ms);
        let found = made(db, &format!("{name}{hosts}"), now_ms);
        compare(function, &found, &renamed(&wanted, &name, None));
    }
}

#[test]
fn windows_are_shown_when_they_are_over() {
    let mut world = World::new(2);
    world.write(START_MS, START_MS + 105_000, 1);
    for (now_ms, wanted_ms) in [
        (105_000, 100_000),
        (109_999, 100_000),
        (110_000, 110_000),
        (500_000, 110_000),
    ] {
        world.clock.set(START_MS + now_ms);
        let found = made(&world.db, "x:10s:count", START_MS + 900_000);
        let last = found.values().filter_map(|points| points.keys().last()).max();
        assert_eq!(last, Some(&(START_MS + wanted_ms)));
    }
}

#[test]
fn aggregates_are_listed() {
    let mut world = World::new(4);
    world.write(START_MS, START_MS + 200_000, 1);
    world.clock.advance(INTERVAL_MS);
    let db = &world.db;
    let names = texts(db, "__name__", &[]);
    let mut wanted: Vec<String> = vec!["x".to_owned(), "y".to_owned()];
    for function in AggregateFunction::ALL {
        wanted.extend([
            format!("hosts:{}", function.as_str()),
            format!("x:10s:{}", function.as_str()),
        ]);
    }
    wanted.sort();
    assert_eq!(names, wanted);
    let listed = db.label_values(
        "__name__",
        &[],
        ..,
        ListOptions::default().prefix("x:10s:m").limit(1),
    );
    let listed = listed.expect("a listing");
    assert_eq!(
        (listed.items, listed.is_truncated),
        (vec!["x:10s:max".to_owned()], true)
    );
    assert!(texts(db, "__name__", &[Matcher::eq("host", "nobody")]).is_empty());
    let sparse = texts(
        db,
        "__name__",
        &[
            Matcher::eq("host", "sparse"),
            Matcher::re("__name__", ".*m[ai][xn]"),
        ],
    );
    assert_eq!(sparse, ["x:10s:max", "x:10s:min"]);

    let max = [Matcher::eq("__name__", "hosts:max")];
    assert_eq!(texts(db, "metric", &max), ["x", "y"]);
    assert_eq!(
        texts(db, "host", &[Matcher::eq("metric", "y"), max[0].clone()]),
        ["counter"]
    );
    let label_names = db.label_names(&max, .., ListOptions::default()).expect("names");
    assert_eq!(label_names.items, ["__name__", "host", "metric", "zone"]);
    let series = |matchers: &[Matcher]| {
        let listed = db
            .series(matchers, .., ListOptions::default())
            .expect("a listing");
        listed.items
    };
    let of = |host: &str, metric: &str| {
        labels! { "__name__" => "hosts:max", "host" => host, "metric" => metric, "zone" => "z" }
    };
    assert_eq!(
        series(&max),
        [of("counter", "x"), of("counter", "y"), of("gauge", "x")]
    );
    let stored = labels! { "__name__" => "x", "host" => "gauge", "zone" => "z" };
    let both = [
        Matcher::re("__name__", "hosts:max|x"),
        Matcher::eq("host", "gauge"),
    ];
    assert_eq!(series(&both), [of("gauge", "x"), stored]);
    let all = db.metadata(None);
    assert_eq!(all["x:10s:max"][0].1.metric_type, MetricType::Gauge);
    assert_eq!(all["x:10s:max"][0].1.help, "Aggregate: max of each 10s.");
    assert_eq!(db.metadata(Some("x")).len(), 0);
}

#[test]
fn expressions_select_aggregates_beside_stored_series() {
    let mut world = World::new(6);
    world.write(START_MS, START_MS + 200_000, 1);
    let (db, now_ms) = (&world.db, START_MS + 200_000);
    let found = made(db, "{__name__=~\"hosts:max|x\", host=\"counter\"}", now_ms);
    let mut wanted = made(&world.twin, "x{host=\"counter\"}", now_ms);
    wanted.extend(made(db, "hosts:max{host=\"counter\"}", now_ms));
    assert_eq!(wanted.len(), 3);
    let bits = |points: Points| -> Vec<(Labels, Vec<(i64, u64)>)> {
        let bits = points.into_iter().map(|(labels, points)| {
            (
                labels,
                points
                    .into_iter()
                    .map(|(at, value)| (at, value.to_bits()))
                    .collect(),
            )
        });
        bits.collect()
    };
    assert_eq!(bits(found), bits(wanted));
    let one = made(db, "hosts:max{metric=\"y\"}", now_ms);
    assert_eq!(one.len(), 1);
    let nobody = made(db, "hosts:max{metric!~\"x|y\"}", now_ms);
    assert!(nobody.is_empty());
    let of_labels = made(db, "{host=\"counter\"}", now_ms);
    assert_eq!(of_labels.len(), 2, "who names none gets none");
    let over_windows = db
        .query("max_over_time(hosts:max{metric=\"y\"}[150s])", now_ms)
        .expect("an answer");
    let QueryValue::Vector(over_windows) = over_windows.value else {
        panic!("not a vector")
    };
    let most = one
        .values()
        .flat_map(|points| points.range(now_ms - 149_999..))
        .map(|point| *point.1);
    assert_eq!(over_windows[0].value, QueryPoint::Float(most.fold(0.0, f64::max)));
}

#[test]
fn an_aggregate_hides_stored_series_of_its_name_and_says_so() {
    let mut world = World::new(8);
    world.write(START_MS, START_MS + 100_000, 1);
    let mut batch = world.db.batch();
    batch.push(
        &labels! { "__name__" => "x:10s:max", "host" => "stored" },
        START_MS + 5_000,
        1.0,
    );
    batch.commit().expect("a commit");
    for selector in ["x:10s:max", "{__name__=~\"x:10s:m.x\"}"] {
        let answer = world
            .db
            .query(&format!("count by (host) ({selector})"), START_MS + 100_000);
        let answer = answer.expect("an answer");
        let wanted = "stored series are hidden by the aggregate of the same name: x:10s:max";
        assert_eq!(answer.warnings.len(), 1, "{:?}", answer.warnings);
        assert!(answer.warnings[0].contains(wanted), "{:?}", answer.warnings);
        let found = made(&world.db, selector, START_MS + 100_000);
        assert!(!found.is_empty() && found.keys().all(|labels| labels.get("host") != Some("stored")));
    }
    let hosts = texts(&world.db, "host", &[Matcher::eq("__name__", "x:10s:max")]);
    assert!(!hosts.contains(&"stored".to_owned()), "{hosts:?}");
    let quiet = world
        .db
        .query("x:10s:min", START_MS + 100_000)
        .expect("an answer");
    assert!(quiet.warnings.is_empty());
    let twice = plain("other", &world.fs, &world.clock)
        .aggregate(of_x())
        .aggregate(of_x());
    assert!(Db::open(twice).is_err());
}

#[test]
fn too_many_windows_are_refused_and_empty_time_costs_none() {
    let (fs, clock) = (SimFs::new(), Arc::new(ManualClock::new(START_MS)));
    let second = Aggregate::new("s", vec![Matcher::eq("__name__", "x")], Duration::from_secs(1))
        .with(AggregateFunction::Last);
    let db = Db::open(plain("db", &fs, &clock).aggregate(second)).expect("a database");
    let write = |at: i64| {
        let mut batch = db.batch();
        batch.push(&labels! { "__name__" => "x" }, at, 1.0);
        batch.commit().expect("a commit");
    };
    write(START_MS - 2_000);
    let count = || db.query("count_over_time(s:last[100y])", START_MS);
    let answer = count().expect("windows without samples count for nothing");
    let QueryValue::Vector(samples) = answer.value else {
        panic!("not a vector")
    };
    assert_eq!(samples[0].value, QueryPoint::Float(1.0));
    write(START_MS - 2_000_000_000);
    let error = count().expect_err("too many").to_string();
    assert!(error.contains("s:last has 1999999 windows"), "{error}");
    assert!(error.contains("ask for a shorter time"), "{error}");
    assert_eq!(texts(&db, "__name__", &[]), ["s:last", "x"]);
}

#[test]
fn native_histograms_are_left_out_with_a_warning() {
    let mut world = World::new(10);
    world.write(START_MS, START_MS + 100_000, 1);
    let histogram = Histogram {
        reset_hint: ResetHint::Unknown,
        schema: 0,
        zero_threshold: 0.001,
        sum: 3.0,
        positive_spans: vec![Span { offset: 0, length: 1 }],
        negative_spans: Vec::new(),
        custom_values: Vec::new(),
        counts: Counts::Int {
            count: 2,
            zero_count: 0,
            positive: vec![2],
            negative: Vec::new(),
        },
    };
    let mut batch = world.db.batch();
    for host in ["gauge", "histograms"] {
        let labels = labels! { "__name__" => "x", "host" => host, "zone" => "z" };
        batch.push_histogram(&labels, START_MS + 45_001, &histogram);
    }
    batch.commit().expect("a commit");
    let wanted = over_source(&world.twin, "x", AggregateFunction::Count, START_MS + 100_000);
    let found = made(&world.db, "x:10s:count", START_MS + 100_000);
    compare(
        AggregateFunction::Count,
        &found,
        &renamed(&wanted, "x:10s:count", None),
    );
    let answer = world
        .db
        .query("x:10s:count", START_MS + 100_000)
        .expect("an answer");
    assert!(answer.warnings[0].contains("native histograms are left out of x:10s:count"));
}

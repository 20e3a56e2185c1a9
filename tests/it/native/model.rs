//! Random calls over HTTP against a model: points in, corrections, deletes of points and series, undeletes, with flushes,
//! compactions and restarts in between. What the native API, PromQL and remote read show is the same all along.
//!
//! `NARTHEX_NATIVE_CALLS` is the number of calls, `NARTHEX_SEED` the seed, which each run prints.

use super::{ask, data};
use crate::http::served::Served;
use crate::peers::compare;
use crate::peers::http::escape;
use crate::random::Random;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const CALLS: u64 = 1500;
const SEED: u64 = 20_261_127;
/// Calls between two looks at everything.
const CALLS_PER_LOOK: u64 = 40;
const BASE_S: i64 = 1_700_000_000;
const SERIES: usize = 6;
const TIMES: usize = 40;

/// A series and a second behind the base.
type Place = (usize, i64);

/// What was written at a place, by the number of the call.
type Versions = BTreeMap<Place, Vec<(u64, f64)>>;

struct Deletion {
    id: String,
    call: u64,
    is_withdrawn: bool,
    series: Vec<usize>,
    times: std::ops::RangeInclusive<i64>,
}

#[derive(Default)]
struct Model {
    call: u64,
    versions: Versions,
    deletions: Vec<Deletion>,
}

fn series_key(series: usize) -> String {
    format!("metric.{}", series % 2)
}

fn host(series: usize) -> String {
    format!("h{}", series / 2)
}

impl Model {
    /// The last value that was written at a place, unless a deletion that came later hides it.
    fn visible(&self, place: Place) -> Option<f64> {
        let (call, value) = self.versions.get(&place)?.last()?;
        let hides = |deletion: &Deletion| {
            !deletion.is_withdrawn
                && deletion.call > *call
                && deletion.series.contains(&place.0)
                && deletion.times.contains(&place.1)
        };
        (!self.deletions.iter().any(hides)).then_some(*value)
    }

    /// What happened to a place, for who looks for a difference.
    fn history(&self, (series, time): Place) -> String {
        let about = |one: &&Deletion| one.series.contains(&series) && one.times.contains(&time);
        let deletions = self.deletions.iter().filter(about);
        let deletions: Vec<_> = deletions
            .map(|one| (one.call, &one.id, one.is_withdrawn))
            .collect();
        let versions = self.versions.get(&(series, time));
        format!("call {}, written {versions:?}, deleted {deletions:?}", self.call)
    }

    fn write(&mut self, place: Place, value: f64) {
        self.versions.entry(place).or_default().push((self.call, value));
    }

    /// All that is visible, by series and time.
    fn all(&self) -> BTreeMap<Place, f64> {
        let places = self.versions.keys();
        places
            .filter_map(|place| Some((*place, self.visible(*place)?)))
            .collect()
    }
}

struct Run {
    served: Option<Served>,
    random: Random,
    model: Model,
}

impl Run {
    fn served(&self) -> &Served {
        self.served.as_ref().expect("it runs")
    }

    fn place(&mut self) -> Place {
        (self.random.below(SERIES), self.random.below(TIMES) as i64)
    }

    fn value(&mut self) -> f64 {
        self.random.below(5) as f64 + 0.5
    }

    fn call(&mut self) {
        self.model.call += 1;
        match self.random.below(100) {
            0..40 => self.post(),
            40..60 => self.put(),
            60..75 => self.delete_point(),
            75..79 => self.delete_series(),
            79..81 => self.delete_matching(),
            81..90 => self.undelete(),
            90..94 => self.upkeep(),
            94 => self.restart(),
            _ => self.read_some(),
        }
    }

    /// Ordinary points. Where a place is taken nothing changes: another value is refused, or, where what is there is in a segment,
    /// is taken and loses against it.
    fn post(&mut self) {
        let mut places = Vec::new();
        for _ in 0..1 + self.random.below(5) {
            let place = self.place();
            if !places.contains(&place) {
                places.push(place);
            }
        }
        let mut points = Vec::new();
        let mut conflicts = Vec::new();
        for (index, place) in places.iter().enumerate() {
            let value = self.value();
            points.push(json!({
                "series_key": series_key(place.0),
                "timestamp": BASE_S + place.1,
                "value": value,
                "tags": {"host": host(place.0)},
            }));
            match self.model.visible(*place) {
                None => self.model.write(*place, value),
                Some(_) => conflicts.push(index as u64),
            }
        }
        let body = Value::from(points).to_string();
        let (_, answer) = ask(self.served(), "POST", "/api/v1/datapoints/batch", &body);
        let refused = answer["data"]["errors"].as_array().expect("a list");
        let refused: Vec<u64> = refused
            .iter()
            .filter_map(|error| error["index"].as_u64())
            .collect();
        let histories: Vec<String> = places.iter().map(|place| self.model.history(*place)).collect();
        let is_expected = refused.iter().all(|index| conflicts.contains(index));
        assert!(is_expected, "{body}: {answer}: {histories:#?}");
    }

    fn path_of(place: Place) -> String {
        let (key, time, host) = (series_key(place.0), BASE_S + place.1, host(place.0));
        format!("/api/v1/series/{key}/datapoints/{time}?host={host}")
    }

    fn put(&mut self) {
        let (place, value, is_upsert) = (self.place(), self.value(), self.random.once_in(2));
        let path = format!("{}&upsert={is_upsert}", Self::path_of(place));
        let (status, answer) = ask(self.served(), "PUT", &path, &json!({"value": value}).to_string());
        let is_there = self.model.visible(place).is_some();
        let wanted = match (is_there, is_upsert) {
            (true, _) => 200,
            (false, true) => 201,
            (false, false) => 404,
        };
        assert_eq!(status, wanted, "PUT {path}: {answer}");
        if status < 300 {
            self.model.write(place, value);
        }
    }

    fn note_deletion(&mut self, id: &Value, series: Vec<usize>, times: std::ops::RangeInclusive<i64>) {
        self.model.deletions.push(Deletion {
            id: id.as_str().expect("an id").to_owned(),
            call: self.model.call,
            is_withdrawn: false,
            series,
            times,
        });
    }

    fn delete_point(&mut self) {
        let place = self.place();
        let (status, answer) = ask(self.served(), "DELETE", &Self::path_of(place), "");
        let is_there = self.model.visible(place).is_some();
        assert_eq!(status, if is_there { 200 } else { 404 }, "{place:?}: {answer}");
        if is_there {
            self.note_deletion(&answer["data"]["deletion"], vec![place.0], place.1..=place.1);
        }
    }

    fn times(&mut self) -> (i64, i64) {
        let (a, b) = (self.random.below(TIMES) as i64, self.random.below(TIMES) as i64);
        (a.min(b), a.max(b))
    }

    fn delete_series(&mut self) {
        let (series, (from, to)) = (self.random.below(SERIES), self.times());
        let (key, host) = (series_key(series), host(series));
        let path = format!(
            "/api/v1/series/{key}?host={host}&start_time={}&end_time={}",
            BASE_S + from,
            BASE_S + to
        );
        let (status, answer) = ask(self.served(), "DELETE", &path, "");
        // Whether a listing still counts a series whose points in that time are all hidden is left open.
        if status == 200 {
            self.note_deletion(&answer["data"]["deletion"], vec![series], from..=to);
        } else {
            let is_any = (from..=to).any(|time| self.model.visible((series, time)).is_some());
            assert!(status == 404 && !is_any, "{path}: {status} {answer}");
        }
    }

    fn delete_matching(&mut self) {
        let (metric, (from, to)) = (self.random.below(2), self.times());
        let selector = escape(&format!("{{\"metric.{metric}\",host!=\"h1\"}}"));
        let path = format!(
            "/api/v1/series?match[]={selector}&start_time={}&end_time={}",
            BASE_S + from,
            BASE_S + to
        );
        let deleted = data(self.served(), "DELETE", &path, "");
        let series = (0..SERIES).filter(|series| series % 2 == metric && host(*series) != "h1");
        self.note_deletion(&deleted["deletions"][0], series.collect(), from..=to);
    }

    fn undelete(&mut self) {
        let count = self.model.deletions.len();
        if count == 0 {
            return;
        }
        let chosen = self.random.below(count);
        let path = format!("/api/v1/deletions/{}/undelete", self.model.deletions[chosen].id);
        let (status, answer) = ask(self.served(), "POST", &path, "");
        let deletion = &mut self.model.deletions[chosen];
        match status {
            200 => assert!(!std::mem::replace(&mut deletion.is_withdrawn, true), "twice"),
            // Withdrawn before, or nothing is left that it hid.
            404 => {}
            _ => panic!("{path}: {status} {answer}"),
        }
    }

    fn upkeep(&mut self) {
        let (path, body) = match self.random.below(3) {
            0 => ("/api/v1/admin/flush", ""),
            1 => ("/api/v1/admin/compact", ""),
            _ => ("/api/v1/admin/compact", r#"{"force": true}"#),
        };
        data(self.served(), "POST", path, body);
    }

    fn restart(&mut self) {
        let folder = self.served.take().expect("it runs").stop();
        self.served = Some(Served::over(folder, "").ready());
        self.look();
    }

    /// One series within a time, in either order and in small pages.
    fn read_some(&mut self) {
        let (series, (from, to), is_desc) = (self.random.below(SERIES), self.times(), self.random.once_in(2));
        let limit = 1 + self.random.below(7);
        let path = format!(
            "/api/v1/series/{}/datapoints?host={}&start_time={}&end_time={}&order={}&limit={limit}",
            series_key(series),
            host(series),
            BASE_S + from,
            BASE_S + to,
            if is_desc { "desc" } else { "asc" },
        );
        let mut wanted: Vec<(i64, f64)> = (from..=to)
            .filter_map(|time| Some((BASE_S + time, self.model.visible((series, time))?)))
            .collect();
        if is_desc {
            wanted.reverse();
        }
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let (status, answer) = ask(self.served(), "GET", &format!("{path}{cursor}"), "");
            if status == 404 && wanted.is_empty() {
                return;
            }
            assert_eq!(status, 200, "{path}: {answer}");
            let points = answer["data"]["datapoints"].as_array().expect("points");
            let pair = |point: &Value| Some((point["timestamp"].as_i64()?, point["value"].as_f64()?));
            found.extend(points.iter().filter_map(pair));
            match answer["data"]["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(found, wanted, "{path}");
    }

    /// Everything, by each of the three ways.
    fn look(&self) {
        let wanted = self.model.all();
        assert_eq!(
            self.seen_by_native(),
            wanted,
            "the native API, call {}",
            self.model.call
        );
        assert_eq!(self.seen_by_promql(), wanted, "PromQL, call {}", self.model.call);
        assert_eq!(
            self.seen_by_remote_read(),
            wanted,
            "remote read, call {}",
            self.model.call
        );
    }

    fn seen_by_native(&self) -> BTreeMap<Place, f64> {
        let mut seen = BTreeMap::new();
        for metric in 0..2 {
            let path = format!("/api/v1/series/metric.{metric}/datapoints?limit=1000&precision=s");
            let (_, answer) = ask(self.served(), "GET", &path, "");
            for point in answer["data"]["datapoints"].as_array().into_iter().flatten() {
                let time = point["timestamp"].as_i64().expect("a time") - BASE_S;
                let series = series_of(metric, point["tags"]["host"].as_str());
                seen.insert((series, time), point["value"].as_f64().expect("a number"));
            }
        }
        seen
    }

    fn seen_by_promql(&self) -> BTreeMap<Place, f64> {
        let query = escape("{__name__=~\"metric.*\"}[100s]");
        let path = format!("/api/v1/query?query={query}&time={}", BASE_S + TIMES as i64);
        let result = data(self.served(), "GET", &path, "");
        let mut seen = BTreeMap::new();
        for series in result["result"].as_array().expect("a matrix") {
            let metric = usize::from(series["metric"]["__name__"] == "metric.1");
            let number = series_of(metric, series["metric"]["host"].as_str());
            for point in series["values"].as_array().into_iter().flatten() {
                let time = point[0].as_i64().expect("a time") - BASE_S;
                let value = point[1].as_str().and_then(|text| text.parse().ok());
                seen.insert((number, time), value.expect("a number"));
            }
        }
        seen
    }

    fn seen_by_remote_read(&self) -> BTreeMap<Place, f64> {
        let mut seen = BTreeMap::new();
        for (labels, timestamp_ms, value) in compare::floats(self.served().address.port()) {
            let host = labels
                .iter()
                .find(|label| label.0 == "host")
                .map(|label| label.1.as_str());
            let is_second = labels.iter().any(|label| label.1 == "metric.1");
            let series = series_of(usize::from(is_second), host);
            seen.insert((series, timestamp_ms / 1000 - BASE_S), value);
        }
        seen
    }
}

fn series_of(metric: usize, host: Option<&str>) -> usize {
    let host: usize = host
        .and_then(|host| host.strip_prefix('h')?.parse().ok())
        .expect("a host");
    host * 2 + metric
}

#[test]
fn every_way_to_read_shows_what_was_written_and_not_deleted() {
    let setting = |name: &str, default| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let seed = setting("NARTHEX_SEED", SEED);
    eprintln!("seed {seed}");
    let mut run = Run {
        served: Some(Served::new("").ready()),
        random: Random::new(seed),
        model: Model::default(),
    };
    for call in 0..setting("NARTHEX_NATIVE_CALLS", CALLS) {
        run.call();
        if call % CALLS_PER_LOOK == 0 {
            run.look();
        }
    }
    run.restart();
}

//! What there is of rollups.

use super::Db;
use crate::engine::rollup_info::RollupInfo;

impl Db {
    /// The rollups of the options and those that are there all the same, the narrowest windows first. Waits for no work.
    pub fn rollups(&self) -> Vec<RollupInfo> {
        self.engine().rollup_infos()
    }
}

#[cfg(test)]
mod tests {
    use crate::db::Db;
    use crate::engine::options::Options;
    use crate::engine::rollups::Rollup;
    use crate::labels;
    use crate::model::matcher::Matcher;
    use std::time::Duration;

    const MINUTE_MS: i64 = 60_000;

    fn write(db: &Db, times: impl Iterator<Item = i64>) {
        let mut batch = db.batch();
        for time in times {
            for host in ["a", "b"] {
                batch.push(&labels! { "__name__" => "up", "host" => host }, time, time as f64);
            }
        }
        batch.commit().expect("a commit");
        db.flush().expect("a flush");
    }

    fn work(db: &Db) {
        while db.step().expect("a step") {}
    }

    #[test]
    fn tiles_are_told_by_width() {
        let minute = Duration::from_secs(60);
        let options = Options::in_memory()
            .background(false)
            .rollup(Rollup::every(minute * 5))
            .rollup(Rollup::every(minute * 60).keep(minute * 1_000_000));
        let db = Db::open(options).expect("a database");
        let told = db.rollups();
        assert_eq!(told.len(), 2);
        assert_eq!(
            (told[0].resolution, told[0].tiles, told[0].bounds),
            (minute * 5, 0, None)
        );
        assert_eq!(told[1].retention, Some(minute * 1_000_000));
        write(&db, (1..=3 * 1440).map(|minute| minute * MINUTE_MS));
        work(&db);
        let told = &db.rollups()[0];
        let tile = minute * 5 * 240;
        assert!(told.is_wanted && told.tiles >= 2, "{told:?}");
        assert_eq!(told.covered, tile * told.tiles as u32);
        assert_eq!(
            told.bounds,
            Some((0, told.covered.as_millis() as i64)),
            "{told:?}"
        );
        assert_eq!(told.series, 2 * told.tiles as u64);
        assert_eq!((told.outdated, told.is_being_made), (Duration::ZERO, false));
        assert!(told.values > 0 && told.bytes > 0);
        let stats = db.stats().expect("stats");
        let infos = db.rollups();
        assert_eq!(
            stats.rollup_bytes,
            infos.iter().map(|info| info.bytes).sum::<u64>()
        );
        assert_eq!(stats.tiles, infos.iter().map(|info| info.tiles).sum::<usize>());
        assert_eq!(db.retention().expect("a report").rollup_bytes, stats.rollup_bytes);

        db.delete(&[Matcher::eq("host", "a")], MINUTE_MS..=2 * MINUTE_MS)
            .expect("a deletion");
        assert_eq!(db.rollups()[0].outdated, minute * 5);
        write(&db, [7 * MINUTE_MS + 1].into_iter());
        assert_eq!(db.rollups()[0].outdated, minute * 10);
        work(&db);
        assert_eq!(db.rollups()[0].outdated, Duration::ZERO);

        let report = db.verify().expect("a report");
        assert!(report.is_sound(), "{report:?}");
        assert_eq!(report.tiles, db.stats().expect("stats").tiles);
    }
}

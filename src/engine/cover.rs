//! What time the samples and the tiles of a database are of.

use super::Engine;

impl Engine {
    /// From the first time to the last one of which there are samples or windows.
    pub(crate) fn time_bounds(&self) -> Option<(i64, i64)> {
        let view = self.view.load();
        let tiles = view
            .tiles
            .iter()
            .map(|tile| (tile.from.saturating_add(1), tile.to));
        self.sample_bounds().into_iter().chain(tiles).reduce(join)
    }

    fn sample_bounds(&self) -> Option<(i64, i64)> {
        let view = self.view.load();
        let segments = view
            .segments
            .iter()
            .map(|segment| (segment.meta.time_min, segment.meta.time_max))
            .filter(|bounds| bounds.0 <= bounds.1);
        let head = view.generations.iter().filter_map(|one| one.bounds());
        segments.chain(head).reduce(join)
    }
}

fn join(one: (i64, i64), other: (i64, i64)) -> (i64, i64) {
    (one.0.min(other.0), one.1.max(other.1))
}

//! Rollups as the evaluator asks for them.

use super::Db;
use super::aggregates;
use super::query::Unit;
use crate::engine::thinned::{ThinnedCursor, ThinnedSeries};
use crate::engine::tile_plan::Exactness;
use crate::promql::source::{self, Aspect, Hints, Select, SourceError, ThinnedSet};
use crate::rollup::tell::Asked;

/// The series of a select as rollups tell them, if they have enough of its time.
pub(super) fn thinned(
    db: &Db,
    select: &Select,
    cuts_ms: &[i64],
    aspect: Aspect,
) -> Result<Option<Box<dyn ThinnedSet>>, SourceError> {
    if super::virtual_series::is_virtual(select) || aggregates::is_named(db, &select.matchers)? {
        return Ok(None);
    }
    let unit = Unit::of(db);
    let mut cuts: Vec<i64> = cuts_ms.iter().map(|cut_ms| unit.last_in(*cut_ms)).collect();
    cuts.dedup();
    let exactness = match select.hints.coarse_ms {
        0 => Exactness::Exact,
        coarse_ms => Exactness::Coarse(unit.length(coarse_ms)),
    };
    let found = db
        .engine()
        .thinned(&select.matchers, cuts, asked(aspect, &select.hints), exactness)?;
    let set = |cursor| -> Box<dyn ThinnedSet> {
        Box::new(Thinned {
            cursor,
            unit,
            series: ThinnedSeries::default(),
        })
    };
    Ok(found.map(set))
}

fn asked(aspect: Aspect, hints: &Hints) -> Asked {
    match aspect {
        Aspect::Newest => Asked::Newest,
        Aspect::First => Asked::First,
        Aspect::Last => Asked::Last,
        Aspect::Count => Asked::Count,
        Aspect::Min => Asked::Min,
        Aspect::Max => Asked::Max,
        Aspect::Sum if hints.function == "avg_over_time" => Asked::Mean,
        Aspect::Sum => Asked::Sum,
        Aspect::Change => Asked::Change,
    }
}

struct Thinned {
    cursor: ThinnedCursor,
    unit: Unit,
    series: ThinnedSeries,
}

impl ThinnedSet for Thinned {
    fn next(&mut self, out: &mut source::ThinnedSeries) -> Result<bool, SourceError> {
        if !self.cursor.next_into(&mut self.series) {
            return Ok(false);
        }
        let (unit, series) = (self.unit, &mut self.series);
        out.series.clear();
        out.counts.clear();
        out.is_whole = series.whole.is_some();
        if out.series.labels != series.labels {
            out.series.labels.clone_from(&series.labels);
        }
        if let Some(whole) = &mut series.whole {
            super::query::fill(whole, unit, &mut out.series);
            return Ok(true);
        }
        let (told, floats) = (&mut series.told, &mut out.series.floats);
        floats
            .timestamps_ms
            .extend(told.timestamps.iter().map(|time| unit.to_ms(*time)));
        floats
            .values
            .extend(told.bits.iter().map(|bits| f64::from_bits(*bits)));
        std::mem::swap(&mut out.counts, &mut told.counts);
        Ok(true)
    }

    fn warnings(&self) -> Vec<String> {
        self.cursor
            .warnings()
            .iter()
            .map(super::query::in_words)
            .collect()
    }

    fn apart_ms(&self) -> i64 {
        self.unit.length_ms(self.cursor.apart())
    }

    fn infos(&self) -> Vec<String> {
        let widths = self.cursor.widths();
        let text = |width: &i64| self.unit.duration_text(*width);
        let widths: Vec<String> = widths.iter().map(text).collect();
        let read = format!("rollups of {} were read", widths.join(" and "));
        let coarse = self.cursor.coarse_width().map(|width| {
            let width = text(&width);
            format!("windows of up to {width} count where they end, for want of samples or because the query asks for no better")
        });
        let stand_ins = "of histograms whose samples are gone the ends and sums of windows stand in for them";
        let stand_ins = self.cursor.has_stand_ins().then(|| stand_ins.to_owned());
        std::iter::once(read).chain(coarse).chain(stand_ins).collect()
    }
}

//! Label sets made from others, and what tells whether two rows are one series.

use crate::base::varint;
use crate::model::labels::{Labels, METRIC_NAME};
use crate::promql::eval::Map;
use crate::promql::eval::error::EvalError;
use crate::promql::value::{Cell, Row};
use hashbrown::hash_map::Entry;

/// Labels that say what a metric is, and that most operations make untrue.
const METADATA: [&str; 3] = [METRIC_NAME, "__type__", "__unit__"];

/// Whether operations that drop the name drop this label.
pub(crate) fn is_metadata(name: &str) -> bool {
    METADATA.contains(&name)
}

/// Writes the canonical bytes of the labels that are to be kept.
pub(crate) fn write_kept(labels: &Labels, out: &mut Vec<u8>, keep: impl Fn(&str) -> bool) {
    for (name, value) in labels.iter().filter(|pair| keep(pair.0)) {
        varint::write_bytes(out, name.as_bytes());
        varint::write_bytes(out, value.as_bytes());
    }
}

/// The labels that are to be kept.
pub(crate) fn kept(labels: &Labels, keep: impl Fn(&str) -> bool) -> Labels {
    let mut bytes = Vec::with_capacity(labels.as_bytes().len());
    write_kept(labels, &mut bytes, keep);
    Labels::from_canonical(bytes)
}

/// The labels without the name, the type and the unit of the metric.
pub(crate) fn without_metadata(labels: &Labels) -> Labels {
    kept(labels, |name| !is_metadata(name))
}

/// The labels with others in place of those of the same name; an empty value removes.
pub(crate) fn with(labels: &Labels, changes: &[(&str, &str)]) -> Labels {
    let changed = |name: &str| changes.iter().any(|change| change.0 == name);
    let rest = labels.iter().filter(|pair| !changed(pair.0));
    let pairs = rest.chain(changes.iter().copied());
    Labels::from_pairs(pairs).expect("BUG: names of labels and changes are unique and not empty")
}

/// Labels as Prometheus' own text has them in error messages: the name is a label like others.
pub(crate) fn in_braces(labels: &Labels) -> String {
    let mut text = String::from("{");
    for (name, value) in labels {
        if text.len() > 1 {
            text.push_str(", ");
        }
        let plain = name.bytes().enumerate().all(|(at, byte)| {
            byte == b'_' || byte.is_ascii_alphabetic() || (at > 0 && byte.is_ascii_digit())
        });
        if plain {
            text.push_str(&format!("{name}={value:?}"));
        } else {
            text.push_str(&format!("{name:?}={value:?}"));
        }
    }
    text.push('}');
    text
}

/// The error for two series of one label set at one step.
pub(crate) fn same_labelset() -> EvalError {
    EvalError::execution("vector cannot contain metrics with the same labelset")
}

/// At which steps a series has a value: one bit for each.
#[derive(Debug)]
struct Presence(Box<[u64]>);

impl Presence {
    fn of(cells: &[Cell]) -> Self {
        let words = cells.chunks(64).map(|chunk| {
            let bits = chunk.iter().enumerate();
            bits.fold(0, |word, (bit, cell)| word | u64::from(!cell.is_empty()) << bit)
        });
        Self(words.collect())
    }

    /// Takes over what `other` has. `false` when both have a value at one step.
    fn join(&mut self, other: &Self) -> bool {
        let mut words = self.0.iter_mut().zip(&other.0);
        words.all(|(word, more)| {
            let apart = *word & more == 0;
            *word |= more;
            apart
        })
    }
}

/// Watches rows go by whose labels were changed: no two may have one label set and a value at the same step.
#[derive(Debug, Default)]
pub(crate) struct Distinct {
    seen: Map<u128, Presence>,
}

impl Distinct {
    pub(crate) fn check(&mut self, row: &Row) -> Result<(), EvalError> {
        let presence = Presence::of(&row.cells);
        match self.seen.entry(row.labels.hash().0) {
            Entry::Vacant(free) => {
                free.insert(presence);
                Ok(())
            }
            Entry::Occupied(mut taken) => {
                let apart = taken.get_mut().join(&presence);
                if apart { Ok(()) } else { Err(same_labelset()) }
            }
        }
    }

    /// The same where two rows of one label set are refused even when they never meet.
    pub(crate) fn check_strictly(&mut self, row: &Row) -> Result<(), EvalError> {
        let empty = Presence(Box::default());
        match self.seen.insert(row.labels.hash().0, empty) {
            None => Ok(()),
            Some(_) => Err(same_labelset()),
        }
    }
}

/// Makes one row of those that have one label set, in place of the first of them.
pub(crate) fn merge_rows(rows: Vec<Row>) -> Result<Vec<Row>, EvalError> {
    let mut places: Map<u128, usize> = Map::default();
    let mut merged: Vec<Row> = Vec::with_capacity(rows.len());
    for row in rows {
        match places.entry(row.labels.hash().0) {
            Entry::Vacant(free) => {
                free.insert(merged.len());
                merged.push(row);
            }
            Entry::Occupied(taken) => {
                let into = &mut merged[*taken.get()];
                for (cell, more) in into.cells.iter_mut().zip(row.cells) {
                    match (cell.is_empty(), more.is_empty()) {
                        (true, _) => *cell = more,
                        (false, true) => {}
                        (false, false) => return Err(same_labelset()),
                    }
                }
            }
        }
    }
    Ok(merged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels;

    fn row(labels: Labels, cells: &[Option<f64>]) -> Row {
        Row {
            labels,
            drop_name: false,
            cells: cells
                .iter()
                .map(|cell| cell.map_or(Cell::Empty, Cell::Float))
                .collect(),
        }
    }

    #[test]
    fn labels_are_kept_dropped_and_set() {
        let all = labels! { "__name__" => "up", "__type__" => "gauge", "job" => "a", "zone" => "z" };
        assert_eq!(without_metadata(&all), labels! { "job" => "a", "zone" => "z" });
        assert_eq!(
            with(&all, &[("job", ""), ("zone", "y"), ("a", "b")]),
            labels! { "__name__" => "up", "__type__" => "gauge", "zone" => "y", "a" => "b" }
        );
        assert_eq!(
            in_braces(&labels! { "__name__" => "up", "a.b" => "c" }),
            r#"{__name__="up", "a.b"="c"}"#
        );
    }

    #[test]
    fn rows_of_one_label_set_may_take_turns_but_not_meet() {
        let labels = labels! { "a" => "b" };
        let early = row(labels.clone(), &[Some(1.0), None]);
        let late = row(labels.clone(), &[None, Some(2.0)]);
        let mut distinct = Distinct::default();
        distinct.check(&early).unwrap();
        distinct.check(&late).unwrap();
        assert_eq!(distinct.check(&early), Err(same_labelset()));
        let mut strict = Distinct::default();
        strict.check_strictly(&early).unwrap();
        assert_eq!(strict.check_strictly(&late), Err(same_labelset()));
        let merged = merge_rows(vec![early.clone(), late]).unwrap();
        assert_eq!(merged.len(), 1);
        assert_eq!(merged[0].cells[1].as_float(), Some(2.0));
        assert_eq!(
            merge_rows(vec![early.clone(), early]).unwrap_err(),
            same_labelset()
        );
    }
}

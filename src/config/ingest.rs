//! What becomes of series that are written: relabelling, pairs of senders, quotas.

use super::file::hint;
use crate::model::relabel_rule::RelabelRule;
use std::time::Duration;

/// How writes are taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ingest {
    pub(crate) relabel: Vec<RelabelRule>,
    /// Labels of cluster and replica, and how long the elected replica may be silent.
    pub(crate) ha: Option<(String, String, Duration)>,
    /// 0 = no limit.
    pub(crate) samples_per_second: u64,
}

/// How remote reads are answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RemoteRead {
    pub(crate) is_streaming: bool,
    pub(crate) samples_max: usize,
    pub(crate) concurrency: usize,
    pub(crate) timeout: Duration,
}

const FIELDS: [&str; 7] = [
    "source_labels",
    "separator",
    "regex",
    "modulus",
    "target_label",
    "replacement",
    "action",
];

/// Reads a table of `ingest.relabel`.
pub(super) fn relabel_rule(table: &[(String, Vec<String>)]) -> Result<RelabelRule, String> {
    let mut rule = RelabelRule::default();
    for (field, words) in table {
        if field == "source_labels" {
            rule.source_labels.clone_from(words);
            continue;
        }
        let [word] = words.as_slice() else {
            return Err(format!("`{field}` is one text"));
        };
        let word = Some(word.clone());
        match field.as_str() {
            "separator" => rule.separator = word,
            "regex" => rule.regex = word,
            "target_label" => rule.target_label = word,
            "replacement" => rule.replacement = word,
            "action" => rule.action = word,
            "modulus" => {
                let number = word.and_then(|word| word.parse().ok());
                rule.modulus = Some(number.ok_or("`modulus` is a number")?);
            }
            _ => {
                return Err(format!(
                    "unknown key `{field}`{}",
                    hint(field, FIELDS.into_iter())
                ));
            }
        }
    }
    Ok(rule)
}

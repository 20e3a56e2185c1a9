//! Relabelling as Prometheus' `write_relabel_configs` do it: rules that change or drop a series by its labels.

use crate::index::rewrite::Rewriter;
use crate::model::labels::{self, LabelsRef};
use crate::model::relabel_rule::RelabelRule;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a rule does. The names are those of Prometheus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Replace,
    Keep,
    Drop,
    KeepEqual,
    DropEqual,
    HashMod,
    LabelMap,
    LabelDrop,
    LabelKeep,
    Lowercase,
    Uppercase,
}

impl Action {
    /// Every action by its name.
    const ALL: [(&'static str, Self); 11] = [
        ("replace", Self::Replace),
        ("keep", Self::Keep),
        ("drop", Self::Drop),
        ("keepequal", Self::KeepEqual),
        ("dropequal", Self::DropEqual),
        ("hashmod", Self::HashMod),
        ("labelmap", Self::LabelMap),
        ("labeldrop", Self::LabelDrop),
        ("labelkeep", Self::LabelKeep),
        ("lowercase", Self::Lowercase),
        ("uppercase", Self::Uppercase),
    ];

    fn named(name: &str) -> Option<Self> {
        let lower = name.to_lowercase();
        Self::ALL.iter().find(|one| one.0 == lower).map(|one| one.1)
    }
}

/// A rule that is ready for use.
#[derive(Debug)]
pub(crate) struct Rule {
    action: Action,
    source_labels: Vec<String>,
    separator: String,
    regex: Rewriter,
    modulus: u64,
    target_label: String,
    replacement: String,
}

/// Labels while rules are at work.
type Pairs = BTreeMap<String, String>;

impl Rule {
    /// Compiles a rule, or says what is wrong with it.
    pub(crate) fn compile(text: &RelabelRule) -> Result<Self, String> {
        let named = text.action.as_deref().unwrap_or("replace");
        let action = Action::named(named).ok_or_else(|| format!("unknown relabel action {named:?}"))?;
        let rule = Self {
            action,
            source_labels: text.source_labels.clone(),
            separator: text.separator.clone().unwrap_or_else(|| ";".into()),
            regex: anchored(text.regex.as_deref().unwrap_or("(.*)"))?,
            modulus: text.modulus.unwrap_or(0),
            target_label: text.target_label.clone().unwrap_or_default(),
            replacement: text.replacement.clone().unwrap_or_else(|| "$1".into()),
        };
        rule.check(text)
            .map_or(Ok(rule), |fault| Err(format!("relabel action {named}: {fault}")))
    }

    fn check(&self, text: &RelabelRule) -> Option<&'static str> {
        use Action::{
            DropEqual, HashMod, KeepEqual, LabelDrop, LabelKeep, LabelMap, Lowercase, Replace, Uppercase,
        };
        let has_target = !self.target_label.is_empty();
        match self.action {
            Replace | HashMod | Lowercase | Uppercase | KeepEqual | DropEqual if !has_target => {
                Some("needs a target_label")
            }
            HashMod if self.modulus == 0 => Some("needs a modulus above 0"),
            LabelMap if self.replacement.is_empty() => Some("needs a replacement"),
            LabelDrop | LabelKeep
                if has_target
                    || !self.source_labels.is_empty()
                    || text.separator.is_some()
                    || text.replacement.is_some()
                    || text.modulus.is_some() =>
            {
                Some("takes a regex only")
            }
            KeepEqual | DropEqual
                if text.regex.is_some() || text.replacement.is_some() || text.modulus.is_some() =>
            {
                Some("takes source_labels and a target_label only")
            }
            _ => None,
        }
    }

    /// Changes the labels; `false` drops the series.
    fn apply(&self, pairs: &mut Pairs) -> bool {
        let value = || {
            let values = self.source_labels.iter();
            let values: Vec<&str> = values
                .map(|name| pairs.get(name).map_or("", String::as_str))
                .collect();
            values.join(&self.separator)
        };
        let target = || pairs.get(&self.target_label).map_or("", String::as_str);
        match self.action {
            Action::Keep => return self.regex.is_match(&value()),
            Action::Drop => return !self.regex.is_match(&value()),
            Action::KeepEqual => return target() == value(),
            Action::DropEqual => return target() != value(),
            Action::Replace => {
                let value = value();
                self.replace(&value, pairs);
            }
            Action::HashMod => {
                let hashed = hash_mod(&value(), self.modulus);
                pairs.insert(self.target_label.clone(), hashed.to_string());
            }
            Action::Lowercase => {
                let value = value().to_lowercase();
                set(pairs, self.target_label.clone(), value);
            }
            Action::Uppercase => {
                let value = value().to_uppercase();
                set(pairs, self.target_label.clone(), value);
            }
            Action::LabelMap => self.map_names(pairs),
            Action::LabelDrop => pairs.retain(|name, _| !self.regex.is_match(name)),
            Action::LabelKeep => pairs.retain(|name, _| self.regex.is_match(name)),
        }
        true
    }

    fn replace(&self, value: &str, pairs: &mut Pairs) {
        let Some(captured) = self.regex.captures(value) else {
            return;
        };
        let target = captured.expand(&self.target_label);
        if !target.is_empty() {
            set(pairs, target, captured.expand(&self.replacement));
        }
    }

    fn map_names(&self, pairs: &mut Pairs) {
        let mut mapped = Vec::new();
        for (name, value) in &*pairs {
            if let Some(captured) = self.regex.captures(name) {
                mapped.push((captured.expand(&self.replacement), value.clone()));
            }
        }
        for (name, value) in mapped {
            set(pairs, name, value);
        }
    }
}

/// Sets a label; an empty value removes it.
fn set(pairs: &mut Pairs, name: String, value: String) {
    if value.is_empty() {
        pairs.remove(&name);
    } else if !name.is_empty() {
        pairs.insert(name, value);
    }
}

fn anchored(pattern: &str) -> Result<Rewriter, String> {
    Rewriter::compile(pattern).map_err(|reason| format!("regex {pattern:?}: {reason}"))
}

/// The remainder of the second half of the text's MD5 digest, as Prometheus computes it.
fn hash_mod(text: &str, modulus: u64) -> u64 {
    let digest = super::md5::digest(text.as_bytes());
    let mut half = [0; 8];
    half.copy_from_slice(digest.split_at(8).1);
    u64::from_be_bytes(half) % modulus
}

/// What becomes of a series.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Relabelled {
    Unchanged,
    Dropped,
    /// Its new labels, canonical.
    Changed(Arc<[u8]>),
}

/// Applies rules to canonical labels, one after the other.
pub(crate) fn relabel(rules: &[Rule], labels: &[u8]) -> Relabelled {
    let before = LabelsRef::new(labels).iter();
    let mut pairs: Pairs = before
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    if !rules.iter().all(|rule| rule.apply(&mut pairs)) || pairs.is_empty() {
        return Relabelled::Dropped;
    }
    let mut sorted: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (&**name, &**value)).collect();
    let mut out = Vec::with_capacity(labels.len());
    match labels::canonicalize(&mut sorted, &mut out) {
        Ok(()) if out == labels => Relabelled::Unchanged,
        Ok(()) => Relabelled::Changed(out.into()),
        // Names of a map are unique, and none is empty.
        Err(_) => Relabelled::Dropped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::labels::Labels;

    fn rule(action: &str, sources: &[&str], regex: &str, target: &str, replacement: &str) -> RelabelRule {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        RelabelRule {
            source_labels: sources.iter().map(|&name| name.to_owned()).collect(),
            regex: given(regex),
            target_label: given(target),
            replacement: given(replacement),
            action: given(action),
            ..RelabelRule::default()
        }
    }

    /// The labels of `foo, bar, foobar, xyz` after a rule, in words; `None` when they are dropped.
    fn after(text: &RelabelRule) -> Option<String> {
        let labels = crate::labels! { "__name__" => "m", "a" => "foo", "b" => "bar", "c" => "Baz" };
        match relabel(&[Rule::compile(text).unwrap()], labels.as_bytes()) {
            Relabelled::Unchanged => Some("unchanged".into()),
            Relabelled::Dropped => None,
            Relabelled::Changed(bytes) => Some(Labels::from_canonical(&*bytes).to_string()),
        }
    }

    #[test]
    fn table() {
        let is = |text: RelabelRule, expected: &str| {
            assert_eq!(after(&text).as_deref(), Some(expected), "{text:?}")
        };
        is(
            rule("", &["a"], "f(.*)", "d", "ch${1}-ch${1}"),
            r#"m{a="foo", b="bar", c="Baz", d="choo-choo"}"#,
        );
        is(
            rule("replace", &["a", "b"], "foo;(.*)", "a", "$1$$"),
            r#"m{a="bar$", b="bar", c="Baz"}"#,
        );
        is(rule("", &["a"], "f", "b", "gone"), "unchanged");
        is(rule("", &["nothing"], "", "a", ""), r#"m{b="bar", c="Baz"}"#);
        is(
            rule("", &["a"], "(?P<first>f).*", "${first}_x", "1"),
            r#"m{a="foo", b="bar", c="Baz", f_x="1"}"#,
        );
        is(rule("", &["a"], "(f)", "d", "$1x"), "unchanged");
        is(rule("", &["a"], "(f).*", "d", "$1x"), "unchanged");
        is(
            rule("", &["a"], "(f).*", "d", "${1}x"),
            r#"m{a="foo", b="bar", c="Baz", d="fx"}"#,
        );
        is(
            rule("", &["a"], "(f).*", "d", "$-1"),
            r#"m{a="foo", b="bar", c="Baz", d="$-1"}"#,
        );
        is(rule("keep", &["a"], "fo+", "", ""), "unchanged");
        is(rule("drop", &["a"], "o+", "", ""), "unchanged");
        is(
            rule("labelmap", &[], "([ab])", "", "${1}${1}"),
            r#"m{a="foo", aa="foo", b="bar", bb="bar", c="Baz"}"#,
        );
        is(rule("labeldrop", &[], "a|b", "", ""), r#"m{c="Baz"}"#);
        is(rule("labelkeep", &[], "a|__name__", "", ""), r#"m{a="foo"}"#);
        is(
            rule("lowercase", &["c"], "", "c", ""),
            r#"m{a="foo", b="bar", c="baz"}"#,
        );
        is(
            rule("Uppercase", &["a"], "", "d", ""),
            r#"m{a="foo", b="bar", c="Baz", d="FOO"}"#,
        );
        is(rule("keepequal", &["a"], "", "a", ""), "unchanged");
        is(rule("dropequal", &["a"], "", "b", ""), "unchanged");
        for dropped in [
            rule("keep", &["a"], "o+", "", ""),
            rule("drop", &["a", "b"], "foo;bar", "", ""),
            rule("keepequal", &["a"], "", "b", ""),
            rule("dropequal", &["a"], "", "a", ""),
            rule("labelkeep", &[], "zz", "", ""),
        ] {
            assert_eq!(after(&dropped), None, "{dropped:?}");
        }
    }

    #[test]
    fn hashmod_is_that_of_prometheus() {
        // Known from Prometheus: baz and foo, newline, bar, modulus 1000.
        assert_eq!((hash_mod("baz", 1000), hash_mod("foo\nbar", 1000)), (976, 734));
        let text = RelabelRule {
            modulus: Some(2),
            ..rule("hashmod", &["a"], "", "shard", "")
        };
        assert!(after(&text).is_some_and(|labels| labels.contains("shard=")));
    }

    #[test]
    fn what_is_wrong_with_a_rule_is_said() {
        let fault = |text: RelabelRule| Rule::compile(&text).map(|_| ()).unwrap_err();
        assert_eq!(
            fault(rule("repalce", &[], "", "", "")),
            "unknown relabel action \"repalce\""
        );
        assert!(fault(rule("replace", &["a"], "", "", "")).contains("needs a target_label"));
        assert!(fault(rule("hashmod", &["a"], "", "b", "")).contains("modulus"));
        assert!(fault(rule("keep", &["a"], "(", "", "")).contains("regex \"(\""));
        assert!(fault(rule("labeldrop", &["a"], "b", "", "")).contains("takes a regex only"));
        assert!(fault(rule("dropequal", &["a"], "b", "c", "")).contains("only"));
    }
}

//! The labels that a point gets: from its own attributes, its resource and its scope.

use super::message::{AnyValue, KeyValue, Scope};
use super::names::label_name;
use crate::base::go_text;
use crate::model::labels::{LabelError, Labels, METRIC_NAME};
use crate::model::otlp_options::{Options, Promoted, Translation};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Write as _;

const SERVICE_NAMESPACE: &str = "service.namespace";
const SERVICE_NAME: &str = "service.name";
const SERVICE_INSTANCE: &str = "service.instance.id";
/// Attributes that become `job` and `instance`.
const IDENTIFYING: [&str; 3] = [SERVICE_NAMESPACE, SERVICE_NAME, SERVICE_INSTANCE];
const JOB: &str = "job";
const INSTANCE: &str = "instance";

/// Names and values.
pub(super) type Pairs = BTreeMap<String, String>;

/// What all points of a resource, and then those of a scope, have in common.
#[derive(Debug, Default)]
pub(super) struct Common {
    attributes: Vec<KeyValue>,
    /// They stand in for what a point does not have.
    promoted: Pairs,
    /// They take the place of what a point has.
    scope: Pairs,
    identity: Pairs,
}

impl Common {
    pub(super) fn of_resource(attributes: Vec<KeyValue>, options: &Options) -> Self {
        let value = |key: &str| {
            attributes
                .iter()
                .find(|one| one.key == key)
                .map(|one| as_text(&one.value))
        };
        let mut identity = Pairs::new();
        if let Some(name) = value(SERVICE_NAME) {
            let job =
                value(SERVICE_NAMESPACE).map_or(name.clone(), |namespace| format!("{namespace}/{name}"));
            identity.insert(JOB.to_owned(), job);
        }
        if let Some(instance) = value(SERVICE_INSTANCE) {
            identity.insert(INSTANCE.to_owned(), instance);
        }
        let is_promoted = |one: &&KeyValue| match &options.promoted {
            Promoted::All => true,
            Promoted::These(keys) => keys.contains(&one.key),
        };
        let promoted = named(attributes.iter().filter(is_promoted), options.translation);
        Self {
            attributes,
            promoted,
            scope: Pairs::new(),
            identity,
        }
    }

    pub(super) fn set_scope(&mut self, scope: &Scope, options: &Options) {
        self.scope.clear();
        if !options.promotes_scope || scope.name.is_empty() {
            return;
        }
        let fields = [
            ("otel_scope_name", &scope.name),
            ("otel_scope_version", &scope.version),
            ("otel_scope_schema_url", &scope.schema_url),
        ];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.clone()));
        self.scope.extend(fields);
        for one in &scope.attributes {
            let name = label_name(options.translation, &format!("otel_scope_{}", one.key));
            let pair = name.map(|name| (name, as_text(&one.value)));
            self.scope.extend(pair);
        }
    }

    /// Bytes of the labels that every point gets.
    pub(super) fn byte_len(&self) -> usize {
        byte_len(&self.promoted) + byte_len(&self.scope) + byte_len(&self.identity)
    }

    /// The labels of a point without the metric's name.
    pub(super) fn labels(&self, attributes: &[KeyValue], translation: Translation) -> Pairs {
        let mut pairs = named(attributes.iter(), translation);
        for (name, value) in &self.promoted {
            if !pairs.contains_key(name) {
                pairs.insert(name.clone(), value.clone());
            }
        }
        let above = self.scope.iter().chain(&self.identity);
        pairs.extend(above.map(|(name, value)| (name.clone(), value.clone())));
        pairs
    }

    /// The labels of the series that says what the resource has besides its identity; `None` when that is nothing, or when
    /// there is no identity to join it by.
    pub(super) fn target_info(&self, options: &Options) -> Option<Pairs> {
        let is_identifying = |one: &&KeyValue| IDENTIFYING.contains(&one.key.as_str());
        if self.attributes.iter().all(|one| is_identifying(&one)) || self.identity.is_empty() {
            return None;
        }
        let shown = self
            .attributes
            .iter()
            .filter(|one| options.keeps_identifying || !is_identifying(one));
        let mut pairs = named(shown, options.translation);
        pairs.extend(self.identity.clone());
        Some(pairs)
    }
}

/// Attributes as labels, in the order of their keys. Values of keys that become one name stand behind each other.
fn named<'a>(attributes: impl Iterator<Item = &'a KeyValue>, translation: Translation) -> Pairs {
    let mut sorted: Vec<&KeyValue> = attributes.collect();
    sorted.sort_by(|one, other| one.key.cmp(&other.key));
    let mut pairs = Pairs::new();
    for one in sorted {
        let Some(name) = label_name(translation, &one.key) else {
            continue;
        };
        match pairs.entry(name) {
            Entry::Occupied(mut pair) => {
                pair.get_mut().push(';');
                pair.get_mut().push_str(&as_text(&one.value));
            }
            Entry::Vacant(pair) => {
                pair.insert(as_text(&one.value));
            }
        }
    }
    pairs
}

/// Bytes of names and values.
pub(super) fn byte_len(pairs: &Pairs) -> usize {
    pairs.iter().map(|(name, value)| name.len() + value.len()).sum()
}

/// A series: a metric, the labels of a point, and one label more if there is one.
pub(super) fn series(metric: &str, pairs: &Pairs, extra: Option<(&str, &str)>) -> Result<Labels, LabelError> {
    let is_other = |name: &str| name != METRIC_NAME && extra.is_none_or(|extra| extra.0 != name);
    let pairs = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let pairs = pairs.filter(|pair| is_other(pair.0));
    Labels::from_pairs(pairs.chain([(METRIC_NAME, metric)]).chain(extra))
}

/// The value of an attribute as that of a label.
pub(super) fn as_text(value: &AnyValue) -> String {
    match value {
        AnyValue::Nothing => String::new(),
        AnyValue::Text(text) | AnyValue::Bytes(text) => text.clone(),
        AnyValue::Bool(value) => value.to_string(),
        AnyValue::Int(value) => value.to_string(),
        AnyValue::Double(value) => go_text::float_json(*value),
        AnyValue::Array(_) | AnyValue::Map(_) => {
            let mut out = String::new();
            write_json(value, &mut out);
            out
        }
    }
}

fn write_json(value: &AnyValue, out: &mut String) {
    // Writing to a string does not fail.
    let _ = match value {
        AnyValue::Nothing => write!(out, "null"),
        AnyValue::Text(text) | AnyValue::Bytes(text) => write!(out, "{}", quoted(text)),
        AnyValue::Bool(_) | AnyValue::Int(_) => write!(out, "{}", as_text(value)),
        AnyValue::Double(number) if number.is_finite() => write!(out, "{}", as_text(value)),
        AnyValue::Double(_) => write!(out, "\"{}\"", as_text(value)),
        AnyValue::Array(items) => {
            write_list(items.iter(), ('[', ']'), out, write_json);
            Ok(())
        }
        AnyValue::Map(pairs) => {
            let mut sorted: Vec<&KeyValue> = pairs.iter().collect();
            sorted.sort_by(|one, other| one.key.cmp(&other.key));
            write_list(sorted.into_iter(), ('{', '}'), out, |pair, out| {
                out.push_str(&quoted(&pair.key));
                out.push(':');
                write_json(&pair.value, out);
            });
            Ok(())
        }
    };
}

fn write_list<T>(
    items: impl Iterator<Item = T>,
    around: (char, char),
    out: &mut String,
    write: impl Fn(T, &mut String),
) {
    out.push(around.0);
    for (place, item) in items.enumerate() {
        if place > 0 {
            out.push(',');
        }
        write(item, out);
    }
    out.push(around.1);
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(key: &str, value: &str) -> KeyValue {
        KeyValue {
            key: key.to_owned(),
            value: AnyValue::Text(value.to_owned()),
        }
    }

    fn shown(pairs: &Pairs) -> String {
        let texts: Vec<String> = pairs
            .iter()
            .map(|pair| format!("{}={}", pair.0, pair.1))
            .collect();
        texts.join(" ")
    }

    #[test]
    fn a_points_labels_come_from_all_levels() {
        let resource = || {
            vec![
                pair("service.name", "shop"),
                pair("service.namespace", "eu"),
                pair("service.instance.id", "i-1"),
                pair("host.name", "h"),
                pair("k8s.pod", "p"),
            ]
        };
        let mut options = Options::default();
        let common = Common::of_resource(resource(), &options);
        let attributes = [
            pair("a.b", "1"),
            pair("a_b", "2"),
            pair("job", "own"),
            pair("日本", "x"),
        ];
        assert_eq!(
            shown(&common.labels(&attributes, options.translation)),
            "a_b=1;2 instance=i-1 job=eu/shop"
        );
        let info = common.target_info(&options).unwrap();
        assert_eq!(shown(&info), "host_name=h instance=i-1 job=eu/shop k8s_pod=p");

        options.promoted = Promoted::These(vec!["host.name".to_owned()]);
        options.keeps_identifying = true;
        options.promotes_scope = true;
        let mut common = Common::of_resource(resource(), &options);
        let scope = Scope {
            name: "lib".to_owned(),
            version: "2".to_owned(),
            attributes: vec![pair("x.y", "z")],
            ..Scope::default()
        };
        common.set_scope(&scope, &options);
        assert_eq!(
            shown(&common.labels(&[], options.translation)),
            "host_name=h instance=i-1 job=eu/shop otel_scope_name=lib otel_scope_schema_url= \
             otel_scope_version=2 otel_scope_x_y=z"
        );
        assert!(shown(&common.target_info(&options).unwrap()).contains("service_name=shop"));
        let nameless = Common::of_resource(vec![pair("host.name", "h")], &options);
        assert_eq!(nameless.target_info(&options), None);
        let only_identity = Common::of_resource(vec![pair("service.name", "s")], &options);
        assert_eq!(only_identity.target_info(&options), None);
    }

    #[test]
    fn values_are_texts() {
        let list = AnyValue::Array(vec![
            AnyValue::Int(-1),
            AnyValue::Text("a\"b".to_owned()),
            AnyValue::Nothing,
        ]);
        let map = AnyValue::Map(vec![
            KeyValue {
                key: "b".to_owned(),
                value: list.clone(),
            },
            KeyValue {
                key: "a".to_owned(),
                value: AnyValue::Double(1.5),
            },
        ]);
        assert_eq!(as_text(&list), r#"[-1,"a\"b",null]"#);
        assert_eq!(as_text(&map), r#"{"a":1.5,"b":[-1,"a\"b",null]}"#);
        assert_eq!(as_text(&AnyValue::Bool(true)), "true");
        assert_eq!(as_text(&AnyValue::Double(1e21)), "1e+21");
    }
}

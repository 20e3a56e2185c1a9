//! The text of a point: read into what stands there, without a judgement, so that whatever is wrong can be named by its field.

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// A value that may or may not be what is wanted.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scalar<'t> {
    Null,
    Bool(bool),
    Whole(i64),
    Broken(f64),
    Text(Cow<'t, str>),
    /// A list or an object, which nothing here is.
    Nested,
}

/// A point as it was sent.
#[derive(Debug, Default)]
pub(super) struct JsonPoint<'t> {
    /// Otherwise nothing else is known of it.
    pub(super) is_object: bool,
    pub(super) series_key: Option<Scalar<'t>>,
    pub(super) timestamp: Option<Scalar<'t>>,
    pub(super) value: Option<Scalar<'t>>,
    pub(super) precision: Option<Scalar<'t>>,
    /// `None` when it is no object.
    pub(super) tags: JsonTags<'t>,
    /// A field that points do not have.
    pub(super) unknown: Option<String>,
}

/// The tags of a point, in the order of the text.
#[derive(Debug, PartialEq)]
pub(super) enum JsonTags<'t> {
    Pairs(Vec<(Cow<'t, str>, Scalar<'t>)>),
    NoObject,
}

impl Default for JsonTags<'_> {
    fn default() -> Self {
        Self::Pairs(Vec::new())
    }
}

/// A name or a text, borrowed where it has no escapes.
struct Text<'t>(Cow<'t, str>);

struct TextVisitor;

impl<'t> Visitor<'t> for TextVisitor {
    type Value = Text<'t>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_borrowed_str<E>(self, text: &'t str) -> Result<Text<'t>, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Text<'t>, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }
}

impl<'t> Deserialize<'t> for Text<'t> {
    fn deserialize<D: Deserializer<'t>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(TextVisitor)
    }
}

struct ScalarVisitor;

impl<'t> Visitor<'t> for ScalarVisitor {
    type Value = Scalar<'t>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Scalar<'t>, E> {
        Ok(Scalar::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Scalar<'t>, E> {
        Ok(Scalar::Whole(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Scalar<'t>, E> {
        Ok(i64::try_from(value).map_or(Scalar::Broken(value as f64), Scalar::Whole))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Scalar<'t>, E> {
        Ok(Scalar::Broken(value))
    }

    fn visit_borrowed_str<E>(self, text: &'t str) -> Result<Scalar<'t>, E> {
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Scalar<'t>, E> {
        Ok(Scalar::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Scalar<'t>, E> {
        Ok(Scalar::Null)
    }

    fn visit_seq<A: SeqAccess<'t>>(self, mut list: A) -> Result<Scalar<'t>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Nested)
    }

    fn visit_map<A: MapAccess<'t>>(self, mut object: A) -> Result<Scalar<'t>, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Nested)
    }
}

impl<'t> Deserialize<'t> for Scalar<'t> {
    fn deserialize<D: Deserializer<'t>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ScalarVisitor)
    }
}

struct TagsVisitor;

impl<'t> Visitor<'t> for TagsVisitor {
    type Value = JsonTags<'t>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tags")
    }

    fn visit_unit<E>(self) -> Result<JsonTags<'t>, E> {
        Ok(JsonTags::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<JsonTags<'t>, E> {
        Ok(JsonTags::NoObject)
    }

    fn visit_i64<E>(self, _: i64) -> Result<JsonTags<'t>, E> {
        Ok(JsonTags::NoObject)
    }

    fn visit_u64<E>(self, _: u64) -> Result<JsonTags<'t>, E> {
        Ok(JsonTags::NoObject)
    }

    fn visit_f64<E>(self, _: f64) -> Result<JsonTags<'t>, E> {
        Ok(JsonTags::NoObject)
    }

    fn visit_str<E>(self, _: &str) -> Result<JsonTags<'t>, E> {
        Ok(JsonTags::NoObject)
    }

    fn visit_seq<A: SeqAccess<'t>>(self, mut list: A) -> Result<JsonTags<'t>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(JsonTags::NoObject)
    }

    fn visit_map<A: MapAccess<'t>>(self, mut object: A) -> Result<JsonTags<'t>, A::Error> {
        let mut pairs = Vec::new();
        while let Some((name, value)) = object.next_entry::<Text<'t>, Scalar<'t>>()? {
            pairs.push((name.0, value));
        }
        Ok(JsonTags::Pairs(pairs))
    }
}

impl<'t> Deserialize<'t> for JsonTags<'t> {
    fn deserialize<D: Deserializer<'t>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(TagsVisitor)
    }
}

struct PointVisitor;

impl<'t> Visitor<'t> for PointVisitor {
    type Value = JsonPoint<'t>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with series_key, timestamp, value and tags")
    }

    fn visit_unit<E>(self) -> Result<JsonPoint<'t>, E> {
        Ok(JsonPoint::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<JsonPoint<'t>, E> {
        Ok(JsonPoint::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<JsonPoint<'t>, E> {
        Ok(JsonPoint::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<JsonPoint<'t>, E> {
        Ok(JsonPoint::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<JsonPoint<'t>, E> {
        Ok(JsonPoint::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<JsonPoint<'t>, E> {
        Ok(JsonPoint::default())
    }

    fn visit_seq<A: SeqAccess<'t>>(self, mut list: A) -> Result<JsonPoint<'t>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(JsonPoint::default())
    }

    fn visit_map<A: MapAccess<'t>>(self, mut object: A) -> Result<JsonPoint<'t>, A::Error> {
        let mut point = JsonPoint {
            is_object: true,
            ..JsonPoint::default()
        };
        while let Some(name) = object.next_key::<Text<'t>>()? {
            match &*name.0 {
                "series_key" => point.series_key = Some(object.next_value()?),
                "timestamp" => point.timestamp = Some(object.next_value()?),
                "value" => point.value = Some(object.next_value()?),
                "precision" => point.precision = Some(object.next_value()?),
                "tags" => point.tags = object.next_value()?,
                unknown => {
                    point.unknown = Some(unknown.to_owned());
                    object.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(point)
    }
}

impl<'t> Deserialize<'t> for JsonPoint<'t> {
    fn deserialize<D: Deserializer<'t>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(PointVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_read_as_it_stands_there() {
        let text = r#"{"series_key":"cpu\n","timestamp":5,"value":-0.5,"tags":{"a":"b","n":1,"t":true},"precision":null,"x":[{}]}"#;
        let point: JsonPoint<'_> = serde_json::from_str(text).expect("a point");
        assert_eq!(point.series_key, Some(Scalar::Text("cpu\n".into())));
        assert_eq!(point.timestamp, Some(Scalar::Whole(5)));
        assert_eq!(point.value, Some(Scalar::Broken(-0.5)));
        assert_eq!(point.precision, Some(Scalar::Null));
        let tags = vec![
            ("a".into(), Scalar::Text("b".into())),
            ("n".into(), Scalar::Whole(1)),
            ("t".into(), Scalar::Bool(true)),
        ];
        assert_eq!(point.tags, JsonTags::Pairs(tags));
        assert_eq!(point.unknown.as_deref(), Some("x"));
    }

    #[test]
    fn what_is_no_object_is_no_point() {
        for text in ["[{}]", "1", "-1", "1.5", "\"a\"", "null", "true"] {
            let point: JsonPoint<'_> = serde_json::from_str(text).expect("JSON");
            assert!(!point.is_object, "{text}");
        }
        for text in ["{\"tags\":", "{\"a\" 1}", ""] {
            assert!(serde_json::from_str::<JsonPoint<'_>>(text).is_err(), "{text}");
        }
        for text in ["1", "-1", "1.5", "\"a\"", "true", "[{}]"] {
            let point = format!("{{\"tags\":{text}}}");
            let point: JsonPoint<'_> = serde_json::from_str(&point).expect("a point");
            assert_eq!(point.tags, JsonTags::NoObject, "{text}");
        }
    }
}

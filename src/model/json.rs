//! Reads JSON without losing anything: a repeated name is an error, where `serde_json` alone would
//! keep the last one.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Parses a JSON text.
///
/// # Errors
/// The text is not JSON, or an object in it has two members of one name; with line and column.
pub fn parse(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str::<Unique>(text).map(|Unique(value)| value)
}

/// Parses JSON values that stand one after the other, as in a file of records.
pub fn parse_each(text: &str) -> impl Iterator<Item = Result<Value, serde_json::Error>> {
    let values = serde_json::Deserializer::from_str(text).into_iter::<Unique>();
    values.map(|value| value.map(|Unique(value)| value))
}

/// A value in which no object repeats a name.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor).map(Self)
    }
}

struct UniqueVisitor;

impl<'de> DeserializeSeed<'de> for UniqueVisitor {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = sequence.next_element_seed(Self)? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            if members.contains_key(&name) {
                let name = name.chars().take(80).collect::<String>();
                return Err(A::Error::custom(format!("the name `{name}` is there twice")));
            }
            members.insert(name, map.next_value_seed(Self)?);
        }
        Ok(members.into())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_has_no_repeated_name_is_read_as_it_is() {
        let text = r#"[null, true, -1, 18446744073709551615, 1.5, "a", {"a": {"a": []}, "b": {}}]"#;
        assert_eq!(parse(text).unwrap(), serde_json::from_str::<Value>(text).unwrap());
    }

    #[test]
    fn a_repeated_name_is_refused_with_its_place() {
        for text in ["{\"a\": 1,\n \"a\": 1}", "[{\"b\": 1,\n \"a\": {}, \"\\u0062\": 2}]"] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.line(), 2, "{error}");
            assert!(error.to_string().contains("is there twice"), "{error}");
        }
        assert!(parse(&"[".repeat(10_000)).is_err());
    }
}

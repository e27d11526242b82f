//! Reads JSON without losing anything: a repeated name is an error, where `serde_json` alone would
//! keep the last one.

use std::{cell::Cell, collections::BTreeMap, fmt, io::Read, ops::Range};

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value, value::RawValue};

/// Parses a JSON text.
///
/// # Errors
/// The text is not JSON, or an object in it has two members of one name; with line and column.
pub fn parse(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str::<Unique>(text).map(|Unique(value)| value)
}

/// Parses a text as [`parse`] does, which may hold `values` values, members of objects and elements
/// of lists included: two bytes of text may become hundreds in memory.
///
/// # Errors
/// As for [`parse`], and more values than that.
pub fn parse_within(text: &str, mut values: usize) -> Result<Value, serde_json::Error> {
    parse_from(text, &mut values)
}

/// Parses one of several texts as [`parse_within`] does, and counts down the values that may
/// still come.
///
/// # Errors
/// As for [`parse_within`].
pub fn parse_from(text: &str, values: &mut usize) -> Result<Value, serde_json::Error> {
    let left = Cell::new(*values);
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = UniqueVisitor { left: &left }.deserialize(&mut reader);
    *values = left.get();
    let value = value?;
    reader.end().map(|()| value)
}

/// Parses JSON values that stand one after the other, as in a file of records. Nothing comes after an error.
pub fn parse_each(text: impl Read) -> impl Iterator<Item = Result<Value, serde_json::Error>> {
    let values = serde_json::Deserializer::from_reader(text).into_iter::<Unique>();
    values.map(|value| value.map(|Unique(value)| value))
}

/// A step from a JSON value to one in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step {
    /// The element of a list.
    Index(usize),
    /// The member of an object.
    Name(String),
}

/// Returns the bytes at which a value stands in a JSON text, or its nearest container that is there.
#[must_use]
pub fn place(text: &str, path: &[Step]) -> Range<usize> {
    let mut at = 0..text.len();
    for step in path {
        let found = children(text, at.clone()).into_iter().find(|(child, _)| child == step);
        let Some((_, place)) = found else { break };
        at = place;
    }
    at
}

/// Returns the elements or members of the container at `place`, and the bytes at which each stands.
#[must_use]
pub fn children(text: &str, place: Range<usize>) -> Vec<(Step, Range<usize>)> {
    let container = text.get(place).unwrap_or_default();
    let range = |value: &RawValue| {
        // The value is a piece of the text.
        let start = (value.get().as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
        start..start + value.get().len()
    };
    if let Ok(elements) = serde_json::from_str::<Vec<&RawValue>>(container) {
        let elements = elements.into_iter().map(range).enumerate();
        return elements.map(|(index, range)| (Step::Index(index), range)).collect();
    }
    let members = serde_json::from_str::<BTreeMap<String, &RawValue>>(container);
    let members = members.into_iter().flatten();
    members.map(|(name, value)| (Step::Name(name), range(value))).collect()
}

/// A value in which no object repeats a name.
struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        UniqueVisitor { left: &Cell::new(usize::MAX) }.deserialize(deserializer).map(Self)
    }
}

#[derive(Clone, Copy)]
struct UniqueVisitor<'a> {
    /// Values that may still come.
    left: &'a Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for UniqueVisitor<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let left = self.left.get().checked_sub(1);
        self.left.set(left.ok_or_else(|| D::Error::custom("too many values"))?);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for UniqueVisitor<'_> {
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
        while let Some(value) = sequence.next_element_seed(self)? {
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
            members.insert(name, map.next_value_seed(self)?);
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
    fn a_text_of_more_values_than_may_be_is_refused() {
        let text = r#"{"a": [1, 2, {}], "b": null}"#;
        assert_eq!(parse_within(text, 6).unwrap(), parse(text).unwrap());
        let error = parse_within(text, 5).unwrap_err();
        assert!(error.to_string().starts_with("too many values at line 1"), "{error}");
        assert!(parse_within("1 2", 9).is_err());
    }

    #[test]
    fn a_value_is_found_in_its_text() {
        let text = r#" {"a": [1, {"b\u0063": "x"}], "d": 2}"#;
        let name = |name: &str| Step::Name(name.to_owned());
        let check = |path: &[Step], value: &str| {
            assert_eq!(text.get(place(text, path)), Some(value), "{path:?}");
        };
        check(&[], text);
        check(&[name("a"), Step::Index(1), name("bc")], "\"x\"");
        check(&[name("d")], "2");
        check(&[name("a"), Step::Index(7), name("d")], r#"[1, {"b\u0063": "x"}]"#);
        assert_eq!(place("{", &[name("a")]), 0..1);
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

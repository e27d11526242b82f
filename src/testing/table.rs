//! Taking a table apart: each key is taken by name, and what nobody took is unknown.

use super::node::{Node, Plain, TestField, TestPlace};
use crate::{
    model::{Timestamp, Uid},
    store::Problems,
};

/// A table that is being taken apart.
pub(super) struct TestTable {
    place: TestPlace,
    fields: Vec<TestField>,
    known: Vec<&'static str>,
}

impl TestTable {
    /// The table that a node is; anything else is a problem.
    pub(super) fn new(node: Node, problems: &mut Problems) -> Option<Self> {
        match node.plain {
            Plain::Table(fields) => Some(Self { place: node.place, fields, known: Vec::new() }),
            plain => {
                let message = format!("a table is expected here, not {}", plain.kind());
                problems.push(node.place.problem(message));
                None
            }
        }
    }

    /// Returns the place of the table.
    pub(super) fn place(&self) -> &TestPlace {
        &self.place
    }

    /// Returns whether a key is there and not yet taken.
    pub(super) fn has(&self, key: &str) -> bool {
        self.fields.iter().any(|field| field.name == key)
    }

    /// The value of a key.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Node> {
        self.known.push(key);
        let index = self.fields.iter().position(|field| field.name == key)?;
        Some(self.fields.remove(index).value)
    }

    /// The text of a key.
    pub(super) fn string(
        &mut self,
        key: &'static str,
        problems: &mut Problems,
    ) -> Option<(String, TestPlace)> {
        string(self.take(key)?, problems)
    }

    /// The text of a key that must be there.
    pub(super) fn required_string(
        &mut self,
        key: &'static str,
        problems: &mut Problems,
    ) -> Option<(String, TestPlace)> {
        match self.take(key) {
            Some(node) => string(node, problems),
            None => {
                problems.push(self.place.problem(format!("the key `{key}` is missing here")));
                None
            }
        }
    }

    /// The elements of the array of a key; none where it is not there.
    pub(super) fn array(&mut self, key: &'static str, problems: &mut Problems) -> Vec<Node> {
        self.take(key).map(|node| array(node, problems)).unwrap_or_default()
    }

    /// The texts of the array of a key.
    pub(super) fn strings(
        &mut self,
        key: &'static str,
        problems: &mut Problems,
    ) -> Vec<(String, TestPlace)> {
        let nodes = self.array(key, problems);
        nodes.into_iter().filter_map(|node| string(node, problems)).collect()
    }

    /// The entity of a key.
    pub(super) fn uid(&mut self, key: &'static str, problems: &mut Problems) -> Option<Uid> {
        uid(self.take(key)?, problems)
    }

    /// The moment of a key.
    pub(super) fn moment(
        &mut self,
        key: &'static str,
        problems: &mut Problems,
    ) -> Option<Timestamp> {
        let node = self.take(key)?;
        let text = match node.plain {
            Plain::String(text) | Plain::Datetime(text) => text,
            plain => {
                let message = format!("a date and time is expected here, not {}", plain.kind());
                problems.push(node.place.problem(message));
                return None;
            }
        };
        let moment = text.parse::<Timestamp>();
        moment.map_err(|error| problems.push(node.place.problem(error.to_string()))).ok()
    }

    /// The fields of the table of a key; none where it is not there.
    pub(super) fn fields(&mut self, key: &'static str, problems: &mut Problems) -> Vec<TestField> {
        let table = self.take(key).and_then(|node| Self::new(node, problems));
        table.map(|table| table.fields).unwrap_or_default()
    }

    /// Ends the taking: what was not taken is unknown.
    pub(super) fn finish(self, problems: &mut Problems) {
        let known: Vec<_> = self.known.iter().map(|key| format!("`{key}`")).collect();
        for field in &self.fields {
            let problem = field.place.problem(format!("the key `{}` is unknown here", field.name));
            problems.push(problem.with_help(format!("known are {}", known.join(", "))));
        }
    }
}

/// The elements of an array; anything else is a problem.
pub(super) fn array(node: Node, problems: &mut Problems) -> Vec<Node> {
    match node.plain {
        Plain::Array(nodes) => nodes,
        plain => {
            let message = format!("an array is expected here, not {}", plain.kind());
            problems.push(node.place.problem(message));
            Vec::new()
        }
    }
}

/// A text; anything else is a problem.
pub(super) fn string(node: Node, problems: &mut Problems) -> Option<(String, TestPlace)> {
    match node.plain {
        Plain::String(text) => Some((text, node.place)),
        plain => {
            let message = format!("a string is expected here, not {}", plain.kind());
            problems.push(node.place.problem(message));
            None
        }
    }
}

/// An entity; anything else is a problem.
pub(super) fn uid(node: Node, problems: &mut Problems) -> Option<Uid> {
    let (text, place) = string(node, problems)?;
    text.parse()
        .map_err(|error: crate::model::UidParseError| {
            problems.push(place.problem(error.to_string()))
        })
        .ok()
}

//! Plain values of a test file (TOML or JSON), each with its place, before any schema has been
//! looked at.

use std::{ops::Range, sync::Arc};

use toml::de::{DeTable, DeValue};

use crate::{
    model::{Problem, Text, decode},
    store::{Problems, StoreFiles},
};

/// A file with tests.
#[derive(Debug)]
pub(super) struct TestFile {
    /// Relative to the store's folder.
    pub path: String,
    /// The text, named by its path in the policies folder.
    pub text: Text,
}

impl TestFile {
    /// The file of that path, if its bytes are text.
    pub(super) fn new(
        files: &StoreFiles,
        path: &str,
        bytes: &[u8],
        problems: &mut Problems,
    ) -> Option<Arc<Self>> {
        match decode(bytes) {
            Ok(text) => Some(Arc::new(Self {
                path: path.to_owned(),
                text: Text::new(files.path(path), text),
            })),
            Err(error) => {
                let problem = Problem::of_file(files.path(path), format!("the file is {error}"));
                problems.push(problem.with_help("save it as UTF-8"));
                None
            }
        }
    }

    pub(super) fn place(self: &Arc<Self>, span: Range<usize>) -> TestPlace {
        TestPlace { file: Arc::clone(self), span }
    }
}

/// A place in a test file.
#[derive(Debug, Clone)]
pub(super) struct TestPlace {
    file: Arc<TestFile>,
    span: Range<usize>,
}

impl TestPlace {
    /// The file, relative to the store's folder.
    pub(super) fn path(&self) -> &str {
        &self.file.path
    }

    /// The line, from 1.
    pub(super) fn line(&self) -> usize {
        self.file.text.line_number(self.span.start)
    }

    pub(super) fn problem(&self, message: impl Into<String>) -> Problem {
        Problem::at(&self.file.text, self.span.clone(), message)
    }
}

/// A value and where it is written.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub place: TestPlace,
    pub plain: Plain,
}

/// A value of a test file.
#[derive(Debug, Clone)]
pub(super) enum Plain {
    Bool(bool),
    Integer(i64),
    /// A number that is no `i64`, as it is written.
    Number(String),
    String(String),
    /// A date or time of TOML, as it is written.
    Datetime(String),
    Array(Vec<Node>),
    /// Fields in the order of the file.
    Table(Vec<TestField>),
    /// JSON's null.
    Null,
}

/// A field of a table.
#[derive(Debug, Clone)]
pub(super) struct TestField {
    pub name: String,
    pub place: TestPlace,
    pub value: Node,
}

impl Plain {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Bool(_) => "a boolean",
            Self::Integer(_) => "an integer",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::Datetime(_) => "a date or time",
            Self::Array(_) => "an array",
            Self::Table(_) => "a table",
            Self::Null => "null",
        }
    }
}

/// Reads a TOML file. Reports everything that cannot be read, and then uses nothing of the file.
pub(super) fn parse_toml(file: &Arc<TestFile>, problems: &mut Problems) -> Option<Node> {
    let (table, errors) = DeTable::parse_recoverable(file.text.text());
    if !errors.is_empty() {
        for error in &errors {
            // Its place may have to be looked for in the whole text.
            problems.add(file.text.name(), || crate::store::toml_problem(&file.text, error));
        }
        return None;
    }
    let plain = of_table(file, table.get_ref());
    Some(Node { place: file.place(table.span()), plain })
}

fn of_table(file: &Arc<TestFile>, table: &DeTable<'_>) -> Plain {
    let mut fields: Vec<_> = table
        .iter()
        .map(|(name, value)| TestField {
            name: name.get_ref().to_string(),
            place: file.place(name.span()),
            value: Node { place: file.place(value.span()), plain: of_value(file, value.get_ref()) },
        })
        .collect();
    fields.sort_by_key(|field| field.place.span.start);
    Plain::Table(fields)
}

fn of_value(file: &Arc<TestFile>, value: &DeValue<'_>) -> Plain {
    match value {
        DeValue::String(text) => Plain::String(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| Plain::Number(number.to_string()), Plain::Integer),
        DeValue::Float(number) => Plain::Number(number.to_string()),
        DeValue::Boolean(value) => Plain::Bool(*value),
        DeValue::Datetime(moment) => Plain::Datetime(moment.to_string()),
        DeValue::Array(values) => Plain::Array(
            values
                .iter()
                .map(|value| Node {
                    place: file.place(value.span()),
                    plain: of_value(file, value.get_ref()),
                })
                .collect(),
        ),
        DeValue::Table(table) => of_table(file, table),
    }
}

/// A JSON value; all of it has one place, for JSON is read without places.
pub(super) fn of_json(place: &TestPlace, value: &serde_json::Value) -> Node {
    use serde_json::Value;

    let plain = match value {
        Value::Null => Plain::Null,
        Value::Bool(value) => Plain::Bool(*value),
        Value::Number(number) => {
            number.as_i64().map_or_else(|| Plain::Number(number.to_string()), Plain::Integer)
        }
        Value::String(text) => Plain::String(text.clone()),
        Value::Array(values) => {
            Plain::Array(values.iter().map(|value| of_json(place, value)).collect())
        }
        Value::Object(fields) => Plain::Table(
            fields
                .iter()
                .map(|(name, value)| TestField {
                    name: name.clone(),
                    place: place.clone(),
                    value: of_json(place, value),
                })
                .collect(),
        ),
    };
    Node { place: place.clone(), plain }
}

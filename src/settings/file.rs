//! The layer of the configuration file.

use std::{ops::Range, path::Path};

use toml::de::{DeTable, DeValue};

use super::{
    Origin, SettingError,
    keys::{self, SettingKey},
    layers::Layers,
    setting_field::Written,
};
use crate::model::{Problem, Text};

pub(super) fn read(path: &Path, text: &str, layers: &mut Layers) {
    let shared = Text::new(path.display().to_string(), text);
    let mut reader = FileReader { path, text: shared, layers, problems: Vec::new() };
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        reader.table("", table.get_ref());
    }
    for error in errors {
        reader.problem(error.span().unwrap_or_default(), error.message().to_owned(), None);
    }
    let mut problems = reader.problems;
    // The parser hands keys over by name; a person reads a file from its beginning.
    problems.sort_by_key(|(start, _)| *start);
    layers.errors.extend(problems.into_iter().map(|(_, problem)| SettingError::File(problem)));
}

struct FileReader<'a> {
    path: &'a Path,
    text: Text,
    layers: &'a mut Layers,
    /// The fault, with its place.
    problems: Vec<(usize, Problem)>,
}

impl FileReader<'_> {
    fn table(&mut self, prefix: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let full = format!("{prefix}{}", name.get_ref());
            match (keys::find(&full), value.get_ref()) {
                (Some(key), written) => self.setting(key, name.span(), value.span(), written),
                (None, DeValue::Table(table)) if keys::is_table(&full) => {
                    self.table(&format!("{full}."), table);
                }
                (None, _) if keys::is_table(&full) => {
                    let help = format!("write a line `[{full}]` and the settings below it");
                    self.problem(value.span(), format!("`{full}` is a table"), Some(help));
                }
                (None, _) => {
                    let help = keys::suggestion(&full).map(|key| format!("did you mean `{key}`?"));
                    self.problem(name.span(), format!("no setting is called `{full}`"), help);
                }
            }
        }
    }

    fn setting(
        &mut self,
        key: &'static SettingKey,
        name: Range<usize>,
        value: Range<usize>,
        written: &DeValue<'_>,
    ) {
        match (key.field)(&mut self.layers.settings).read(&as_written(written)) {
            Ok(()) => {
                let line = self.text.line_number(name.start);
                let origin = Origin::File { path: self.path.to_owned(), line };
                self.layers.origins.insert(key.name, origin);
            }
            Err(message) => self.problem(value, format!("setting `{}`: {message}", key.name), None),
        }
    }

    fn problem(&mut self, span: Range<usize>, message: String, help: Option<String>) {
        let start = span.start;
        let mut problem = Problem::at(&self.text, span, message);
        if let Some(help) = help {
            problem = problem.with_help(help);
        }
        self.problems.push((start, problem));
    }
}

fn as_written(value: &DeValue<'_>) -> Written {
    match value {
        DeValue::String(text) => Written::String(text.to_string()),
        DeValue::Integer(number) => {
            let digits = number.as_str().replace('_', "");
            Written::Integer(i64::from_str_radix(&digits, number.radix()).ok())
        }
        DeValue::Boolean(on) => Written::Boolean(*on),
        DeValue::Array(values) => {
            let texts: Option<Vec<_>> =
                values.iter().map(|value| value.get_ref().as_str().map(str::to_owned)).collect();
            texts.map_or(Written::Other("an array of other things"), Written::Strings)
        }
        DeValue::Float(number) => match number.as_str().replace('_', "").parse() {
            Ok(number) => Written::Float(number),
            Err(_) => Written::Other("a float"),
        },
        DeValue::Datetime(_) => Written::Other("a datetime"),
        DeValue::Table(_) => Written::Other("a table"),
    }
}

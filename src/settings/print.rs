//! The settled settings as a configuration file.

use std::fmt::Write as _;

use super::{Settings, Settled, keys::KEYS};

/// Returns the settings as a configuration file, with the origin of each value in a comment.
#[must_use]
pub fn print(settled: &Settled) -> String {
    let mut settings = settled.settings.clone();
    let mut lines = Vec::new();
    let mut table = "";
    for key in KEYS {
        let (of_table, name) = key.name.split_once('.').unwrap_or(("", key.name));
        if of_table != table {
            table = of_table;
            lines.push((String::new(), None));
            lines.push((format!("[{table}]"), None));
        }
        let value = (key.field)(&mut settings).write();
        // A path in the origin could hold a line break, which would end the comment.
        let origin = settled.origin(key.name).to_string().replace(char::is_control, "?");
        lines.push((format!("{name} = {value}"), Some(format!("{origin}: {}", key.about))));
    }
    let commented = lines.iter().filter(|(_, comment)| comment.is_some());
    let width = commented.map(|(line, _)| line.chars().count()).max().unwrap_or(0).min(60);
    let mut text = String::from("# The settings of `humbaba serve`, with where each comes from.\n");
    for (line, comment) in lines {
        match comment {
            Some(comment) => drop(writeln!(text, "{line:width$}  # {comment}")),
            None => drop(writeln!(text, "{line}")),
        }
    }
    text
}

/// Returns the settings as a JSON object, those of one table together.
#[must_use]
pub fn to_json(settings: &Settings) -> serde_json::Value {
    let mut settings = settings.clone();
    let mut all = serde_json::Map::new();
    for key in KEYS {
        let value = (key.field)(&mut settings).write();
        let value = serde_json::to_value(value).unwrap_or_default();
        match key.name.split_once('.') {
            None => drop(all.insert(key.name.to_owned(), value)),
            Some((table, name)) => {
                let table = all.entry(table).or_insert_with(|| serde_json::json!({}));
                if let Some(table) = table.as_object_mut() {
                    table.insert(name.to_owned(), value);
                }
            }
        }
    }
    all.into()
}

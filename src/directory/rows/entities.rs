//! Entities in Cedar's JSON form.

use std::ops::Range;

use serde::Deserialize;
use serde_json::{Value as Json, value::RawValue};

use super::{FileRow, FileRows, RowFileError, RowReader};
use crate::{
    directory::{Change, EntityRow},
    model::{Uid, json},
};

/// Reads `*.cedarentities.json`. If the file is not JSON, no row of it is read.
pub(super) fn read(reader: &mut RowReader<'_>, text: &str) -> Result<FileRows, RowFileError> {
    if !text.trim_start().starts_with('[') {
        // Also of an empty file: it may be one that is being written.
        serde_json::from_str::<&RawValue>(text)?;
        return Err(RowFileError::NoList);
    }
    let elements: Vec<&RawValue> = serde_json::from_str(text)?;
    if elements.len() > reader.rows {
        return Err(RowFileError::TooManyRows(reader.rows));
    }
    let mut read = FileRows::default();
    let mut lines = LineCounter { text, line: 1, at: 0 };
    for element in elements {
        // The element is a piece of the text.
        let start = (element.get().as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
        let line = lines.line_of(start);
        match entity(reader, element.get()) {
            Ok(row) => read.rows.push(FileRow { line, change: Change::PutEntity(row) }),
            Err(message) => read.problems.add(line, message),
        }
    }
    Ok(read)
}

fn entity(reader: &mut RowReader<'_>, text: &str) -> Result<EntityRow, String> {
    let uid = match json::parse(text) {
        Ok(json) => json.get("uid").cloned().ok_or("`uid` is missing")?,
        // The directory has to know of an entity that it cannot read, and tells what is wrong with it.
        Err(error) => uid_alone(text)
            .ok_or_else(|| error.to_string().chars().take(200).collect::<String>())?,
    };
    let uid = uid.get("__entity").unwrap_or(&uid);
    let part = |name: &str| {
        let part = uid.get(name).and_then(Json::as_str).filter(|part| !part.is_empty());
        part.ok_or_else(|| {
            format!(
                "`uid.{name}` is missing: write `\"uid\": {{\"type\": \"Site\", \"id\": \"42\"}}`"
            )
        })
    };
    let (entity_type, id) = (part("type")?, part("id")?);
    let uid = Uid::new(reader.full_type(entity_type), id);
    Ok(EntityRow { uid, json: text.to_owned() })
}

/// Reads the `uid` of an element of which the rest may be no values: numbers too large, halves of
/// characters, too many levels.
fn uid_alone(text: &str) -> Option<Json> {
    #[derive(Deserialize)]
    struct Element<'a> {
        #[serde(borrow)]
        uid: &'a RawValue,
    }
    let alone = serde_json::from_str::<Element<'_>>(text).ok();
    let uid = alone.and_then(|element| serde_json::from_str(element.uid.get()).ok());
    uid.or_else(|| serde_json::from_str::<Json>(text).ok()?.get("uid").cloned())
}

/// Counts lines as a text is gone through.
struct LineCounter<'a> {
    text: &'a str,
    line: usize,
    at: usize,
}

impl LineCounter<'_> {
    /// Returns the line of a byte that is not before the last one that was asked for.
    fn line_of(&mut self, byte: usize) -> usize {
        let passed: Range<usize> = self.at..byte;
        self.line += self.text.get(passed).unwrap_or_default().matches('\n').count();
        self.at = byte;
        self.line
    }
}

//! The mapping from the product's tables to the rows of a directory.

use serde::Deserialize;

use super::{ASSIGNMENTS, ENTITIES, Recorded, recorded::TableName};
use crate::{
    model::{Problem, Text},
    store::toml_problem,
};

/// The tables that assignments and entities are read from. Where there is none, the application writes
/// the tables `assignments` and `entities` itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mapping {
    /// Tables with role assignments.
    pub assignments: Vec<AssignmentsOf>,
    /// Tables with entities.
    pub entities: Vec<EntitiesOf>,
}

/// A table of which each row is a role assignment. All but the names are SQL expressions over the
/// columns of that row alone.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the columns of an assignment")]
pub struct AssignmentsOf {
    /// Its name, with or without a schema; without one: `public`.
    pub table: String,
    pub principal_type: String,
    pub principal_id: String,
    pub role: String,
    pub scope_type: String,
    pub scope_id: String,
    #[serde(default = "null")]
    pub expires_at: String,
    #[serde(default = "null")]
    pub granted_at: String,
    #[serde(default = "null")]
    pub granted_by: String,
    #[serde(default = "null")]
    pub reason: String,
    /// The condition on rows that count; unset: all count.
    #[serde(rename = "where")]
    pub condition: Option<String>,
}

/// A table of which each row is an entity.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntitiesOf {
    /// Its name, with or without a schema; without one: `public`.
    pub table: String,
    /// The type of the entity.
    #[serde(rename = "type")]
    pub entity_type: String,
    /// The id of the entity.
    pub id: String,
    /// The entity in Cedar's JSON, as `jsonb`.
    pub entity: String,
    /// The condition on rows that count; unset: all count.
    #[serde(rename = "where")]
    pub condition: Option<String>,
}

/// A mapping that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MappingError {
    /// The file is no TOML, or not of this form.
    #[error("{}", .0.render().trim_end())]
    File(Problem),
    /// A value is wrong.
    #[error("`{file}`: `{field}`: {message}")]
    Value {
        /// The file.
        file: String,
        /// The path of the value, e.g. `assignments[0].table`.
        field: String,
        /// Why it cannot be used.
        message: &'static str,
    },
}

fn null() -> String {
    "NULL".to_owned()
}

impl Mapping {
    /// Reads a mapping from TOML; `file` names it in errors.
    ///
    /// # Errors
    /// The text is not of the form, or a value is wrong.
    pub fn read(file: &str, text: &str) -> Result<Self, MappingError> {
        let mapping: Self = toml::from_str(text)
            .map_err(|error| MappingError::File(toml_problem(&Text::new(file, text), &error)))?;
        let fault = mapping.values().find_map(|(field, value)| {
            let message = if field.ends_with(".table") {
                table_fault(value)
            } else {
                expression_fault(value)
            };
            message.map(|message| MappingError::Value { file: file.to_owned(), field, message })
        });
        fault.map_or(Ok(mapping), Err)
    }

    /// All values with their paths.
    fn values(&self) -> impl Iterator<Item = (String, &str)> {
        let assignments = self.assignments.iter().enumerate().flat_map(|(index, from)| {
            let columns = ASSIGNMENTS.columns.iter().map(|(name, ..)| *name).zip(from.columns());
            named("assignments", index, &from.table, columns, from.condition.as_deref())
        });
        let entities = self.entities.iter().enumerate().flat_map(|(index, from)| {
            let columns = ENTITIES.columns.iter().map(|(name, ..)| *name).zip(from.columns());
            named("entities", index, &from.table, columns, from.condition.as_deref())
        });
        assignments.chain(entities)
    }

    pub(super) fn assignments(&self) -> Vec<Recorded> {
        let recorded = self.assignments.iter().enumerate().map(|(index, from)| Recorded {
            name: format!("assignments_{}", index + 1),
            table: table_name(&from.table),
            kind: &ASSIGNMENTS,
            values: from.columns().map(str::to_owned).to_vec(),
            condition: from.condition.clone(),
        });
        recorded.collect()
    }

    pub(super) fn entities(&self) -> Vec<Recorded> {
        let recorded = self.entities.iter().enumerate().map(|(index, from)| Recorded {
            name: format!("entities_{}", index + 1),
            table: table_name(&from.table),
            kind: &ENTITIES,
            values: from.columns().map(str::to_owned).to_vec(),
            condition: from.condition.clone(),
        });
        recorded.collect()
    }
}

impl AssignmentsOf {
    fn columns(&self) -> [&str; 9] {
        [
            &self.principal_type,
            &self.principal_id,
            &self.role,
            &self.scope_type,
            &self.scope_id,
            &self.expires_at,
            &self.granted_at,
            &self.granted_by,
            &self.reason,
        ]
    }
}

impl EntitiesOf {
    fn columns(&self) -> [&str; 3] {
        [&self.entity_type, &self.id, &self.entity]
    }
}

fn named<'a>(
    list: &str,
    index: usize,
    table: &'a str,
    columns: impl Iterator<Item = (&'static str, &'a str)>,
    condition: Option<&'a str>,
) -> Vec<(String, &'a str)> {
    let all = [("table", table)].into_iter().chain(columns);
    let all = all.chain(condition.map(|condition| ("where", condition)));
    all.map(|(name, value)| (format!("{list}[{index}].{name}"), value)).collect()
}

fn table_fault(name: &str) -> Option<&'static str> {
    let parts: Vec<_> = name.split('.').collect();
    let is_fine = parts.len() <= 2 && parts.iter().all(|part| !part.is_empty());
    let is_fine = is_fine && !name.contains(['"', '\0', '$', '@']);
    (!is_fine).then_some("write the name as PostgreSQL keeps it, e.g. `public.members`")
}

fn expression_fault(expression: &str) -> Option<&'static str> {
    if expression.trim().is_empty() {
        return Some("write an SQL expression, e.g. `user_id` or `'User'`");
    }
    // The last two mark the body of the functions and the name that is filled in.
    let is_fine = [";", "\0", "$humbaba$", "@schema"].iter().all(|mark| !expression.contains(mark));
    (!is_fine).then_some("leave out `;`, `$humbaba$` and `@schema`")
}

fn table_name(name: &str) -> TableName {
    let (schema, name) = name.split_once('.').unwrap_or(("public", name));
    TableName { schema: schema.to_owned(), name: name.to_owned() }
}

//! A row of a file read from its values, and the columns of role assignments.

use crate::{
    directory::{Assignment, AssignmentKey},
    model::{Timestamp, Uid, hash::HashMap},
    request::Grant,
    schema::Schema,
};

/// The columns of a role assignment. The last four may be left out.
pub const COLUMNS: [&str; 9] = [
    "principal_type",
    "principal_id",
    "role",
    "scope_type",
    "scope_id",
    "expires_at",
    "granted_at",
    "granted_by",
    "reason",
];

/// The number of leading columns that every file has.
pub(super) const REQUIRED: usize = 5;

/// Reads the files of a directory of a store with that schema.
#[derive(Debug)]
pub struct RowReader<'a> {
    schema: &'a Schema,
    /// Bytes of one value.
    text_bytes: usize,
    /// Rows of one file.
    pub(super) rows: usize,
    /// The full names of types by what was written.
    types: HashMap<String, String>,
}

/// The values of a role assignment in the order of [`COLUMNS`]; empty where there is none.
pub(super) type RowValues<'a> = [&'a str; COLUMNS.len()];

impl<'a> RowReader<'a> {
    /// Makes a reader that refuses values of more than `text_bytes` bytes and files of more than `rows`
    /// rows.
    #[must_use]
    pub fn new(schema: &'a Schema, text_bytes: usize, rows: usize) -> Self {
        Self { schema, text_bytes, rows, types: HashMap::default() }
    }

    /// Makes a role assignment of its values.
    pub(super) fn assignment(&mut self, values: RowValues<'_>) -> Result<Assignment, String> {
        for (name, value) in COLUMNS.iter().zip(values) {
            if value.len() > self.text_bytes {
                let (length, limit) = (value.len(), self.text_bytes);
                return Err(format!("`{name}`: {length} bytes, more than the limit of {limit}"));
            }
        }
        for (name, value) in COLUMNS.iter().zip(values).take(REQUIRED) {
            if value.is_empty() {
                return Err(format!("`{name}` is empty"));
            }
        }
        let [
            principal_type,
            principal_id,
            role,
            scope_type,
            scope_id,
            expires_at,
            granted_at,
            granted_by,
            reason,
        ] = values;
        Ok(Assignment {
            key: AssignmentKey {
                principal: Uid::new(self.full_type(principal_type), principal_id),
                role: role.to_owned(),
                scope: Uid::new(self.full_type(scope_type), scope_id),
            },
            expires_at: moment("expires_at", expires_at)?,
            grant: Grant {
                granted_at: moment("granted_at", granted_at)?,
                granted_by: granted_by.to_owned(),
                reason: reason.to_owned(),
            },
        })
    }

    /// Returns the full name of a type, so that no two rows name one entity in two ways. One that the
    /// schema does not have is told of when the row comes in force.
    pub(super) fn full_type(&mut self, written: &str) -> String {
        if let Some(full) = self.types.get(written) {
            return full.clone();
        }
        let full = self.schema.full_type_name(written).to_string();
        // Only the schema's own names: a file of nonsense would fill the memory.
        if self.schema.entity_type(written).is_some() {
            self.types.insert(written.to_owned(), full.clone());
        }
        full
    }
}

fn moment(name: &str, text: &str) -> Result<Option<Timestamp>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error| format!("`{name}`: {error}"))
}

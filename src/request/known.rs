//! The facts that are known before a question comes.

use super::Held;
use crate::schema::{Schema, StoredEntities};

/// The facts that a question is checked against: schema and entities of the store, directory.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The schema.
    pub schema: &'a Schema,
    /// The entities that the store itself holds.
    pub stored: &'a StoredEntities,
    /// The facts that the directory holds, if the store has one.
    pub held: Option<&'a Held>,
}

//! What is known before a question comes.

use super::Held;
use crate::schema::{Schema, StoredEntities};

/// What a question is checked against: the store's schema and entities, and what is held for it.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The schema.
    pub schema: &'a Schema,
    /// The entities that the store itself holds.
    pub stored: &'a StoredEntities,
    /// What the directory holds, if the store has one.
    pub held: Option<&'a Held>,
}

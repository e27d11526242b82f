//! A policy store made of a spreadsheet: roles in the columns, actions in the rows.
//!
//! The store has a schema, a policy file for all actions that the same roles may do, the table as
//! its matrix, and tests. A cell that says neither yes nor no is a condition: its words are kept,
//! and a fact of the request stands for it until somebody writes it as a policy.

mod files;
mod groups;
mod sheet;

pub use sheet::Renamed;

use std::sync::Arc;

use crate::{
    model::{Problem, StoreName},
    store::{Bounds, PolicyStore, StoreFiles, format_policies},
    testing,
};
use sheet::Sheet;

/// The entity type that roles are held on where nothing else is said.
pub const DEFAULT_SCOPE: &str = "Resource";

/// A store made of a spreadsheet.
#[derive(Debug)]
pub struct Imported {
    /// The store's files.
    pub files: StoreFiles,
    /// The roles: the columns, each with the name of its slot.
    pub roles: Vec<Renamed>,
    /// The actions: the rows, each with the id of its action.
    pub actions: Vec<Renamed>,
    /// The words of the conditions. `context.condition_1` stands for the first.
    pub conditions: Vec<String>,
}

/// Makes a store of a spreadsheet in CSV. `file` names it in problems, and `scope` is the entity
/// type that roles are held on.
///
/// # Errors
/// Every problem of the spreadsheet. A store that would not load and pass its tests is one, too.
pub fn csv(
    name: StoreName,
    file: &str,
    bytes: &[u8],
    scope: &str,
    bounds: &Bounds,
) -> Result<Imported, Vec<Problem>> {
    let sheet = Sheet::read(file, bytes)?;
    let files = files::of(&sheet, scope);
    let files = files.into_iter().map(|(path, text)| (path, Arc::from(text.into_bytes())));
    let files = formatted(StoreFiles::new(name, files), bounds);
    let store = PolicyStore::load(Arc::new(files.clone()), bounds)?;
    let failures = testing::failures(&store);
    if !failures.is_empty() {
        return Err(failures);
    }
    Ok(Imported {
        files,
        roles: sheet.roles,
        actions: sheet.rows.into_iter().map(|row| row.action).collect(),
        conditions: sheet.conditions,
    })
}

/// The same store with its policies laid out as `humbaba fmt` does.
fn formatted(mut files: StoreFiles, bounds: &Bounds) -> StoreFiles {
    for file in format_policies(&files, bounds).files {
        files = files.with_file(file.path, file.text.into_bytes());
    }
    files
}

/// Returns the fault of a name for the entity type that roles are held on, if it has one.
#[must_use]
pub fn scope_fault(scope: &str) -> Option<String> {
    if files::OTHER_TYPES.contains(&scope) || sheet::PRIMITIVE_TYPES.contains(&scope) {
        Some(format!("`{scope}` is the name of another type: choose a name like `Site`"))
    } else if !sheet::is_identifier(scope) {
        Some(format!("`{scope}` cannot name an entity type: write letters, digits and `_`"))
    } else {
        None
    }
}

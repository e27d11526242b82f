//! Policy stores: from files in memory to something that can decide.

mod approved_gains;
mod bounds;
mod embedded;
mod entities;
mod entity_faults;
mod file_kind;
mod file_place;
mod files;
mod format;
mod hierarchy;
mod link_forms;
mod links;
mod misplaced;
mod open_text;
mod parsed_policies;
mod policies;
mod policy_checks;
mod policy_store;
mod problems;
mod request_kinds;
mod schema;
mod schema_bounds;
mod schema_docs;
mod settings;
mod stores;
mod text_bounds;
mod text_scanner;
mod trust;
mod unchanged;
mod validation;
mod without_text;

pub use approved_gains::{ApprovedStep, approved_steps};
pub use bounds::{Bounds, STACK_BYTES};
pub use embedded::embedded_stores;
pub(crate) use entities::json_problem;
pub use file_kind::APPROVED_GAINS;
pub(crate) use file_kind::FileKind;
#[cfg(feature = "prove")]
pub(crate) use file_kind::SETTINGS_FILE;
pub use file_kind::looks_like_policies;
#[cfg(feature = "server")]
pub(crate) use file_place::{holds_policies, is_misplaced, may_hold_policies};
pub use files::StoreFiles;
pub use format::{FormattedFile, FormattedFiles, format_policies};
pub(crate) use parsed_policies::ParsedPolicies;
pub use policy_store::PolicyStore;
pub(crate) use problems::Problems;
pub use schema_docs::SchemaDocs;
pub(crate) use settings::toml_problem;
pub use settings::{AuthzenRules, RolesProperty};
pub use stores::{StoreLookupError, Stores};

#[cfg(test)]
mod tests;

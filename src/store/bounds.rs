//! Bounds on the size of a policy store.

use serde::{Deserialize, Serialize};

/// The stack, in bytes, of every thread that loads stores or decides: that of a main thread. Cedar's
/// parser, validator and evaluator recurse, and what loads at the start must load later too.
pub const STACK_BYTES: usize = 8 * 1024 * 1024;

// The next five keep Cedar's recursion within `STACK_BYTES`, so they are no settings. Measured with
// Cedar 4.14.1, built without much optimisation.

/// Levels to which brackets may nest. Cedar's parser takes about 10 KB of stack for each.
pub(super) const BRACKETS: usize = 64;
/// The depth of an expression as a tree: a chain of n operators is n deep. Cedar's evaluator gives
/// up between 2,000 and 2,500.
pub(super) const EXPRESSION_DEPTH: usize = 1_500;
/// Names in a path such as `a.b.c` or `A::B::C`. Cedar spells `has a.b.c` out, and the
/// time to validate it grows with the fourth power.
pub(super) const PATH_LENGTH: usize = 64;
/// Levels to which records, sets and common types may stand in one another.
pub(super) const TYPE_DEPTH: usize = 128;
/// Ancestors of one entity, entity type or action. Cedar walks up a chain of parents
/// by recursion.
pub(super) const ANCESTORS_OF_ONE: usize = 5_000;

/// Parts of a list or record in a schema. Cedar's parser moves those that it has for each more.
pub(super) const SCHEMA_LIST: usize = 10_000;
/// Bytes of `approved-gains.toml`.
pub(super) const APPROVALS_BYTES: usize = 1024 * 1024;
/// Bytes of `store.toml`.
pub(super) const SETTINGS_BYTES: usize = 64 * 1024;
/// Steps to validate one policy. Where each step finds a fault, all are in memory together.
pub(super) const STEPS_OF_POLICY: usize = 2_000_000;

/// Bounds on what one policy store may hold, so that a wrong folder cannot exhaust the process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bounds {
    /// Files in a store.
    pub files: usize,
    /// Bytes of one file.
    pub file_bytes: usize,
    /// Bytes of all files of a store.
    pub store_bytes: usize,
    /// Bytes of all files of all stores of a folder.
    pub folder_bytes: usize,
    /// Policies, templates and links in a store.
    pub policies: usize,
    /// Tokens of one policy: names, numbers, strings, operators and brackets.
    pub policy_tokens: usize,
    /// Tokens of all policies, and of all links.
    pub tokens: usize,
    /// Bytes of the templates of all links, each link counted: Cedar keeps a copy for each.
    pub linked_bytes: usize,
    /// Tokens of all schema files. A declaration of several names counts once for each: Cedar writes
    /// it out.
    pub schema_tokens: usize,
    /// Parts of all types of the schema once common types are written out: a record is one part
    /// and each of its fields another.
    pub type_parts: usize,
    /// Pairs of an entity type or an action and one of its ancestors.
    pub schema_ancestors: usize,
    /// Kinds of requests: action, type of principal, type of resource. Cedar keeps a list of them.
    pub request_kinds: usize,
    /// Places in the index of decisions: one for each policy and action that it is on, and one for
    /// each policy and kind of request where it names neither a principal nor a resource.
    pub index_places: usize,
    /// Steps to validate all policies: the parts of each condition, times the kinds of requests
    /// that it applies to. A record that is used as a whole, such as `context`, counts by its fields
    /// too. A step takes about a microsecond.
    pub validation_steps: usize,
    /// Fixed entities in a store.
    pub entities: usize,
    /// JSON values of all entities files, members of objects and elements of lists included.
    pub entity_values: usize,
    /// Pairs of a fixed entity and one of its ancestors.
    pub entity_ancestors: usize,
}

// Near one of these bounds a store takes a few seconds and some hundred megabytes. `docs/hostility.md` has
// what was measured.
impl Default for Bounds {
    fn default() -> Self {
        Self {
            files: 10_000,
            file_bytes: 16 * 1024 * 1024,
            store_bytes: 64 * 1024 * 1024,
            folder_bytes: 256 * 1024 * 1024,
            policies: 100_000,
            policy_tokens: 50_000,
            tokens: 1_500_000,
            linked_bytes: 32 * 1024 * 1024,
            schema_tokens: 200_000,
            type_parts: 100_000,
            schema_ancestors: 200_000,
            request_kinds: 100_000,
            index_places: 10_000_000,
            validation_steps: 5_000_000,
            entities: 200_000,
            entity_values: 2_000_000,
            entity_ancestors: 1_000_000,
        }
    }
}

/// The message for a count that is beyond a setting.
pub(super) fn more_than(what: &str, bound: usize, setting: &str) -> String {
    format!("{what}, more than the bound of {bound} (`bounds.{setting}`)")
}

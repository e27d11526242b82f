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

/// Bounds on what one policy store may hold, so that a wrong folder cannot exhaust the process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bounds {
    /// Files in a store.
    pub files: usize,
    /// Bytes of one file.
    pub file_bytes: usize,
    /// Policies, templates and links in a store.
    pub policies: usize,
    /// Tokens of one policy: names, numbers, strings, operators and brackets.
    pub policy_tokens: usize,
    /// Tokens of all policies.
    pub tokens: usize,
    /// Tokens of all schema files.
    pub schema_tokens: usize,
    /// Parts of all types of the schema once common types are written out: a record is one part
    /// and each of its fields another.
    pub type_parts: usize,
    /// Pairs of an entity type or an action and one of its ancestors.
    pub schema_ancestors: usize,
    /// Steps to validate all policies: the parts of each condition, times the kinds of requests
    /// (action, type of principal, type of resource) that it applies to. A step takes about a
    /// microsecond.
    pub validation_steps: usize,
    /// Fixed entities in a store.
    pub entities: usize,
    /// Pairs of a fixed entity and one of its ancestors.
    pub entity_ancestors: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            files: 10_000,
            file_bytes: 16 * 1024 * 1024,
            policies: 100_000,
            policy_tokens: 50_000,
            tokens: 3_000_000,
            schema_tokens: 200_000,
            type_parts: 100_000,
            schema_ancestors: 200_000,
            validation_steps: 30_000_000,
            entities: 1_000_000,
            entity_ancestors: 1_000_000,
        }
    }
}

/// The message for a count that is beyond a setting.
pub(super) fn more_than(what: &str, bound: usize, setting: &str) -> String {
    format!("{what}, more than the bound of {bound} (`bounds.{setting}`)")
}

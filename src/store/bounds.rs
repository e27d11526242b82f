//! How large a policy store may be.

use serde::{Deserialize, Serialize};

/// The stack, in bytes, of every thread that loads stores or decides: that of a main thread. Cedar's
/// parser, validator and evaluator recurse, and what loads at the start must load later too.
pub const STACK_BYTES: usize = 8 * 1024 * 1024;

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
    /// Fixed entities in a store.
    pub entities: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { files: 10_000, file_bytes: 16 * 1024 * 1024, policies: 100_000, entities: 1_000_000 }
    }
}

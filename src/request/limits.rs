//! Limits on the size of a request.

use serde::{Deserialize, Serialize};

/// Limits on one request, so that no caller can make a decision slow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RequestLimits {
    /// Entities in a request.
    pub entities: usize,
    /// Role assignments in a request.
    pub role_assignments: usize,
    /// Values in the context, counted at every depth.
    pub context_values: usize,
    /// Values in the attributes and tags of one entity, counted at every depth.
    pub entity_values: usize,
    /// Direct parents of one entity.
    pub parents: usize,
    /// Entities that one may be in, directly or through others, by what a directory or the caller says
    /// where there is a directory.
    pub ancestors: usize,
    /// Levels to which sets and records may nest.
    pub depth: usize,
    /// Bytes of one id, type name, attribute name or string.
    pub text_bytes: usize,
    /// Violations that are listed for one bad request; further ones are counted only.
    pub violations: usize,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            entities: 1_000,
            role_assignments: 1_000,
            context_values: 1_000,
            entity_values: 10_000,
            parents: 1_000,
            ancestors: 200,
            depth: 16,
            text_bytes: 65_536,
            violations: 100,
        }
    }
}

//! The policies, templates and links of a store, as they were read.

use std::{collections::HashMap, ops::Range};

use cedar_policy::{PolicyId, PolicySet};

/// The policies and templates of a store, and where each was written.
#[derive(Debug, Default)]
pub(crate) struct ParsedPolicies {
    /// Everything under its final id.
    pub set: PolicySet,
    /// The file of each policy, template and link.
    pub files: HashMap<PolicyId, String>,
    /// The place in its file of what Cedar knows no place of: links, and policies in JSON.
    pub places: HashMap<PolicyId, Range<usize>>,
    /// The bytes that each template has in its file.
    pub template_bytes: HashMap<PolicyId, usize>,
    /// The bytes of the templates of all links, each link counted.
    pub linked_bytes: usize,
}

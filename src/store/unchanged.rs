//! Policies that need not be validated again.

use cedar_policy::{PolicyId, PolicySet};

use super::{FileKind, PolicyStore, StoreFiles};

/// The policies that are as they were in the last valid state of their store.
#[derive(Clone, Copy)]
pub(super) struct Unchanged<'a> {
    last: Option<&'a PolicyStore>,
}

impl<'a> Unchanged<'a> {
    /// Compares files with the last valid state, if there is one. Under another schema or level
    /// nothing is unchanged.
    pub fn since(last: Option<&'a PolicyStore>, files: &StoreFiles, level: Option<u32>) -> Self {
        // Warnings have places that may have moved, so a store with warnings of policies is
        // validated as a whole.
        let last = last.filter(|last| {
            last.level == level
                && last.files.same(FileKind::Schema, files)
                && last.files.same(FileKind::SchemaJson, files)
                && !last.has_policy_warnings
        });
        Self { last }
    }

    /// Returns whether a policy, template or link is as it was.
    pub fn contains(self, now: &PolicySet, id: &PolicyId) -> bool {
        let Some(last) = self.last else { return false };
        let then = &last.policies;
        match (now.policy(id), now.template(id)) {
            (Some(policy), _) => then.policy(id) == Some(policy),
            (None, Some(template)) => then.template(id) == Some(template),
            (None, None) => false,
        }
    }
}

//! Policies that need not be validated again.

use cedar_policy::{PolicyId, PolicySet};

/// The policies that are as they were in the last valid state of their store.
#[derive(Clone, Copy, Default)]
pub(super) struct Unchanged<'a> {
    /// Those of that state, if it can be compared with.
    last: Option<&'a PolicySet>,
}

impl<'a> Unchanged<'a> {
    /// Compares with policies that are valid under the same schema and level; without them nothing
    /// is unchanged.
    pub fn since(last: Option<&'a PolicySet>) -> Self {
        Self { last }
    }

    /// Returns whether a policy, template or link is as it was.
    pub fn contains(self, now: &PolicySet, id: &PolicyId) -> bool {
        let Some(then) = self.last else { return false };
        match (now.policy(id), now.template(id)) {
            (Some(policy), _) => then.policy(id) == Some(policy),
            (None, Some(template)) => then.template(id) == Some(template),
            (None, None) => false,
        }
    }
}

//! Entities while those of a request are gathered, and what each of them is in.

use std::collections::{BTreeMap, HashMap, HashSet};

use cedar_policy_core::ast::{EntityUID, PartialValue};
use smol_str::SmolStr;

/// Entities that others may name in one question, for each entity that one may be in.
const NAMED_PER_ANCESTOR: usize = 100;
/// Pairs of an entity and an ancestor that one question may gather, for each entity that one may
/// be in.
const PAIRS_PER_ANCESTOR: usize = 500;

/// An entity while the request's entities are being gathered.
#[derive(Debug, Default)]
pub(super) struct EntityNode {
    pub attributes: BTreeMap<SmolStr, PartialValue>,
    pub parents: HashSet<EntityUID>,
    pub tags: BTreeMap<SmolStr, PartialValue>,
    /// True where the directory or the caller describes it, and not the store.
    pub is_described: bool,
}

impl EntityNode {
    pub(super) fn is_empty(&self) -> bool {
        self.attributes.is_empty() && self.parents.is_empty() && self.tags.is_empty()
    }
}

/// Limits on the entities of one question. Cedar's entities have all that each is in, so that a chain
/// takes time with the square of its length.
#[derive(Debug, Clone, Copy)]
pub(super) struct GatherLimits {
    /// Entities that one may be in, of those that the directory or the caller describes.
    pub ancestors: usize,
}

impl GatherLimits {
    /// Refuses a question whose entities name more than [`NAMED_PER_ANCESTOR`] allows.
    pub(super) fn check_named(self, named: usize) -> Result<(), String> {
        if named > self.ancestors.saturating_mul(NAMED_PER_ANCESTOR) {
            return Err(self.refusal("the question is about too many entities"));
        }
        Ok(())
    }

    /// Returns the entities with all that each is in. Those `asked` about come first, so that they are
    /// named where they are in too many.
    ///
    /// # Errors
    /// An entity is in too many others, or all of them together are.
    pub(super) fn ancestors<'n>(
        self,
        nodes: &'n HashMap<EntityUID, EntityNode>,
        asked: [&EntityUID; 2],
    ) -> Result<HashMap<&'n EntityUID, HashSet<EntityUID>>, String> {
        let mut all = HashMap::with_capacity(nodes.len());
        let mut pairs: usize = 0;
        let asked = asked.into_iter().filter_map(|uid| nodes.get_key_value(uid));
        for (uid, node) in asked.chain(nodes) {
            if all.contains_key(uid) {
                continue;
            }
            let ancestors = self.ancestors_of((uid, node), nodes)?;
            if node.is_described {
                pairs += ancestors.len();
            }
            if pairs > self.ancestors.saturating_mul(PAIRS_PER_ANCESTOR) {
                return Err(self.refusal("the entities of the question are in too many others"));
            }
            all.insert(uid, ancestors);
        }
        Ok(all)
    }

    fn ancestors_of(
        self,
        (uid, node): (&EntityUID, &EntityNode),
        nodes: &HashMap<EntityUID, EntityNode>,
    ) -> Result<HashSet<EntityUID>, String> {
        let (mut ancestors, mut described) = (HashSet::new(), 0);
        let mut pending: Vec<&EntityUID> = node.parents.iter().collect();
        while let Some(ancestor) = pending.pop() {
            if ancestors.insert(ancestor.clone())
                && let Some(node) = nodes.get(ancestor)
            {
                described += usize::from(node.is_described);
                pending.extend(&node.parents);
            }
            if described > self.ancestors {
                return Err(self.refusal(&format!("`{uid}` is in too many entities")));
            }
        }
        Ok(ancestors)
    }

    fn refusal(self, what: &str) -> String {
        let most = self.ancestors;
        format!(
            "{what}, more than `limits.ancestors` allows, which is {most}: make the groups less deep"
        )
    }
}

//! The store and the world in which its policies are evaluated.

use std::sync::LazyLock;

use cedar_policy_core::ast::{EntityUID, SlotEnv};

use super::{truth::Truth, world::World};
use crate::engine::{Engine, PreparedPolicy};

/// Evaluates a store's policies in a world.
#[derive(Clone, Copy)]
pub(super) struct Evaluation<'a> {
    pub engine: &'a Engine,
    pub world: &'a World<'a>,
    pub variables: &'a SlotEnv,
    /// The id of the policy that is evaluated, to be named in notes.
    pub policy: &'a str,
}

static NO_VARIABLES: LazyLock<SlotEnv> = LazyLock::new(SlotEnv::new);

impl<'a> Evaluation<'a> {
    pub(super) fn new(engine: &'a Engine, world: &'a World<'a>) -> Self {
        Self { engine, world, variables: &NO_VARIABLES, policy: "" }
    }

    /// Takes the slots and the id of a policy.
    pub(super) fn of(self, policy: &'a PreparedPolicy) -> Self {
        Self { variables: policy.variables(), policy: policy.id(), ..self }
    }

    /// Returns whether an entity is in another.
    pub(super) fn is_in(self, uid: &EntityUID, of: &EntityUID) -> Truth {
        self.world.is_in(self.engine, uid, of)
    }
}

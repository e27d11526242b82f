//! The question that a cell leaves open, for whoever can answer it for all requests: a solver.

use std::collections::BTreeSet;

use cedar_policy_core::ast::EntityUID;

use super::{
    Kind, MatrixError, Witness, build,
    cell_world::{policies, world},
    known_facts::{facts, spoken_of},
    world::{Optional, World},
};
use crate::{model::Effect, request::RequestInput, store::PolicyStore, testing::MatrixCell};

/// The part of a cell that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OpenPart {
    /// Some base request may be denied.
    Base,
    /// Some variant may be allowed.
    Variants,
}

/// A question that a cell leaves open: is one of these requests so decided?
pub struct OpenCell<'a> {
    store: &'a PolicyStore,
    world: World<'a>,
    part: OpenPart,
}

/// The answer to such a question.
#[derive(Debug)]
pub enum Answered {
    /// No request is decided so.
    None,
    /// This one is: [`OpenCell::witness`] has made it.
    Some(Box<Witness>),
    /// Nobody knows, for that reason.
    Unknown(String),
}

impl<'a> OpenCell<'a> {
    pub(super) fn new(
        store: &'a PolicyStore,
        question: &MatrixCell,
        part: OpenPart,
    ) -> Result<Self, MatrixError> {
        let optional = match part {
            OpenPart::Base => Optional::Absent,
            OpenPart::Variants => Optional::Open,
        };
        Ok(Self { store, world: world(store, question, optional)?, part })
    }

    /// Returns the decision that is looked for: a deny among the base requests, or an allow among
    /// the variants.
    #[must_use]
    pub fn wanted(&self) -> Effect {
        match self.part {
            OpenPart::Base => Effect::Deny,
            OpenPart::Variants => Effect::Allow,
        }
    }

    /// Returns the kind of the requests.
    #[must_use]
    pub fn kind(&self) -> Kind<'_> {
        let request = &self.world.request;
        Kind {
            action: &request.action,
            principal: request.principal.entity_type(),
            resource: request.resource.entity_type(),
        }
    }

    /// Returns conditions in Cedar that are true of each of the requests. They may be true of
    /// others: what holds wherever they do holds of the requests, and an example for which they are
    /// true may be none of them.
    #[must_use]
    pub fn facts(&self) -> BTreeSet<String> {
        facts(&self.world, self.store.engine(), &policies(self.store, &self.world))
    }

    /// Returns the entities of which something is known.
    #[must_use]
    pub fn entities(&self) -> BTreeSet<EntityUID> {
        spoken_of(&self.world, &policies(self.store, &self.world))
    }

    /// Makes one of the requests of an example: what is known of them stays as it is. Nothing where
    /// the store does not decide it as is wanted.
    #[must_use]
    pub fn witness(&self, example: &RequestInput) -> Option<Box<Witness>> {
        let witness = build::request_like(&self.world, self.store.engine(), example);
        let decision = witness.decide(self.store).ok()?;
        (decision.effect == self.wanted()).then(|| Box::new(witness))
    }
}

//! The facts that the directory holds of the entities of one request.

use std::cell::RefCell;

use cedar_policy_core::ast::EntityUID;

use super::NeedsCedar;
use crate::request::{EntityFacts, HeldFacts, HeldPlace};

/// Entities that are remembered; they are searched one by one.
const REMEMBERED: usize = 16;

/// The facts that the directory holds of the entities of one request. Each entity is looked up once:
/// policies ask for the same few again and again, and among many entities a look-up waits for memory.
pub(super) struct HeldEntities<'a> {
    facts: &'a dyn HeldFacts,
    /// The entities that were looked up, the first of them where they are many.
    looked_up: RefCell<Vec<(&'a EntityUID, Option<HeldPlace>)>>,
}

impl<'a> HeldEntities<'a> {
    pub(super) fn new(facts: &'a dyn HeldFacts) -> Self {
        Self { facts, looked_up: RefCell::new(Vec::with_capacity(4)) }
    }

    pub(super) fn facts(&self) -> &'a dyn HeldFacts {
        self.facts
    }

    /// Returns the place of an entity of which anything is held.
    pub(super) fn place(&self, uid: &'a EntityUID) -> Option<HeldPlace> {
        let mut looked_up = self.looked_up.borrow_mut();
        let known = looked_up.iter().find(|(other, _)| std::ptr::eq(*other, uid) || *other == uid);
        if let Some((_, place)) = known {
            return *place;
        }
        let place = self.facts.place(uid);
        if looked_up.len() < REMEMBERED {
            looked_up.push((uid, place));
        }
        place
    }

    /// Returns the attributes, parents and tags that are held of an entity, unless they cannot be read.
    pub(super) fn entity(&self, uid: &'a EntityUID) -> Result<Option<&'a EntityFacts>, NeedsCedar> {
        let Some(place) = self.place(uid) else { return Ok(None) };
        match self.facts.entity(place) {
            None if self.facts.is_unreadable(place) => Err(NeedsCedar),
            facts => Ok(facts),
        }
    }
}

//! The policies of two states for one kind of requests, and what a search for a difference is after.

use crate::{
    analysis::{policies::Policies, truth::Truth, world::World},
    engine::PreparedPolicy,
};

use super::changes::Direction;

/// The policies of both states for one action and pair of types.
pub(super) struct Both<'a> {
    /// None where the old schema does not know such requests.
    pub old: Option<Policies<'a>>,
    pub new: Policies<'a>,
    /// True where policies or the schema say otherwise than before, and not only entities of the store
    /// are others.
    pub is_rewritten: bool,
}

impl<'a> Both<'a> {
    fn allows(side: Option<&Policies<'_>>, world: &World<'_>) -> Truth {
        side.map_or(Truth::False, |policies| policies.allow(world))
    }

    /// Returns whether the state allows a request that has more after such a change.
    pub fn allowed(&self, world: &World<'_>, direction: Direction) -> Truth {
        let side = if direction == Direction::Gain { Some(&self.new) } else { self.old.as_ref() };
        Self::allows(side, world)
    }

    /// Returns whether the state denies a request that has less after such a change. Where the same
    /// policies look at the same entities, the states agree for whatever values.
    pub fn denied(&self, world: &World<'_>, direction: Direction) -> Truth {
        let side = if direction == Direction::Gain { self.old.as_ref() } else { Some(&self.new) };
        let denied = Self::allows(side, world).not();
        if denied == Truth::False && !self.is_rewritten && !world.looked_at_change() {
            world.forget_notes(0..world.notes());
        }
        denied
    }

    /// Returns all policies of both.
    pub fn all(&self) -> impl Iterator<Item = &'a PreparedPolicy> + '_ {
        let old = self.old.iter().flat_map(|old| old.permits.iter().chain(&old.forbids));
        old.chain(&self.new.permits).chain(&self.new.forbids).copied()
    }

    /// Returns the policies that may make more allowed: permits of the one side, forbids of the other.
    pub fn making_more(
        &self,
        direction: Direction,
    ) -> impl Iterator<Item = (&Policies<'a>, &'a PreparedPolicy)> {
        let (more, less) = if direction == Direction::Gain {
            (Some(&self.new), self.old.as_ref())
        } else {
            (self.old.as_ref(), Some(&self.new))
        };
        let permits = more
            .into_iter()
            .flat_map(|side| side.permits.iter().map(move |policy| (side, *policy)));
        let forbids = less
            .into_iter()
            .flat_map(|side| side.forbids.iter().map(move |policy| (side, *policy)));
        permits.chain(forbids)
    }
}

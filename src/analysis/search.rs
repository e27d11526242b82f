//! The search for a request that shows something: open facts are tried one by one, in the order in
//! which an evaluation asks for them, until the goal holds.

use super::{
    candidates::Constants,
    fact::{Choice, Fact},
    truth::Truth,
    world::World,
};
use crate::engine::Engine;

/// Policies that one search may evaluate: about a second of work, however large the store.
const BUDGET: usize = 500_000;

/// The result of a search.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The world holds the choices for which the goal holds.
    Yes,
    /// None of the values that were tried does it. That is no proof: other values might.
    No,
    /// The budget was spent before.
    GaveUp,
}

enum Step {
    Found,
    /// The choices on which the failure depends, by their places.
    Failed(u128),
    OutOfBudget,
}

/// Searches a world for choices for which a goal holds.
pub(super) struct Search<'a> {
    pub constants: &'a Constants,
    /// Holds the stored entities.
    pub engine: &'a Engine,
}

impl Search<'_> {
    /// Tries open facts until the parts of the goal hold, all of them. A part is not asked where one
    /// before it is false.
    pub(super) fn find(
        &self,
        world: &mut World<'_>,
        goal: &[&dyn Fn(&World<'_>) -> Truth],
    ) -> Found {
        let end = world.evaluated().saturating_add(BUDGET);
        match self.step(world, goal, end) {
            Step::Found => Found::Yes,
            Step::Failed(_) => Found::No,
            Step::OutOfBudget => Found::GaveUp,
        }
    }

    fn step(
        &self,
        world: &mut World<'_>,
        goal: &[&dyn Fn(&World<'_>) -> Truth],
        end: usize,
    ) -> Step {
        if world.evaluated() >= end {
            return Step::OutOfBudget;
        }
        let fact = match evaluate(world, goal) {
            Truth::True => return Step::Found,
            Truth::False => return Step::Failed(world.consulted()),
            // No choice would decide it.
            Truth::Open(None) => return Step::Failed(u128::MAX),
            Truth::Open(Some(fact)) => fact,
        };
        let place = world.choices().len();
        let own = u32::try_from(place).ok().and_then(|place| 1_u128.checked_shl(place));
        let mut reasons = 0;
        for choice in self.constants.choices(world, &fact) {
            if closes_a_circle(world, self.engine, &fact, &choice) {
                reasons = u128::MAX;
                continue;
            }
            world.choose((*fact).clone(), choice);
            match self.step(world, goal, end) {
                Step::Failed(because_of) => {
                    world.take_back();
                    // It fails whatever this fact is.
                    if own.is_some_and(|own| because_of & own == 0) {
                        return Step::Failed(because_of);
                    }
                    reasons |= because_of;
                }
                step => return step,
            }
        }
        Step::Failed(reasons & !own.unwrap_or_default())
    }
}

/// Evaluates the parts of a goal. Afterwards `world` has consulted the facts that the first false part
/// read.
fn evaluate(world: &World<'_>, goal: &[&dyn Fn(&World<'_>) -> Truth]) -> Truth {
    let mut open = Truth::True;
    for part in goal {
        world.forget_consulted();
        match part(world) {
            Truth::False => return Truth::False,
            truth @ Truth::Open(_) if open == Truth::True => open = truth,
            Truth::True | Truth::Open(_) => {}
        }
    }
    open
}

/// Returns whether an entity would come to be in itself.
fn closes_a_circle(world: &World<'_>, engine: &Engine, fact: &Fact, choice: &Choice) -> bool {
    match (fact, choice) {
        (Fact::Member(member, of), Choice::Member(true)) => {
            world.ancestors(engine, of).contains(member)
        }
        _ => false,
    }
}

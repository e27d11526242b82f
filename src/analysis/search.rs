//! The search for a request that shows something: open facts are tried one by one, in the order in
//! which an evaluation asks for them, until the goal holds.

use super::{
    candidates::Constants,
    evaluate::Truth,
    fact::{Choice, Fact},
    world::World,
};
use crate::engine::Engine;

/// What came of a search.
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
    /// Evaluations of the goal that are left.
    pub budget: usize,
}

impl Search<'_> {
    /// Tries open facts until the parts of the goal hold, all of them. Each part is asked only where
    /// those before it hold.
    pub(super) fn find(
        &mut self,
        world: &mut World<'_>,
        goal: &[&dyn Fn(&World<'_>) -> Truth],
    ) -> Found {
        match self.step(world, goal) {
            Step::Found => Found::Yes,
            Step::Failed(_) => Found::No,
            Step::OutOfBudget => Found::GaveUp,
        }
    }

    fn step(&mut self, world: &mut World<'_>, goal: &[&dyn Fn(&World<'_>) -> Truth]) -> Step {
        let fact = match self.evaluate(world, goal) {
            Ok(Truth::True) => return Step::Found,
            Ok(Truth::False) => return Step::Failed(world.consulted()),
            // Nothing that could be chosen would decide it.
            Ok(Truth::Open(None)) => return Step::Failed(u128::MAX),
            Ok(Truth::Open(Some(fact))) => fact,
            Err(step) => return step,
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
            match self.step(world, goal) {
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

    fn evaluate(
        &mut self,
        world: &World<'_>,
        goal: &[&dyn Fn(&World<'_>) -> Truth],
    ) -> Result<Truth, Step> {
        self.budget = self.budget.checked_sub(1).ok_or(Step::OutOfBudget)?;
        let mut open = None;
        for part in goal {
            world.forget_consulted();
            match part(world) {
                Truth::False => return Ok(Truth::False),
                Truth::Open(fact) => open = open.or(Some(Truth::Open(fact))),
                Truth::True => {}
            }
        }
        Ok(open.unwrap_or(Truth::True))
    }
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

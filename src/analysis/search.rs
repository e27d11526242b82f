//! The search for a request that shows something: open facts are tried one by one, in the order in
//! which an evaluation asks for them, until the goal holds.

use super::{
    constants::Constants,
    doubt::{Doubt, Note, add_notes, doubt_of},
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

/// A part of what a search is after.
pub(super) type Part<'g> = &'g dyn Fn(&World<'_>) -> Truth;

enum Step {
    Found,
    Failed(Failure),
    OutOfBudget,
}

/// Why a goal does not hold for any of the choices that were tried.
struct Failure {
    /// The choices on which that depends, by their places.
    because_of: u128,
    /// The conditions that might hold for others.
    notes: Vec<Note>,
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
    pub(super) fn find(&self, world: &mut World<'_>, goal: &[Part<'_>]) -> Found {
        match self.start(world, goal) {
            Step::Found => Found::Yes,
            Step::Failed(_) => Found::No,
            Step::OutOfBudget => Found::GaveUp,
        }
    }

    /// Tries open facts until the parts of the goal hold, and returns whether that succeeded. False
    /// means that no choice makes them hold.
    ///
    /// # Errors
    /// The reason for which a choice that was not tried may make them hold.
    pub(super) fn settle(&self, world: &mut World<'_>, goal: &[Part<'_>]) -> Result<bool, Doubt> {
        match self.start(world, goal) {
            Step::Found => Ok(true),
            Step::Failed(failure) => doubt_of(&failure.notes).map_or(Ok(false), Err),
            Step::OutOfBudget => Err(Doubt::Budget),
        }
    }

    fn start(&self, world: &mut World<'_>, goal: &[Part<'_>]) -> Step {
        let end = world.evaluated().saturating_add(BUDGET);
        self.step(world, goal, end)
    }

    fn step(&self, world: &mut World<'_>, goal: &[Part<'_>], end: usize) -> Step {
        if world.evaluated() >= end {
            return Step::OutOfBudget;
        }
        let fact = match evaluate(world, goal) {
            Truth::True => return Step::Found,
            Truth::False => {
                let (because_of, notes) = (world.consulted(), world.take_notes());
                return Step::Failed(Failure { because_of, notes });
            }
            // No choice would decide it.
            Truth::Open(None) => {
                let (because_of, notes) = (u128::MAX, vec![Note::Undecidable]);
                return Step::Failed(Failure { because_of, notes });
            }
            Truth::Open(Some(fact)) => fact,
        };
        let place = world.choices().len();
        let own = u32::try_from(place).ok().and_then(|place| 1_u128.checked_shl(place));
        let mut all = Failure { because_of: 0, notes: Vec::new() };
        let (choices, beyond) = self.constants.choices(world, &fact);
        for choice in choices {
            if closes_a_circle(world, self.engine, &fact, &choice) {
                all.because_of = u128::MAX;
                continue;
            }
            world.choose((*fact).clone(), choice);
            match self.step(world, goal, end) {
                Step::Failed(failure) => {
                    world.take_back();
                    // It fails whatever this fact is.
                    if own.is_some_and(|own| failure.because_of & own == 0) {
                        return Step::Failed(failure);
                    }
                    all.because_of |= failure.because_of;
                    add_notes(&mut all.notes, failure.notes);
                }
                step => return step,
            }
        }
        if let Some(count) = beyond {
            add_notes(
                &mut all.notes,
                vec![Note::Beyond(format!("{fact} may have {count} values"))],
            );
        }
        all.because_of &= !own.unwrap_or_default();
        Step::Failed(all)
    }
}

/// Evaluates the parts of a goal. Afterwards `world` has consulted the facts that the first false part
/// read.
fn evaluate(world: &World<'_>, goal: &[Part<'_>]) -> Truth {
    let mut open = Truth::True;
    world.forget_looks();
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
        (Fact::Member(member, of), Choice::Holds(true)) => {
            world.ancestors(engine, of).contains(member)
        }
        _ => false,
    }
}

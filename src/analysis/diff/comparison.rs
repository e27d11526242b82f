//! The comparison of two states under one schema.

use std::collections::BTreeSet;

use cedar_policy_core::ast::{EntityType, EntityUID};

use super::changes::{CellChange, Diff, Direction, OtherChange};
use crate::{
    analysis::{
        Finder, Kind, MatrixError, Witness,
        candidates::named_by,
        cell, cell_world,
        find::Goal,
        matrix,
        policies::Policies,
        truth::Truth,
        world::{Optional, World},
    },
    engine::{Engine, PreparedPolicy},
    model::Uid,
    schema::ActionSchema,
    store::PolicyStore,
    testing::{Expected, MatrixCell},
};

/// Two states that are being compared, under the new state's schema.
pub(super) struct Change<'a> {
    pub old: &'a PolicyStore,
    pub new: &'a PolicyStore,
    pub old_schema_of: Option<&'a PolicyStore>,
    pub finder: Finder<'a>,
    /// True where more than policies differs.
    pub everything: bool,
    /// The entities that the two states hold differently.
    pub changed_entities: Vec<EntityUID>,
    /// The policies that decide otherwise than before.
    pub changed_ids: BTreeSet<String>,
}

/// The policies of both states for one action and pair of types.
struct Both<'a> {
    old: Option<Policies<'a>>,
    new: Policies<'a>,
}

impl Both<'_> {
    fn old_allows(&self, world: &World<'_>) -> Truth {
        self.old.as_ref().map_or(Truth::False, |old| old.allow(world))
    }
}

impl<'a> Change<'a> {
    /// Compares the cells of the matrix of the new state, and those of the old one that it lacks.
    pub fn cells(&self, old: &PolicyStore, diff: &mut Diff) -> Result<(), MatrixError> {
        let key =
            |cell: &MatrixCell| (cell.scope.clone(), cell.action.clone(), cell.column.clone());
        let mut questions = matrix::questions(self.new)?;
        let known: BTreeSet<_> = questions.iter().map(key).collect();
        let of_old = matrix::questions(old)?;
        questions.extend(of_old.into_iter().filter(|cell| !known.contains(&key(cell))));
        for question in questions {
            if question.exempt.is_none() && cell_world::applies(self.new, &question) {
                diff.cells.extend(self.cell(question, &mut diff.unknown)?);
            }
        }
        Ok(())
    }

    fn cell(
        &self,
        question: MatrixCell,
        unknown: &mut Vec<String>,
    ) -> Result<Option<CellChange>, MatrixError> {
        let mut world = cell_world::world(self.new, &question, Optional::Open)?;
        let request = &world.request;
        let types = (request.principal.entity_type(), request.resource.entity_type());
        let both = self.both(&request.action, types);
        if !self.is_touched(&both) {
            return Ok(None);
        }
        let (gain, loss) = (
            self.find_both(&mut world, &both, Direction::Gain),
            self.find_both(&mut world, &both, Direction::Loss),
        );
        if gain.is_none() || loss.is_none() {
            unknown.push(format!("{} / {} / {}", question.scope, question.action, question.column));
        }
        let (gain, loss) = (gain.flatten(), loss.flatten());
        let Some(direction) = Direction::of(gain.is_some(), loss.is_some()) else {
            return Ok(None);
        };
        let after = cell::cell(self.new, self.finder.constants(), question.clone())?.value;
        let before = match both.old {
            Some(_) => cell::cell(self.old, self.finder.constants(), question.clone())?.value,
            None => Expected::Deny,
        };
        let MatrixCell { scope, action, column, .. } = question;
        Ok(Some(CellChange { scope, action, column, before, after, direction, gain, loss }))
    }

    /// Searches a world for a gain or a loss: nothing where the search was given up.
    fn find_both(
        &self,
        world: &mut World<'_>,
        both: &Both<'_>,
        direction: Direction,
    ) -> Option<Option<Witness>> {
        let (new, old) =
            (|world: &World<'_>| both.new.allow(world), |world: &World<'_>| both.old_allows(world));
        let goals: [Goal<'_>; 2] = if direction == Direction::Gain {
            [&new, &|world| old(world).not()]
        } else {
            [&old, &|world| new(world).not()]
        };
        self.finder.in_world(world, &goals).and_then(|found| self.replayed(found, both, direction))
    }

    /// Returns what was found once both states have decided it so; nothing where they do not.
    fn replayed(
        &self,
        found: Option<Witness>,
        both: &Both<'_>,
        direction: Direction,
    ) -> Option<Option<Witness>> {
        let Some(witness) = found else { return Some(None) };
        let allows =
            |store: &PolicyStore| witness.decide(store).is_ok_and(|decision| decision.is_allow());
        let answers = (both.old.is_some() && allows(self.old), allows(self.new));
        (answers == (direction == Direction::Loss, direction == Direction::Gain))
            .then_some(Some(witness))
    }

    fn both(&self, action: &EntityUID, types: (&EntityType, &EntityType)) -> Both<'a> {
        let of = |engine: &'a Engine| Policies::new(engine, action, types.0, types.1);
        let was_there = self.old_schema_of.is_none_or(|old| {
            let uid = (action.entity_type().to_string(), action.eid());
            let action = old.schema().action(&uid.0, uid.1.as_ref());
            action.is_some_and(|action| {
                action.principals.contains(types.0) && action.resources.contains(types.1)
            })
        });
        Both { old: was_there.then(|| of(self.old.engine())), new: of(self.new.engine()) }
    }

    fn is_touched(&self, both: &Both<'_>) -> bool {
        self.everything || both.old.is_none() || self.changed(both).next().is_some()
    }

    /// Returns the policies of both states that decide otherwise than before.
    fn changed<'b>(&'b self, both: &'b Both<'_>) -> impl Iterator<Item = &'b PreparedPolicy> + 'b {
        let old = both.old.iter().flat_map(|old| old.permits.iter().chain(&old.forbids));
        let all = old.chain(&both.new.permits).chain(&both.new.forbids);
        all.copied().filter(|policy| self.changed_ids.contains(policy.id()))
    }

    /// Searches every action and pair of types for changes that no cell shows.
    pub fn others(&self, diff: &mut Diff) {
        let mut actions: Vec<&ActionSchema> = self.new.schema().actions().collect();
        actions.sort_by(|a, b| a.uid.cmp(&b.uid));
        for action in actions {
            for principal in &action.principals {
                for resource in &action.resources {
                    self.environment(action, (principal, resource), diff);
                }
            }
        }
    }

    fn environment(
        &self,
        action: &ActionSchema,
        types: (&EntityType, &EntityType),
        diff: &mut Diff,
    ) {
        let both = self.both(&action.uid, types);
        if !self.is_touched(&both) {
            return;
        }
        let id: &str = action.uid.eid().as_ref();
        for direction in [Direction::Gain, Direction::Loss] {
            if is_shown(diff, id, types, direction) {
                continue;
            }
            let kind = Kind { action: &action.uid, principal: types.0, resource: types.1 };
            match self.find_anywhere(kind, &both, direction) {
                Some(None) => {}
                Some(Some(witness)) => diff.others.push(OtherChange {
                    action: id.to_owned(),
                    principal: types.0.to_string(),
                    resource: types.1.to_string(),
                    direction,
                    witness,
                }),
                None => {
                    let place = format!("{id}, {}, {}", types.0, types.1);
                    if !diff.unknown.contains(&place) {
                        diff.unknown.push(place);
                    }
                }
            }
        }
    }

    /// Searches all requests of a kind, policy by policy: a change of the answer needs a changed
    /// policy that applies, and to start with it leads there sooner. Nothing where a search was given
    /// up.
    fn find_anywhere(
        &self,
        kind: Kind<'_>,
        both: &Both<'_>,
        direction: Direction,
    ) -> Option<Option<Witness>> {
        let (new, old) =
            (|world: &World<'_>| both.new.allow(world), |world: &World<'_>| both.old_allows(world));
        let (allowed, denied): (Goal<'_>, Goal<'_>) = if direction == Direction::Gain {
            (&new, &|world| old(world).not())
        } else {
            (&old, &|world| new(world).not())
        };
        let Some(before) = both.old.as_ref().filter(|_| !self.everything) else {
            let found = self.finder.anywhere(kind, &self.changed_entities, &[allowed, denied]);
            return found.and_then(|found| self.replayed(found, both, direction));
        };
        let (more, less) =
            if direction == Direction::Gain { (&both.new, before) } else { (before, &both.new) };
        let permits = more.permits.iter().map(|policy| (more, policy));
        let forbids = less.forbids.iter().map(|policy| (less, policy));
        let mut gave_up = false;
        for (side, policy) in permits.chain(forbids) {
            if !self.changed_ids.contains(policy.id()) {
                continue;
            }
            let applies = |world: &World<'_>| side.applies(policy, world);
            let named = named_by(policy, self.new.schema());
            match self.finder.anywhere(kind, &named, &[&applies, allowed, denied]) {
                Some(None) => {}
                Some(found) => return self.replayed(found, both, direction),
                None => gave_up = true,
            }
        }
        if gave_up { None } else { Some(None) }
    }
}

/// Returns whether a cell shows such a change already.
fn is_shown(
    diff: &Diff,
    action: &str,
    (principal, resource): (&EntityType, &EntityType),
    direction: Direction,
) -> bool {
    diff.cells.iter().any(|cell| {
        let witness = match direction {
            Direction::Loss => &cell.loss,
            _ => &cell.gain,
        };
        cell.action == action
            && witness.as_ref().is_some_and(|witness| {
                let is = |uid: &Option<Uid>, ty: &EntityType| {
                    uid.as_ref().is_some_and(|uid| {
                        uid.type_name == ty.to_string()
                            || uid.type_name == ty.name().basename().to_string()
                    })
                };
                is(&witness.input.principal, principal) && is(&witness.input.resource, resource)
            })
    })
}

//! Two states that are compared, kind of requests by kind.

use std::collections::BTreeSet;

use cedar_policy_core::ast::{EntityType, EntityUID};

use super::{
    both::Both,
    changes::{CellChange, Diff, Direction, NotSettled, OtherChange},
    schema_change::SchemaChange,
};
use crate::{
    analysis::{
        Finder, Kind, MatrixError, Witness, cell, cell_world,
        constants::named_by,
        declared::knows,
        doubt::Doubt,
        find::Sought,
        matrix,
        policies::Policies,
        projection,
        search::Part,
        world::{Optional, World},
    },
    engine::PreparedPolicy,
    model::Uid,
    schema::ActionSchema,
    store::PolicyStore,
    testing::{Expected, MatrixCell},
};

/// Two states, and the means to find requests that they decide differently.
pub(super) struct StatePair<'a> {
    pub old: &'a PolicyStore,
    pub new: &'a PolicyStore,
    /// Searches requests in the new state's schema.
    pub finder: Finder<'a>,
    /// Searches requests in the old state's schema, where that is another.
    pub old_finder: Option<Finder<'a>>,
    pub schema_change: Option<SchemaChange>,
    /// The entities that the two states hold differently.
    pub changed_entities: Vec<EntityUID>,
    /// The policies that decide otherwise than before.
    pub changed_ids: BTreeSet<String>,
}

const BOTH_WAYS: [Direction; 2] = [Direction::Gain, Direction::Loss];

impl<'a> StatePair<'a> {
    /// Compares the cells of the matrix of the new state, and those of the old one that it lacks.
    pub fn cells(&self, diff: &mut Diff) -> Result<(), MatrixError> {
        let key =
            |cell: &MatrixCell| (cell.scope.clone(), cell.action.clone(), cell.column.clone());
        let questions = matrix::questions(self.new)?;
        let known: BTreeSet<_> = questions.iter().map(key).collect();
        for question in questions {
            if question.exempt.is_none() && cell_world::applies(self.new, &question) {
                let world = cell_world::world(self.new, &question, Optional::Open)?;
                diff.cells.extend(self.cell(question, world, &mut diff.unknown)?);
            }
        }
        for mut question in matrix::questions(self.old)? {
            projection::spell_out(&mut question.input, self.old.schema(), self.new.schema());
            if question.exempt.is_some() || known.contains(&key(&question)) {
                continue;
            }
            if !cell_world::applies(self.new, &question) {
                continue;
            }
            match cell_world::world(self.new, &question, Optional::Open) {
                Ok(world) => diff.cells.extend(self.cell(question, world, &mut diff.unknown)?),
                Err(_) => self.gone(question, diff)?,
            }
        }
        Ok(())
    }

    fn cell(
        &self,
        question: MatrixCell,
        mut world: World<'a>,
        unknown: &mut Vec<NotSettled>,
    ) -> Result<Option<CellChange>, MatrixError> {
        let request = &world.request;
        let action = request.action.clone();
        let types =
            (request.principal.entity_type().clone(), request.resource.entity_type().clone());
        let both = self.both(&action, (&types.0, &types.1));
        if !self.is_touched(&both) {
            return Ok(None);
        }
        let [gain, loss] = BOTH_WAYS.map(|direction| {
            let found = self.find_in(&mut world, &both, direction);
            found.unwrap_or_else(|reason| {
                unknown.push(NotSettled {
                    who: question.column.clone(),
                    action: question.action.clone(),
                    principal: types.0.to_string(),
                    resource: types.1.to_string(),
                    direction,
                    reason: reason.to_string(),
                });
                None
            })
        });
        let Some(direction) = Direction::of(gain.is_some(), loss.is_some()) else {
            return Ok(None);
        };
        let after = cell::cell(self.new, self.finder.constants(), question.clone())?.value;
        let before = match both.old {
            Some(_) => cell::cell(self.old, self.finder.constants(), question.clone())
                .map_or(Expected::Deny, |cell| cell.value),
            None => Expected::Deny,
        };
        let MatrixCell { scope, action, column, .. } = question;
        Ok(Some(CellChange { scope, action, column, before, after, direction, gain, loss }))
    }

    /// Adds what is lost in a cell that the new schema does not know.
    fn gone(&self, question: MatrixCell, diff: &mut Diff) -> Result<(), MatrixError> {
        if !diff.gone.contains(&question.column) {
            diff.gone.push(question.column.clone());
        }
        if !cell_world::applies(self.old, &question) {
            return Ok(());
        }
        let mut world = cell_world::world(self.old, &question, Optional::Open)?;
        let request = &world.request;
        let types = (request.principal.entity_type(), request.resource.entity_type());
        let policies = Policies::new(self.old.engine(), &request.action, types.0, types.1);
        let finder = self.old_finder.as_ref().unwrap_or(&self.finder);
        let found = finder.in_world(&mut world, &[&|world| policies.allow(world)]);
        let Ok(Some(loss)) = found else { return Ok(()) };
        let before = cell::cell(self.old, finder.constants(), question.clone())?.value;
        let MatrixCell { scope, action, column, .. } = question;
        diff.cells.push(CellChange {
            scope,
            action,
            column,
            before,
            after: Expected::Deny,
            direction: Direction::Loss,
            gain: None,
            loss: Some(loss),
        });
        Ok(())
    }

    /// Searches a world for a gain or a loss.
    fn find_in(&self, world: &mut World<'a>, both: &Both<'_>, direction: Direction) -> Sought {
        let goals: [Part<'_>; 2] =
            [&|world| both.allowed(world, direction), &|world| both.denied(world, direction)];
        let found = self.finder.in_world(world, &goals)?;
        self.replayed(found, self.new, direction)
    }

    /// Returns what was found once both states have decided it so. A state is asked without what it does
    /// not take; `store` is the one whose request was found.
    fn replayed(
        &self,
        found: Option<Witness>,
        store: &PolicyStore,
        direction: Direction,
    ) -> Sought {
        let Some(witness) = found else { return Ok(None) };
        let allows = |state: &PolicyStore| {
            let asked = projection::taken_by(state, store, &witness);
            asked.decide(state).is_ok_and(|decision| decision.is_allow())
        };
        let answers = (allows(self.old), allows(self.new));
        if answers == (direction == Direction::Loss, direction == Direction::Gain) {
            Ok(Some(witness))
        } else {
            Err(Doubt::NotReplayed)
        }
    }

    fn both(&self, action: &EntityUID, types: (&EntityType, &EntityType)) -> Both<'a> {
        let of = |store: &'a PolicyStore| Policies::new(store.engine(), action, types.0, types.1);
        let old = knows(self.old.schema(), action, types).then(|| of(self.old));
        let mut both = Both { is_rewritten: old.is_none(), old, new: of(self.new) };
        let is_changed = both.all().any(|policy| self.is_changed(policy));
        let is_touched = self.is_touched_by_schema(action, &both);
        both.is_rewritten |= is_changed || is_touched;
        both
    }

    fn is_changed(&self, policy: &PreparedPolicy) -> bool {
        self.changed_ids.contains(policy.id())
    }

    fn is_touched_by_schema(&self, action: &EntityUID, both: &Both<'_>) -> bool {
        self.schema_change.as_ref().is_some_and(|change| change.touches(action, both.all()))
    }

    fn is_touched(&self, both: &Both<'_>) -> bool {
        both.is_rewritten || !self.changed_entities.is_empty()
    }

    /// Searches every action and pair of types for changes that no cell shows.
    pub fn others(&self, diff: &mut Diff) {
        self.others_in(self.new, &self.finder, diff);
        if let Some(finder) = &self.old_finder {
            self.others_in(self.old, finder, diff);
        }
    }

    fn others_in(&self, store: &PolicyStore, finder: &Finder<'_>, diff: &mut Diff) {
        let mut actions: Vec<&ActionSchema> = store.schema().actions().collect();
        actions.sort_by(|a, b| a.uid.cmp(&b.uid));
        for action in actions {
            for principal in &action.principals {
                for resource in &action.resources {
                    if knows(self.new.schema(), &action.uid, (principal, resource)) {
                        self.environment(store, finder, action, (principal, resource), diff);
                    }
                }
            }
        }
    }

    fn environment(
        &self,
        store: &PolicyStore,
        finder: &Finder<'_>,
        action: &ActionSchema,
        types: (&EntityType, &EntityType),
        diff: &mut Diff,
    ) {
        let both = self.both(&action.uid, types);
        if !self.is_touched(&both) {
            return;
        }
        let id: &str = action.uid.eid().as_ref();
        for direction in BOTH_WAYS {
            if is_shown(diff, id, types, direction) {
                continue;
            }
            let kind = Kind { action: &action.uid, principal: types.0, resource: types.1 };
            let found = self.find_anywhere(finder, kind, &both, direction);
            match found.and_then(|found| self.replayed(found, store, direction)) {
                Ok(None) => {}
                Ok(Some(witness)) => diff.others.push(OtherChange {
                    action: id.to_owned(),
                    principal: types.0.to_string(),
                    resource: types.1.to_string(),
                    direction,
                    witness,
                    without_dropped_facts: std::ptr::eq(store, self.old),
                }),
                Err(reason) => {
                    let (principal, resource) = (types.0.to_string(), types.1.to_string());
                    add_unknown(
                        diff,
                        NotSettled {
                            who: format!("a {principal}"),
                            action: id.to_owned(),
                            principal,
                            resource,
                            direction,
                            reason: reason.to_string(),
                        },
                    );
                }
            }
        }
    }

    /// Searches all requests of a kind. Where only policies changed, it goes policy by policy: a change of
    /// the answer needs a changed policy that applies, and to start with it leads there sooner.
    fn find_anywhere(
        &self,
        finder: &Finder<'_>,
        kind: Kind<'_>,
        both: &Both<'_>,
        direction: Direction,
    ) -> Sought {
        let allowed = |world: &World<'_>| both.allowed(world, direction);
        let denied = |world: &World<'_>| both.denied(world, direction);
        let by_schema = self.is_touched_by_schema(kind.action, both);
        if !self.changed_entities.is_empty() || by_schema || both.old.is_none() {
            return finder.anywhere(kind, &self.changed_entities, &[&allowed, &denied]);
        }
        let mut doubt = None;
        for (side, policy) in both.making_more(direction) {
            if !self.is_changed(policy) {
                continue;
            }
            let applies = |world: &World<'_>| side.applies(policy, world);
            let named = named_by(policy, self.new.schema());
            match finder.anywhere(kind, &named, &[&applies, &allowed, &denied]) {
                Ok(None) => {}
                Ok(found) => return Ok(found),
                Err(reason) => doubt = doubt.or(Some(reason)),
            }
        }
        doubt.map_or(Ok(None), Err)
    }
}

/// Adds what is not settled of a kind of requests, in place of its cells: they are among them.
fn add_unknown(diff: &mut Diff, unknown: NotSettled) {
    let is_of_kind = |other: &NotSettled| {
        (&other.action, &other.principal, &other.resource, other.direction)
            == (&unknown.action, &unknown.principal, &unknown.resource, unknown.direction)
    };
    diff.unknown.retain(|other| !is_of_kind(other));
    diff.unknown.push(unknown);
}

/// Returns whether such a change is told already.
fn is_shown(
    diff: &Diff,
    action: &str,
    (principal, resource): (&EntityType, &EntityType),
    direction: Direction,
) -> bool {
    let in_cells = diff.cells.iter().any(|cell| {
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
    });
    let (principal, resource) = (principal.to_string(), resource.to_string());
    in_cells
        || diff.others.iter().any(|other| {
            other.direction == direction
                && (&*other.action, &other.principal, &other.resource)
                    == (action, &principal, &resource)
        })
}

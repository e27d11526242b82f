//! The comparison of two states of a store: the cells of the matrix that change, and requests that
//! no cell stands for.
//!
//! A *gain* is a request that the new state allows and the old one denies, a *loss* the other way
//! round. Each comes with a request that shows it. What is not found is not proved to be absent:
//! that takes a solver.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::{Policy, PolicySet};
use cedar_policy_core::ast::{Entity, EntityType, EntityUID};

use super::{
    Finder, Kind, MatrixError, Witness,
    candidates::named_by,
    find::Goal,
    matrix,
    policies::Policies,
    truth::Truth,
    world::{Optional, World},
};
use crate::{
    engine::{Engine, PreparedPolicy},
    model::Uid,
    schema::{ActionSchema, StoredEntities},
    store::{FileKind, PolicyStore},
    testing::{Expected, MatrixCell},
};

/// The differences between two states of a store.
#[derive(Debug, Clone, Default)]
pub struct Diff {
    /// The policies that were added, removed or changed, by id.
    pub policies: Vec<PolicyChange>,
    /// The cells of the matrix that change, those that gain first.
    pub cells: Vec<CellChange>,
    /// Gains and losses that no cell shows, gains first.
    pub others: Vec<OtherChange>,
    /// Searches that were given up, as `action, principal type, resource type`.
    pub unknown: Vec<String>,
    /// Why the two states cannot be compared, where they cannot.
    pub not_comparable: Vec<String>,
}

/// A policy that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PolicyChange {
    /// Its id.
    pub id: String,
    /// The way in which it changed.
    pub kind: PolicyChangeKind,
}

/// The way in which a policy changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PolicyChangeKind {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// Its effect, scope or conditions are others.
    Changed,
    /// Only its annotations are others.
    Annotations,
}

/// A gain, a loss, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// Something is allowed that was denied.
    Gain,
    /// Something is denied that was allowed.
    Loss,
    /// Both.
    Both,
}

impl Direction {
    fn of(gain: bool, loss: bool) -> Option<Self> {
        match (gain, loss) {
            (true, true) => Some(Self::Both),
            (true, false) => Some(Self::Gain),
            (false, true) => Some(Self::Loss),
            (false, false) => None,
        }
    }

    /// Returns whether something is allowed that was denied.
    #[must_use]
    pub fn is_gain(self) -> bool {
        self != Self::Loss
    }
}

/// A cell that changes.
#[derive(Debug, Clone)]
pub struct CellChange {
    /// The scope of the row.
    pub scope: String,
    /// The action.
    pub action: String,
    /// The column.
    pub column: String,
    /// The answer before.
    pub before: Expected,
    /// The answer now.
    pub after: Expected,
    /// A gain, a loss, or both.
    pub direction: Direction,
    /// A request that was denied and is allowed.
    pub gain: Option<Witness>,
    /// A request that was allowed and is denied.
    pub loss: Option<Witness>,
}

/// A change that no cell shows.
#[derive(Debug, Clone)]
pub struct OtherChange {
    /// The action.
    pub action: String,
    /// The principal's type.
    pub principal: String,
    /// The resource's type.
    pub resource: String,
    /// A gain or a loss.
    pub direction: Direction,
    /// A request that shows it.
    pub witness: Witness,
}

impl Diff {
    /// Returns whether anybody gains, or may gain for all that is known.
    #[must_use]
    pub fn has_gains(&self) -> bool {
        self.cells.iter().any(|cell| cell.direction.is_gain())
            || self.others.iter().any(|other| other.direction.is_gain())
            || !self.not_comparable.is_empty()
            || !self.unknown.is_empty()
    }

    /// Returns whether anybody loses.
    #[must_use]
    pub fn has_losses(&self) -> bool {
        self.cells.iter().any(|cell| cell.direction != Direction::Gain)
            || self.others.iter().any(|other| other.direction != Direction::Gain)
    }
}

/// Compares two states of a store.
///
/// # Errors
/// The problems of the files of the expected matrix, of either state.
pub fn diff(old: &PolicyStore, new: &PolicyStore) -> Result<Diff, MatrixError> {
    let mut diff = Diff { policies: policies(old, new), ..Diff::default() };
    let same_schema = [FileKind::Schema, FileKind::SchemaJson]
        .into_iter()
        .all(|kind| old.files().same(kind, new.files()));
    let same_entities = old.files().same(FileKind::Entities, new.files());
    let rebuilt;
    let before = if same_schema {
        old
    } else if !same_entities {
        diff.not_comparable
            .push("schema and fixed entities both differ: change one at a time".to_owned());
        return Ok(diff);
    } else {
        match new.with_policies(old.policies().clone()) {
            Ok(store) => {
                rebuilt = store;
                &rebuilt
            }
            Err(error) => {
                diff.not_comparable = unfit(old, new);
                if diff.not_comparable.is_empty() {
                    diff.not_comparable.push(error);
                }
                return Ok(diff);
            }
        }
    };
    let change = Change {
        // An environment that the old schema did not have is not compared but gained.
        old_schema_of: (!same_schema).then_some(old),
        old: before,
        new,
        finder: Finder::new(new, [before.engine(), new.engine()]),
        everything: !same_schema || !same_entities,
        changed_entities: changed_entities(old.stored(), new.stored()),
        changed_ids: diff
            .policies
            .iter()
            .filter(|change| change.kind != PolicyChangeKind::Annotations)
            .map(|change| change.id.clone())
            .collect(),
    };
    change.cells(old, &mut diff)?;
    change.others(&mut diff);
    if !same_schema {
        lost_with_their_kind(old, new, &mut diff);
    }
    diff.cells.sort_by_key(|cell| !cell.direction.is_gain());
    diff.others.sort_by_key(|other| !other.direction.is_gain());
    Ok(diff)
}

/// Returns the entities that two states hold differently, those of which ancestors differ included.
fn changed_entities(old: &StoredEntities, new: &StoredEntities) -> Vec<EntityUID> {
    let uids: BTreeSet<_> = old.uids().chain(new.uids()).collect();
    let is_same = |uid: &EntityUID| match (old.get(uid), new.get(uid)) {
        (Some(old), Some(new)) => {
            let ancestors = |entity: &Entity| entity.ancestors().cloned().collect::<BTreeSet<_>>();
            let attributes = |entity: &Entity| -> BTreeMap<_, _> {
                entity.attrs().map(|(name, value)| (name.clone(), value.clone())).collect()
            };
            let tags = |entity: &Entity| -> BTreeMap<_, _> {
                entity.tags().map(|(name, value)| (name.clone(), value.clone())).collect()
            };
            ancestors(old) == ancestors(new)
                && attributes(old) == attributes(new)
                && tags(old) == tags(new)
        }
        _ => false,
    };
    uids.into_iter().filter(|uid| !is_same(uid)).cloned().collect()
}

/// Adds what is lost because the new schema knows no such kind of requests.
fn lost_with_their_kind(old: &PolicyStore, new: &PolicyStore, diff: &mut Diff) {
    let finder = Finder::new(old, [old.engine()]);
    let mut actions: Vec<&ActionSchema> = old.schema().actions().collect();
    actions.sort_by(|a, b| a.uid.cmp(&b.uid));
    for action in actions {
        let id: &str = action.uid.eid().as_ref();
        let there = new.schema().action(&action.uid.entity_type().to_string(), id);
        for (principal, resource) in action
            .principals
            .iter()
            .flat_map(|principal| action.resources.iter().map(move |one| (principal, one)))
        {
            let is_there = there.is_some_and(|there| {
                there.principals.contains(principal) && there.resources.contains(resource)
            });
            if is_there {
                continue;
            }
            let policies = Policies::new(old.engine(), &action.uid, principal, resource);
            let allowed = |world: &World<'_>| policies.allow(world);
            let kind = Kind { action: &action.uid, principal, resource };
            if let Some(Some(witness)) = finder.anywhere(kind, &[], &[&allowed]) {
                diff.others.push(OtherChange {
                    action: id.to_owned(),
                    principal: principal.to_string(),
                    resource: resource.to_string(),
                    direction: Direction::Loss,
                    witness,
                });
            }
        }
    }
}

/// Returns the old policies that do not fit the new schema, each with the reason.
fn unfit(old: &PolicyStore, new: &PolicyStore) -> Vec<String> {
    let reason = |policy: &Policy| {
        let alone = PolicySet::from_policies([policy.clone()]).ok()?;
        let error = new.validate(&alone).err()?;
        Some(format!("the policy `{}` does not fit the new schema: {error}", policy.id()))
    };
    let mut reasons: Vec<_> = old.policies().policies().filter_map(reason).collect();
    reasons.sort_unstable();
    reasons
}

/// Returns the policies that are not as they were, by id.
fn policies(old: &PolicyStore, new: &PolicyStore) -> Vec<PolicyChange> {
    let all = |store: &'_ PolicyStore| -> BTreeMap<String, PreparedParts> {
        let policies = store.engine().slices().policies();
        policies.map(|policy| (policy.id().to_owned(), PreparedParts::of(policy))).collect()
    };
    let (before, after) = (all(old), all(new));
    let ids: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let kind = |id: &String| match (before.get(id), after.get(id)) {
        (None, _) => Some(PolicyChangeKind::Added),
        (_, None) => Some(PolicyChangeKind::Removed),
        (Some(before), Some(after)) if before.meaning != after.meaning => {
            Some(PolicyChangeKind::Changed)
        }
        (Some(before), Some(after)) if before.annotations != after.annotations => {
            Some(PolicyChangeKind::Annotations)
        }
        _ => None,
    };
    ids.into_iter()
        .filter_map(|id| Some(PolicyChange { id: id.clone(), kind: kind(id)? }))
        .collect()
}

/// The parts of a policy that are compared.
struct PreparedParts {
    /// Cedar's text of what it decides, without annotations.
    meaning: String,
    annotations: BTreeMap<String, String>,
}

impl PreparedParts {
    fn of(policy: &PreparedPolicy) -> Self {
        let cedar = policy.policy();
        let variables: BTreeMap<_, _> =
            policy.variables().iter().map(|(slot, uid)| (slot.to_string(), uid)).collect();
        let meaning = format!(
            "{} {} {} {} {} {variables:?}",
            cedar.effect(),
            cedar.principal_constraint(),
            cedar.action_constraint(),
            cedar.resource_constraint(),
            policy.condition().map(ToString::to_string).unwrap_or_default(),
        );
        let annotations = policy.annotations();
        let annotations =
            annotations.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Self { meaning, annotations }
    }
}

/// Two states that are being compared, under the new state's schema.
struct Change<'a> {
    old: &'a PolicyStore,
    new: &'a PolicyStore,
    old_schema_of: Option<&'a PolicyStore>,
    finder: Finder<'a>,
    /// True where more than policies differs.
    everything: bool,
    /// The entities that the two states hold differently.
    changed_entities: Vec<EntityUID>,
    /// The policies that decide otherwise than before.
    changed_ids: BTreeSet<String>,
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
    fn cells(&self, old: &PolicyStore, diff: &mut Diff) -> Result<(), MatrixError> {
        let key =
            |cell: &MatrixCell| (cell.scope.clone(), cell.action.clone(), cell.column.clone());
        let mut questions = matrix::questions(self.new)?;
        let known: BTreeSet<_> = questions.iter().map(key).collect();
        let of_old = matrix::questions(old)?;
        questions.extend(of_old.into_iter().filter(|cell| !known.contains(&key(cell))));
        for question in questions {
            if question.exempt.is_none() && matrix::applies(self.new, &question) {
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
        let mut world = matrix::world(self.new, &question, Optional::Open)?;
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
        let after = matrix::cell(self.new, self.finder.constants(), question.clone())?.value;
        let before = match both.old {
            Some(_) => matrix::cell(self.old, self.finder.constants(), question.clone())?.value,
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
    fn others(&self, diff: &mut Diff) {
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

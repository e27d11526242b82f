//! Two states of a store: who may more with the new one, who may less.

use std::collections::BTreeSet;

use cedar_policy_symcc::{Env, always_denies_asserts, implies_asserts};

use super::{
    Outcome, ProofOptions, Solver, claims, counterexample,
    policies::{
        Environment, Group, StaticPolicies, StaticPolicy, grouped, named_attributes, named_entities,
    },
    prover::Prover,
    slots,
    solver::{Answer, Session, work},
};
use crate::{
    analysis::{self, Finder, Witness},
    schema::{RecordShape, Schema, Shape},
    store::{FileKind, PolicyStore},
};

/// The reason that is given where the entities of two states differ.
const ENTITIES_DIFFER: &str = "the entities that the store holds differ: what that changes is \
                               searched, and not proved";

/// The differences between the decisions of a new state and those of an old one.
#[derive(Debug, Default)]
pub struct Comparison {
    /// Kinds of requests of which the new state allows more.
    pub gains: Vec<Difference>,
    /// Kinds of requests of which the new state allows less.
    pub losses: Vec<Difference>,
    /// The questions that the solver cannot answer, or that cannot be compared, each with the reason.
    pub unknown: Vec<String>,
}

/// Kinds of requests that are decided otherwise.
#[derive(Debug)]
pub struct Difference {
    /// One of them.
    pub environment: String,
    /// The number of differences with the same policies.
    pub count: usize,
    /// A request that both states have decided, one way and the other.
    pub witness: Option<Box<Witness>>,
}

impl Comparison {
    /// Returns whether no decision can differ.
    #[must_use]
    pub fn is_equivalent(&self) -> bool {
        self.gains.is_empty() && self.losses.is_empty() && self.unknown.is_empty()
    }

    /// Returns whether nobody can gain.
    #[must_use]
    pub fn gains_nothing(&self) -> bool {
        self.gains.is_empty() && self.unknown.is_empty()
    }
}

/// The direction in which decisions differ.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Gain,
    Loss,
}

enum Task<'a, 'p> {
    NeverFails(&'p Prover<'a>, &'p StaticPolicy),
    /// Requests that only one of the states knows.
    OnlyIn(Way, Group<'a, 'p>),
    /// Requests that both know; the policies are the old ones and the new ones.
    Both(Group<'a, 'p>),
}

#[derive(Default)]
struct Found {
    gain: Option<Difference>,
    loss: Option<Difference>,
    unknown: Option<String>,
}

/// Compares two states of a store. Kinds of requests are the same where action and types are; those that
/// both states know are compared under the new schema.
///
/// # Errors
/// The solver cannot be started, or a link cannot be filled in.
pub fn compare(
    old: &PolicyStore,
    new: &PolicyStore,
    solver: &Solver,
    options: &ProofOptions,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Comparison, String> {
    compare_ways(&[Way::Gain, Way::Loss], old, new, solver, options, progress)
}

/// Compares like [`compare`], and looks for gains alone.
///
/// # Errors
/// The solver cannot be started, or a link cannot be filled in.
pub fn compare_gains(
    old: &PolicyStore,
    new: &PolicyStore,
    solver: &Solver,
    options: &ProofOptions,
) -> Result<Comparison, String> {
    compare_ways(&[Way::Gain], old, new, solver, options, &|_, _| ())
}

fn compare_ways(
    ways: &[Way],
    old: &PolicyStore,
    new: &PolicyStore,
    solver: &Solver,
    options: &ProofOptions,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Comparison, String> {
    let (before, after) = (Prover::new(old)?, Prover::new(new)?);
    let comparer = Comparer { ways, old, new };
    let knows = |prover: &Prover<'_>, env: &Environment<'_>| {
        prover.environments.iter().any(|other| other.is(env))
    };
    let (both, added): (Vec<_>, Vec<_>) =
        after.environments.iter().cloned().partition(|env| knows(&before, env));
    let is_removed = |env: &&Environment<'_>| ways.contains(&Way::Loss) && !knows(&after, env);
    let removed = before.environments.iter().filter(is_removed).cloned();
    let added = grouped(added, &[(new.schema(), &after.policies)], false);
    let removed = grouped(removed, &[(old.schema(), &before.policies)], false);
    let sets = [(old.schema(), &before.policies), (new.schema(), &after.policies)];
    let both = grouped(both, &sets, false).into_iter().filter(|group| differs(group));
    let mut tasks: Vec<_> = both.map(Task::Both).collect();
    tasks.extend(added.into_iter().map(|group| Task::OnlyIn(Way::Gain, group)));
    tasks.extend(removed.into_iter().map(|group| Task::OnlyIn(Way::Loss, group)));
    if !tasks.is_empty() {
        // A policy that fails is skipped by the solver, and not always by the sidecar.
        let asked: BTreeSet<_> = tasks
            .iter()
            .flat_map(|task| match task {
                Task::OnlyIn(_, group) | Task::Both(group) => group.policies.concat(),
                Task::NeverFails(..) => Vec::new(),
            })
            .map(|policy| policy.policy.id().clone())
            .collect();
        let is_asked = |policy: &&StaticPolicy| asked.contains(policy.policy.id());
        let checks = after.policies.iter().filter(is_asked);
        let checks: Vec<_> = checks.map(|policy| Task::NeverFails(&after, policy)).collect();
        let changed = before.policies.iter().filter(is_asked);
        let changed = changed.filter(|policy| !is_in(&after.policies, policy));
        tasks.extend(
            checks.into_iter().chain(changed.map(|policy| Task::NeverFails(&before, policy))),
        );
    }
    let found = work(solver, options, &tasks, progress, |session, task| match task {
        Task::NeverFails(prover, policy) => Found {
            unknown: match prover.never_fails(session, policy) {
                Outcome::Proved => None,
                Outcome::Refuted { message, .. } | Outcome::Unknown(message) => {
                    Some(format!("`{}` may fail: {message}", policy.policy.id()))
                }
            },
            ..Found::default()
        },
        Task::OnlyIn(way, group) => comparer.only_in(session, *way, group),
        Task::Both(group) => comparer.both(session, group),
    })?;
    let mut comparison = Comparison::default();
    if !old.files().same(FileKind::Entities, new.files()) {
        comparison.unknown.push(ENTITIES_DIFFER.to_owned());
        search_differences(ways, old, new, &mut comparison)?;
    }
    for Found { gain, loss, unknown } in found {
        comparison.gains.extend(gain);
        comparison.losses.extend(loss);
        comparison.unknown.extend(unknown);
    }
    Ok(comparison)
}

/// Adds what a search finds of two states whose entities differ, which the solver takes as unknown.
fn search_differences(
    ways: &[Way],
    old: &PolicyStore,
    new: &PolicyStore,
    comparison: &mut Comparison,
) -> Result<(), String> {
    let found = analysis::diff(old, new).map_err(|_| "the expected matrix is broken".to_owned())?;
    let of_cells = found.cells.into_iter().flat_map(|cell| {
        let environment = format!("{} asks for {}", cell.column, cell.action);
        let gain = cell.gain.map(|witness| (Way::Gain, environment.clone(), witness));
        gain.into_iter().chain(cell.loss.map(|witness| (Way::Loss, environment, witness)))
    });
    let of_others = found.others.into_iter().map(|other| {
        let way = if other.direction.is_gain() { Way::Gain } else { Way::Loss };
        let environment =
            format!("a {} asks for {} on a {}", other.principal, other.action, other.resource);
        (way, environment, other.witness)
    });
    for (way, environment, witness) in of_cells.chain(of_others) {
        if ways.contains(&way) {
            let difference = Difference { environment, count: 1, witness: Some(Box::new(witness)) };
            match way {
                Way::Gain => comparison.gains.push(difference),
                Way::Loss => comparison.losses.push(difference),
            }
        }
    }
    Ok(())
}

/// Returns whether the old and the new policies that may apply are not the same.
fn differs(group: &Group<'_, '_>) -> bool {
    match group.policies.as_slice() {
        [old, new] => {
            let policies = |side: &[&StaticPolicy]| -> Vec<_> {
                side.iter().map(|policy| policy.policy.clone()).collect()
            };
            policies(old) != policies(new)
        }
        _ => true,
    }
}

fn is_in(policies: &StaticPolicies, policy: &StaticPolicy) -> bool {
    policies.iter().any(|other| other.policy == policy.policy)
}

/// Returns whether a record, or one within it, has a field of that name.
fn declares(record: &RecordShape, name: &str) -> bool {
    fn within(shape: &Shape, name: &str) -> bool {
        match shape {
            Shape::Record(record) => declares(record, name),
            Shape::Set(element) => within(element, name),
            _ => false,
        }
    }
    record.fields.contains_key(name) || record.fields.values().any(|one| within(&one.shape, name))
}

struct Comparer<'a> {
    ways: &'a [Way],
    old: &'a PolicyStore,
    new: &'a PolicyStore,
}

impl Comparer<'_> {
    fn allows(store: &PolicyStore, witness: &Witness) -> bool {
        witness.decide(store).is_ok_and(|decision| decision.is_allow())
    }

    /// Returns whether a request is decided otherwise in that way. What a schema does not know is not
    /// allowed.
    fn shows(&self, way: Way, witness: &Witness) -> bool {
        let (allows, denies) = match way {
            Way::Gain => (self.new, self.old),
            Way::Loss => (self.old, self.new),
        };
        Self::allows(allows, witness) && !Self::allows(denies, witness)
    }

    fn only_in(&self, session: &mut Session<'_>, way: Way, group: &Group<'_, '_>) -> Found {
        let store = if way == Way::Gain { self.new } else { self.old };
        let policies = group.policies.concat();
        let facts = slots::facts(store.schema(), &group.env, &policies);
        let set = policies.iter().map(|policy| &policy.policy);
        let asked = claims::set(set, &facts, store.schema(), &group.env)
            .and_then(|set| session.counterexample(&always_denies_asserts(&set)));
        let mut found = Found::default();
        match asked {
            Ok(None) => {}
            Ok(Some(counterexample)) => {
                let witness = self.witness(way, group, store, &counterexample);
                found.add(way, Difference::of(group, witness));
            }
            Err(reason) => found.unknown = Some(format!("{reason}, where {}", group.env)),
        }
        found
    }

    fn both(&self, session: &mut Session<'_>, group: &Group<'_, '_>) -> Found {
        let mut found = Found::default();
        for &way in self.ways {
            match self.differ(session, group, way) {
                Ok(None) => {}
                Ok(Some(difference)) => found.add(way, difference),
                Err(reason) => {
                    found.unknown = Some(format!("{reason}, where {}", group.env));
                    break;
                }
            }
        }
        found
    }

    /// Searches for a witness without the solver, which is often sooner.
    fn found(&self, way: Way, group: &Group<'_, '_>) -> Option<Witness> {
        let (old, new) = (self.old.engine(), self.new.engine());
        let (allows, denies) = if way == Way::Gain { (new, old) } else { (old, new) };
        let finder = Finder::new(self.new, [old, new]);
        let witness = finder.allowed_by_one_alone(group.env.kind(), allows, denies)?;
        self.shows(way, &witness).then_some(witness)
    }

    /// Asks the solver for a request allowed by one state only.
    fn differ(
        &self,
        session: &mut Session<'_>,
        group: &Group<'_, '_>,
        way: Way,
    ) -> Result<Option<Difference>, String> {
        let schema = self.new.schema();
        let [old, new] = group.policies.as_slice() else { return Ok(None) };
        if let Some(unknown) = self.not_declared(old) {
            return Err(unknown);
        }
        if let Some(reason) = session.is_over() {
            return Err(reason);
        }
        if let Some(witness) = self.found(way, group) {
            return Ok(Some(Difference::of(group, Some(Box::new(witness)))));
        }
        // The old schema may have other action groups; whether an action is in them is decided.
        let old: Vec<_> = old
            .iter()
            .map(|policy| claims::of_any_action(&policy.policy))
            .collect::<Result<_, _>>()?;
        let compiled = |facts: &[String]| {
            let before = claims::set(&old, facts, schema, &group.env)
                .map_err(|error| format!("not comparable under the new schema: {error}"))?;
            let new = new.iter().map(|policy| &policy.policy);
            let after = claims::set(new, facts, schema, &group.env)?;
            Ok::<_, String>(match way {
                Way::Gain => (after, before),
                Way::Loss => (before, after),
            })
        };
        let (allows, denies) = compiled(&[])?;
        match session.holds(&implies_asserts(&allows, &denies)) {
            Answer::Holds => return Ok(None),
            Answer::Fails => {}
            Answer::Unknown(reason) => return Err(reason),
        }
        let mut witness = |facts: &[String]| {
            let (allows, denies) = compiled(facts)?;
            let counterexample = session.counterexample(&implies_asserts(&allows, &denies))?;
            Ok::<_, String>(
                counterexample.map(|example| self.witness(way, group, self.new, &example)),
            )
        };
        // As for an invariant: first the solver's own example, then one with what is true of slots.
        if let Ok(Some(Some(found))) = witness(&[]) {
            return Ok(Some(Difference::of(group, Some(found))));
        }
        let facts = slots::facts(schema, &group.env, &group.policies.concat());
        Ok(witness(&facts)?.map(|found| Difference::of(group, found)))
    }

    /// Finds an attribute that an old policy looks at and the new schema knows nowhere. Under that schema
    /// the policy would only seem to mean less.
    fn not_declared(&self, old: &[&StaticPolicy]) -> Option<String> {
        let declared = |schema: &Schema, name: &str| {
            let entities = schema.entities().map(|shape| &shape.attributes);
            let contexts = schema.actions().map(|action| &*action.context);
            entities.chain(contexts).any(|record| declares(record, name))
        };
        old.iter().find_map(|policy| {
            let names = named_attributes(&[policy]);
            let gone = names.iter().find(|name| {
                declared(self.old.schema(), name) && !declared(self.new.schema(), name)
            })?;
            Some(format!(
                "not comparable: the old policy `{}` looks at `{gone}`, which the new schema does \
                 not declare",
                policy.policy.id()
            ))
        })
    }

    /// Makes a request of a counterexample, if one shows what the counterexample does.
    fn witness(
        &self,
        way: Way,
        group: &Group<'_, '_>,
        store: &PolicyStore,
        counterexample: &Env,
    ) -> Option<Box<Witness>> {
        let named = named_entities(&group.policies.concat());
        let witness = counterexample::witness(store.schema(), counterexample, &named)?;
        counterexample::shrunk(witness, |one| self.shows(way, one)).map(Box::new)
    }
}

impl Difference {
    fn of(group: &Group<'_, '_>, witness: Option<Box<Witness>>) -> Self {
        Self { environment: group.env.to_string(), count: group.count, witness }
    }
}

impl Found {
    fn add(&mut self, way: Way, difference: Difference) {
        match way {
            Way::Gain => self.gain = Some(difference),
            Way::Loss => self.loss = Some(difference),
        }
    }
}

//! Two states of a store: who may more with the new one, who may less.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::OnceLock,
};

use super::{
    Outcome, ProofOptions, Solver,
    comparer::{Comparer, Difference, Found, Way},
    policies::{Environment, Group, StaticPolicies, StaticPolicy, grouped},
    prover::Prover,
    solver::work,
};
use crate::{
    analysis::{self, not_comparable},
    model::OnForbidError,
    store::PolicyStore,
};

/// The reason that is given where the entities of two states differ.
const ENTITIES_DIFFER: &str = "the entities that the store holds differ: what that changes is \
                               searched, and not proved";

/// The differences between the decisions of a new state and those of an old one.
#[derive(Debug, Default)]
pub struct StateComparison {
    /// Kinds of requests of which the new state allows more.
    pub gains: Vec<Difference>,
    /// Kinds of requests of which the new state allows less.
    pub losses: Vec<Difference>,
    /// The questions that the solver cannot answer, or that cannot be compared, each with the reason.
    pub unknown: Vec<String>,
    /// The ways in which the new state understands callers otherwise ([`PolicyStore::understands_otherwise_than`]).
    pub trust: Vec<String>,
}

impl StateComparison {
    /// Returns whether no decision can differ.
    #[must_use]
    pub fn is_equivalent(&self) -> bool {
        self.gains_nothing() && self.losses.is_empty()
    }

    /// Returns whether nobody can gain.
    #[must_use]
    pub fn gains_nothing(&self) -> bool {
        self.gains.is_empty() && self.unknown.is_empty() && self.trust.is_empty()
    }
}

enum Task<'a, 'p> {
    NeverFails(&'p Prover<'a>, &'p StaticPolicy),
    /// Requests that only one of the states knows.
    OnlyIn(Way, Group<'a, 'p>),
    /// Requests that both know; the policies are the old ones and the new ones.
    Both(Group<'a, 'p>),
    /// Requests that both know, and of which the old policies see a change of the schema.
    NotComparable(String, Vec<Environment<'a>>),
}

/// Compares two states of a store. Kinds of requests are the same where action and types are; those that
/// both states know are compared under the new schema, unless the old policies see a change of it
/// ([`not_comparable`]).
///
/// # Errors
/// The solver cannot be started, or a link cannot be filled in.
pub fn compare(
    old: &PolicyStore,
    new: &PolicyStore,
    solver: &Solver,
    options: &ProofOptions,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<StateComparison, String> {
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
) -> Result<StateComparison, String> {
    compare_ways(&[Way::Gain], old, new, solver, options, &|_, _| ())
}

fn compare_ways(
    ways: &[Way],
    old: &PolicyStore,
    new: &PolicyStore,
    solver: &Solver,
    options: &ProofOptions,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<StateComparison, String> {
    let (before, after) = (Prover::new(old)?, Prover::new(new)?);
    let on_forbid_error = options.on_forbid_error;
    let partly_sent = [OnceLock::new(), OnceLock::new()];
    let comparer = Comparer { ways, old, new, on_forbid_error, partly_sent };
    let knows = |prover: &Prover<'_>, env: &Environment<'_>| {
        prover.environments.iter().any(|other| other.is(env))
    };
    let (both, added): (Vec<_>, Vec<_>) =
        after.environments.iter().cloned().partition(|env| knows(&before, env));
    let is_removed = |env: &&Environment<'_>| ways.contains(&Way::Loss) && !knows(&after, env);
    let removed = before.environments.iter().filter(is_removed).cloned();
    let (both, not_comparable) = comparable(old, new, both);
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
                Task::NeverFails(..) | Task::NotComparable(..) => Vec::new(),
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
    tasks.extend(not_comparable.into_iter().map(|(why, envs)| Task::NotComparable(why, envs)));
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
        Task::NotComparable(why, envs) => comparer.not_comparable(session, why, envs),
    })?;
    let mut comparison = StateComparison {
        trust: new.understands_otherwise_than(old),
        ..StateComparison::default()
    };
    if !analysis::same_entities(old, new) {
        comparison.unknown.push(ENTITIES_DIFFER.to_owned());
        search_differences(ways, old, new, on_forbid_error, &mut comparison)?;
    }
    for Found { gain, loss, unknown } in found {
        comparison.gains.extend(gain);
        comparison.losses.extend(loss);
        comparison.unknown.extend(unknown);
    }
    Ok(comparison)
}

/// Leaves the kinds of requests that can be compared under the new schema. The others are ordered by
/// the change that the old policies see.
fn comparable<'a>(
    old: &PolicyStore,
    new: &PolicyStore,
    envs: Vec<Environment<'a>>,
) -> (Vec<Environment<'a>>, BTreeMap<String, Vec<Environment<'a>>>) {
    let mut others: BTreeMap<String, Vec<_>> = BTreeMap::new();
    let mut comparable = Vec::with_capacity(envs.len());
    for env in envs {
        match not_comparable(old, new, env.kind()) {
            Some(change) => others.entry(change).or_default().push(env),
            None => comparable.push(env),
        }
    }
    (comparable, others)
}

/// Adds what a search finds of two states whose entities differ, which the solver takes as unknown.
fn search_differences(
    ways: &[Way],
    old: &PolicyStore,
    new: &PolicyStore,
    on_forbid_error: OnForbidError,
    comparison: &mut StateComparison,
) -> Result<(), String> {
    let found = analysis::diff(old, new, on_forbid_error);
    let found = found.map_err(|_| "the expected matrix is broken".to_owned())?;
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
            let difference = Difference { environment, count: 1, witness: Box::new(witness) };
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

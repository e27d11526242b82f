//! The cells of a matrix that evaluation and search leave open.

use cedar_policy::{Effect, Policy};
use cedar_policy_symcc::{Env, always_denies_asserts, implies_asserts, never_errors_asserts};

use super::{
    ProofOptions, Solver, claims, counterexample,
    policies::{Environment, StaticPolicies, StaticPolicy, environments, named_entities},
    prover::NOT_REPLAYED,
    request_facts::request_facts,
    solver::{Session, SolverAnswer, work},
};
use crate::{
    analysis::{Answered, Matrix, OpenCell},
    model,
    store::PolicyStore,
};

/// Settles the open cells of a store's matrix. A request that the solver finds counts once the store
/// has decided it so. A cell that the solver cannot settle stays open and has the reason.
///
/// # Errors
/// The solver cannot be started, a link cannot be filled in, or a cell is no request that fits the
/// schema.
pub fn settle(
    matrix: &mut Matrix,
    store: &PolicyStore,
    solver: &Solver,
    options: &ProofOptions,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<(), String> {
    let policies = StaticPolicies::of(store.policies())?;
    let asker = Asker { store, policies };
    let open: Vec<_> = matrix.open_cells().collect();
    let cells: Vec<_> = open.iter().map(|cell| (**cell).clone()).collect();
    let settled = work(solver, options, &cells, progress, |session, cell| {
        let mut cell = cell.clone();
        cell.settle(store, &mut |question| asker.ask(session, question)).map(|()| cell)
    })?;
    for (cell, settled) in open.into_iter().zip(settled) {
        *cell = settled.map_err(|_| "a cell is no request that fits the schema".to_owned())?;
    }
    Ok(())
}

/// Asks a solver what cells leave open.
struct Asker<'a> {
    store: &'a PolicyStore,
    policies: StaticPolicies,
}

impl Asker<'_> {
    fn ask(&self, session: &mut Session<'_>, question: &OpenCell<'_>) -> Answered {
        if let Some(reason) = session.is_over() {
            return Answered::Unknown(reason);
        }
        let (kind, schema) = (question.kind(), self.store.schema());
        let is_it = |env: &Environment<'_>| {
            (env.principal, env.action, env.resource)
                == (kind.principal, kind.action, kind.resource)
        };
        let Some(env) = environments(schema).into_iter().find(is_it) else {
            return Answered::Unknown("the schema has no such requests".to_owned());
        };
        let policies = self.policies.applying(schema, &env);
        match self.example(session, question, &env, &policies) {
            Ok(None) => Answered::None,
            Ok(Some(example)) => {
                let mut named = named_entities(&policies);
                named.extend(question.entities());
                let example =
                    counterexample::witness(self.store, &example, &named, &counterexample::all_of);
                let witness = example.and_then(|example| question.witness(&example.input));
                witness.map_or_else(not_replayed, Answered::Some)
            }
            Err(reason) => Answered::Unknown(reason),
        }
    }

    /// Asks for a request that is decided as the question wants it.
    fn example(
        &self,
        session: &mut Session<'_>,
        question: &OpenCell<'_>,
        env: &Environment<'_>,
        policies: &[&StaticPolicy],
    ) -> Result<Option<Env>, String> {
        let schema = self.store.schema();
        let mut facts: Vec<_> = question.facts().into_iter().collect();
        facts.extend(request_facts(schema, &[self.store.stored()], env, policies));
        let set = |policies: &[&StaticPolicy], facts: &[String]| {
            let policies = policies.iter().map(|policy| &policy.policy);
            claims::set(policies, facts, schema, env)
        };
        match question.wanted() {
            model::Effect::Allow => {
                session.counterexample(&always_denies_asserts(&set(policies, &facts)?))
            }
            model::Effect::Deny => {
                self.no_forbid_fails(session, env, policies)?;
                let all = Policy::parse(None, "permit (principal, action, resource);");
                let all = StaticPolicy::new(all.map_err(|error| error.to_string())?);
                let described = set(&[&all], &facts)?;
                session.counterexample(&implies_asserts(&described, &set(policies, &[])?))
            }
        }
    }

    /// Proves that no forbid fails. The solver skips one that does, and the sidecar denies.
    fn no_forbid_fails(
        &self,
        session: &mut Session<'_>,
        env: &Environment<'_>,
        policies: &[&StaticPolicy],
    ) -> Result<(), String> {
        let forbids = policies.iter().filter(|policy| policy.policy.effect() == Effect::Forbid);
        for StaticPolicy { policy, .. } in forbids {
            let compiled = claims::policy(policy, self.store.schema(), env)?;
            match session.holds(&never_errors_asserts(&compiled)) {
                SolverAnswer::Holds => {}
                SolverAnswer::Fails => {
                    return Err(format!(
                        "an allow holds only if no forbid fails, and `{}` may",
                        policy.id()
                    ));
                }
                SolverAnswer::Unknown(reason) => return Err(reason),
            }
        }
        Ok(())
    }
}

fn not_replayed() -> Answered {
    Answered::Unknown(NOT_REPLAYED.to_owned())
}

//! One store, made ready for the solver, and the proofs about its policies.

use cedar_policy::{Effect, PolicySet};
use cedar_policy_symcc::{
    Env, always_denies_asserts, always_matches_asserts, implies_asserts, never_errors_asserts,
};

use super::{
    claims, counterexample,
    policies::{
        Environment, Group, StaticPolicies, StaticPolicy, environments, grouped, named_entities,
    },
    proof::{Check, Outcome, Proof},
    request_facts::request_facts,
    solver::{Session, SolverAnswer},
};
use crate::{
    analysis::{Finder, Witness},
    store::PolicyStore,
};

/// The reason where the solver's example is no request that a store has decided so.
pub(super) const NOT_REPLAYED: &str = "the solver has an example of which no request could be made";

/// One store, made ready for the solver.
pub(super) struct Prover<'a> {
    pub store: &'a PolicyStore,
    /// Finds most requests that refute or show something sooner than the solver does.
    pub finder: Finder<'a>,
    pub policies: StaticPolicies,
    pub environments: Vec<Environment<'a>>,
}

impl<'a> Prover<'a> {
    pub fn new(store: &'a PolicyStore) -> Result<Self, String> {
        let policies = StaticPolicies::of(store.policies())?;
        let finder = Finder::new(store, [store.engine()]);
        Ok(Self { store, finder, policies, environments: environments(store.schema()) })
    }

    pub fn proof_of_never_failing(
        &self,
        session: &mut Session<'_>,
        policy: &StaticPolicy,
    ) -> Proof {
        let check = Check::NeverFails(policy.policy.id().to_string());
        Proof { check, outcome: self.never_fails(session, policy) }
    }

    pub fn policy(&self, session: &mut Session<'_>, policy: &StaticPolicy) -> Vec<Proof> {
        let id = policy.policy.id().to_string();
        let fails = self.proof_of_never_failing(session, policy);
        let applies = Proof {
            check: Check::Applies(id.clone()),
            outcome: self.applies(session, policy, "no request makes it apply"),
        };
        let mut proofs = vec![fails, applies];
        // A policy without a condition may apply to all its scope.
        if policy.policy.has_non_scope_constraint() {
            let outcome = self.shown_by_some(
                policy,
                |env| {
                    let compiled = claims::policy(&policy.policy, self.store.schema(), env)?;
                    Ok(session.holds(&always_matches_asserts(&compiled)))
                },
                "its condition always holds",
            );
            proofs.push(Proof { check: Check::ConditionMatters(id), outcome });
        }
        proofs
    }

    /// Proves that some request makes a policy apply.
    pub fn applies(
        &self,
        session: &mut Session<'_>,
        policy: &StaticPolicy,
        otherwise: &str,
    ) -> Outcome {
        let schema = self.store.schema();
        let shown = |env: &Environment<'_>| {
            let facts = self.facts(env, &[policy]);
            let permit = claims::as_permit(&policy.policy)?;
            let compiled = claims::set([&permit], &facts, schema, env)?;
            Ok(session.holds(&always_denies_asserts(&compiled)))
        };
        self.shown_by_some(policy, shown, otherwise)
    }

    /// Returns what holds of a kind of request and what those policies look at.
    pub fn facts(&self, env: &Environment<'_>, policies: &[&StaticPolicy]) -> Vec<String> {
        request_facts(self.store.schema(), &[self.store.stored()], env, policies)
    }

    /// Proves that the evaluation of a policy never fails.
    pub fn never_fails(&self, session: &mut Session<'_>, policy: &StaticPolicy) -> Outcome {
        for env in policy.environments(self.store.schema(), &self.environments) {
            // As for an invariant: first the solver's own example, then one with what is true of requests.
            let failure = match self.failure(session, policy, &env, &[]) {
                Ok(Failure::NotReplayed) => {
                    self.failure(session, policy, &env, &self.facts(&env, &[policy]))
                }
                failure => failure,
            };
            match failure {
                Ok(Failure::None) => {}
                Ok(Failure::Shown(witness)) => {
                    let message = format!("its evaluation can fail where {env}");
                    return Outcome::Refuted { message, witness: Some(witness) };
                }
                Ok(Failure::NotReplayed) => return unknown(&env, NOT_REPLAYED),
                Err(reason) => return unknown(&env, &reason),
            }
        }
        Outcome::Proved
    }

    /// Asks for a request in which the evaluation of a policy fails and of which the facts hold.
    fn failure(
        &self,
        session: &mut Session<'_>,
        policy: &StaticPolicy,
        env: &Environment<'_>,
        facts: &[String],
    ) -> Result<Failure, String> {
        let compiled = claims::policy_given(policy, facts, self.store.schema(), env)?;
        let claim = never_errors_asserts(&compiled);
        match session.holds(&claim) {
            SolverAnswer::Holds => return Ok(Failure::None),
            SolverAnswer::Fails => {}
            SolverAnswer::Unknown(reason) => return Err(reason),
        }
        let Some(example) = session.counterexample(&claim)? else { return Ok(Failure::None) };
        let id = policy.policy.id().to_string();
        let witness = self.witness(&example, &[policy], |witness| {
            let decided = witness.decide(self.store);
            decided.is_ok_and(|decision| decision.errors.iter().any(|e| e.policy_id == id))
        });
        Ok(witness.map_or(Failure::NotReplayed, Failure::Shown))
    }

    /// Proves that the policy makes a difference to some decision.
    pub fn decides(&self, session: &mut Session<'_>, policy: &StaticPolicy) -> Outcome {
        let schema = self.store.schema();
        let applying =
            self.environments.iter().filter(|env| policy.may_apply(schema, env)).cloned();
        let groups = grouped(applying, &[(schema, &self.policies)], false);
        if let Some(reason) = session.is_over() {
            return Outcome::Unknown(reason);
        }
        if self.is_seen_to_decide(policy, &groups) {
            return Outcome::Proved;
        }
        let mut not_told = None;
        for group in groups {
            let all = group.policies.concat();
            let others =
                all.iter().copied().filter(|other| other.policy.id() != policy.policy.id());
            let others: Vec<_> = others.collect();
            let compiled = |policies: &[&StaticPolicy]| {
                let policies = policies.iter().map(|policy| &policy.policy);
                claims::set(policies, &[], schema, &group.env)
            };
            let asked = compiled(&all).and_then(|with| Ok((with, compiled(&others)?)));
            let answer = asked.map(|(with, without)| match policy.policy.effect() {
                Effect::Permit => session.holds(&implies_asserts(&with, &without)),
                Effect::Forbid => session.holds(&implies_asserts(&without, &with)),
            });
            match answer {
                Ok(SolverAnswer::Holds) => {}
                Ok(SolverAnswer::Fails) => return Outcome::Proved,
                // Another kind of request may show it.
                Ok(SolverAnswer::Unknown(reason)) | Err(reason) => {
                    not_told = Some(unknown(&group.env, &reason));
                }
            }
        }
        if let Some(unknown) = not_told {
            return unknown;
        }
        let message = match policy.policy.effect() {
            Effect::Permit => "changes no decision: what it permits is decided so without it, too",
            Effect::Forbid => "changes no decision: what it forbids is denied without it, too",
        };
        Outcome::Refuted { message: format!("`{}` {message}", policy.policy.id()), witness: None }
    }

    /// Returns whether a request is found that the store decides otherwise without the policy.
    fn is_seen_to_decide(&self, policy: &StaticPolicy, groups: &[Group<'_, '_>]) -> bool {
        let others = self.policies.iter().filter(|other| other.policy.id() != policy.policy.id());
        let Ok(others) = PolicySet::from_policies(others.map(|other| other.policy.clone())) else {
            return false;
        };
        let (with, without) = (self.store.engine(), &self.store.engine_of(&others));
        let (allows, denies) = match policy.policy.effect() {
            Effect::Permit => (with, without),
            Effect::Forbid => (without, with),
        };
        groups.iter().any(|group| {
            self.finder.allowed_by_one_alone(group.env.kind(), allows, denies).is_some()
        })
    }

    /// Proves that some kind of request shows the claim.
    fn shown_by_some(
        &self,
        policy: &StaticPolicy,
        mut none: impl FnMut(&Environment<'_>) -> Result<SolverAnswer, String>,
        otherwise: &str,
    ) -> Outcome {
        for env in policy.environments(self.store.schema(), &self.environments) {
            match none(&env) {
                Ok(SolverAnswer::Holds) => {}
                Ok(SolverAnswer::Fails) => return Outcome::Proved,
                Ok(SolverAnswer::Unknown(reason)) | Err(reason) => return unknown(&env, &reason),
            }
        }
        Outcome::Refuted { message: otherwise.to_owned(), witness: None }
    }

    /// Makes a request of a counterexample, if one shows what the counterexample does.
    pub fn witness(
        &self,
        counterexample: &Env,
        policies: &[&StaticPolicy],
        shows: impl Fn(&Witness) -> bool,
    ) -> Option<Box<Witness>> {
        let named = named_entities(policies);
        let witness =
            counterexample::witness(self.store, counterexample, &named, &counterexample::all_of)?;
        counterexample::shrunk(witness, shows).map(Box::new)
    }
}

/// A request in which the evaluation of a policy fails.
enum Failure {
    /// There is none.
    None,
    Shown(Box<Witness>),
    /// The solver has an example, but no request could be made of it.
    NotReplayed,
}

/// Returns `Unknown` with the reason and the kind of request.
pub(super) fn unknown(env: &Environment<'_>, reason: &str) -> Outcome {
    Outcome::Unknown(format!("{reason}, where {env}"))
}

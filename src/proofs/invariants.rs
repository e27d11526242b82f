//! The proof of an invariant.

use cedar_policy::PolicySet;
use cedar_policy_symcc::{disjoint_asserts, implies_asserts};

use super::{
    claims,
    policies::{Environment, Group, StaticPolicy, grouped},
    proof::Outcome,
    prover::{NOT_REPLAYED, Prover, unknown},
    solver::{Session, SolverAnswer},
};
use crate::{
    analysis::{Claim, Invariant, Witness},
    engine::{Engine, decide},
    model::OnForbidError,
    request::RequestLimits,
    store::PolicyStore,
};

impl Prover<'_> {
    /// Proves that an invariant holds for all requests.
    pub fn invariant(&self, session: &mut Session<'_>, invariant: &Invariant) -> Outcome {
        let schema = self.store.schema();
        let describes = StaticPolicy::new(invariant.policy.clone());
        // If its own evaluation fails it describes nothing, which nobody has meant.
        match self.never_fails(session, &describes) {
            Outcome::Proved => {}
            Outcome::Refuted { message, .. } => return Outcome::Unknown(message),
            unknown @ Outcome::Unknown(_) => return unknown,
        }
        match self.applies(session, &describes, "it describes no request") {
            Outcome::Proved => {}
            not_shown => return not_shown,
        }
        let alone = PolicySet::from_policies([invariant.policy.clone()]);
        let Ok(alone) = alone else { return Outcome::Unknown("it is no policy".to_owned()) };
        let question = InvariantQuestion { claim: invariant.claim, describes, alone };
        let may_apply = |env: &&Environment<'_>| question.describes.may_apply(schema, env);
        let applying = self.environments.iter().filter(may_apply).cloned();
        let each_action = question.describes.looks_at_action;
        let mut not_replayed = None;
        let groups = grouped(applying, &[(schema, &self.policies)], each_action);
        let described = self.store.engine_of(&question.alone);
        for group in &groups {
            if let Some(reason) = session.is_over() {
                return Outcome::Unknown(reason);
            }
            if let Some(witness) = self.finder.against(group.env.kind(), invariant)
                && question.is_refuted_by(&witness, self.store, &described)
            {
                return refuted(invariant, &group.env, Box::new(witness));
            }
        }
        for group in groups {
            match self.of_group(session, &question, &group) {
                Ok(OfGroup::Holds) => {}
                Ok(OfGroup::Refuted(witness)) => return refuted(invariant, &group.env, witness),
                Ok(OfGroup::NotReplayed) => not_replayed = Some(group.env),
                Err(reason) => return unknown(&group.env, &reason),
            }
        }
        match not_replayed {
            Some(env) => unknown(&env, NOT_REPLAYED),
            None => Outcome::Proved,
        }
    }

    /// Asks whether an invariant holds of the kinds of requests in a group.
    fn of_group(
        &self,
        session: &mut Session<'_>,
        question: &InvariantQuestion,
        group: &Group<'_, '_>,
    ) -> Result<OfGroup, String> {
        let schema = self.store.schema();
        let policies = group.policies.concat();
        let allowed = policies.iter().map(|policy| &policy.policy);
        let allowed = claims::set(allowed, &[], schema, &group.env)?;
        let described =
            |facts: &[String]| claims::set([&question.describes.policy], facts, schema, &group.env);
        let claim = |described| match question.claim {
            Claim::Never => disjoint_asserts(&allowed, described),
            Claim::Always => implies_asserts(described, &allowed),
        };
        let all = described(&[])?;
        match session.holds(&claim(&all)) {
            SolverAnswer::Holds => return Ok(OfGroup::Holds),
            SolverAnswer::Fails => {}
            SolverAnswer::Unknown(reason) => return Err(reason),
        }
        let seen = [&policies[..], &[&question.describes]].concat();
        let engine = self.store.engine_of(&question.alone);
        let shows = |witness: &Witness| question.is_refuted_by(witness, self.store, &engine);
        // The solver's own example serves in most cases, and is quick to find. Where it has a slot or a
        // moment that no request has, what is true of requests is said.
        if let Ok(Some(counterexample)) = session.counterexample(&claim(&all))
            && let Some(witness) = self.witness(&counterexample, &seen, shows)
        {
            return Ok(OfGroup::Refuted(witness));
        }
        let real = described(&self.facts(&group.env, &seen))?;
        let counterexample = session.counterexample(&claim(&real))?;
        // It may hold of all requests that the sidecar answers.
        let Some(counterexample) = counterexample else { return Ok(OfGroup::Holds) };
        let witness = self.witness(&counterexample, &seen, shows);
        Ok(witness.map_or(OfGroup::NotReplayed, OfGroup::Refuted))
    }
}

fn refuted(invariant: &Invariant, env: &Environment<'_>, witness: Box<Witness>) -> Outcome {
    let message = match invariant.claim {
        Claim::Never => format!("allowed where {env}"),
        Claim::Always => format!("denied where {env}"),
    };
    Outcome::Refuted { message, witness: Some(witness) }
}

/// An invariant, made ready to be asked.
struct InvariantQuestion {
    claim: Claim,
    describes: StaticPolicy,
    /// The policy alone: what it allows is what it describes.
    alone: PolicySet,
}

impl InvariantQuestion {
    /// Returns whether a request is one of those described and is not decided as is claimed.
    fn is_refuted_by(&self, witness: &Witness, store: &PolicyStore, described: &Engine) -> bool {
        let request = store.check(&witness.input, witness.now, &RequestLimits::default());
        request.is_ok_and(|request| {
            let allows = |engine| decide(engine, &request, OnForbidError::default()).is_allow();
            allows(described) && allows(store.engine()) == (self.claim == Claim::Never)
        })
    }
}

/// The result of an invariant for a group of kinds of requests.
enum OfGroup {
    Holds,
    Refuted(Box<Witness>),
    /// There is a counterexample, but no request could be made of it.
    NotReplayed,
}

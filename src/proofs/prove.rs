//! The proofs about one store.

use cedar_policy::{Effect, PolicySet};
use cedar_policy_symcc::{
    Env, always_denies_asserts, always_matches_asserts, disjoint_asserts, implies_asserts,
    never_errors_asserts,
};

use super::{
    ProofOptions, Solver, claims, counterexample,
    policies::{
        Environment, Group, StaticPolicies, StaticPolicy, environments, grouped, named_entities,
    },
    slots,
    solver::{Answer, Session, work},
};
use crate::{
    analysis::{Claim, Finder, Invariant, Witness},
    engine::{Engine, decide},
    model::{OnForbidError, Revision, StoreName},
    request::RequestLimits,
    store::PolicyStore,
};

/// The proofs about one store.
#[derive(Debug)]
pub struct StoreProofs {
    /// The store.
    pub store: StoreName,
    /// Its revision.
    pub revision: Revision,
    /// The number of its policies, links included.
    pub policies: usize,
    /// The number of kinds of requests that its schema allows.
    pub environments: usize,
    /// The proofs: those of the policies by id, then the invariants in the order of their files.
    pub proofs: Vec<Proof>,
}

/// One proof, or the lack of it.
#[derive(Debug)]
pub struct Proof {
    /// The statement.
    pub check: Check,
    /// The outcome.
    pub outcome: Outcome,
}

/// The claims to be proved.
#[derive(Debug)]
pub enum Check {
    /// The policy's evaluation never fails.
    NeverFails(String),
    /// Some request makes the policy apply.
    Applies(String),
    /// The policy's condition does not always hold.
    ConditionMatters(String),
    /// Without the policy some decision changes.
    Decides(String),
    /// An invariant holds.
    Holds(Box<Invariant>),
}

/// The result of a proof.
#[derive(Debug)]
pub enum Outcome {
    /// It holds for all requests.
    Proved,
    /// It does not hold.
    Refuted {
        /// The requests that it is about, or the reason.
        message: String,
        /// A request that shows it, decided by the store itself. A policy that nothing needs has none.
        witness: Option<Box<Witness>>,
    },
    /// The solver cannot tell, for that reason.
    Unknown(String),
}

impl StoreProofs {
    /// Returns whether nothing is refuted or unknown but that some policy changes no decision.
    #[must_use]
    pub fn all_proved(&self) -> bool {
        !self.proofs.iter().any(Proof::fails)
    }
}

impl Proof {
    /// Returns whether something is wrong. A policy that changes no decision may be there to stop
    /// others that might be added.
    #[must_use]
    pub fn fails(&self) -> bool {
        match (&self.check, &self.outcome) {
            (_, Outcome::Proved) | (Check::Decides(_), Outcome::Refuted { .. }) => false,
            (_, Outcome::Refuted { .. } | Outcome::Unknown(_)) => true,
        }
    }
}

/// One piece of work for one solver.
enum Task<'a> {
    Invariant(&'a Invariant),
    Policy(&'a StaticPolicy),
    Decides(&'a StaticPolicy),
    NeverFails(&'a StaticPolicy),
}

/// Proves that no policy of a store can fail, that each has its use, and that invariants hold.
/// `progress` is told how many of how many pieces are done.
///
/// # Errors
/// The solver cannot be started, or a link cannot be filled in.
pub fn prove(
    store: &PolicyStore,
    invariants: &[Invariant],
    solver: &Solver,
    options: &ProofOptions,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<StoreProofs, String> {
    let prover = Prover::new(store)?;
    // The longest first.
    let tasks: Vec<_> = invariants
        .iter()
        .map(Task::Invariant)
        .chain(prover.policies.iter().map(Task::Decides))
        .chain(prover.policies.iter().map(Task::Policy))
        .collect();
    prover.work(&tasks, solver, options, progress)
}

/// Proves that invariants hold, and that no policy can fail, without which they would mean nothing.
///
/// # Errors
/// The solver cannot be started, or a link cannot be filled in.
pub fn hold(
    store: &PolicyStore,
    invariants: &[Invariant],
    solver: &Solver,
    options: &ProofOptions,
) -> Result<StoreProofs, String> {
    let prover = Prover::new(store)?;
    let never_fail = prover.policies.iter().map(Task::NeverFails);
    let tasks: Vec<_> = invariants.iter().map(Task::Invariant).chain(never_fail).collect();
    prover.work(&tasks, solver, options, &|_, _| ())
}

/// Says which policy may fail, if there is one.
fn may_fail(proofs: &[Proof]) -> Option<String> {
    proofs.iter().find_map(|proof| match (&proof.check, &proof.outcome) {
        (Check::NeverFails(_), Outcome::Proved) => None,
        (Check::NeverFails(policy), _) => {
            Some(format!("it holds only if no policy fails, and `{policy}` may"))
        }
        _ => None,
    })
}

/// One store, made ready for the solver.
pub(super) struct Prover<'a> {
    pub store: &'a PolicyStore,
    /// Finds most requests that refute or show something sooner than the solver does.
    finder: Finder<'a>,
    pub policies: StaticPolicies,
    pub environments: Vec<Environment<'a>>,
}

impl<'a> Prover<'a> {
    pub fn new(store: &'a PolicyStore) -> Result<Self, String> {
        let policies = StaticPolicies::of(store.policies())?;
        let finder = Finder::new(store, [store.engine()]);
        Ok(Self { store, finder, policies, environments: environments(store.schema()) })
    }

    fn work(
        &self,
        tasks: &[Task<'_>],
        solver: &Solver,
        options: &ProofOptions,
        progress: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<StoreProofs, String> {
        let done = work(solver, options, tasks, progress, |session, task| match task {
            Task::Invariant(invariant) => {
                let outcome = self.invariant(session, invariant);
                vec![Proof { check: Check::Holds(Box::new((*invariant).clone())), outcome }]
            }
            Task::Policy(policy) => self.policy(session, policy),
            Task::Decides(policy) => {
                let check = Check::Decides(policy.policy.id().to_string());
                vec![Proof { check, outcome: self.decides(session, policy) }]
            }
            Task::NeverFails(policy) => vec![self.proof_of_never_failing(session, policy)],
        })?;
        let mut proofs: Vec<_> = done.into_iter().flatten().collect();
        if let Some(reason) = may_fail(&proofs) {
            // The solver skips what fails, and the sidecar denies where a forbid does.
            let is_proved = |proof: &&mut Proof| {
                matches!((&proof.check, &proof.outcome), (Check::Holds(_), Outcome::Proved))
            };
            for proof in proofs.iter_mut().filter(is_proved) {
                proof.outcome = Outcome::Unknown(reason.clone());
            }
        }
        // Stable, so the invariants keep the order of their files and policies that of their ids.
        proofs.sort_by_key(|proof| match &proof.check {
            Check::NeverFails(_) => 0,
            Check::Applies(_) => 1,
            Check::ConditionMatters(_) => 2,
            Check::Decides(_) => 3,
            Check::Holds(_) => 4,
        });
        Ok(StoreProofs {
            store: self.store.name().clone(),
            revision: *self.store.revision(),
            policies: self.policies.iter().count(),
            environments: self.environments.len(),
            proofs,
        })
    }

    fn proof_of_never_failing(&self, session: &mut Session<'_>, policy: &StaticPolicy) -> Proof {
        let check = Check::NeverFails(policy.policy.id().to_string());
        Proof { check, outcome: self.never_fails(session, policy) }
    }

    fn policy(&self, session: &mut Session<'_>, policy: &StaticPolicy) -> Vec<Proof> {
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
    fn applies(
        &self,
        session: &mut Session<'_>,
        policy: &StaticPolicy,
        otherwise: &str,
    ) -> Outcome {
        let schema = self.store.schema();
        let shown = |env: &Environment<'_>| {
            let facts = slots::facts(schema, env, &[policy]);
            let permit = claims::as_permit(&policy.policy)?;
            let compiled = claims::set([&permit], &facts, schema, env)?;
            Ok(session.holds(&always_denies_asserts(&compiled)))
        };
        self.shown_by_some(policy, shown, otherwise)
    }

    /// Proves that the evaluation of a policy never fails.
    pub fn never_fails(&self, session: &mut Session<'_>, policy: &StaticPolicy) -> Outcome {
        let schema = self.store.schema();
        for env in policy.environments(schema, &self.environments) {
            let asked = claims::policy(&policy.policy, schema, &env).map(|compiled| match session
                .holds(&never_errors_asserts(&compiled))
            {
                Answer::Fails => Some(session.counterexample(&never_errors_asserts(&compiled))),
                Answer::Holds => None,
                Answer::Unknown(reason) => Some(Err(reason)),
            });
            let counterexample = match asked {
                Ok(None) | Ok(Some(Ok(None))) => continue,
                Ok(Some(Ok(Some(counterexample)))) => counterexample,
                Ok(Some(Err(reason))) | Err(reason) => return unknown(&env, &reason),
            };
            let id = policy.policy.id().to_string();
            let witness = self.witness(&counterexample, &[policy], |witness| {
                witness
                    .decide(self.store)
                    .is_ok_and(|decision| decision.errors.iter().any(|e| e.policy_id == id))
            });
            let message = format!("its evaluation can fail where {env}");
            return Outcome::Refuted { message, witness };
        }
        Outcome::Proved
    }

    /// Proves that the policy makes a difference to some decision.
    fn decides(&self, session: &mut Session<'_>, policy: &StaticPolicy) -> Outcome {
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
                Ok(Answer::Holds) => {}
                Ok(Answer::Fails) => return Outcome::Proved,
                // Another kind of request may show it.
                Ok(Answer::Unknown(reason)) | Err(reason) => {
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

    /// Asks for each kind of request whether nothing of it shows what is to be shown.
    fn shown_by_some(
        &self,
        policy: &StaticPolicy,
        mut none: impl FnMut(&Environment<'_>) -> Result<Answer, String>,
        otherwise: &str,
    ) -> Outcome {
        for env in policy.environments(self.store.schema(), &self.environments) {
            match none(&env) {
                Ok(Answer::Holds) => {}
                Ok(Answer::Fails) => return Outcome::Proved,
                Ok(Answer::Unknown(reason)) | Err(reason) => return unknown(&env, &reason),
            }
        }
        Outcome::Refuted { message: otherwise.to_owned(), witness: None }
    }

    fn invariant(&self, session: &mut Session<'_>, invariant: &Invariant) -> Outcome {
        let schema = self.store.schema();
        let describes = StaticPolicy::new(invariant.policy.clone());
        // Where its own evaluation fails it describes nothing, which nobody has meant.
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
        let question = Question { claim: invariant.claim, describes, alone };
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
            Some(env) => Outcome::Unknown(format!(
                "the solver has a counterexample where {env}, of which no request could be made"
            )),
            None => Outcome::Proved,
        }
    }

    /// Asks whether an invariant holds of the kinds of requests in a group.
    fn of_group(
        &self,
        session: &mut Session<'_>,
        question: &Question,
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
            Answer::Holds => return Ok(OfGroup::Holds),
            Answer::Fails => {}
            Answer::Unknown(reason) => return Err(reason),
        }
        let seen = [&policies[..], &[&question.describes]].concat();
        let engine = self.store.engine_of(&question.alone);
        let shows = |witness: &Witness| question.is_refuted_by(witness, self.store, &engine);
        // The solver's own example serves in most cases, and is quick to find. Where it has a slot that
        // no request has, what is true of slots is said.
        if let Ok(Some(counterexample)) = session.counterexample(&claim(&all))
            && let Some(witness) = self.witness(&counterexample, &seen, shows)
        {
            return Ok(OfGroup::Refuted(witness));
        }
        let real = described(&slots::facts(schema, &group.env, &seen))?;
        let counterexample = session.counterexample(&claim(&real))?;
        // It may hold of all requests whose slots are filled as the sidecar fills them.
        let Some(counterexample) = counterexample else { return Ok(OfGroup::Holds) };
        let witness = self.witness(&counterexample, &seen, shows);
        Ok(witness.map_or(OfGroup::NotReplayed, OfGroup::Refuted))
    }

    /// Makes a request of a counterexample, if one shows what the counterexample does.
    fn witness(
        &self,
        counterexample: &Env,
        policies: &[&StaticPolicy],
        shows: impl Fn(&Witness) -> bool,
    ) -> Option<Box<Witness>> {
        let named = named_entities(policies);
        let witness = counterexample::witness(self.store.schema(), counterexample, &named)?;
        counterexample::shrunk(witness, shows).map(Box::new)
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
struct Question {
    claim: Claim,
    describes: StaticPolicy,
    /// The policy alone: what it allows is what it describes.
    alone: PolicySet,
}

impl Question {
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
    /// There is a counterexample, of which no request could be made.
    NotReplayed,
}

fn unknown(env: &Environment<'_>, reason: &str) -> Outcome {
    Outcome::Unknown(format!("{reason}, where {env}"))
}

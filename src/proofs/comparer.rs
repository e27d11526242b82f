//! Two states of a store, compared for requests of one kind.

use std::sync::OnceLock;

use cedar_policy::Schema;
use cedar_policy_core::ast::EntityUID;
use cedar_policy_symcc::{
    CompiledPolicy, Env, always_denies_asserts, implies_asserts, never_errors_asserts,
};

use super::{
    claims, counterexample,
    partly_sent::{self, Rewriter},
    policies::{Environment, Group, StaticPolicy, named_entities},
    slots,
    solver::{Answer, Session},
    text_of,
};
use crate::{
    analysis::{Finder, Witness},
    store::PolicyStore,
};

/// Kinds of requests that are searched where they cannot be compared for the same reason.
const SEARCHED: usize = 16;

/// The direction in which decisions differ.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Gain,
    Loss,
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

/// The differences of one group of requests.
#[derive(Default)]
pub(super) struct Found {
    pub gain: Option<Difference>,
    pub loss: Option<Difference>,
    pub unknown: Option<String>,
}

/// Compares the decisions of two states, one group of requests at a time.
pub(super) struct Comparer<'a> {
    pub ways: &'a [Way],
    pub old: &'a PolicyStore,
    pub new: &'a PolicyStore,
    /// The schema of the new state in which what is sent of an entity is optional.
    pub partly_sent: OnceLock<Result<Schema, String>>,
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

    /// Asks for a request that the only state which knows its kind allows.
    pub fn only_in(&self, session: &mut Session<'_>, way: Way, group: &Group<'_, '_>) -> Found {
        let store = if way == Way::Gain { self.new } else { self.old };
        let policies = group.policies.concat();
        let facts = slots::facts(store.schema(), &group.env, &policies);
        let set = policies.iter().map(|policy| &policy.policy);
        let asked = claims::set(set, &facts, store.schema(), &group.env)
            .and_then(|set| session.counterexample(&always_denies_asserts(&set)));
        let mut found = Found::default();
        match asked {
            Ok(None) => match self.differ_partly_sent(session, group, way, &group.policies) {
                Ok(None) => {}
                Ok(Some(difference)) => found.add(way, difference),
                Err(reason) => found.unknown = Some(format!("{reason}, where {}", group.env)),
            },
            Ok(Some(counterexample)) => {
                let witness = self.witness(way, group, store, &counterexample);
                found.add(way, Difference::of(group, witness));
            }
            Err(reason) => found.unknown = Some(format!("{reason}, where {}", group.env)),
        }
        found
    }

    /// Asks for a request that the states decide otherwise, for each way that is asked for.
    pub fn both(&self, session: &mut Session<'_>, group: &Group<'_, '_>) -> Found {
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

    /// Searches requests that are decided otherwise where the policies of the two states cannot be
    /// compared. That there are no others is not known.
    pub fn not_comparable(
        &self,
        session: &Session<'_>,
        why: &str,
        envs: &[Environment<'_>],
    ) -> Found {
        let mut found = Found::default();
        for &way in self.ways {
            let store = if way == Way::Gain { self.new } else { self.old };
            let finder = Finder::new(store, [self.old.engine(), self.new.engine()]).partly_sent();
            let shows = |witness: &Witness| self.shows(way, witness);
            let searched = envs.iter().take(SEARCHED).take_while(|_| session.is_over().is_none());
            let mut shown = searched.filter_map(|env| {
                let witness = finder.allowed_and_shown(env.kind(), store.engine(), &shows)?;
                Some((env, counterexample::shrunk(witness, shows)?))
            });
            if let Some((env, witness)) = shown.next() {
                let witness = Some(Box::new(witness));
                found.add(way, Difference { environment: env.to_string(), count: 1, witness });
            }
        }
        let place = envs.first().map(|env| format!(", where {env}")).unwrap_or_default();
        let more = match envs.len().saturating_sub(1) {
            0 => String::new(),
            more => format!(", and {more} more like it"),
        };
        found.unknown = Some(format!("not comparable: {why}{place}{more}"));
        found
    }

    /// Searches for a witness without the solver, which is often sooner.
    fn found(&self, way: Way, group: &Group<'_, '_>) -> Option<Witness> {
        let (old, new) = (self.old.engine(), self.new.engine());
        let (allows, denies) = if way == Way::Gain { (new, old) } else { (old, new) };
        let finder = Finder::new(self.new, [old, new]).partly_sent();
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
            Answer::Holds => {
                let sides = group.policies.as_slice();
                return self.differ_partly_sent(session, group, way, sides);
            }
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

    /// Asks the solver for a request allowed by one state only that refers to entities of which nothing is
    /// sent.
    fn differ_partly_sent(
        &self,
        session: &mut Session<'_>,
        group: &Group<'_, '_>,
        way: Way,
        sides: &[Vec<&StaticPolicy>],
    ) -> Result<Option<Difference>, String> {
        let (allows, denies) = match (sides, way) {
            ([old, new], Way::Gain) => (&**new, &**old),
            ([old, new], Way::Loss) => (&**old, &**new),
            // Facts that only the new state knows.
            ([new], Way::Gain) => (&**new, &[][..]),
            _ => return Ok(None),
        };
        let rewriter = Rewriter::new(self.new.schema(), &group.env);
        let all = group.policies.concat();
        if !all.iter().any(|policy| rewriter.can_tell(policy)) {
            return Ok(None);
        }
        let schema = self.partly_sent.get_or_init(|| partly_sent::schema(self.new.schema()));
        let schema = schema.as_ref().map_err(Clone::clone)?;
        let rewritten = |policies: &[&StaticPolicy]| {
            let policies = policies.iter().map(|policy| rewriter.policy(&policy.policy));
            policies.collect::<Result<Vec<_>, _>>()
        };
        for policy in all.iter().filter(|policy| rewriter.may_revive(policy)) {
            let compiled = CompiledPolicy::compile(
                &rewriter.policy(&policy.policy)?,
                &group.env.request(),
                schema,
            );
            let compiled = compiled.map_err(|error| text_of(&error))?;
            let id = policy.policy.id();
            match session.holds(&never_errors_asserts(&compiled)) {
                Answer::Holds => {}
                Answer::Fails => {
                    return Err(format!("`{id}` may fail where an entity is not sent"));
                }
                Answer::Unknown(reason) => return Err(reason),
            }
        }
        let is_held =
            |uid: &EntityUID| self.old.stored().contains(uid) && self.new.stored().contains(uid);
        let named = named_entities(&all).into_iter().filter(is_held);
        let named = named.filter(|uid| rewriter.can_be_sent(uid.entity_type()));
        let held = named.map(|uid| partly_sent::is_sent(&uid)).collect::<Result<Vec<_>, _>>()?;
        let compiled = |facts: &[String]| {
            let facts = claims::of_facts(facts)?;
            let facts = facts.iter().map(|fact| rewriter.fact(fact));
            let facts = facts.chain(held.iter().cloned().map(Ok)).collect::<Result<Vec<_>, _>>()?;
            let of = |policies: &[&StaticPolicy]| {
                let policies = rewritten(policies)?.into_iter().chain(facts.iter().cloned());
                claims::compiled(policies, schema, &group.env)
            };
            Ok::<_, String>((of(allows)?, of(denies)?))
        };
        let (more, less) = compiled(&[])?;
        match session.holds(&implies_asserts(&more, &less)) {
            Answer::Holds => return Ok(None),
            Answer::Fails => {}
            Answer::Unknown(reason) => return Err(reason),
        }
        let named = named_entities(&all);
        let mut witness = |facts: &[String]| {
            let (more, less) = compiled(facts)?;
            let example = session.counterexample(&implies_asserts(&more, &less))?;
            Ok::<_, String>(example.map(|example| {
                let schema = self.new.schema();
                let sent = &partly_sent::sent;
                let witness = counterexample::witness_of(schema, &example, &named, sent)?;
                counterexample::shrunk(witness, |one| self.shows(way, one)).map(Box::new)
            }))
        };
        if let Ok(Some(Some(found))) = witness(&[]) {
            return Ok(Some(Difference::of(group, Some(found))));
        }
        let facts = slots::facts(self.new.schema(), &group.env, &all);
        Ok(witness(&facts)?.map(|found| Difference::of(group, found)))
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

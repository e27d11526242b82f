//! Two states of a store, compared for requests of one kind.

use std::sync::OnceLock;

use cedar_policy::Schema;
use cedar_policy_core::ast::{Entity, EntityUID};
use cedar_policy_symcc::{
    CompiledPolicy, CompiledPolicySet, implies_asserts, never_errors_asserts,
};

use super::{
    claims, counterexample,
    partly_sent::{self, Rewriter},
    policies::{Environment, Group, StaticPolicy, named_entities},
    prover::NOT_REPLAYED,
    request_facts::request_facts,
    solver::{Session, SolverAnswer},
    text_of,
};
use crate::{
    analysis::{Finder, Witness, taken_by},
    model::OnForbidError,
    store::PolicyStore,
};

/// Kinds of requests that are searched where they cannot be compared for the same reason.
const KINDS_SEARCHED: usize = 16;

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
    pub witness: Box<Witness>,
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
    pub on_forbid_error: OnForbidError,
    /// The schemas of the old and the new state in which what is sent of an entity is optional.
    pub partly_sent: [OnceLock<Result<Schema, String>>; 2],
}

/// The policies that allow a request and those that deny it, compiled.
type Sides = (CompiledPolicySet, CompiledPolicySet);

impl Comparer<'_> {
    /// Returns whether a request to `store` is decided otherwise in that way. The other state is asked without
    /// the facts that its schema does not know; a request that it does not take all the same is not allowed.
    fn shows(&self, way: Way, store: &PolicyStore, witness: &Witness) -> bool {
        let allows = |state: &PolicyStore| {
            let decision = taken_by(state, store, witness).decide(state);
            decision.is_ok_and(|decision| decision.is_allow())
        };
        let (more, less) = way.sides(self.old, self.new);
        allows(more) && !allows(less)
    }

    /// Makes the smallest request to `store` of a witness that is decided otherwise in that way.
    fn shrunk(&self, way: Way, store: &PolicyStore, mut witness: Witness) -> Option<Box<Witness>> {
        witness.on_forbid_error = self.on_forbid_error;
        counterexample::shrunk(witness, |one| self.shows(way, store, one)).map(Box::new)
    }

    /// Asks for a request that the only state which knows its kind allows.
    pub fn only_in(&self, session: &mut Session<'_>, way: Way, group: &Group<'_, '_>) -> Found {
        let store = if way == Way::Gain { self.new } else { self.old };
        let policies = group.policies.concat();
        let sides = |facts: &[String]| {
            let set = |policies: &[&StaticPolicy]| {
                let policies = policies.iter().map(|policy| &policy.policy);
                claims::set(policies, facts, store.schema(), &group.env)
            };
            Ok((set(&policies)?, set(&[])?))
        };
        let asked = match self.ask(session, way, group, store, &sides, &counterexample::all_of) {
            Ok(None) => self.differ_partly_sent(session, way, group, store),
            asked => asked,
        };
        let mut found = Found::default();
        found.take(way, group, asked);
        found
    }

    /// Asks for a request that the states decide otherwise, for each way that is asked for.
    pub fn both(&self, session: &mut Session<'_>, group: &Group<'_, '_>) -> Found {
        let mut found = Found::default();
        for &way in self.ways {
            let asked = match self.differ(session, group, way) {
                Ok(None) => self.differ_partly_sent(session, way, group, self.new),
                asked => asked,
            };
            found.take(way, group, asked);
            if found.unknown.is_some() {
                break;
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
            let finder = self.finder(store);
            let shows = |witness: &Witness| self.shows(way, store, witness);
            let searched =
                envs.iter().take(KINDS_SEARCHED).take_while(|_| session.is_over().is_none());
            let mut shown = searched.filter_map(|env| {
                let witness = finder.allowed_and_shown(env.kind(), store.engine(), &shows)?;
                Some((env, self.shrunk(way, store, witness)?))
            });
            if let Some((env, witness)) = shown.next() {
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

    fn finder<'s>(&self, store: &'s PolicyStore) -> Finder<'s> {
        let finder = Finder::new(store, [self.old.engine(), self.new.engine()]);
        finder.partly_sent().on_forbid_error(self.on_forbid_error)
    }

    /// Searches for a witness without the solver, which is often sooner.
    fn found(&self, way: Way, group: &Group<'_, '_>) -> Option<Box<Witness>> {
        let (old, new) = (self.old.engine(), self.new.engine());
        let (allows, denies) = way.sides(old, new);
        let finder = self.finder(self.new);
        let witness = finder.allowed_by_one_alone(group.env.kind(), allows, denies)?;
        self.shows(way, self.new, &witness).then(|| Box::new(witness))
    }

    /// Asks for a request allowed by one state only in which all is sent that its entities' types require.
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
            return Ok(Some(Difference::of(group, witness)));
        }
        // The old schema may have other action groups; whether an action is in them is decided.
        let old: Vec<_> = old
            .iter()
            .map(|policy| claims::of_any_action(&policy.policy))
            .collect::<Result<_, _>>()?;
        let sides = |facts: &[String]| {
            let before = claims::set(&old, facts, schema, &group.env)
                .map_err(|error| format!("not comparable under the new schema: {error}"))?;
            let new = new.iter().map(|policy| &policy.policy);
            let after = claims::set(new, facts, schema, &group.env)?;
            Ok(way.sides(before, after))
        };
        self.ask(session, way, group, self.new, &sides, &counterexample::all_of)
    }

    /// Asks for a request allowed by one state only that refers to entities of which nothing is sent.
    /// `store` has its schema.
    fn differ_partly_sent(
        &self,
        session: &mut Session<'_>,
        way: Way,
        group: &Group<'_, '_>,
        store: &PolicyStore,
    ) -> Result<Option<Difference>, String> {
        let (old, new) = match (group.policies.as_slice(), way) {
            ([old, new], _) => (&**old, &**new),
            // A kind that only one state knows.
            ([new], Way::Gain) => (&[][..], &**new),
            ([old], Way::Loss) => (&**old, &[][..]),
            _ => return Err("the policies of a kind of requests are not known".to_owned()),
        };
        let rewriter = Rewriter::new(store.schema(), &group.env, self.on_forbid_error);
        let all = group.policies.concat();
        if !all.iter().any(|policy| rewriter.can_tell(policy)) {
            return Ok(None);
        }
        let [of_old, of_new] = &self.partly_sent;
        let schema = if std::ptr::eq(store, self.old) { of_old } else { of_new };
        let schema = schema.get_or_init(|| partly_sent::schema(store.schema()));
        let schema = schema.as_ref().map_err(Clone::clone)?;
        for policy in all.iter().filter(|policy| rewriter.may_revive(policy)) {
            never_fails(session, policy, &rewriter, schema, &group.env)?;
        }
        let sent = self.entities_sent_always(&all, &rewriter)?;
        let sides = |facts: &[String]| {
            let facts = claims::of_facts(facts)?;
            let facts = facts.iter().map(|fact| rewriter.fact(fact));
            let facts = facts.collect::<Result<Vec<_>, _>>()?;
            let set = |policies: &[&StaticPolicy]| {
                let policies = policies.iter().map(|policy| rewriter.policy(policy));
                let policies = policies.collect::<Result<Vec<_>, _>>()?;
                let known = facts.iter().chain(&sent).cloned();
                claims::compiled(policies.into_iter().chain(known), schema, &group.env)
            };
            Ok(way.sides(set(old)?, set(new)?))
        };
        self.ask(session, way, group, store, &sides, &partly_sent::sent)
    }

    /// Returns the facts that something is sent of the entities that policies name and both states hold.
    fn entities_sent_always(
        &self,
        policies: &[&StaticPolicy],
        rewriter: &Rewriter<'_>,
    ) -> Result<Vec<cedar_policy::Policy>, String> {
        let is_held =
            |uid: &EntityUID| self.old.stored().contains(uid) && self.new.stored().contains(uid);
        let named = named_entities(policies).into_iter().filter(is_held);
        let named = named.filter(|uid| rewriter.can_be_sent(uid.entity_type()));
        named.map(|uid| partly_sent::is_sent(&uid)).collect()
    }

    /// Asks for a request that one of two sides allows alone. `sides` makes them of requests of which some
    /// facts hold, `sent` says what is sent of an entity of the solver's, and `store` has their schema.
    /// Nothing means that there is none.
    fn ask(
        &self,
        session: &mut Session<'_>,
        way: Way,
        group: &Group<'_, '_>,
        store: &PolicyStore,
        sides: &dyn Fn(&[String]) -> Result<Sides, String>,
        sent: &dyn Fn(&Entity) -> Option<Entity>,
    ) -> Result<Option<Difference>, String> {
        let (allows, denies) = sides(&[])?;
        match session.holds(&implies_asserts(&allows, &denies)) {
            SolverAnswer::Holds => return Ok(None),
            SolverAnswer::Fails => {}
            SolverAnswer::Unknown(reason) => return Err(reason),
        }
        let policies = group.policies.concat();
        let named = named_entities(&policies);
        let mut example = |facts: &[String]| {
            let (allows, denies) = sides(facts)?;
            let example = session.counterexample(&implies_asserts(&allows, &denies))?;
            Ok::<_, String>(example.map(|example| {
                let witness = counterexample::witness(store, &example, &named, sent)?;
                self.shrunk(way, store, witness)
            }))
        };
        // As for an invariant: first the solver's own example, then one with what is true of requests.
        if let Ok(Some(Some(witness))) = example(&[]) {
            return Ok(Some(Difference::of(group, witness)));
        }
        let stored = [self.old.stored(), self.new.stored()];
        let facts = request_facts(store.schema(), &stored, &group.env, &policies);
        match example(&facts)? {
            None => Ok(None),
            Some(Some(witness)) => Ok(Some(Difference::of(group, witness))),
            Some(None) => Err(NOT_REPLAYED.to_owned()),
        }
    }
}

/// Proves that a rewritten policy never fails.
fn never_fails(
    session: &mut Session<'_>,
    policy: &StaticPolicy,
    rewriter: &Rewriter<'_>,
    schema: &Schema,
    env: &Environment<'_>,
) -> Result<(), String> {
    let rewritten = rewriter.policy(policy)?;
    let compiled = CompiledPolicy::compile(&rewritten, &env.request(), schema);
    let compiled = compiled.map_err(|error| text_of(&error))?;
    match session.holds(&never_errors_asserts(&compiled)) {
        SolverAnswer::Holds => Ok(()),
        SolverAnswer::Fails => {
            Err(format!("`{}` may fail where an entity is not sent", policy.policy.id()))
        }
        SolverAnswer::Unknown(reason) => Err(reason),
    }
}

impl Way {
    /// Returns what allows a request that shows a difference in this way, and what denies it.
    fn sides<T>(self, old: T, new: T) -> (T, T) {
        match self {
            Self::Gain => (new, old),
            Self::Loss => (old, new),
        }
    }
}

impl Difference {
    fn of(group: &Group<'_, '_>, witness: Box<Witness>) -> Self {
        Self { environment: group.env.to_string(), count: group.count, witness }
    }
}

impl Found {
    /// Adds the answer to a question about a group.
    fn take(&mut self, way: Way, group: &Group<'_, '_>, asked: Result<Option<Difference>, String>) {
        match asked {
            Ok(None) => {}
            Ok(Some(difference)) => self.add(way, difference),
            Err(reason) => self.unknown = Some(format!("{reason}, where {}", group.env)),
        }
    }

    fn add(&mut self, way: Way, difference: Difference) {
        match way {
            Way::Gain => self.gain = Some(difference),
            Way::Loss => self.loss = Some(difference),
        }
    }
}

//! Requests of one kind (an action and types of principal and resource) that show something. What is
//! not found here may still exist: that there is none takes a solver.

use cedar_policy_core::ast::{EntityType, EntityUID};

use super::{
    Claim, Invariant, Witness, build,
    constants::{Constants, named_by},
    doubt::Doubt,
    evaluation::Evaluation,
    names::name_of,
    policies::Policies,
    search::{Part, Search},
    truth::Truth,
    world::{Optional, StateChange, World},
};
use crate::{
    engine::Engine,
    model::{OnForbidError, Uid},
    request::RequestInput,
    store::PolicyStore,
    testing::DEFAULT_NOW,
};

/// Principals that are tried for one kind of requests, and as many resources.
const EXAMPLES: usize = 48;

/// A kind of requests.
#[derive(Debug, Clone, Copy)]
pub struct Kind<'a> {
    /// The action.
    pub action: &'a EntityUID,
    /// The type of the principal.
    pub principal: &'a EntityType,
    /// The type of the resource.
    pub resource: &'a EntityType,
}

/// The result of a search: a request, or none where there is none; else why that is not settled.
pub(super) type Sought = Result<Option<Witness>, Doubt>;

/// Searches requests to a store.
pub struct Finder<'a> {
    store: &'a PolicyStore,
    constants: Constants,
    change: Option<&'a StateChange>,
    is_partly_sent: bool,
    on_forbid_error: OnForbidError,
}

impl<'a> Finder<'a> {
    /// Prepares a search of requests to a store, whose schema they fit. `engines` hold all policies
    /// that are asked.
    pub fn new<'e>(store: &'a PolicyStore, engines: impl IntoIterator<Item = &'e Engine>) -> Self {
        let constants = Constants::of(engines);
        let on_forbid_error = OnForbidError::default();
        Self { store, constants, change: None, is_partly_sent: false, on_forbid_error }
    }

    /// Prepares a search of requests to two states of a store, whose engines these are, in the schema of
    /// one of them. `change` has the entities that the states hold differently.
    pub(super) fn of_two(
        store: &'a PolicyStore,
        engines: [&Engine; 2],
        change: &'a StateChange,
    ) -> Self {
        let constants = Constants::of_named(engines, change.changed.iter().cloned());
        let on_forbid_error = OnForbidError::default();
        Self { store, constants, change: Some(change), is_partly_sent: true, on_forbid_error }
    }

    /// Decides requests in which the evaluation of a forbid fails by that rule.
    #[must_use]
    pub fn on_forbid_error(mut self, rule: OnForbidError) -> Self {
        self.on_forbid_error = rule;
        self
    }

    /// Searches requests, too, that refer to entities of which nothing is sent.
    #[must_use]
    pub fn partly_sent(mut self) -> Self {
        self.is_partly_sent = true;
        self
    }

    /// Finds a request that one engine allows and the other denies.
    pub fn allowed_by_one_alone(
        &self,
        kind: Kind<'_>,
        allows: &Engine,
        denies: &Engine,
    ) -> Option<Witness> {
        let of = |engine| Policies::new(engine, kind.action, kind.principal, kind.resource);
        let (more, less) = (of(allows), of(denies));
        let allowed = |world: &World<'_>| more.allow(world);
        let denied = |world: &World<'_>| less.allow(world).not();
        self.anywhere(kind, &[], &[&allowed, &denied]).ok().flatten()
    }

    /// Finds a request that an engine allows and that shows something.
    pub fn allowed_and_shown(
        &self,
        kind: Kind<'_>,
        allows: &Engine,
        shows: &dyn Fn(&Witness) -> bool,
    ) -> Option<Witness> {
        let policies = Policies::new(allows, kind.action, kind.principal, kind.resource);
        let shown = |world: &World<'_>| match policies.allow(world) {
            Truth::True => shows(&build::request_of(world)).into(),
            truth => truth,
        };
        self.anywhere(kind, &[], &[&shown]).ok().flatten()
    }

    /// Finds a request that contradicts an invariant of the store.
    pub fn against(&self, kind: Kind<'_>, invariant: &Invariant) -> Option<Witness> {
        let engine = self.store.engine();
        let policies = Policies::new(engine, kind.action, kind.principal, kind.resource);
        let arranged = engine.arrange([invariant.policy.as_ref()]);
        let described = arranged.of_action(kind.action).chain(arranged.of_any()).next()?;
        let is_described = |world: &World<'_>| Evaluation::new(engine, world).applies(described);
        let is_wrong = |world: &World<'_>| match invariant.claim {
            Claim::Never => policies.allow(world),
            Claim::Always => policies.allow(world).not(),
        };
        let named = named_by(described, self.store.schema());
        self.anywhere(kind, &named, &[&is_described, &is_wrong]).ok().flatten()
    }

    /// Searches the requests of a kind, those of the `named` entities first.
    pub(super) fn anywhere(
        &self,
        kind: Kind<'_>,
        named: &[EntityUID],
        goal: &[Part<'_>],
    ) -> Sought {
        let (schema, stored) = (self.store.schema(), self.store.stored());
        let (pairs, mut doubt) = self.pairs(kind, named);
        for (principal, resource) in pairs {
            let action_type = kind.action.entity_type().to_string();
            let id: &str = kind.action.eid().as_ref();
            let input = RequestInput {
                principal: Some(name_of(schema, &principal)),
                action: Some(Uid::new(action_type, id)),
                resource: Some(name_of(schema, &resource)),
                ..RequestInput::default()
            };
            let world = World::new(schema, stored, &input, DEFAULT_NOW, Optional::Open);
            let Ok(mut world) = world else { continue };
            world.open_roles = None;
            world.is_partly_sent = self.is_partly_sent;
            match self.in_world(&mut world, goal) {
                Ok(None) => {}
                Ok(Some(witness)) => return Ok(Some(witness)),
                Err(reason) => doubt = doubt.or(Some(reason)),
            }
        }
        doubt.map_or(Ok(None), Err)
    }

    /// Searches one world.
    pub(super) fn in_world<'w>(&self, world: &mut World<'w>, goal: &[Part<'_>]) -> Sought
    where
        'a: 'w,
    {
        world.change = self.change;
        world.stored = self.change.map(|_| self.store.stored());
        world.authzen = Some(self.store.authzen());
        world.on_forbid_error = self.on_forbid_error;
        let search = Search { constants: &self.constants, engine: self.store.engine() };
        let found = search.settle(world, goal);
        let witness = matches!(found, Ok(true)).then(|| build::request_of(world));
        world.forget_choices();
        found.map(|_| witness)
    }

    pub(super) fn constants(&self) -> &Constants {
        &self.constants
    }

    /// Returns the principals and resources to try: the `named` ones, made-up ones, and those that
    /// policies or the store name. Where there are too many, it tells so.
    fn pairs(
        &self,
        kind: Kind<'_>,
        named: &[EntityUID],
    ) -> (Vec<(EntityUID, EntityUID)>, Option<Doubt>) {
        let mut doubt = None;
        let mut of = |ty: &EntityType| {
            let mut examples: Vec<_> =
                named.iter().filter(|uid| uid.entity_type() == ty).cloned().collect();
            for uid in self.constants.examples(self.store.schema(), ty) {
                if !examples.contains(&uid) {
                    examples.push(uid);
                }
            }
            if examples.len() > EXAMPLES {
                let count = examples.len();
                doubt = Some(Doubt::Values(format!("{count} entities of type {ty} are named")));
                examples.truncate(EXAMPLES);
            }
            examples
        };
        let (principals, resources) = (of(kind.principal), of(kind.resource));
        let pairs = principals.into_iter().flat_map(|principal| {
            resources.iter().map(move |resource| (principal.clone(), resource.clone()))
        });
        (pairs.collect(), doubt)
    }
}

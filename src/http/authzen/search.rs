//! `/access/v1/search/subject` and `/access/v1/search/resource`: who, or what, would be allowed.
//!
//! A result is allowed by the very evaluation of its own question, so a search and an evaluation never
//! disagree. Where nothing but the entity differs between the questions, the engine's list finds those
//! that are worth asking; otherwise each candidate is asked.

use std::collections::BTreeSet;

use cedar_policy_core::ast::{Eid, EntityType, EntityUID};
use serde_json::json;

use super::{
    Endpoint,
    answer::{AuthzenAnswer, AuthzenCall},
    error::AuthzenError,
    form::{Action, AuthzenQuestion, Entity, Object, action, entity, object, required, text},
    input::ReadQuestion,
    page::SearchPage,
};
use crate::{
    engine::{ListOptions, ListedEntities, Page, list_entities},
    request::{ListInput, Side},
};

/// Checks the clock every 64 candidates.
const CANDIDATES_BETWEEN_CLOCKS: usize = 64;

/// A search, which leaves one entity open.
struct Search {
    open: Side,
    /// The type of the entities that are searched, as the caller wrote it.
    type_name: String,
    /// Laid over each candidate.
    properties: Object,
    /// The entity of the other side.
    other: Entity,
    action: Action,
    context: Option<Object>,
}

/// Answers a search for subjects or resources.
///
/// # Errors
/// The request does not have the form of one, or takes too long.
pub(super) fn answer(
    call: &AuthzenCall<'_>,
    open: Side,
    mut form: Object,
) -> Result<AuthzenAnswer, AuthzenError> {
    let search = Search::take(open, &mut form)?;
    let endpoint = match open {
        Side::Principal => Endpoint::SearchSubject,
        Side::Resource => Endpoint::SearchResource,
    };
    let page = SearchPage::take(&mut form, call, endpoint, &search.parts())?;
    let (input, is_readable) = search.list_input(call);
    let found = if is_readable && page.size() > 0 && search.is_shared(&input) {
        search.list(call, &input, &page)
    } else {
        search.ask_each(call, &page, &input)?
    };
    let store = &call.in_force.store;
    let (allowed, denied) = (found.allowed.len(), found.denied);
    call.decider.metrics.listed(store.name(), call.context.rpc, allowed, denied);
    let record = call.context.recording.listed_entities(store, &input, &found, || {
        call.decider.question_of_list(call.in_force, input.question.clone(), call.context)
    });
    let results = found.allowed.iter().map(|uid| json!({"type": search.type_name, "id": id(uid)}));
    let body = page.response(results.collect(), found.next.as_deref());
    Ok(AuthzenAnswer { body, allowed, denied, records: record.into_iter().collect() })
}

fn id(uid: &EntityUID) -> &str {
    uid.eid().as_ref()
}

impl Search {
    fn take(open: Side, form: &mut Object) -> Result<Self, AuthzenError> {
        let (name, other) = match open {
            Side::Principal => ("subject", "resource"),
            Side::Resource => ("resource", "subject"),
        };
        let mut target = required(name, object(form, "", name)?)?;
        Ok(Self {
            open,
            type_name: text(&mut target, name, "type")?,
            properties: object(&mut target, name, "properties")?.unwrap_or_default(),
            other: required(other, entity(form, other)?)?,
            action: required("action", action(form)?)?,
            context: object(form, "", "context")?,
        })
    }

    /// Returns everything that must not change between pages.
    fn parts(&self) -> serde_json::Value {
        json!([
            self.type_name,
            self.properties,
            self.other.to_json(),
            self.action.to_json(),
            self.context
        ])
    }

    /// Returns the question without the open entity, and whether all of it could be read.
    fn list_input(&self, call: &AuthzenCall<'_>) -> (ListInput, bool) {
        let open = self.candidate("");
        let limits = &call.decider.options.limits;
        let read = ReadQuestion::new(call.in_force, &self.question(&open), limits);
        let (question, is_readable) = read.leaving_open(self.open);
        let entity_type = self.type_name.clone();
        (ListInput { question, open: self.open, entity_type }, is_readable)
    }

    /// Returns whether the questions of all candidates differ in nothing but the entity: nothing is laid
    /// over it, and no role means it without naming it.
    fn is_shared(&self, input: &ListInput) -> bool {
        self.properties.is_empty()
            && input.question.role_assignments.iter().all(|role| role.scope.is_some())
    }

    /// Finds a page by the engine's list. It lists more than an evaluation allows: entities that only the
    /// question names, and those that lack a required attribute.
    fn list(&self, call: &AuthzenCall<'_>, input: &ListInput, page: &SearchPage) -> ListedEntities {
        let store = &call.in_force.store;
        let of_engine = Page { after: page.after(), size: page.size() };
        let options = ListOptions {
            held: call.in_force.held(),
            now: call.context.now,
            limits: &call.decider.options.limits,
            on_forbid_error: call.decider.options.on_forbid_error,
        };
        let decide = |request: &_| call.decider.judge(store, request, call.context.rpc);
        // A question that does not fit the schema has no results.
        let listed = list_entities(store.engine(), input, of_engine, options, decide);
        let mut listed = listed.unwrap_or_default();
        listed.conditional.clear();
        listed
            .allowed
            .retain(|uid| self.is_candidate(call, uid, input) && self.allows(call, id(uid)));
        listed
    }

    /// Finds a page by asking the question of each candidate.
    fn ask_each(
        &self,
        call: &AuthzenCall<'_>,
        page: &SearchPage,
        input: &ListInput,
    ) -> Result<ListedEntities, AuthzenError> {
        let schema = call.in_force.store.schema();
        let (Some(entity_type), Some(_)) =
            (schema.entity_type(&self.type_name), schema.action("", &self.action.name))
        else {
            return Ok(ListedEntities::default());
        };
        let time = call.decider.options.request_timeout;
        let (mut asked, mut denied, mut is_late) = (0_usize, 0, false);
        let candidates = self.candidates(call, entity_type, input).into_iter();
        let after = candidates.filter(|id| page.after().is_none_or(|after| after < &**id));
        let allowed = after.filter(|id| {
            asked += 1;
            is_late |= asked.is_multiple_of(CANDIDATES_BETWEEN_CLOCKS)
                && call.context.started.elapsed() > time;
            let is_allowed = !is_late && self.allows(call, id);
            denied += usize::from(!is_allowed);
            is_allowed
        });
        let (ids, next) = page.cut(allowed);
        if is_late {
            return Err(AuthzenError::timeout(time));
        }
        let uid = |id: String| EntityUID::from_components(entity_type.clone(), Eid::new(id), None);
        let allowed = ids.into_iter().map(uid).collect();
        Ok(ListedEntities { allowed, denied, next, ..ListedEntities::default() })
    }

    /// Returns the ids of the entities that are searched, in order: those that the store or its directory
    /// holds, and scopes that the request's roles name.
    fn candidates(
        &self,
        call: &AuthzenCall<'_>,
        entity_type: &EntityType,
        input: &ListInput,
    ) -> BTreeSet<String> {
        let store = &call.in_force.store;
        let stored = store.stored().uids().filter(|uid| uid.entity_type() == entity_type);
        let mut ids: BTreeSet<_> = stored.map(|uid| id(uid).to_owned()).collect();
        let enumerated = store.schema().entity(entity_type).and_then(|shape| shape.ids.as_ref());
        ids.extend(enumerated.into_iter().flatten().map(ToString::to_string));
        if let Some(held) = call.in_force.held() {
            let places = held.facts.of_type(entity_type).into_iter();
            let uids = places.filter_map(|place| held.facts.uid(place));
            ids.extend(uids.map(|uid| id(&uid).to_owned()));
        }
        let scopes = input.question.role_assignments.iter().filter_map(|role| role.scope.as_ref());
        let is_of_type =
            |type_name: &str| store.schema().entity_type(type_name) == Some(entity_type);
        let scopes = scopes.filter(|scope| is_of_type(&scope.type_name));
        ids.extend(scopes.map(|scope| scope.id.clone()));
        ids
    }

    /// Returns whether an entity is one of those that are searched.
    fn is_candidate(&self, call: &AuthzenCall<'_>, uid: &EntityUID, input: &ListInput) -> bool {
        let (store, schema) = (&call.in_force.store, call.in_force.store.schema());
        let is_enumerated =
            schema.entity(uid.entity_type()).is_some_and(|shape| shape.ids.is_some());
        let is_held = || call.in_force.held().is_some_and(|held| held.facts.place(uid).is_some());
        let mut scopes =
            input.question.role_assignments.iter().filter_map(|role| role.scope.as_ref());
        is_enumerated
            || store.stored().contains(uid)
            || is_held()
            || scopes.any(|scope| {
                scope.id == id(uid)
                    && schema.entity_type(&scope.type_name) == Some(uid.entity_type())
            })
    }

    /// Returns whether the question of one candidate is allowed.
    fn allows(&self, call: &AuthzenCall<'_>, id: &str) -> bool {
        let limits = &call.decider.options.limits;
        let candidate = self.candidate(id);
        let read = ReadQuestion::new(call.in_force, &self.question(&candidate), limits);
        read.check(call.in_force, call.context.now, limits).is_ok_and(|checked| {
            let store = &call.in_force.store;
            call.decider.judge(store, &checked.request, call.context.rpc).is_allow()
        })
    }

    fn candidate(&self, id: &str) -> Entity {
        let (type_name, properties) = (self.type_name.clone(), self.properties.clone());
        Entity { type_name, id: id.to_owned(), properties }
    }

    fn question<'a>(&'a self, open: &'a Entity) -> AuthzenQuestion<'a> {
        let (subject, resource) = match self.open {
            Side::Principal => (open, &self.other),
            Side::Resource => (&self.other, open),
        };
        AuthzenQuestion { subject, action: &self.action, resource, context: self.context.as_ref() }
    }
}

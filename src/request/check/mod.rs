//! Checking a request against a store's schema, with every violation at once.

mod entities;
mod list;
mod values;

pub use list::{ListInput, ListRequest, Side, check_list};

use std::{collections::BTreeMap, sync::Arc};

use cedar_policy_core::ast::{Eid, EntityType, EntityUID};

use super::{
    Context, Facts, FieldPath, Known, Request, RequestFacts, RequestInput, RequestLimits,
    RoleAssignment, RoleAssignmentInput, RoleAssignments, Violation, shorten,
};
use crate::{
    model::{Timestamp, Uid, Value},
    schema::{ActionSchema, Schema},
};

/// Checks a request. `now` is the time of the decision, unless the request carries a `context.now`
/// of its own.
///
/// # Errors
/// Every violation, up to the limit on their number.
pub fn check(
    known: Known<'_>,
    input: &RequestInput,
    now: Timestamp,
    limits: &RequestLimits,
) -> Result<Request, Vec<Violation>> {
    let mut checker = Checker::new(known, limits);
    let question = checker.question(input);
    let context = checker.question_context(input, question.action, now);
    let facts = Facts {
        entities: Arc::new(checker.entities(&input.entities, None)),
        role_assignments: checker.role_assignments(&input.role_assignments, question.defaults()),
        held: known.held.map(|held| Arc::clone(&held.facts)),
    };
    checker.finish_request(question, context, facts)
}

/// Checks the entities and role assignments of a request by themselves.
///
/// # Errors
/// Every violation, up to the limit on their number.
pub fn check_facts(
    known: Known<'_>,
    input: &RequestInput,
    limits: &RequestLimits,
) -> Result<Facts, Vec<Violation>> {
    let mut checker = Checker::new(known, limits);
    let principal = checker.optional(&FieldPath::Field("principal"), input.principal.as_ref());
    let resource = checker.optional(&FieldPath::Field("resource"), input.resource.as_ref());
    let facts = Facts {
        entities: Arc::new(checker.entities(&input.entities, None)),
        role_assignments: checker
            .role_assignments(&input.role_assignments, (principal.as_ref(), resource.as_ref())),
        held: known.held.map(|held| Arc::clone(&held.facts)),
    };
    checker.finish(Some(facts))
}

/// Checks a request with facts that have been checked; the entities and role assignments of the
/// input itself are not looked at.
///
/// # Errors
/// Every violation, up to the limit on their number.
pub fn check_with_facts(
    known: Known<'_>,
    input: &RequestInput,
    facts: Facts,
    now: Timestamp,
    limits: &RequestLimits,
) -> Result<Request, Vec<Violation>> {
    let mut checker = Checker::new(known, limits);
    let question = checker.question(input);
    let context = checker.question_context(input, question.action, now);
    checker.finish_request(question, context, facts)
}

/// The principal, action and resource of a request, as far as they are valid.
pub(super) struct Question<'a> {
    pub principal: Option<EntityUID>,
    pub action: Option<&'a ActionSchema>,
    pub resource: Option<EntityUID>,
}

impl Question<'_> {
    /// Returns the entities for which a role assignment stands that names none.
    pub(super) fn defaults(&self) -> (Option<&EntityUID>, Option<&EntityUID>) {
        (self.principal.as_ref(), self.resource.as_ref())
    }
}

/// The context of a request and the time of its decision.
#[derive(Clone)]
pub(super) struct Moment {
    pub context: Arc<Context>,
    pub now: Timestamp,
}

pub(super) struct Checker<'a> {
    known: Known<'a>,
    limits: &'a RequestLimits,
    violations: Vec<Violation>,
    /// Violations beyond the limit on their number.
    more: usize,
    /// Values that the record being read may still hold, plus one: zero is beyond the limit.
    values_left: usize,
    /// The name of that limit.
    values_limit: &'static str,
}

impl<'a> Checker<'a> {
    pub(super) fn new(known: Known<'a>, limits: &'a RequestLimits) -> Self {
        Self {
            known,
            limits,
            violations: Vec::new(),
            more: 0,
            values_left: 0,
            values_limit: "context_values",
        }
    }

    /// Returns what was checked, or every violation that was found.
    pub(super) fn finish<T>(mut self, checked: Option<T>) -> Result<T, Vec<Violation>> {
        match checked {
            Some(checked) if self.violations.is_empty() => Ok(checked),
            _ => {
                if self.more > 0 {
                    let description = format!("there are {} violations more", self.more);
                    self.violations.push(FieldPath::Field("request").violation(description));
                }
                Err(self.violations)
            }
        }
    }

    pub(super) fn finish_request(
        self,
        question: Question<'_>,
        moment: Moment,
        facts: Facts,
    ) -> Result<Request, Vec<Violation>> {
        let complete = question.principal.zip(question.action).zip(question.resource);
        let request = complete.map(|((principal, action), resource)| Request {
            principal,
            action: action.uid.clone(),
            resource,
            context: moment.context,
            facts,
            now: moment.now,
        });
        self.finish(request)
    }

    /// Adds violations that were found before.
    pub(super) fn found(&mut self, violations: &[Violation]) {
        self.violations.extend_from_slice(violations);
    }

    fn over_limit(&mut self, path: &FieldPath<'_>, limit: &'static str, description: String) {
        let told = self.violations.len();
        self.violation(path, description);
        if let Some(violation) = self.violations.get_mut(told) {
            violation.limit = Some(limit);
        }
    }

    fn violation(&mut self, path: &FieldPath<'_>, description: impl Into<String>) {
        self.add_with(|| path.violation(description));
    }

    fn add(&mut self, violation: Violation) {
        self.add_with(|| violation);
    }

    fn add_with(&mut self, violation: impl FnOnce() -> Violation) {
        if self.violations.len() < self.limits.violations.max(1) {
            self.violations.push(violation());
        } else {
            self.more += 1;
        }
    }

    fn schema(&self) -> &'a Schema {
        self.known.schema
    }

    /// Checks principal, action and resource.
    pub(super) fn question(&mut self, input: &RequestInput) -> Question<'a> {
        let principal = self.required(&FieldPath::Field("principal"), input.principal.as_ref());
        let action = self.action(&FieldPath::Field("action"), input.action.as_ref());
        let resource = self.required(&FieldPath::Field("resource"), input.resource.as_ref());
        if let Some(action) = action {
            self.applies(action, principal.as_ref(), resource.as_ref());
        }
        Question { principal, action, resource }
    }

    /// Checks an entity that may be left out.
    pub(super) fn optional(
        &mut self,
        path: &FieldPath<'_>,
        uid: Option<&Uid>,
    ) -> Option<EntityUID> {
        self.uid(path, uid?)
    }

    /// Checks the context of a request for an action.
    pub(super) fn question_context(
        &mut self,
        input: &RequestInput,
        action: Option<&ActionSchema>,
        now: Timestamp,
    ) -> Moment {
        let (moment, missing) = self.sent_context(input, action, now);
        missing.into_iter().for_each(|violation| self.add(violation));
        moment
    }

    /// Checks the facts of the context that were sent, and returns a violation for each required one
    /// that was not.
    fn sent_context(
        &mut self,
        input: &RequestInput,
        action: Option<&ActionSchema>,
        now: Timestamp,
    ) -> (Moment, Vec<Violation>) {
        let sent = now_of(input, action);
        if sent.is_some() && self.known.held.is_some() {
            self.add(now_with_directory());
        }
        let now = sent.unwrap_or(now);
        let (context, missing) = self.context(&input.context, action, now);
        (Moment { context: Arc::new(context), now }, missing)
    }

    fn required(&mut self, path: &FieldPath<'_>, uid: Option<&Uid>) -> Option<EntityUID> {
        if uid.is_none() {
            self.violation(path, "missing: name an entity by its type and id");
        }
        self.uid(path, uid?)
    }

    /// Reads the name of an entity.
    fn uid(&mut self, path: &FieldPath<'_>, uid: &Uid) -> Option<EntityUID> {
        let (type_path, id_path) = (FieldPath::Of(path, "type"), FieldPath::Of(path, "id"));
        let Some(entity_type) = self.schema().entity_type(&uid.type_name) else {
            return self.action_uid(&type_path, uid);
        };
        if uid.id.is_empty() {
            self.violation(&id_path, "empty: every entity has an id");
            return None;
        }
        if !self.text_fits(&id_path, &uid.id) {
            return None;
        }
        let ids = self.schema().enumerated(&uid.type_name);
        if let Some(ids) = ids.filter(|ids| !ids.contains(uid.id.as_str())) {
            let there_are = listed(ids);
            let written = shorten(&uid.id);
            self.violation(
                &id_path,
                format!("no `{entity_type}` is called `{written}`: there are {there_are}"),
            );
            return None;
        }
        Some(EntityUID::from_components(entity_type.clone(), Eid::new(uid.id.as_str()), None))
    }

    /// Reads the name of an action that is referred to as a value.
    fn action_uid(&mut self, type_path: &FieldPath<'_>, uid: &Uid) -> Option<EntityUID> {
        let action =
            self.schema().action(&uid.type_name, &uid.id).filter(|_| !uid.type_name.is_empty());
        if action.is_none() && self.schema().is_action_type(&uid.type_name) {
            let (written, advice) = (shorten(&uid.id), self.similar_actions(&uid.id));
            self.violation(type_path, format!("the schema has no action `{written}`{advice}"));
        } else if action.is_none() {
            self.no_entity_type(type_path, &uid.type_name);
        }
        Some(action?.uid.clone())
    }

    fn no_entity_type(&mut self, path: &FieldPath<'_>, type_name: &str) {
        let written = shorten(type_name);
        let meant = self.schema().types_named(type_name);
        let description = if meant.is_empty() {
            let there_are = listed(self.schema().entities().map(|shape| &shape.entity_type));
            format!("no entity type `{written}` in the schema: there are {there_are}")
        } else {
            format!("`{written}` is not a whole name: send {}", meant.join(" or "))
        };
        self.violation(path, description);
    }

    pub(super) fn action(
        &mut self,
        path: &FieldPath<'_>,
        uid: Option<&Uid>,
    ) -> Option<&'a ActionSchema> {
        let Some(uid) = uid else {
            self.violation(path, "missing: name an action by its id");
            return None;
        };
        let action = self.schema().action(&uid.type_name, &uid.id);
        if action.is_none() {
            let written = shorten(&uid.id);
            let advice = self.similar_actions(&uid.id);
            self.violation(
                &FieldPath::Of(path, "id"),
                format!("the schema has no action `{written}`{advice}"),
            );
        }
        action
    }

    /// Returns advice with the ids that are most like the one that was written.
    fn similar_actions(&self, id: &str) -> String {
        let id = shorten(id);
        let ids = self.schema().actions().map(|action| AsRef::<str>::as_ref(action.uid.eid()));
        let mut ids: Vec<_> = ids.map(|other| (strsim::jaro_winkler(&id, other), other)).collect();
        ids.sort_by(|(a, one), (b, other)| b.total_cmp(a).then(one.cmp(other)));
        let similar: Vec<_> = ids.iter().take(3).map(|(_, id)| format!("`{id}`")).collect();
        if similar.is_empty() {
            String::new()
        } else {
            format!(": is it one of {}?", similar.join(", "))
        }
    }

    fn applies(
        &mut self,
        action: &ActionSchema,
        principal: Option<&EntityUID>,
        resource: Option<&EntityUID>,
    ) {
        for (side, uid) in [(Side::Principal, principal), (Side::Resource, resource)] {
            if let Some(uid) = uid {
                let path = FieldPath::Field(side.name());
                self.applies_to(action, side, uid.entity_type(), &FieldPath::Of(&path, "type"));
            }
        }
    }

    fn applies_to(
        &mut self,
        action: &ActionSchema,
        side: Side,
        entity_type: &EntityType,
        path: &FieldPath<'_>,
    ) {
        let types = match side {
            Side::Principal => &action.principals,
            Side::Resource => &action.resources,
        };
        if types.contains(entity_type) {
            return;
        }
        let id = action.uid.eid().escaped();
        let description = if types.is_empty() {
            format!("the action `{id}` is only a group and cannot be asked")
        } else {
            let (side, types) = (side.name(), listed(types));
            format!(
                "the action `{id}` does not apply to a {side} of type `{entity_type}`: it applies \
                 to {types}"
            )
        };
        self.violation(path, description);
    }

    fn context(
        &mut self,
        sent: &[(String, Value)],
        action: Option<&ActionSchema>,
        now: Timestamp,
    ) -> (Context, Vec<Violation>) {
        self.values_limit = "context_values";
        self.values_left = self.limits.context_values.saturating_add(1);
        let path = FieldPath::Field("context");
        let Some(action) = action else { return Default::default() };
        let context: BTreeMap<_, _> =
            self.fields(&path, sent, &action.context).into_iter().collect();
        let is_sent = |name: &str| sent.iter().any(|(sent, _)| sent == name);
        let now = (action.wants_now && !is_sent("now")).then_some(now);
        let given = |name: &str| is_sent(name) || (name == "now" && now.is_some());
        let missing = action.context.missing(given).map(|(name, shape)| {
            FieldPath::Of(&path, name).violation(format!("missing: the action requires a {shape}"))
        });
        (Context::new(context, now), missing.collect())
    }

    /// Checks role assignments. One that names no principal or scope means the default.
    pub(super) fn role_assignments(
        &mut self,
        sent: &[RoleAssignmentInput],
        (principal, resource): (Option<&EntityUID>, Option<&EntityUID>),
    ) -> Arc<RoleAssignments> {
        let list = FieldPath::Field("role_assignments");
        if !sent.is_empty() && self.refuses_facts() {
            self.violation(
                &list,
                "the store's directory says who holds which role: send none (`request_facts` in \
                 its `store.toml` is `refuse`)",
            );
            return Arc::default();
        }
        if !self.count_fits(&list, sent.len(), ("role_assignments", self.limits.role_assignments)) {
            return Arc::default();
        }
        let mut assignments = Vec::with_capacity(sent.len());
        for (index, assignment) in sent.iter().enumerate() {
            let path = FieldPath::Index(&list, index);
            let mut side = |field, written: Option<&Uid>, default: Option<&EntityUID>| match written
            {
                Some(uid) => self.uid(&FieldPath::Of(&path, field), uid),
                None => default.cloned(),
            };
            let principal = side("principal", assignment.principal.as_ref(), principal);
            let scope = side("scope", assignment.scope.as_ref(), resource);
            assignments.extend(self.role_assignment(&path, assignment, principal, scope));
        }
        Arc::new(RoleAssignments::new(self.schema(), assignments))
    }

    fn role_assignment(
        &mut self,
        path: &FieldPath<'_>,
        sent: &RoleAssignmentInput,
        principal: Option<EntityUID>,
        scope: Option<EntityUID>,
    ) -> Option<RoleAssignment> {
        let scope = scope?;
        let slots = self.schema().entity(scope.entity_type()).map(|shape| &shape.slots);
        let Some(slots) = slots.filter(|slots| !slots.is_empty()) else {
            let scopes = self.schema().entities().filter(|shape| !shape.slots.is_empty());
            let scopes = listed(scopes.map(|shape| &shape.entity_type));
            self.violation(
                &FieldPath::Of(path, "scope"),
                format!(
                    "no role can be held on a `{}`: roles are held on {scopes}",
                    scope.entity_type()
                ),
            );
            return None;
        };
        let Some((slot, role_type)) = slots.get_key_value(sent.role.as_str()) else {
            let written = shorten(&sent.role);
            self.violation(
                &FieldPath::Of(path, "role"),
                format!(
                    "`{}` has no role `{written}`: its roles are {}",
                    scope.entity_type(),
                    listed(slots.keys())
                ),
            );
            return None;
        };
        let principal = principal?;
        if !self.can_be_in(principal.entity_type(), role_type) {
            self.violation(
                &FieldPath::Of(path, "principal"),
                format!("a `{}` cannot hold a role", principal.entity_type()),
            );
            return None;
        }
        Some(RoleAssignment { principal, slot: slot.clone(), scope, expires_at: sent.expires_at })
    }

    /// Returns whether callers may say nothing of what a directory could hold.
    fn refuses_facts(&self) -> bool {
        self.known.held.is_some_and(|held| held.request_facts == RequestFacts::Refuse)
    }

    fn can_be_in(&self, child: &EntityType, parent: &EntityType) -> bool {
        self.schema().entity(child).is_some_and(|shape| shape.parents.contains(parent))
    }

    fn count_fits(
        &mut self,
        path: &FieldPath<'_>,
        count: usize,
        (name, limit): (&'static str, usize),
    ) -> bool {
        let fits = count <= limit;
        if !fits {
            let description = format!("{count} elements, more than the limit of {limit}");
            self.over_limit(path, name, description);
        }
        fits
    }

    fn text_fits(&mut self, path: &FieldPath<'_>, text: &str) -> bool {
        let (length, limit) = (text.len(), self.limits.text_bytes);
        let fits = length <= limit;
        if !fits {
            let description = format!("{length} bytes, more than the limit of {limit}");
            self.over_limit(path, "text_bytes", description);
        }
        fits
    }
}

/// Returns the violation of a `context.now` that is sent where a directory is.
pub(crate) fn now_with_directory() -> Violation {
    FieldPath::Of(&FieldPath::Field("context"), "now").violation(
        "the store has a directory, of which roles expire by the server's clock: do not send it",
    )
}

/// Returns the time that the request itself names.
fn now_of(input: &RequestInput, action: Option<&ActionSchema>) -> Option<Timestamp> {
    action.filter(|action| action.wants_now)?;
    input.context.iter().find_map(|(name, value)| match value {
        Value::Datetime(now) if name == "now" => Some(*now),
        _ => None,
    })
}

/// Lists names in order, for a message.
fn listed<T: ToString>(names: impl IntoIterator<Item = T>) -> String {
    let mut names: Vec<_> =
        names.into_iter().map(|name| format!("`{}`", name.to_string())).collect();
    names.sort_unstable();
    names.join(", ")
}

//! `/access/v1/search/action`: which actions would be allowed.

use serde_json::json;

use super::{
    Endpoint,
    answer::{AuthzenAnswer, AuthzenCall},
    error::AuthzenError,
    evaluation::message,
    form::{Action, AuthzenQuestion, Entity, Object, entity, object, required},
    input::ReadQuestion,
    page::SearchPage,
};
use crate::{
    engine::{ListedActions, UndecidedAction},
    request::RequestInput,
    schema::{ActionSchema, Schema},
};

/// Answers a search for actions.
///
/// # Errors
/// The request does not have the form of one.
pub(super) fn answer(
    call: &AuthzenCall<'_>,
    mut form: Object,
) -> Result<AuthzenAnswer, AuthzenError> {
    let subject = required("subject", entity(&mut form, "subject")?)?;
    let resource = required("resource", entity(&mut form, "resource")?)?;
    let context = object(&mut form, "", "context")?;
    let parts = json!([subject.to_json(), resource.to_json(), context]);
    let page = SearchPage::take(&mut form, call, Endpoint::SearchAction, &parts)?;
    let question =
        ActionQuestion { subject: &subject, resource: &resource, context: context.as_ref() };
    let (listed, input) = question.decide(call);
    let store = &call.in_force.store;
    call.decider.metrics.listed(
        store.name(),
        call.context.rpc,
        listed.allowed.len(),
        listed.denied,
    );
    let record = call.context.recording.listed(store, &listed, || {
        call.decider.question_of_list(call.in_force, input, call.context)
    });
    let names = listed.allowed.iter().map(|uid| AsRef::<str>::as_ref(uid.eid()).to_owned());
    let (results, next) = page.cut(names);
    let results: Vec<_> = results.iter().map(|name| json!({"name": name})).collect();
    Ok(AuthzenAnswer {
        body: page.response(results, next.as_deref()),
        allowed: listed.allowed.len(),
        denied: listed.denied,
        records: record.into_iter().collect(),
    })
}

/// A question without an action.
struct ActionQuestion<'a> {
    subject: &'a Entity,
    resource: &'a Entity,
    context: Option<&'a Object>,
}

impl ActionQuestion<'_> {
    /// Decides every action that applies to subject and resource, each with those facts of the context
    /// that it declares. Returns the question with all of these facts for the decision log.
    fn decide(&self, call: &AuthzenCall<'_>) -> (ListedActions, RequestInput) {
        let (limits, now) = (&call.decider.options.limits, call.context.now);
        let store = &call.in_force.store;
        let mut listed = ListedActions::default();
        let mut asked: Option<RequestInput> = None;
        for action in self.applicable(store.schema()) {
            let name = AsRef::<str>::as_ref(action.uid.eid()).to_owned();
            let named = Action { name, properties: Object::new() };
            let question = AuthzenQuestion {
                subject: self.subject,
                action: &named,
                resource: self.resource,
                context: self.context,
            };
            let read = ReadQuestion::new(call.in_force, &question, limits);
            match &mut asked {
                None => asked = Some(RequestInput { action: None, ..read.input.clone() }),
                Some(asked) => add_facts(asked, &read.input),
            }
            match read.check(call.in_force, now, limits) {
                Ok(checked) => {
                    let decision = call.decider.judge(store, &checked.request, call.context.rpc);
                    if decision.is_allow() {
                        listed.allowed.push(action.uid.clone());
                    } else {
                        listed.denied += 1;
                    }
                }
                Err(violations) => listed.undecided.push(UndecidedAction {
                    action: action.uid.clone(),
                    reason: message(&violations),
                    field: violations.first().map(|one| one.field.clone()).unwrap_or_default(),
                }),
            }
        }
        let asked = asked.unwrap_or_else(|| RequestInput {
            principal: Some(self.subject.uid()),
            resource: Some(self.resource.uid()),
            ..RequestInput::default()
        });
        (listed, asked)
    }

    /// Returns the actions of the store's own namespace that apply to the types of subject and resource,
    /// by id.
    fn applicable<'s>(&self, schema: &'s Schema) -> Vec<&'s ActionSchema> {
        let type_of = |entity: &Entity| schema.entity_type(&entity.type_name);
        let (Some(subject), Some(resource)) = (type_of(self.subject), type_of(self.resource))
        else {
            return Vec::new();
        };
        let applies = |action: &&ActionSchema| {
            let named = schema.action("", AsRef::<str>::as_ref(action.uid.eid()));
            action.principals.contains(subject)
                && action.resources.contains(resource)
                && named.is_some_and(|named| named.uid == action.uid)
        };
        let mut actions: Vec<_> = schema.actions().filter(applies).collect();
        actions.sort_by(|a, b| a.uid.cmp(&b.uid));
        actions
    }
}

/// Adds the facts of a question for one action to those of all.
fn add_facts(all: &mut RequestInput, one: &RequestInput) {
    for (name, value) in &one.context {
        if !all.context.iter().any(|(known, _)| known == name) {
            all.context.push((name.clone(), value.clone()));
        }
    }
}

//! Cedar's own authorizer, asked as its documentation shows: all policies, and entities that are made
//! for each request and validated with the schema.

use std::collections::{HashMap, HashSet};

use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request,
    RestrictedExpression,
};
use humbaba::{
    model::{Uid, Value},
    request::RequestInput,
    store::PolicyStore,
};

pub struct CedarAuthorizer<'a> {
    store: &'a PolicyStore,
    authorizer: Authorizer,
    /// Types by their name without the namespace, which an application would hold too.
    types: HashMap<String, EntityTypeName>,
}

/// The arguments of a call to the authorizer.
pub struct Facts {
    request: Request,
    entities: Entities,
}

impl<'a> CedarAuthorizer<'a> {
    pub fn new(store: &'a PolicyStore) -> Self {
        let types = store.schema().cedar().entity_types();
        let types = types.map(|name| (name.basename().to_owned(), name.clone()));
        let action = store.schema().cedar().actions().next().expect("a schema with actions");
        let action = ("Action".to_owned(), action.type_name().clone());
        Self { store, authorizer: Authorizer::new(), types: types.chain([action]).collect() }
    }

    /// Makes Cedar's request and entities, with the Role entities that assignments stand for.
    pub fn facts(&self, sent: &RequestInput) -> Facts {
        let schema = self.store.schema();
        let uid = |uid: &Option<Uid>| self.uid(uid.as_ref().expect("a uid"));
        let (principal, resource) = (uid(&sent.principal), uid(&sent.resource));
        let mut entities = HashMap::<_, (HashMap<_, _>, HashSet<_>)>::new();
        for entity in &sent.entities {
            let attributes = entity.attributes.iter();
            let attributes = attributes.map(|(name, value)| (name.clone(), self.expression(value)));
            let parents = entity.parents.iter().map(|parent| self.uid(parent));
            entities.insert(uid(&entity.uid), (attributes.collect(), parents.collect()));
        }
        for assignment in &sent.role_assignments {
            let scope = assignment.scope.as_ref().map_or_else(|| resource.clone(), |s| self.uid(s));
            let role = role(schema, &scope, &assignment.role);
            entities.entry(principal.clone()).or_default().1.insert(role);
            entities.entry(scope).or_default();
        }
        for (uid, (attributes, _)) in &mut entities {
            let shape = schema.entity(uid_core(uid).entity_type()).expect("a type of the schema");
            for slot in shape.slots.keys() {
                let role = role(schema, uid, slot.as_str());
                attributes.insert(slot.to_string(), RestrictedExpression::new_entity_uid(role));
            }
        }
        let entities = entities.into_iter().map(|(uid, (attributes, parents))| {
            Entity::new(uid, attributes, parents).expect("values that can be evaluated")
        });
        let entities = Entities::from_entities(entities, Some(schema.cedar())).expect("they fit");

        let context = sent.context.iter();
        let context = context.map(|(name, value)| (name.clone(), self.expression(value)));
        let action = uid(&sent.action);
        let context = Context::from_pairs(context.chain(self.now(&action))).expect("a context");
        let request = Request::new(principal, action, resource, context, Some(schema.cedar()));
        Facts { request: request.expect("the request fits the schema"), entities }
    }

    pub fn is_allowed(&self, facts: &Facts) -> bool {
        let Facts { request, entities } = facts;
        let answer = self.authorizer.is_authorized(request, self.store.policies(), entities);
        answer.decision() == Decision::Allow
    }

    /// `now`, where the schema declares it for the action.
    fn now(&self, action: &EntityUid) -> Option<(String, RestrictedExpression)> {
        let declared = self.store.schema().action("", action.id().unescaped())?;
        declared.context.fields.contains_key("now").then(|| {
            let now = format!("{:.3}", jiff::Timestamp::now());
            ("now".to_owned(), RestrictedExpression::new_datetime(now))
        })
    }

    fn uid(&self, sent: &Uid) -> EntityUid {
        let name = if sent.type_name.is_empty() { "Action" } else { &sent.type_name };
        EntityUid::from_type_name_and_id(self.types[name].clone(), EntityId::new(&sent.id))
    }

    fn expression(&self, value: &Value) -> RestrictedExpression {
        match value {
            Value::Bool(value) => RestrictedExpression::new_bool(*value),
            Value::Long(value) => RestrictedExpression::new_long(*value),
            Value::String(text) => RestrictedExpression::new_string(text.clone()),
            Value::Entity(uid) => RestrictedExpression::new_entity_uid(self.uid(uid)),
            Value::Ip(text) => RestrictedExpression::new_ip(text),
            Value::Set(values) => {
                RestrictedExpression::new_set(values.iter().map(|value| self.expression(value)))
            }
            Value::Record(fields) => {
                let fields =
                    fields.iter().map(|(name, value)| (name.clone(), self.expression(value)));
                RestrictedExpression::new_record(fields).expect("no name twice")
            }
            other => panic!("no model has {other:?}"),
        }
    }
}

fn uid_core(uid: &EntityUid) -> &cedar_policy_core::ast::EntityUID {
    uid.as_ref()
}

fn role(schema: &humbaba::schema::Schema, scope: &EntityUid, slot: &str) -> EntityUid {
    let shape = schema.entity(uid_core(scope).entity_type()).expect("a type of the schema");
    let slot = shape.slots.keys().find(|known| known.as_str() == slot).expect("a slot");
    schema.role(uid_core(scope), slot).expect("a role").into()
}

//! The way that Cedar's documentation shows: the whole policy set, entities made for each request.

use std::{
    collections::{HashMap, HashSet},
    str::FromStr,
    sync::Arc,
};

use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request,
    RestrictedExpression,
};
use humbaba::{proto, store::PolicyStore};

/// Decides with Cedar's own authorizer.
pub struct Naive {
    store: Arc<PolicyStore>,
    authorizer: Authorizer,
}

/// Everything that a call to the authorizer takes.
pub struct Facts {
    request: Request,
    entities: Entities,
}

impl Naive {
    pub fn new(store: Arc<PolicyStore>) -> Self {
        Self { store, authorizer: Authorizer::new() }
    }

    /// Makes Cedar's request and entities of what was sent: one role assignment at least.
    pub fn facts(&self, sent: &proto::IsAuthorizedRequest) -> Facts {
        let schema = self.store.schema();
        let namespace = schema.namespace().unwrap_or_default();
        let uid = |sent: &proto::EntityUid| {
            let name = if sent.r#type.is_empty() { "Action" } else { &sent.r#type };
            let name = EntityTypeName::from_str(&format!("{namespace}::{name}")).unwrap();
            EntityUid::from_type_name_and_id(name, EntityId::new(&sent.id))
        };
        let principal = uid(sent.principal.as_ref().unwrap());
        let action = uid(sent.action.as_ref().unwrap());
        let resource = uid(sent.resource.as_ref().unwrap());
        // The roles of a scope, by the names of its slots.
        let slots = |scope: &EntityUid| -> HashMap<String, EntityUid> {
            let scope: &cedar_policy_core::ast::EntityUID = scope.as_ref();
            let slots = schema.entity(scope.entity_type()).unwrap().slots.keys();
            let role = |slot| schema.role(scope, slot).unwrap().into();
            slots.map(|slot| (slot.to_string(), role(slot))).collect()
        };
        let roles: HashSet<_> = sent
            .role_assignments
            .iter()
            .map(|assignment| {
                let scope = uid(assignment.scope.as_ref().unwrap());
                slots(&scope).remove(&assignment.role).unwrap()
            })
            .collect();
        let attributes = slots(&resource).into_iter();
        let attributes = attributes
            .map(|(slot, role)| (slot, RestrictedExpression::new_entity_uid(role)))
            .collect();
        let entities = [
            Entity::new_no_attrs(principal.clone(), roles),
            Entity::new(resource.clone(), attributes, HashSet::new()).unwrap(),
        ];
        let entities = Entities::from_entities(entities, Some(schema.cedar())).unwrap();
        let context = Context::from_pairs(self.now(&action)).unwrap();
        let request =
            Request::new(principal, action, resource, context, Some(schema.cedar())).unwrap();
        Facts { request, entities }
    }

    /// `now`, where the schema declares it for the action.
    fn now(&self, action: &EntityUid) -> Option<(String, RestrictedExpression)> {
        let declared = self.store.schema().action("", action.id().unescaped())?;
        declared.context.fields.contains_key("now").then(|| {
            let now = format!("{:.3}", jiff::Timestamp::now());
            ("now".to_owned(), RestrictedExpression::new_datetime(now))
        })
    }

    /// Decides over all policies.
    pub fn decide(&self, facts: &Facts) -> proto::IsAuthorizedResponse {
        let Facts { request, entities } = facts;
        let answer = self.authorizer.is_authorized(request, self.store.policies(), entities);
        let decision = match answer.decision() {
            Decision::Allow => proto::Decision::Allow,
            Decision::Deny => proto::Decision::Deny,
        };
        let determining = answer.diagnostics().reason().map(|id| proto::DeterminingPolicy {
            policy_id: id.to_string(),
            ..proto::DeterminingPolicy::default()
        });
        proto::IsAuthorizedResponse {
            decision: decision.into(),
            determining_policies: determining.collect(),
            revision: self.store.revision().to_string(),
            ..proto::IsAuthorizedResponse::default()
        }
    }
}

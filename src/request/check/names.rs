//! The names of entities and actions in a request.

use cedar_policy_core::ast::{Eid, EntityType, EntityUID};

use super::{
    Side,
    checker::{Checker, listed},
};
use crate::{
    model::Uid,
    request::{FieldPath, shorten},
    schema::ActionSchema,
};

impl<'a> Checker<'a> {
    /// Checks an entity that may be left out.
    pub fn optional(&mut self, path: &FieldPath<'_>, uid: Option<&Uid>) -> Option<EntityUID> {
        self.uid(path, uid?)
    }

    pub fn required(&mut self, path: &FieldPath<'_>, uid: Option<&Uid>) -> Option<EntityUID> {
        if uid.is_none() {
            self.violation(path, "missing: name an entity by its type and id");
        }
        self.uid(path, uid?)
    }

    /// Reads the name of an entity.
    pub fn uid(&mut self, path: &FieldPath<'_>, uid: &Uid) -> Option<EntityUID> {
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

    pub fn no_entity_type(&mut self, path: &FieldPath<'_>, type_name: &str) {
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

    pub fn action(&mut self, path: &FieldPath<'_>, uid: Option<&Uid>) -> Option<&'a ActionSchema> {
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

    pub fn applies(
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

    pub fn applies_to(
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
}

//! Reading `subject.properties.roles`.

use serde_json::Value as Json;

use super::{
    form::{Entity, Object, kind},
    input::{QuestionReader, of_properties},
    values::uid,
};
use crate::{
    request::{FieldPath, RoleAssignmentInput},
    schema::EntityShape,
    store::RolesProperty,
};

impl QuestionReader<'_> {
    /// Reads the roles of the subject, where its type declares no attribute of that name.
    pub fn roles(&mut self, subject: &Entity, resource: &Entity) -> Vec<RoleAssignmentInput> {
        let path = of_properties("subject", "roles");
        let Some(sent) = subject.properties.get("roles").filter(|sent| !sent.is_null()) else {
            return Vec::new();
        };
        let declares = |shape: &EntityShape| shape.attributes.fields.contains_key("roles");
        if self.shape(&subject.type_name).is_some_and(declares) {
            return Vec::new();
        }
        if self.store.authzen().roles == RolesProperty::Ignore {
            self.ignored.push(path.to_string());
            return Vec::new();
        }
        let Json::Array(roles) = sent else {
            let description = format!("an array of roles is expected, not {}", kind(sent));
            self.values.violation(&path, description);
            return Vec::new();
        };
        let mut read = Vec::new();
        for (index, json) in roles.iter().enumerate() {
            if let Some(role) = self.role(&FieldPath::Index(&path, index), json, resource) {
                self.paths.roles.push(index);
                read.push(role);
            }
        }
        read
    }

    fn role(
        &mut self,
        path: &FieldPath<'_>,
        json: &Json,
        resource: &Entity,
    ) -> Option<RoleAssignmentInput> {
        match json {
            Json::String(role) => self.bare_role(path, role, resource),
            Json::Object(fields) => {
                let role = scoped_role(fields);
                role.map_err(|(field, description)| {
                    self.values.violation(&FieldPath::Of(path, field), description);
                })
                .ok()
            }
            other => {
                let description = format!("a role is expected, not {}", kind(other));
                self.values.violation(path, description);
                None
            }
        }
    }

    /// Reads a role on the resource of the question. One that its type does not have means nothing there.
    fn bare_role(
        &mut self,
        path: &FieldPath<'_>,
        role: &str,
        resource: &Entity,
    ) -> Option<RoleAssignmentInput> {
        if self.store.authzen().roles != RolesProperty::AssignmentsAndBare {
            self.values.violation(
                path,
                "write `{\"role\": …, \"scope\": {\"type\": …, \"id\": …}}`: a bare role counts only \
                 where the store's `store.toml` says `[authzen] roles = \"assignments-and-bare\"`",
            );
            return None;
        }
        self.shape(&resource.type_name)?.slots.contains_key(role).then(|| RoleAssignmentInput {
            role: role.to_owned(),
            ..RoleAssignmentInput::default()
        })
    }
}

/// Reads a role that names its scope, or returns the field that is wrong.
fn scoped_role(fields: &Object) -> Result<RoleAssignmentInput, (&'static str, String)> {
    let role = fields.get("role").and_then(Json::as_str);
    let role = role.ok_or_else(|| ("role", "missing: name the role".to_owned()))?;
    let scope = fields.get("scope").and_then(Json::as_object);
    let scope =
        scope.ok_or_else(|| ("scope", "missing: name the entity that it is held on".to_owned()))?;
    let expires_at = match fields.get("expires_at") {
        None | Some(Json::Null) => None,
        Some(Json::String(text)) => {
            Some(text.parse().map_err(|error| ("expires_at", format!("{error}")))?)
        }
        Some(other) => {
            return Err((
                "expires_at",
                format!("a date and time is expected, not {}", kind(other)),
            ));
        }
    };
    Ok(RoleAssignmentInput {
        principal: None,
        role: role.to_owned(),
        scope: Some(uid(scope).map_err(|error| ("scope", error))?),
        expires_at,
    })
}

//! Schemas and rows.

use std::sync::Arc;

use crate::{
    directory::{Assignment, AssignmentKey, Change, Directory, EntityRow},
    model::{Timestamp, Uid},
    request::{Grant, RequestLimits},
    schema::{Schema, StoredEntities},
};

/// The state of a store.
#[derive(Debug, Clone)]
pub(super) struct Store {
    pub schema: Arc<Schema>,
    pub stored: Arc<StoredEntities>,
}

pub(super) fn store(text: &str) -> Store {
    let (cedar, _) = cedar_policy::Schema::from_cedarschema_str(text).unwrap();
    let is_role = |ty: &cedar_policy_core::ast::EntityType| ty.to_string().ends_with("Role");
    let schema = Arc::new(Schema::new(cedar, is_role).unwrap());
    let actions = schema.cedar().action_entities().unwrap();
    let actions = actions.iter().map(|entity| entity.as_ref().clone());
    Store { schema, stored: Arc::new(StoredEntities::new(actions)) }
}

/// Everything that the other schemas have, and more.
pub(super) const FULL: &str = r#"
    namespace App {
        entity Role;
        entity Group in [Group, Role];
        entity User in [Group, Role] {
            plan?: String,
            manager?: User,
            teams?: Set<Group>,
            desk?: { neighbour: User },
        };
        entity Plan enum ["free", "paid"];
        entity Site in [Group] { editor: Role, viewer: Role };
        entity Team { viewer: Role };
        action read appliesTo { principal: User, resource: Site };
    }
"#;

/// Without teams, groups that hold roles, the role of editors, and an attribute; with other plans.
pub(super) const LESS: &str = r#"
    namespace App {
        entity Role;
        entity Group in [Group];
        entity User in [Group, Role];
        entity Plan enum ["u1"];
        entity Site in [Group] { viewer: Role, owner: Role };
        action read appliesTo { principal: User, resource: Site };
    }
"#;

/// Without a namespace.
pub(super) const BARE: &str = r#"
    entity Role;
    entity Group in [Group, Role];
    entity User in [Group, Role];
    entity Site in [Group] { editor: Role, viewer: Role };
    action read appliesTo { principal: User, resource: Site };
"#;

pub(super) fn directory(store: &Store, limits: &RequestLimits) -> Directory {
    Directory::new(Arc::clone(&store.schema), Arc::clone(&store.stored), limits.clone())
}

pub(super) fn with(directory: &Directory, store: &Store) -> Directory {
    directory.with_schema(Arc::clone(&store.schema), Arc::clone(&store.stored))
}

pub(super) fn key(principal: &str, role: &str, scope: &str) -> AssignmentKey {
    let uid = |text: &str| text.parse::<Uid>().unwrap();
    AssignmentKey { principal: uid(principal), role: role.to_owned(), scope: uid(scope) }
}

pub(super) fn put(principal: &str, role: &str, scope: &str) -> Change {
    Change::Put(Assignment {
        key: key(principal, role, scope),
        expires_at: None,
        grant: Grant::default(),
    })
}

pub(super) fn put_entity(uid: &str, json: &str) -> Change {
    Change::PutEntity(EntityRow { uid: uid.parse().unwrap(), json: json.to_owned() })
}

pub(super) fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

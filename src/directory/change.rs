//! Changes of a directory: role assignments and entities that come, change and go.

use crate::{
    model::{Timestamp, Uid},
    request::Grant,
    schema::Schema,
};

/// One change of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A role assignment is there from now on; one of the same key is replaced.
    Put(Assignment),
    /// A role assignment is gone.
    Delete(AssignmentKey),
    /// An entity is there from now on; one of the same uid is replaced.
    PutEntity(EntityRow),
    /// An entity is gone. Roles that it has, and that are held on it, stay.
    DeleteEntity(Uid),
}

impl Change {
    /// Gives the entities that it is about the full names of their types. Changes of one row then have
    /// one key, however its types were written.
    pub fn qualify(&mut self, schema: &Schema) {
        let qualify = |uid: &mut Uid| {
            uid.type_name = schema.full_type_name(&uid.type_name).to_string();
        };
        match self {
            Self::Put(Assignment { key, .. }) | Self::Delete(key) => {
                qualify(&mut key.principal);
                qualify(&mut key.scope);
            }
            Self::PutEntity(EntityRow { uid, .. }) | Self::DeleteEntity(uid) => qualify(uid),
        }
    }

    /// Returns whether the entities that it is about have the full names of their types.
    #[must_use]
    pub fn is_qualified(&self, schema: &Schema) -> bool {
        let is_full = |uid: &Uid| schema.full_type_name(&uid.type_name) == uid.type_name;
        match self {
            Self::Put(Assignment { key, .. }) | Self::Delete(key) => {
                is_full(&key.principal) && is_full(&key.scope)
            }
            Self::PutEntity(EntityRow { uid, .. }) | Self::DeleteEntity(uid) => is_full(uid),
        }
    }

    /// Returns deletions of the same row under the other names that its types have. A row that was
    /// written while the schema had no namespace has them.
    #[must_use]
    pub fn deletions_of_other_names(&self, schema: &Schema) -> Vec<Self> {
        let names = |uid: &Uid| {
            let short = schema.short_type_name(&uid.type_name);
            let short = short.map(|short| Uid::new(short, uid.id.as_str()));
            [Some(uid.clone()), short].into_iter().flatten().collect::<Vec<_>>()
        };
        match self {
            Self::Put(Assignment { key, .. }) | Self::Delete(key) => {
                let (principals, scopes) = (names(&key.principal), names(&key.scope));
                let pairs = principals
                    .iter()
                    .flat_map(|principal| scopes.iter().map(move |scope| (principal, scope)));
                let others = pairs.map(|(principal, scope)| AssignmentKey {
                    principal: principal.clone(),
                    role: key.role.clone(),
                    scope: scope.clone(),
                });
                others.filter(|other| other != key).map(Self::Delete).collect()
            }
            Self::PutEntity(EntityRow { uid, .. }) | Self::DeleteEntity(uid) => names(uid)
                .into_iter()
                .filter(|other| other != uid)
                .map(Self::DeleteEntity)
                .collect(),
        }
    }

    /// Returns how long its texts are together, in bytes.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        let name = |uid: &Uid| uid.type_name.len() + uid.id.len();
        let of_key = |key: &AssignmentKey| name(&key.principal) + key.role.len() + name(&key.scope);
        match self {
            Self::Put(Assignment { key, grant, .. }) => {
                of_key(key) + grant.granted_by.len() + grant.reason.len()
            }
            Self::Delete(key) => of_key(key),
            Self::PutEntity(EntityRow { uid, json }) => name(uid) + json.len(),
            Self::DeleteEntity(uid) => name(uid),
        }
    }

    /// Returns whether a directory keeps the row, be it that the schema fits or not: types and ids are
    /// not empty, and no text is longer than the limit.
    #[must_use]
    pub fn can_be_kept(&self, text_bytes: usize) -> bool {
        match self {
            Self::Put(row) => row.can_be_kept(text_bytes),
            Self::PutEntity(EntityRow { uid, .. }) => can_be_named(uid, text_bytes),
            Self::Delete(_) | Self::DeleteEntity(_) => true,
        }
    }
}

/// The principal, role and scope of an assignment: there is one of each.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AssignmentKey {
    /// The holder.
    pub principal: Uid,
    /// The name of the role slot.
    pub role: String,
    /// The entity on which it is held.
    pub scope: Uid,
}

/// A role assignment as a directory holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// Its principal, role and scope.
    pub key: AssignmentKey,
    /// From this moment on it does not exist.
    pub expires_at: Option<Timestamp>,
    /// The person who granted it, when and why.
    pub grant: Grant,
}

impl Assignment {
    pub(super) fn can_be_kept(&self, text_bytes: usize) -> bool {
        let texts = [&self.key.role, &self.grant.granted_by, &self.grant.reason];
        can_be_named(&self.key.principal, text_bytes)
            && can_be_named(&self.key.scope, text_bytes)
            && texts.into_iter().all(|text| text.len() <= text_bytes)
    }
}

/// Returns whether a row can be kept under that name.
pub(super) fn can_be_named(uid: &Uid, text_bytes: usize) -> bool {
    [&uid.type_name, &uid.id].into_iter().all(|text| (1..=text_bytes).contains(&text.len()))
}

/// An entity as a directory holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntityRow {
    /// The entity.
    pub uid: Uid,
    /// The entity in Cedar's JSON: an object with `attrs`, `parents`, `tags` and, if it is written,
    /// the same `uid`.
    pub json: String,
}

/// A change that could not be put in force. What it would have granted is not granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The place of the change among those that were given.
    pub index: usize,
    /// The wrong part, e.g. `scope` or `entity.attributes.plan`; empty beyond the first thousand faults.
    pub field: String,
    /// The fault in words; empty beyond the first thousand faults.
    pub description: String,
}

/// Selects the entities of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EntityFilter {
    /// Those of this type alone.
    pub entity_type: Option<String>,
    /// Those alone that fit the schema.
    pub fitting: bool,
}

/// Selects the assignments of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AssignmentFilter {
    /// Those of this principal alone.
    pub principal: Option<Uid>,
    /// Those of this role alone.
    pub role: Option<String>,
    /// Those on this scope alone.
    pub scope: Option<Uid>,
    /// Those alone that fit the schema and have not expired at that moment.
    pub in_force_at: Option<Timestamp>,
}

//! Questions, built step by step.

use std::fmt;

use crate::{
    model::{Uid, Value},
    proto,
    request::{EntityInput, RoleAssignmentInput},
};

/// An action: its id, e.g. `site.goals.create`, or its type and id. The types that
/// `humbaba generate --lang rust` writes convert into it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ActionUid(Uid);

impl From<&str> for ActionUid {
    fn from(id: &str) -> Self {
        Self(Uid::action(id))
    }
}

impl From<String> for ActionUid {
    fn from(id: String) -> Self {
        Self(Uid::action(id))
    }
}

impl From<Uid> for ActionUid {
    fn from(uid: Uid) -> Self {
        Self(uid)
    }
}

/// May a principal do an action on a resource?
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    pub(super) request: proto::IsAuthorizedRequest,
}

/// The question which actions a principal may do on a resource.
#[derive(Debug, Clone, PartialEq)]
pub struct ListActions {
    pub(super) request: proto::ListActionsRequest,
}

/// On which resources of a type may a principal do an action?
#[derive(Debug, Clone, PartialEq)]
pub struct ListResources {
    pub(super) request: proto::ListResourcesRequest,
}

/// The question which principals of a type may do an action on a resource.
#[derive(Debug, Clone, PartialEq)]
pub struct ListPrincipals {
    pub(super) request: proto::ListPrincipalsRequest,
}

impl Question {
    /// Asks whether the principal may do the action on the resource.
    #[must_use]
    pub fn new(
        principal: impl Into<Uid>,
        action: impl Into<ActionUid>,
        resource: impl Into<Uid>,
    ) -> Self {
        let request = proto::IsAuthorizedRequest {
            principal: Some(principal.into().into()),
            action: Some(action.into().0.into()),
            resource: Some(resource.into().into()),
            ..Default::default()
        };
        Self { request }
    }

    /// Asks for an explanation as well, which costs several decisions more.
    #[must_use]
    pub fn explain(mut self) -> Self {
        self.request.explain = true;
        self
    }
}

impl fmt::Display for Question {
    /// Writes the principal, the action and the resource.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uid = |uid: &Option<proto::EntityUid>| {
            let uid = uid.clone().unwrap_or_default();
            Uid::new(uid.r#type, uid.id)
        };
        let proto::IsAuthorizedRequest { principal, action, resource, .. } = &self.request;
        write!(f, "{} {} {}", uid(principal), uid(action), uid(resource))
    }
}

impl From<proto::IsAuthorizedRequest> for Question {
    fn from(request: proto::IsAuthorizedRequest) -> Self {
        Self { request }
    }
}

impl ListActions {
    /// Asks what the principal may do on the resource.
    #[must_use]
    pub fn new(principal: impl Into<Uid>, resource: impl Into<Uid>) -> Self {
        let request = proto::ListActionsRequest {
            principal: Some(principal.into().into()),
            resource: Some(resource.into().into()),
            ..Default::default()
        };
        Self { request }
    }
}

impl ListResources {
    /// Asks on which resources of a type, e.g. `Site`, the principal may do the action.
    #[must_use]
    pub fn new(
        principal: impl Into<Uid>,
        action: impl Into<ActionUid>,
        resource_type: impl Into<String>,
    ) -> Self {
        let request = proto::ListResourcesRequest {
            principal: Some(principal.into().into()),
            action: Some(action.into().0.into()),
            resource_type: resource_type.into(),
            ..Default::default()
        };
        Self { request }
    }
}

impl ListPrincipals {
    /// Asks which principals of a type, e.g. `User`, may do the action on the resource.
    #[must_use]
    pub fn new(
        principal_type: impl Into<String>,
        action: impl Into<ActionUid>,
        resource: impl Into<Uid>,
    ) -> Self {
        let request = proto::ListPrincipalsRequest {
            principal_type: principal_type.into(),
            action: Some(action.into().0.into()),
            resource: Some(resource.into().into()),
            ..Default::default()
        };
        Self { request }
    }
}

/// The parts that the contract gives all these questions.
macro_rules! with_facts {
    ($($question:ty),*) => {$(
        impl $question {
            /// Asks this policy store.
            #[must_use]
            pub fn in_store(mut self, name: impl Into<String>) -> Self {
                self.request.policy_store = name.into();
                self
            }

            /// States that the principal holds a role on a scope.
            #[must_use]
            pub fn role(self, role: impl Into<String>, scope: impl Into<Uid>) -> Self {
                self.role_assignment(RoleAssignmentInput {
                    role: role.into(),
                    scope: Some(scope.into()),
                    ..Default::default()
                })
            }

            /// States that somebody holds a role, until a moment where it expires.
            #[must_use]
            pub fn role_assignment(mut self, assignment: RoleAssignmentInput) -> Self {
                self.request.role_assignments.push(assignment.into());
                self
            }

            /// Gives a fact of the request, as the schema declares it for the action.
            #[must_use]
            pub fn fact(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
                self.request.context.insert(name.into(), value.into().into());
                self
            }

            /// Adds facts of an entity that policies read.
            #[must_use]
            pub fn entity(mut self, entity: EntityInput) -> Self {
                self.request.entities.push(entity.into());
                self
            }

            /// Wants an answer on this state of the directory or a newer one, as an answer or a
            /// write carried it.
            #[must_use]
            pub fn at_least_version(mut self, version: impl Into<String>) -> Self {
                self.request.at_least_version = version.into();
                self
            }
        }
    )*};
}

with_facts!(Question, ListActions, ListResources, ListPrincipals);

/// The parts that the contract gives lists in pages.
macro_rules! paged {
    ($($list:ty),*) => {$(
        impl $list {
            /// Sets the most entities of a page; 0: the server's limit.
            #[must_use]
            pub fn page_size(mut self, size: u32) -> Self {
                self.request.page_size = size;
                self
            }

            /// Goes on where the page before ended.
            #[must_use]
            pub fn after(mut self, next_page_token: impl Into<String>) -> Self {
                self.request.page_token = next_page_token.into();
                self
            }
        }
    )*};
}

paged!(ListResources, ListPrincipals);

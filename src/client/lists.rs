//! The answers to lists.

use crate::{model::Uid, proto};

/// The actions that a principal may do on a resource.
#[derive(Debug, Clone, PartialEq)]
pub struct Actions {
    /// The allowed actions, by id.
    pub allowed: Vec<Uid>,
    /// The actions that could not be decided. They are not allowed.
    pub undecided: Vec<Undecided>,
    /// The name of the policies and stored entities that decided.
    pub revision: String,
    /// The state of the directory that decided; empty without a directory.
    pub directory_version: String,
}

/// A page of the resources or principals that are allowed.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The allowed, in the order of their ids.
    pub allowed: Vec<Uid>,
    /// Those that could not be decided, because a fact is missing. They are not allowed.
    pub undecided: Vec<Undecided>,
    /// The token of the next page; `None`: this is the last.
    pub next_page_token: Option<String>,
    /// The name of the policies and stored entities that decided.
    pub revision: String,
    /// The state of the directory that decided.
    pub directory_version: String,
}

/// An action or entity that could not be decided with the facts that were sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecided {
    /// The action or entity.
    pub uid: Uid,
    /// The facts that are missing.
    pub reason: String,
}

impl From<proto::ListActionsResponse> for Actions {
    fn from(answer: proto::ListActionsResponse) -> Self {
        let undecided = answer
            .undecided
            .into_iter()
            .map(|one| Undecided { uid: uid(one.action.unwrap_or_default()), reason: one.reason });
        Self {
            allowed: answer.actions.into_iter().map(uid).collect(),
            undecided: undecided.collect(),
            revision: answer.revision,
            directory_version: answer.directory_version,
        }
    }
}

impl From<proto::ListResourcesResponse> for Page {
    fn from(answer: proto::ListResourcesResponse) -> Self {
        Self {
            allowed: answer.resources.into_iter().map(uid).collect(),
            undecided: answer.conditional.into_iter().map(undecided).collect(),
            next_page_token: token(answer.next_page_token),
            revision: answer.revision,
            directory_version: answer.directory_version,
        }
    }
}

impl From<proto::ListPrincipalsResponse> for Page {
    fn from(answer: proto::ListPrincipalsResponse) -> Self {
        Self {
            allowed: answer.principals.into_iter().map(uid).collect(),
            undecided: answer.conditional.into_iter().map(undecided).collect(),
            next_page_token: token(answer.next_page_token),
            revision: answer.revision,
            directory_version: answer.directory_version,
        }
    }
}

fn uid(uid: proto::EntityUid) -> Uid {
    Uid::new(uid.r#type, uid.id)
}

fn undecided(one: proto::UndecidedEntity) -> Undecided {
    Undecided { uid: uid(one.entity.unwrap_or_default()), reason: one.reason }
}

fn token(token: String) -> Option<String> {
    Some(token).filter(|token| !token.is_empty())
}

//! Writes the messages that h2load sends, each behind the five bytes with which gRPC frames it.

use std::{collections::HashMap, fs, path::Path};

use humbaba::proto::{
    BatchIsAuthorizedItem, BatchIsAuthorizedRequest, Entity, IsAuthorizedRequest, RoleAssignments,
};
use prost::Message;
use prost_types::{Struct, Value, value::Kind};

use crate::support::{self, ACTION, STORE, assignment, question, uid};

/// Sizes of batches.
const ITEMS: [usize; 4] = [1, 10, 100, 1_000];
/// Role assignments or entities of a question.
const FACTS: [usize; 3] = [1, 10, 100];
/// Policies that a store has more.
const POLICIES: [usize; 4] = [10, 100, 1_000, 10_000];

/// Writes everything that the scripts send or load.
pub fn write(folder: &Path) {
    fs::create_dir_all(folder).expect("a folder");
    let write = |name: String, bytes: Vec<u8>| {
        fs::write(folder.join(&name), bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    };
    write("one.bin".to_owned(), framed(&question()));
    write("cerbos.bin".to_owned(), framed(&for_cerbos()));
    write("large.bin".to_owned(), framed(&with_entities(1_000, 1_000)));
    for count in FACTS {
        write(format!("assignments-{count}.bin"), framed(&with_assignments(count)));
        write(format!("entities-{count}.bin"), framed(&with_entities(count, 8)));
    }
    for kind in Batch::ALL {
        for items in ITEMS {
            write(format!("batch-{}-{items}.bin", kind.name()), framed(&kind.question(items)));
        }
    }
    for policies in POLICIES {
        write(format!("policies-{policies}.cedar"), support::more(policies).into_bytes());
    }
}

fn framed(message: &impl Message) -> Vec<u8> {
    let length = u32::try_from(message.encoded_len()).expect("a message below 4 GiB");
    let mut bytes = vec![0];
    bytes.extend(length.to_be_bytes());
    bytes.extend(message.encode_to_vec());
    bytes
}

/// The question with more role assignments, which do not matter to it.
fn with_assignments(count: usize) -> IsAuthorizedRequest {
    let mut question = question();
    let more = (1..count).map(|n| assignment("viewer", &format!("other-{n}")));
    question.role_assignments.extend(more);
    question
}

/// The question with entities of which each has an id of that length, and which do not matter to it.
fn with_entities(count: usize, id_bytes: usize) -> IsAuthorizedRequest {
    let entity = |n| Entity {
        uid: Some(uid("Site", &format!("other-{n:0>id_bytes$}"))),
        ..Entity::default()
    };
    IsAuthorizedRequest { entities: (0..count).map(entity).collect(), ..question() }
}

/// A kind of batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Batch {
    /// Sites; alice has a role on the first.
    OneRole,
    /// Sites; the batch lists a role on each.
    ListedRoles,
    /// Sites; each item has a role of its own.
    OwnRoles,
    /// Ten actions on each site; alice has a role on the first.
    Actions,
}

impl Batch {
    const ALL: [Self; 4] = [Self::OneRole, Self::ListedRoles, Self::OwnRoles, Self::Actions];

    fn name(self) -> &'static str {
        match self {
            Self::OneRole => "one-role",
            Self::ListedRoles => "listed-roles",
            Self::OwnRoles => "own-roles",
            Self::Actions => "actions",
        }
    }

    fn question(self, items: usize) -> BatchIsAuthorizedRequest {
        const ACTIONS: [&str; 10] = [
            ACTION,
            "site.goals.edit",
            "site.goals.delete",
            "site.view",
            "site.funnels.view",
            "site.events.view",
            "site.members.list",
            "site.members.add",
            "site.members.remove",
            "site.members.change-role",
        ];

        let site = |n: usize| (42 + n).to_string();
        let role_assignments = match self {
            Self::OneRole | Self::Actions => vec![assignment("editor", "42")],
            Self::ListedRoles => (0..items)
                .map(|n| assignment(["editor", "viewer", "admin"][n % 3], &site(n)))
                .collect(),
            Self::OwnRoles => Vec::new(),
        };
        let item = |n: usize| match self {
            Self::Actions => BatchIsAuthorizedItem {
                action: Some(uid("", ACTIONS[n % ACTIONS.len()])),
                resource: Some(uid("Site", &site(n / ACTIONS.len()))),
                ..BatchIsAuthorizedItem::default()
            },
            Self::OwnRoles => BatchIsAuthorizedItem {
                resource: Some(uid("Site", &site(n))),
                role_assignments: Some(RoleAssignments {
                    items: vec![assignment("editor", &site(n))],
                }),
                ..BatchIsAuthorizedItem::default()
            },
            _ => BatchIsAuthorizedItem {
                resource: Some(uid("Site", &site(n))),
                ..BatchIsAuthorizedItem::default()
            },
        };
        BatchIsAuthorizedRequest {
            policy_store: STORE.to_owned(),
            principal: Some(uid("User", "alice")),
            action: Some(uid("", ACTION)),
            role_assignments,
            items: (0..items).map(item).collect(),
            ..BatchIsAuthorizedRequest::default()
        }
    }
}

/// The same question for Cerbos: the role is an attribute of the principal.
fn for_cerbos() -> CheckResourcesRequest {
    let text = |text: &str| Value { kind: Some(Kind::StringValue(text.to_owned())) };
    let roles = Struct { fields: [("42".to_owned(), text("editor"))].into() };
    let roles = Value { kind: Some(Kind::StructValue(roles)) };
    CheckResourcesRequest {
        request_id: "1".to_owned(),
        principal: Some(Principal {
            id: "alice".to_owned(),
            roles: vec!["user".to_owned()],
            attr: HashMap::from([("site_roles".to_owned(), roles)]),
        }),
        resources: vec![ResourceEntry {
            actions: vec![ACTION.to_owned()],
            resource: Some(Resource { kind: "site".to_owned(), id: "42".to_owned() }),
        }],
    }
}

// The part of `cerbos.request.v1` and `cerbos.engine.v1` that the question needs.

#[derive(Clone, PartialEq, Message)]
struct CheckResourcesRequest {
    #[prost(string, tag = "1")]
    request_id: String,
    #[prost(message, optional, tag = "3")]
    principal: Option<Principal>,
    #[prost(message, repeated, tag = "4")]
    resources: Vec<ResourceEntry>,
}

#[derive(Clone, PartialEq, Message)]
struct Principal {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, repeated, tag = "3")]
    roles: Vec<String>,
    #[prost(map = "string, message", tag = "4")]
    attr: HashMap<String, Value>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceEntry {
    #[prost(string, repeated, tag = "1")]
    actions: Vec<String>,
    #[prost(message, optional, tag = "2")]
    resource: Option<Resource>,
}

#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(string, tag = "1")]
    kind: String,
    #[prost(string, tag = "3")]
    id: String,
}

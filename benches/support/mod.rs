//! What all benchmarks ask: the question of the first example, and stores that grow.

#![allow(dead_code)]

pub mod naive;

use std::{fmt::Write as _, sync::Arc};

use humbaba::{
    model::Uid,
    proto::{self, EntityUid, IsAuthorizedRequest, RoleAssignment},
    request::{RequestInput, RoleAssignmentInput},
    store::{Bounds, PolicyStore, StoreFiles, embedded_stores},
};

/// The store that is asked.
pub const STORE: &str = "hitkeep";
/// What is asked of it.
pub const ACTION: &str = "site.goals.create";

/// Alice is editor on site 42: may she create a goal there? One inline role assignment, an allow.
pub fn question() -> IsAuthorizedRequest {
    IsAuthorizedRequest {
        policy_store: STORE.to_owned(),
        principal: Some(uid("User", "alice")),
        action: Some(uid("", ACTION)),
        resource: Some(uid("Site", "42")),
        role_assignments: vec![assignment("editor", "42")],
        ..IsAuthorizedRequest::default()
    }
}

/// The same question as the core is asked.
pub fn input() -> RequestInput {
    RequestInput {
        principal: Some(Uid::new("User", "alice")),
        action: Some(Uid::action(ACTION)),
        resource: Some(Uid::new("Site", "42")),
        role_assignments: vec![RoleAssignmentInput {
            role: "editor".to_owned(),
            scope: Some(Uid::new("Site", "42")),
            ..RoleAssignmentInput::default()
        }],
        ..RequestInput::default()
    }
}

/// The question with more role assignments, which do not matter to it.
pub fn with_assignments(count: usize) -> IsAuthorizedRequest {
    let mut question = question();
    let more = (1..count).map(|n| assignment("viewer", &format!("other-{n}")));
    question.role_assignments.extend(more);
    question
}

/// The question with so many entities, which do not matter to it.
pub fn with_entities(count: usize) -> IsAuthorizedRequest {
    let entity = |n| proto::Entity {
        uid: Some(uid("Site", &format!("other-{n}"))),
        ..proto::Entity::default()
    };
    IsAuthorizedRequest { entities: (0..count).map(entity).collect(), ..question() }
}

/// What the items of a batch are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Batch {
    /// So many sites, of which alice has a role on the first.
    OneRole,
    /// So many sites, on each of which alice has the role that the batch names.
    SameRole,
    /// So many sites, on each of which alice has a role that the batch lists.
    ListedRoles,
    /// So many sites, each with alice's role on it in the item.
    OwnRoles,
    /// Ten actions on a tenth of so many sites, of which alice has a role on the first.
    Actions,
}

impl Batch {
    pub const ALL: [Self; 5] =
        [Self::OneRole, Self::SameRole, Self::ListedRoles, Self::OwnRoles, Self::Actions];

    pub fn name(self) -> &'static str {
        match self {
            Self::OneRole => "sites, a role on one of them",
            Self::SameRole => "sites, the same role on each",
            Self::ListedRoles => "sites, a list of roles on each",
            Self::OwnRoles => "sites, each item with its own role",
            Self::Actions => "ten actions on sites, a role on one of them",
        }
    }

    /// The question for so many items at once.
    pub fn question(self, items: usize) -> proto::BatchIsAuthorizedRequest {
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

        let site = |n: usize| format!("{}", 42 + n);
        let role_assignments = match self {
            Self::OneRole | Self::Actions => vec![assignment("editor", "42")],
            Self::SameRole => {
                vec![RoleAssignment { role: "editor".to_owned(), ..RoleAssignment::default() }]
            }
            Self::ListedRoles => (0..items)
                .map(|n| assignment(["editor", "viewer", "admin"][n % 3], &site(n)))
                .collect(),
            Self::OwnRoles => Vec::new(),
        };
        let item = |n: usize| {
            let place = if self == Self::Actions { n / ACTIONS.len() } else { n };
            let mut item = proto::BatchIsAuthorizedItem {
                resource: Some(uid("Site", &site(place))),
                ..proto::BatchIsAuthorizedItem::default()
            };
            match self {
                Self::Actions => item.action = Some(uid("", ACTIONS[n % ACTIONS.len()])),
                Self::OwnRoles => item.role_assignments.push(assignment("editor", &site(n))),
                _ => {}
            }
            item
        };
        proto::BatchIsAuthorizedRequest {
            policy_store: STORE.to_owned(),
            principal: Some(uid("User", "alice")),
            action: Some(uid("", ACTION)),
            role_assignments,
            items: (0..items).map(item).collect(),
            ..proto::BatchIsAuthorizedRequest::default()
        }
    }
}

pub fn uid(type_name: &str, id: &str) -> EntityUid {
    EntityUid { r#type: type_name.to_owned(), id: id.to_owned() }
}

fn assignment(role: &str, site: &str) -> RoleAssignment {
    RoleAssignment {
        role: role.to_owned(),
        scope: Some(uid("Site", site)),
        ..RoleAssignment::default()
    }
}

/// What a store is given more of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growth {
    Policies,
    Links,
}

impl Growth {
    pub const ALL: [Self; 2] = [Self::Policies, Self::Links];

    pub fn name(self) -> &'static str {
        match self {
            Self::Policies => "policies",
            Self::Links => "links",
        }
    }

    /// Files that add so many policies or links to the store, none of which matters to the
    /// question: they are about other principals and other sites.
    pub fn files(self, count: usize) -> Vec<(&'static str, String)> {
        if count == 0 {
            return Vec::new();
        }
        let mut text = String::new();
        match self {
            Self::Policies => {
                for n in 0..count {
                    let _ = writeln!(
                        text,
                        "@id(\"growth-{n}\")\npermit (principal == HitKeep::User::\"user-{n}\", \
                         action in HitKeep::Action::\"site.manage_goals\", \
                         resource == HitKeep::Site::\"site-{n}\");"
                    );
                }
                vec![("growth.cedar", text)]
            }
            Self::Links => {
                let template = "@id(\"growth\")\npermit (principal == ?principal, \
                                action in HitKeep::Action::\"site.manage_goals\", \
                                resource == ?resource);\n";
                for n in 0..count {
                    let _ = writeln!(
                        text,
                        "[[link]]\nid = \"growth-{n}\"\ntemplate = \"growth\"\n\
                         principal = 'HitKeep::User::\"user-{n}\"'\n\
                         resource = 'HitKeep::Site::\"site-{n}\"'"
                    );
                }
                vec![("growth.cedar", template.to_owned()), ("growth.links.toml", text)]
            }
        }
    }
}

/// The files of the store.
pub fn files(growth: Growth, count: usize) -> StoreFiles {
    let shipped = embedded_stores().into_iter().find(|files| files.name().as_str() == STORE);
    let shipped = shipped.expect("the store is shipped");
    let more = growth.files(count).into_iter();
    more.fold(shipped, |files, (path, text)| files.with_file(path, text.into_bytes()))
}

/// The store, with so many more policies or links.
pub fn store(growth: Growth, count: usize) -> PolicyStore {
    load(&Arc::new(files(growth, count)))
}

/// A store of those files.
pub fn load(files: &Arc<StoreFiles>) -> PolicyStore {
    PolicyStore::load(Arc::clone(files), &Bounds::default()).unwrap_or_else(|problems| {
        let problems: Vec<_> = problems.iter().map(|problem| problem.render()).collect();
        panic!("the store is not valid:\n{}", problems.join("\n"));
    })
}

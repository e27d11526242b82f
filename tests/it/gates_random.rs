//! Random changes of schema and policies: whatever enumerated request the old state does not allow and
//! the new one does, the comparison of both does not say that nobody gains.

use std::sync::Arc;

use humbaba::{
    directory::Directory,
    engine::decide,
    model::{OnForbidError, Uid, Value},
    proofs::{ProofOptions, compare_gains},
    request::{EntityInput, Held, RequestFacts, RequestInput, RequestLimits, RoleAssignmentInput},
    store::{Bounds, PolicyStore, StoreFiles},
    testing::DEFAULT_NOW,
};
use proptest::test_runner::{RngAlgorithm, TestRng};
use serde_json::json;

use crate::{
    support::{
        directory::{held, held_entity},
        random::Random,
    },
    symbolic::solver,
};

/// Pairs of states that are compared.
const PAIRS: usize = 60;

/// The parts of a schema that differ between two states, each by its number of ways.
const PARTS: [usize; 10] = [3, 2, 2, 2, 2, 2, 2, 2, 2, 2];

type Parts = [usize; PARTS.len()];

fn schema(parts: &Parts) -> String {
    let [banned, nick, group, client, viewer, danger, reason, ids, plan, tags] = *parts;
    let one_of = |part: usize, texts: &[&str]| texts[part].to_owned();
    format!(
        "@role entity Role; entity Group; entity Plan enum {};
         entity User in [Role{}] {{ {}{}{} }};
         entity Client{};
         entity Site {{ owner: Role{} }}{};
         action danger;
         action see appliesTo {{ principal: [User, Client], resource: Site, context: {{}} }};
         action delete{} appliesTo {{ principal: [User, Client], resource: Site, context: {{ {} }} }};",
        one_of(ids, &["[\"a\"]", "[\"a\", \"b\"]"]),
        one_of(group, &["", ", Group"]),
        one_of(banned, &["", "banned?: Bool, ", "banned: Bool, "]),
        one_of(nick, &["", "nick?: String, "]),
        one_of(plan, &["", "plan?: Plan"]),
        one_of(client, &["", " in [Role]"]),
        one_of(viewer, &["", ", viewer: Role"]),
        one_of(tags, &["", " tags String"]),
        one_of(danger, &["", " in [danger]"]),
        one_of(reason, &["", "reason?: String"]),
    )
}

/// Conditions, with the part of the schema that they do not fit without.
const CONDITIONS: [(&str, Option<usize>); 12] = [
    ("principal in resource.owner", None),
    ("principal in resource.viewer", Some(4)),
    ("principal in Role::\"Site::1#viewer\"", None),
    ("principal in Group::\"g\"", None),
    ("principal has banned && principal.banned", None),
    ("principal has banned", None),
    ("action in Action::\"danger\"", None),
    ("context has reason && context.reason == \"x\"", None),
    ("principal has plan && principal.plan == Plan::\"a\"", None),
    ("resource.hasTag(\"t\")", Some(9)),
    ("principal is Client", None),
    ("principal == User::\"u\"", None),
];

fn policy(random: &mut Random, parts: &Parts) -> String {
    let mut condition = || loop {
        let (condition, part) = *random.pick(&CONDITIONS);
        if part.is_none_or(|part| parts[part] > 0) {
            return condition;
        }
    };
    let (one, other) = (condition(), condition());
    let effect = ["permit", "permit", "forbid"][random.below(3)];
    let scope = ["action", "action", "action in Action::\"danger\""][random.below(3)];
    let (word, how) = (["when", "unless"][random.below(2)], ["&&", "||"][random.below(2)]);
    format!("{effect} (principal, {scope}, resource) {word} {{ ({one}) {how} ({other}) }};\n")
}

fn store(parts: &Parts, policies: &[String]) -> Option<PolicyStore> {
    let numbered = policies.iter().enumerate();
    let text: String =
        numbered.map(|(number, policy)| format!("@id(\"p{number}\") {policy}")).collect();
    let files = [("s.cedarschema", schema(parts)), ("p.cedar", text)];
    let files = files.map(|(path, text)| (path.to_owned(), Arc::from(text.into_bytes())));
    let files = StoreFiles::new("random".parse().unwrap(), files);
    PolicyStore::load(Arc::new(files), &Bounds::default()).ok()
}

/// The facts of a request, which a caller sends or a directory holds.
#[derive(Debug, Clone)]
struct World {
    principal: &'static str,
    action: &'static str,
    banned: Option<bool>,
    nick: bool,
    group: bool,
    plan: Option<&'static str>,
    role: Option<&'static str>,
    tag: bool,
    reason: bool,
}

fn worlds() -> Vec<World> {
    let mut all = Vec::new();
    let flags = [false, true];
    for (principal, action, reason) in [
        ("User", "see", false),
        ("User", "delete", false),
        ("User", "delete", true),
        ("Client", "delete", true),
    ] {
        for (banned, nick) in
            [(None, false), (Some(false), false), (Some(true), false), (Some(true), true)]
        {
            for role in [None, Some("owner"), Some("viewer")] {
                for plan in [None, Some("a"), Some("b")] {
                    for group in flags {
                        for tag in flags {
                            let is_user = principal == "User";
                            all.push(World {
                                principal,
                                action,
                                banned: banned.filter(|_| is_user),
                                nick: nick && is_user,
                                group: group && is_user,
                                plan: plan.filter(|_| is_user),
                                role,
                                tag,
                                reason,
                            });
                        }
                    }
                }
            }
        }
    }
    all
}

impl World {
    /// Leaves out the facts that only the old schema refuses and its policies do not look at.
    fn without_unseen(&self, old: &Parts, new: &Parts, policies: &str) -> Self {
        let stays =
            |part: usize, word: &str| old[part] > 0 || new[part] == 0 || policies.contains(word);
        Self {
            banned: self.banned.filter(|_| stays(0, "banned")),
            nick: self.nick && stays(1, "nick"),
            group: self.group && stays(2, "Group"),
            plan: self.plan.filter(|id| stays(8, "plan") && (*id == "a" || stays(7, "plan"))),
            role: self.role.filter(|role| *role == "owner" || stays(4, "viewer")),
            tag: self.tag && stays(9, "Tag"),
            reason: self.reason && stays(6, "reason"),
            ..self.clone()
        }
    }

    fn principal(&self) -> Uid {
        Uid::new(self.principal, "u")
    }

    fn question(&self) -> RequestInput {
        RequestInput {
            principal: Some(self.principal()),
            action: Some(Uid::action(self.action)),
            resource: Some(Uid::new("Site", "1")),
            context: self
                .reason
                .then(|| ("reason".to_owned(), Value::String("x".into())))
                .into_iter()
                .collect(),
            ..RequestInput::default()
        }
    }

    fn sent(&self) -> RequestInput {
        let banned = self.banned.map(|banned| ("banned".to_owned(), Value::Bool(banned)));
        let nick = self.nick.then(|| ("nick".to_owned(), Value::String("x".into())));
        let plan = self.plan.map(|id| ("plan".to_owned(), Value::Entity(Uid::new("Plan", id))));
        let user = EntityInput {
            uid: Some(self.principal()),
            attributes: banned.into_iter().chain(nick).chain(plan).collect(),
            parents: self.group.then(|| Uid::new("Group", "g")).into_iter().collect(),
            ..EntityInput::default()
        };
        let site = EntityInput {
            uid: Some(Uid::new("Site", "1")),
            tags: vec![("t".to_owned(), Value::String("x".into()))],
            ..EntityInput::default()
        };
        let role = self.role.map(|role| RoleAssignmentInput {
            principal: Some(self.principal()),
            role: role.to_owned(),
            scope: Some(Uid::new("Site", "1")),
            expires_at: None,
        });
        RequestInput {
            entities: [user].into_iter().chain(self.tag.then_some(site)).collect(),
            role_assignments: role.into_iter().collect(),
            ..self.question()
        }
    }

    fn held(&self, store: &PolicyStore) -> Held {
        let limits = RequestLimits::default();
        let empty =
            Directory::new(Arc::clone(store.schema_arc()), Arc::clone(store.stored_arc()), limits);
        let mut attributes = json!({});
        if let Some(banned) = self.banned {
            attributes["banned"] = banned.into();
        }
        if self.nick {
            attributes["nick"] = "x".into();
        }
        if let Some(plan) = self.plan {
            attributes["plan"] = json!({"__entity": {"type": "Plan", "id": plan}});
        }
        let parents = if self.group { json!([{"type": "Group", "id": "g"}]) } else { json!([]) };
        let principal = self.principal().to_string();
        let mut rows =
            vec![held_entity(&principal, &json!({"attrs": attributes, "parents": parents}))];
        if self.tag {
            let site = json!({"attrs": {}, "parents": [], "tags": {"t": "x"}});
            rows.push(held_entity("Site::\"1\"", &site));
        }
        rows.extend(self.role.map(|role| held(&principal, role, "Site::\"1\"")));
        let (directory, _) = empty.apply(rows);
        Held { facts: Arc::new(directory), request_facts: RequestFacts::Refuse }
    }

    /// Decides with what is sent, and with what is held. A request that does not fit is not allowed.
    fn allowed(&self, store: &PolicyStore) -> [bool; 2] {
        let held = self.held(store);
        [(None, self.sent()), (Some(&held), self.question())].map(|(held, input)| {
            let request = store.check_with(held, &input, DEFAULT_NOW, &RequestLimits::default());
            request.is_ok_and(|one| decide(store.engine(), &one, OnForbidError::Deny).is_allow())
        })
    }
}

/// The parts of a schema, and policies.
type Written = (Parts, Vec<String>);

/// A pair of states: other schemas, and mostly the same policies.
fn pair(random: &mut Random) -> Option<(Written, Written)> {
    let old: Parts = PARTS.map(|ways| random.below(ways));
    let mut new = old;
    for _ in 0..=random.below(2) {
        let part = random.below(PARTS.len());
        new[part] = (new[part] + 1) % PARTS[part];
    }
    let policies: Vec<_> = (0..=random.below(3)).map(|_| policy(random, &old)).collect();
    let mut after = policies.clone();
    if random.below(3) == 0 {
        let at = random.below(after.len());
        after[at] = policy(random, &new);
    }
    let is_valid = store(&old, &policies).is_some() && store(&new, &after).is_some();
    is_valid.then_some(((old, policies), (new, after)))
}

#[test]
fn whatever_is_gained_is_not_called_nothing() {
    let Some(solver) = solver() else { return };
    let mut random = Random::new(TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let (mut gained, mut nothing) = (0, 0);
    let worlds = worlds();
    for _ in 0..PAIRS {
        let ((old_parts, old_policies), (new_parts, new_policies)) =
            std::iter::repeat_with(|| pair(&mut random)).flatten().next().unwrap();
        let (old, new) = (store(&old_parts, &old_policies), store(&new_parts, &new_policies));
        let (old, new) = (old.unwrap(), new.unwrap());
        let text = old_policies.concat();
        let shows = worlds.iter().find(|world| {
            let before = world.without_unseen(&old_parts, &new_parts, &text).allowed(&old);
            let after = world.allowed(&new);
            before.iter().zip(after).any(|(before, after)| after && !before)
        });
        let comparison = compare_gains(&old, &new, &solver, &ProofOptions::default()).unwrap();
        if let Some(world) = shows {
            gained += 1;
            assert!(
                !comparison.gains_nothing(),
                "{world:?}\n{}\n{text}\n{}\n{}",
                schema(&old_parts),
                schema(&new_parts),
                new_policies.concat()
            );
        }
        nothing += usize::from(comparison.gains_nothing());
    }
    assert!(gained > PAIRS / 10, "gains are planted: {gained}");
    assert!(nothing > PAIRS / 5, "and steps without are told as such: {nothing}");
}

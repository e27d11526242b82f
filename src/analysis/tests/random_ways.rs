//! Random stores in which roles and groups are in something else, against enumeration: whoever comes to be
//! in what a policy asks for by a role, a group, or a group of roles, and gains or loses by it, must be told.

use std::sync::{Arc, LazyLock};

use proptest::prelude::*;

use crate::{
    analysis::{Direction, diff, taken_by},
    engine::decide,
    model::{Effect, OnForbidError, Uid, Value},
    request::{EntityInput, RequestInput, RequestLimits, RoleAssignmentInput},
    store::{Bounds, PolicyStore, StoreFiles},
    testing::DEFAULT_NOW,
};

const SCHEMA: &str = r#"
entity Permission in [Permission];
@role entity Role in [Permission];
entity Group in [Group, Role];
entity User in [Role, Group] { active: Bool };
entity Site { editor: Role, viewer: Role, author?: User };
action view appliesTo { principal: User, resource: Site };
"#;

/// Conditions that cannot fail.
const ATOMS: [&str; 12] = [
    "principal in Permission::\"edit\"",
    "principal in Permission::\"read\"",
    "principal in [Permission::\"edit\", Permission::\"read\"]",
    "principal in Group::\"top\"",
    "principal in resource.editor",
    "principal in Role::\"Site::main#editor\"",
    "resource.editor in Permission::\"edit\"",
    "Permission::\"edit\" in Permission::\"read\"",
    "(principal has active && principal.active)",
    "principal == User::\"root\"",
    "(resource has author && resource.author in Permission::\"read\")",
    "(resource has author && resource.author == User::\"root\")",
];

fn condition() -> impl Strategy<Value = String> {
    let atom = (0..ATOMS.len(), any::<bool>()).prop_map(|(atom, not)| {
        if not { format!("!({})", ATOMS[atom]) } else { ATOMS[atom].to_owned() }
    });
    atom.prop_recursive(2, 4, 2, |inner| {
        (inner.clone(), inner, any::<bool>()).prop_map(|(one, other, and)| {
            format!("({one} {} {other})", if and { "&&" } else { "||" })
        })
    })
}

fn policy() -> impl Strategy<Value = String> {
    (prop::bool::weighted(0.7), condition()).prop_map(|(permit, condition)| {
        let effect = if permit { "permit" } else { "forbid" };
        format!("{effect} (principal, action, resource) when {{ {condition} }};\n")
    })
}

/// The files of a state.
#[derive(Debug, Clone)]
struct State {
    policies: Vec<String>,
    /// True where the store holds a user in a group that it does not hold.
    holds_root: bool,
    /// True where it holds a role, which is in a permission.
    holds_role: bool,
}

/// States of which the second has one policy more, less or another, and sometimes other entities.
fn two_states() -> impl Strategy<Value = (State, State)> {
    let held = (prop::bool::weighted(0.8), prop::bool::weighted(0.3));
    let other = prop::option::weighted(0.2, held);
    let policies = prop::collection::vec(policy(), 1..3);
    (policies, policy(), any::<bool>(), held, other).prop_map(|(before, one, swap, held, other)| {
        let mut after = before.clone();
        if swap {
            after.pop();
        }
        after.push(one);
        let state = |policies, (holds_root, holds_role)| State { policies, holds_root, holds_role };
        (state(before, held), state(after, other.unwrap_or(held)))
    })
}

fn store(state: &State) -> PolicyStore {
    let numbered = state.policies.iter().enumerate();
    let policies: String =
        numbered.map(|(number, policy)| format!("@id(\"p{number}\")\n{policy}")).collect();
    let mut entities = Vec::new();
    if state.holds_root {
        entities.push(
            r#"{"uid": {"type": "User", "id": "root"}, "attrs": {"active": true},
                "parents": [{"type": "Group", "id": "h"}]}"#,
        );
    }
    if state.holds_role {
        entities.push(
            r#"{"uid": {"type": "Role", "id": "Site::main#editor"}, "attrs": {},
                "parents": [{"type": "Permission", "id": "edit"}]}"#,
        );
    }
    let files = [
        ("schema.cedarschema", SCHEMA.to_owned()),
        ("policies.cedar", policies),
        ("held.cedarentities.json", format!("[{}]", entities.join(", "))),
    ];
    let files = files.map(|(path, text)| (path.to_owned(), Arc::from(text.into_bytes())));
    let files = StoreFiles::new("random".parse().unwrap(), files);
    PolicyStore::load(Arc::new(files), &Bounds::default())
        .unwrap_or_else(|problems| panic!("{problems:?}\n{state:?}"))
}

fn member(uid: Uid, parents: &[(&str, &str)]) -> EntityInput {
    let parents = parents.iter().map(|(ty, id)| Uid::new(*ty, *id)).collect();
    EntityInput { uid: Some(uid), parents, ..EntityInput::default() }
}

fn role(principal: &str, role: &str, site: &str) -> RoleAssignmentInput {
    RoleAssignmentInput {
        principal: Some(Uid::new("User", principal)),
        role: role.to_owned(),
        scope: Some(Uid::new("Site", site)),
        expires_at: None,
    }
}

/// Descriptions of users: nothing of them is sent, or whether they are active and what they are in.
fn users() -> Vec<(&'static str, Option<EntityInput>)> {
    let mut users = vec![("root", None), ("alice", None)];
    for id in ["alice", "root"] {
        for (active, parents) in
            [(true, &[][..]), (false, &[]), (true, &[("Group", "h")]), (false, &[("Group", "top")])]
        {
            let described = member(Uid::new("User", id), parents);
            let attributes = vec![("active".to_owned(), Value::Bool(active))];
            users.push((id, Some(EntityInput { attributes, ..described })));
        }
    }
    users
}

/// The requests that are enumerated.
static REQUESTS: LazyLock<Vec<RequestInput>> = LazyLock::new(requests);

fn requests() -> Vec<RequestInput> {
    const PERMISSIONS: [&[(&str, &str)]; 3] =
        [&[], &[("Permission", "edit")], &[("Permission", "read")]];
    let mut all = Vec::new();
    for (principal, described) in users() {
        for site in ["1", "main"] {
            for held in 0..8 {
                for (of_editor, of_other) in
                    PERMISSIONS.iter().flat_map(|one| PERMISSIONS.iter().map(move |two| (one, two)))
                {
                    for group in [&[][..], &[("Group", "top")], &[("Permission", "edit")]] {
                        for author in [None, Some("root"), Some("bob")] {
                            let roles = [
                                role(principal, "editor", "1"),
                                role(principal, "viewer", "9"),
                                role(author.unwrap_or("carol"), "viewer", "9"),
                            ];
                            let roles = roles.into_iter().enumerate();
                            let roles = roles.filter(|(at, _)| held >> at & 1 == 1);
                            let author = author.map(|id| Value::Entity(Uid::new("User", id)));
                            let attributes = author.map(|author| ("author".to_owned(), author));
                            let mut entities = vec![
                                EntityInput {
                                    attributes: attributes.into_iter().collect(),
                                    ..member(Uid::new("Site", site), &[])
                                },
                                member(Uid::new("Role", "Site::1#editor"), of_editor),
                                member(Uid::new("Role", "Site::9#viewer"), of_other),
                                member(Uid::new("Group", "h"), group),
                            ];
                            entities.extend(described.clone());
                            all.push(RequestInput {
                                principal: Some(Uid::new("User", principal)),
                                action: Some(Uid::action("view")),
                                resource: Some(Uid::new("Site", site)),
                                entities,
                                role_assignments: roles.map(|(_, role)| role).collect(),
                                ..RequestInput::default()
                            });
                        }
                    }
                }
            }
        }
    }
    all
}

/// Returns whether a state allows a request; nothing where it does not take it.
fn allows(store: &PolicyStore, input: &RequestInput) -> Option<bool> {
    let request = store.check(input, DEFAULT_NOW, &RequestLimits::default()).ok()?;
    Some(decide(store.engine(), &request, OnForbidError::default()).effect == Effect::Allow)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn a_gain_by_a_role_or_a_group_that_is_in_something_is_found_and_replays(
        (before, after) in two_states(),
    ) {
        let (old, new) = (store(&before), store(&after));
        let found = diff(&old, &new, OnForbidError::Deny).unwrap();
        prop_assert!(found.unknown.is_empty(), "{:?}", found.unknown);
        let is_all_told = found.has_gains() && found.has_losses();
        let untold = if is_all_told { &[][..] } else { &*REQUESTS };
        for input in untold {
            match (allows(&old, input), allows(&new, input)) {
                (Some(false), Some(true)) => {
                    prop_assert!(found.has_gains(), "not told: {input:?}")
                }
                (Some(true), Some(false)) => {
                    prop_assert!(found.has_losses(), "not told: {input:?}")
                }
                _ => {}
            }
        }
        let of_cells = found.cells.iter().flat_map(|cell| {
            let gain = cell.gain.iter().map(|witness| (Direction::Gain, witness));
            gain.chain(cell.loss.iter().map(|witness| (Direction::Loss, witness)))
        });
        let of_others = found.others.iter().map(|other| (other.direction, &other.witness));
        for (direction, witness) in of_cells.chain(of_others) {
            let answers = [(&old, &new), (&new, &old)].map(|(store, other)| {
                let asked = taken_by(store, other, witness);
                asked.decide(store).is_ok_and(|decision| decision.is_allow())
            });
            let is_gain = direction == Direction::Gain;
            prop_assert_eq!(answers, [!is_gain, is_gain], "{}", witness);
        }
    }
}

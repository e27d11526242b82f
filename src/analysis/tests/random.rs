//! Random stores against enumeration: every request over a small set of facts is decided by the
//! engine, and the matrix and the comparison must agree with what is found.

use std::sync::Arc;

use proptest::prelude::*;

use crate::{
    analysis::{Direction, Matrix, diff},
    engine::decide,
    model::{Effect, OnForbidError, Uid, Value},
    request::{EntityInput, RequestInput, RequestLimits, RoleAssignmentInput},
    store::{Bounds, PolicyStore, StoreFiles},
    testing::{DEFAULT_NOW, Expected},
};

const SCHEMA: &str = r#"
@role
entity Role;
entity Team { owner: Role, archived?: Bool };
entity Site { editor: Role, viewer: Role, team?: Team, kind?: String };
entity User in [Role] { team?: Team };
action group;
action edit, view in [group] appliesTo { principal: User, resource: Site, context: {
    n?: Long, target?: User,
} };
"#;

/// Conditions that cannot fail.
const ATOMS: [&str; 14] = [
    "principal in resource.editor",
    "principal in [resource.editor, resource.viewer]",
    "(resource has team && principal in resource.team.owner)",
    "(resource has team && resource.team has archived && resource.team.archived)",
    "(context has n && context.n > 2)",
    "(context has n && context.n < 7)",
    "(context has target && context.target == principal)",
    "(context has target && context.target in resource.viewer)",
    "(principal has team && resource has team && principal.team == resource.team)",
    "(principal has team && principal in principal.team.owner)",
    "(resource has kind && resource.kind like \"x*\")",
    "(resource has kind && resource.kind == \"y\")",
    "principal == User::\"bob\"",
    "resource has team",
];

fn condition() -> impl Strategy<Value = String> {
    let atom = (0..ATOMS.len(), any::<bool>()).prop_map(|(atom, not)| {
        if not { format!("!({})", ATOMS[atom]) } else { ATOMS[atom].to_owned() }
    });
    atom.prop_recursive(2, 6, 2, |inner| {
        (inner.clone(), inner, any::<bool>()).prop_map(|(one, other, and)| {
            format!("({one} {} {other})", if and { "&&" } else { "||" })
        })
    })
}

fn policy() -> impl Strategy<Value = String> {
    let action = prop_oneof![
        Just("action"),
        Just("action == Action::\"edit\""),
        Just("action in Action::\"group\""),
    ];
    (prop::bool::weighted(0.7), action, condition(), prop::option::of(condition())).prop_map(
        |(permit, action, when, unless)| {
            let effect = if permit { "permit" } else { "forbid" };
            let unless = unless.map(|unless| format!(" unless {{ {unless} }}")).unwrap_or_default();
            format!("{effect} (principal, {action}, resource) when {{ {when} }}{unless};\n")
        },
    )
}

pub(crate) fn policies() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(policy(), 1..5)
}

pub(crate) fn store(policies: &[String]) -> PolicyStore {
    let text: String = policies
        .iter()
        .enumerate()
        .map(|(number, policy)| format!("@id(\"p{number}\")\n{policy}"))
        .collect();
    let files = [("schema.cedarschema", SCHEMA.to_owned()), ("policies.cedar", text)];
    let files = files.map(|(path, text)| (path.to_owned(), Arc::from(text.into_bytes())));
    let files = StoreFiles::new("random".parse().unwrap(), files);
    PolicyStore::load(Arc::new(files), &Bounds::default())
        .unwrap_or_else(|problems| panic!("{:?}\n{policies:?}", problems))
}

fn role(principal: &str, role: &str, scope: Uid) -> RoleAssignmentInput {
    RoleAssignmentInput {
        principal: Some(Uid::new("User", principal)),
        role: role.to_owned(),
        scope: Some(scope),
        expires_at: None,
    }
}

/// The facts that are enumerated besides the roles of the principal.
fn circumstances(principal: &str, action: &str, site: &Uid) -> Vec<RequestInput> {
    let team = |id: Option<&str>| id.map(|id| Value::Entity(Uid::new("Team", id)));
    let (one, other) = (Some("1"), Some("t2"));
    let mut all = Vec::new();
    for site_team in [None, one, other] {
        for user_team in [None, one, other] {
            for archived in [None, Some(false), Some(true)] {
                for kind in [None, Some("xa"), Some("y"), Some("z")] {
                    for n in [None, Some(2), Some(5), Some(7)] {
                        for target in [None, Some(principal), Some("carol")] {
                            for target_views in [false, true] {
                                if target_views && target != Some("carol") {
                                    continue;
                                }
                                let Some(known) = site_team.or(archived.is_none().then_some("t3"))
                                else {
                                    continue;
                                };
                                let mut context = Vec::new();
                                context.extend(n.map(|n| ("n".to_owned(), Value::Long(n))));
                                context.extend(target.map(|id| {
                                    ("target".to_owned(), Value::Entity(Uid::new("User", id)))
                                }));
                                let entity = |uid: Uid, attributes: Vec<(&str, Option<Value>)>| {
                                    EntityInput {
                                        uid: Some(uid),
                                        attributes: attributes
                                            .into_iter()
                                            .filter_map(|(name, value)| {
                                                Some((name.to_owned(), value?))
                                            })
                                            .collect(),
                                        ..EntityInput::default()
                                    }
                                };
                                let kind = kind.map(|kind| Value::String(kind.to_owned()));
                                let archived = archived.map(Value::Bool);
                                all.push(RequestInput {
                                    principal: Some(Uid::new("User", principal)),
                                    action: Some(Uid::action(action)),
                                    resource: Some(site.clone()),
                                    context,
                                    entities: vec![
                                        entity(
                                            site.clone(),
                                            vec![("team", team(site_team)), ("kind", kind)],
                                        ),
                                        entity(
                                            Uid::new("User", principal),
                                            vec![("team", team(user_team))],
                                        ),
                                        entity(
                                            Uid::new("Team", known),
                                            vec![("archived", archived)],
                                        ),
                                    ],
                                    role_assignments: if target_views {
                                        vec![role("carol", "viewer", site.clone())]
                                    } else {
                                        Vec::new()
                                    },
                                });
                            }
                        }
                    }
                }
            }
        }
    }
    all
}

fn allows(store: &PolicyStore, input: &RequestInput) -> bool {
    let request = store.check(input, DEFAULT_NOW, &RequestLimits::default()).unwrap();
    decide(store.engine(), &request, OnForbidError::default()).effect == Effect::Allow
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn the_computed_matrix_equals_enumeration(policies in policies()) {
        let store = store(&policies);
        let matrix = Matrix::of(&store).unwrap();
        prop_assert_eq!(matrix.cells().count(), 6);
        for (row, column, cell) in matrix.cells() {
            let site = Uid::new("Site", "1");
            let (scope, slot) = match column {
                "Site.editor" => (site.clone(), "editor"),
                "Site.viewer" => (site.clone(), "viewer"),
                _ => (Uid::new("Team", "1"), "owner"),
            };
            let with_role = |mut input: RequestInput| {
                input.role_assignments.push(role("alice", slot, scope.clone()));
                input
            };
            let base = with_role(RequestInput {
                principal: Some(Uid::new("User", "alice")),
                action: Some(Uid::action(row.action.as_str())),
                resource: Some(site.clone()),
                ..RequestInput::default()
            });
            let ever = circumstances("alice", &row.action, &site)
                .into_iter()
                .map(with_role)
                .any(|input| allows(&store, &input));
            let expected = match (allows(&store, &base), ever) {
                (true, _) => Expected::Allow,
                (false, true) => Expected::Cond,
                (false, false) => Expected::Deny,
            };
            prop_assert_eq!(cell.value, expected, "{} {}", row.action, column);
            if let Some(witness) = &cell.witness {
                prop_assert_eq!(witness.decide(&store).unwrap().effect, Effect::Allow);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    #[test]
    fn a_gain_found_by_enumeration_is_found_and_each_that_is_found_replays(
        old in policies(),
        new in policies(),
    ) {
        let (old, new) = (store(&old), store(&new));
        let found = diff(&old, &new, OnForbidError::Deny).unwrap();
        prop_assert!(found.unknown.is_empty(), "{:?}", found.unknown);
        prop_assert!(found.not_comparable.is_empty());
        let (mut gain, mut loss) = (false, false);
        for principal in ["alice", "bob"] {
            for action in ["edit", "view"] {
                let site = Uid::new("Site", "1");
                for input in circumstances(principal, action, &site) {
                    for roles in [&[][..], &["editor"], &["viewer"], &["owner"]] {
                        let mut input = input.clone();
                        for slot in roles {
                            let scope = if *slot == "owner" {
                                Uid::new("Team", "1")
                            } else {
                                site.clone()
                            };
                            input.role_assignments.push(role(principal, slot, scope));
                        }
                        match (allows(&old, &input), allows(&new, &input)) {
                            (false, true) => gain = true,
                            (true, false) => loss = true,
                            _ => {}
                        }
                    }
                }
            }
        }
        prop_assert!(!gain || found.has_gains(), "a gain was not found");
        prop_assert!(!loss || found.has_losses(), "a loss was not found");
        let mut witnesses = Vec::new();
        for cell in &found.cells {
            witnesses.extend(cell.gain.iter().map(|witness| (Direction::Gain, witness)));
            witnesses.extend(cell.loss.iter().map(|witness| (Direction::Loss, witness)));
        }
        witnesses.extend(found.others.iter().map(|other| (other.direction, &other.witness)));
        for (direction, witness) in witnesses {
            let answers = [&old, &new].map(|store| witness.decide(store).unwrap().effect);
            let expected = match direction {
                Direction::Loss => [Effect::Allow, Effect::Deny],
                _ => [Effect::Deny, Effect::Allow],
            };
            prop_assert_eq!(answers, expected, "{}", witness);
        }
    }
}

//! Random changes of policies in requests that refer to entities of which nothing is sent: whatever request
//! the old state denies and the new one allows, the comparison of both does not say that nobody gains.

use std::sync::Arc;

use humbaba::{
    engine::decide,
    model::{OnForbidError, Uid, Value},
    proofs::{ProofOptions, compare_gains},
    request::{EntityInput, RequestInput, RequestLimits, RoleAssignmentInput},
    store::{Bounds, PolicyStore, StoreFiles},
    testing::DEFAULT_NOW,
};
use proptest::test_runner::{RngAlgorithm, TestRng};

use crate::{
    support::{hidden::HIDDEN, random::Random},
    symbolic::solver,
};

/// Pairs of states that are compared.
const PAIRS: usize = 40;
/// Requests that each pair is asked.
const WORLDS: usize = 400;

const SCHEMA: &str = r#"
@role entity Role;
entity Group in [Role];
entity Dept;
entity Team in [Dept] { flag: Bool, boss: User, lead: Role };
entity User in [Role, Group] { active: Bool, nick?: String, team: Team, friends: Set<User> };
entity Folder;
entity Doc in [Folder] { owner: Role, viewer: Role, public: Bool, team: Team, author?: User } tags Team;
action see appliesTo {
    principal: User, resource: Doc, context: { a: Long, b: Long, user?: User, via?: { team: Team } }
};
"#;

const HELD: &str = r#"[
  {"uid": {"type": "Team", "id": "held"}, "parents": [],
   "attrs": {"flag": true, "boss": {"__entity": {"type": "User", "id": "v"}}}}
]"#;

/// A link makes one of the policies twice.
const LINKS: &str = r#"
[[link]]
id = "linked"
template = "template"
principal = 'Group::"g"'
"#;

const ATOMS: [&str; 32] = [
    "resource.public",
    "resource has public",
    "resource.team.flag",
    "resource has team.flag",
    "resource.team has boss.nick",
    "resource has team.boss.team",
    "resource has author && resource.author.active",
    "resource has author.nick",
    "resource has author.active",
    "principal.active",
    "principal has active",
    "principal has nick",
    "principal.team has flag",
    "principal.team == resource.team",
    "principal in resource.owner",
    "principal in [resource.viewer, resource.team.lead]",
    "principal in Group::\"g\"",
    "principal is User in Group::\"g\"",
    "principal in principal.friends",
    "principal.friends.contains(User::\"v\")",
    "principal in [User::\"v\", resource.team.boss]",
    "resource in Folder::\"f\"",
    "resource in [Doc::\"x\", Doc::\"d\"]",
    "resource.team in Dept::\"d\"",
    "resource.hasTag(\"t\") && resource.getTag(\"t\").flag",
    "{doc: resource}.doc.public",
    "{doc: resource}.doc has author",
    "(if principal has nick then resource.team.boss else principal).active",
    "context has user && context.user.active",
    "context has via.team.flag",
    "Doc::\"x\".public",
    "Team::\"held\".flag",
];

fn one_of<'a>(random: &mut Random, among: &[&'a str]) -> &'a str {
    among[random.below(among.len())]
}

/// A condition.
#[derive(Clone)]
enum Condition {
    Atom(&'static str),
    Not(Box<Condition>),
    Both(Box<[Condition; 2]>),
    Either(Box<[Condition; 2]>),
    If(Box<[Condition; 3]>),
}

use Condition::{Atom, Both, Either, If, Not};

impl Condition {
    fn any(random: &mut Random, depth: usize) -> Self {
        let kind = if depth == 0 { 9 } else { random.below(9) };
        let mut part = || Self::any(random, depth.saturating_sub(1));
        match kind {
            0 => Not(Box::new(part())),
            1 | 2 => Both(Box::new([part(), part()])),
            3 | 4 => Either(Box::new([part(), part()])),
            5 => If(Box::new([part(), part(), part()])),
            _ => Atom(one_of(random, &ATOMS)),
        }
    }

    /// Writes the same condition otherwise: as long as each entity is described, it is the same.
    fn rewritten(&self, random: &mut Random) -> Self {
        let parts = |random: &mut Random, parts: &[Self; 2]| {
            let [one, other] = parts.each_ref().map(|part| part.rewritten(random));
            Box::new(if random.below(2) == 0 { [one, other] } else { [other, one] })
        };
        let same = match self {
            Atom(_) => self.clone(),
            Not(part) => Not(Box::new(part.rewritten(random))),
            Both(of) => Both(parts(random, of)),
            Either(of) => Either(parts(random, of)),
            If(of) => If(Box::new(of.each_ref().map(|part| part.rewritten(random)))),
        };
        let also = || Box::new(same.clone());
        match random.below(12) {
            0 => Both(Box::new([Atom("resource has public"), same])),
            1 => Either(Box::new([Not(Box::new(Atom("principal has team.boss"))), same])),
            2 => Not(Box::new(Not(also()))),
            3 => If(Box::new([same, Atom("true"), Atom("false")])),
            4 => {
                let test = Atom(one_of(random, &ATOMS));
                If(Box::new([test, same.clone(), same]))
            }
            _ => same,
        }
    }

    /// Replaces a part.
    fn changed(&self, random: &mut Random) -> Self {
        match self {
            Both(of) if random.below(3) > 0 => {
                let [one, other] = &**of;
                Both(Box::new([one.changed(random), other.clone()]))
            }
            Either(of) if random.below(3) > 0 => {
                let [one, other] = &**of;
                Either(Box::new([one.clone(), other.changed(random)]))
            }
            _ => Self::any(random, 1),
        }
    }
}

impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Atom(text) => write!(f, "({text})"),
            Not(part) => write!(f, "!{part}"),
            Both(of) => write!(f, "({} && {})", of[0], of[1]),
            Either(of) => write!(f, "({} || {})", of[0], of[1]),
            If(of) => write!(f, "(if {} then {} else {})", of[0], of[1], of[2]),
        }
    }
}

/// A policy: what comes before its condition, and the condition.
type Written = (&'static str, Condition);

/// The first may be linked, and the second permits what is not forbidden by others.
const HEADS: [&str; 6] = [
    "permit (principal, action, resource)",
    "permit (principal, action, resource)",
    "forbid (principal, action, resource)",
    "permit (principal is User in Group::\"g\", action, resource)",
    "permit (principal, action, resource in Folder::\"f\")",
    "forbid (principal, action, resource is Doc in Folder::\"f\")",
];

fn policies(random: &mut Random) -> Vec<Written> {
    (0..=random.below(2)).map(|_| (*random.pick(&HEADS), Condition::any(random, 2))).collect()
}

fn text(policies: &[Written]) -> String {
    let write = |(number, (head, condition)): (usize, &Written)| {
        format!("@id(\"p{number}\") {head} when {{ {HIDDEN} && {condition} }};\n")
    };
    let mut text: String = policies.iter().enumerate().map(write).collect();
    if let Some((_, condition)) = policies.first() {
        text += &format!(
            "@id(\"template\") permit (principal in ?principal, action, resource) \
             when {{ {HIDDEN} && {condition} }};\n"
        );
    }
    text
}

fn store(policies: &str) -> Option<PolicyStore> {
    let files = [
        ("s.cedarschema", SCHEMA),
        ("p.cedar", policies),
        ("l.links.toml", LINKS),
        ("h.cedarentities.json", HELD),
    ];
    let files = files.map(|(path, text)| (path.to_owned(), Arc::from(text.as_bytes())));
    let files = StoreFiles::new("random".parse().unwrap(), files);
    PolicyStore::load(Arc::new(files), &Bounds::default()).ok()
}

/// A pair of states: mostly the same policies, written otherwise.
fn pair(random: &mut Random) -> Option<(String, String)> {
    let old = policies(random);
    let rewritten = |random: &mut Random, (head, condition): &Written| {
        let condition = condition.rewritten(random);
        let condition = if random.below(4) == 0 { condition.changed(random) } else { condition };
        (*head, condition)
    };
    let new: Vec<_> = old.iter().map(|policy| rewritten(random, policy)).collect();
    let (old, new) = (text(&old), text(&new));
    let is_valid = old != new && store(&old).is_some() && store(&new).is_some();
    is_valid.then_some((old, new))
}

/// Makes a request, in which each entity is described or not.
fn request(random: &mut Random) -> RequestInput {
    let coin = |random: &mut Random| random.below(2) == 0;
    let of = |ty: &str, id: &str| Uid::new(ty, id);
    let team = |random: &mut Random| of("Team", one_of(random, &["t", "s", "held"]));
    let user = |random: &mut Random| of("User", one_of(random, &["u", "v"]));
    let field = |name: &str, value: Value| (name.to_owned(), value);
    let mut entities = Vec::new();
    for id in ["u", "v"] {
        let mut attributes = vec![
            field("active", Value::Bool(coin(random))),
            field("team", Value::Entity(team(random))),
        ];
        let friends = [of("User", "u"), of("User", "v")];
        let friends = friends.into_iter().filter(|_| coin(random)).map(Value::Entity);
        attributes.push(field("friends", Value::Set(friends.collect())));
        attributes.extend(coin(random).then(|| field("nick", "n".into())));
        let parents = coin(random).then(|| of("Group", "g")).into_iter().collect();
        entities.push(EntityInput {
            uid: Some(of("User", id)),
            attributes,
            parents,
            ..EntityInput::default()
        });
    }
    for id in ["t", "s"] {
        let attributes = vec![
            field("flag", Value::Bool(coin(random))),
            field("boss", Value::Entity(user(random))),
        ];
        let parents = coin(random).then(|| of("Dept", "d")).into_iter().collect();
        entities.push(EntityInput {
            uid: Some(of("Team", id)),
            attributes,
            parents,
            ..EntityInput::default()
        });
    }
    for id in ["d", "x"] {
        let mut attributes = vec![
            field("public", Value::Bool(coin(random))),
            field("team", Value::Entity(team(random))),
        ];
        attributes.extend(coin(random).then(|| field("author", Value::Entity(user(random)))));
        entities.push(EntityInput {
            uid: Some(of("Doc", id)),
            attributes,
            parents: coin(random).then(|| of("Folder", "f")).into_iter().collect(),
            tags: coin(random)
                .then(|| field("t", Value::Entity(team(random))))
                .into_iter()
                .collect(),
            ..EntityInput::default()
        });
    }
    entities.retain(|_| random.below(5) > 1);
    let mut roles = Vec::new();
    for (holder, role, scope) in [
        (of("User", "u"), "owner", of("Doc", "d")),
        (of("User", "u"), "viewer", of("Doc", "d")),
        (of("Group", "g"), "owner", of("Doc", "d")),
        (of("User", "u"), "lead", team(random)),
        (of("Group", "g"), "lead", team(random)),
    ] {
        if random.below(4) == 0 {
            roles.push(RoleAssignmentInput {
                principal: Some(holder),
                role: role.to_owned(),
                scope: Some(scope),
                expires_at: None,
            });
        }
    }
    let mut context = vec![field("a", Value::Long(1_038)), field("b", Value::Long(1_001))];
    context.extend(coin(random).then(|| field("user", Value::Entity(user(random)))));
    context
        .extend(coin(random).then(|| {
            field("via", Value::Record(vec![field("team", Value::Entity(team(random)))]))
        }));
    RequestInput {
        principal: Some(of("User", "u")),
        action: Some(Uid::action("see")),
        resource: Some(of("Doc", "d")),
        context,
        entities,
        role_assignments: roles,
    }
}

fn allows(store: &PolicyStore, request: &RequestInput, on_forbid_error: OnForbidError) -> bool {
    let checked = store.check(request, DEFAULT_NOW, &RequestLimits::default());
    let checked = checked.unwrap_or_else(|violations| panic!("{violations:?}\n{request:#?}"));
    decide(store.engine(), &checked, on_forbid_error).is_allow()
}

#[test]
fn whatever_is_gained_where_entities_are_not_sent_is_not_called_nothing() {
    let Some(solver) = solver() else { return };
    let mut random = Random::new(TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let (mut gained, mut nothing) = (0, 0);
    for _ in 0..PAIRS {
        let (old, new) = std::iter::repeat_with(|| pair(&mut random)).flatten().next().unwrap();
        let on_forbid_error = *random.pick(&[OnForbidError::Deny, OnForbidError::Skip]);
        let (before, after) = (store(&old).unwrap(), store(&new).unwrap());
        let shows = |request: &RequestInput| {
            allows(&after, request, on_forbid_error) && !allows(&before, request, on_forbid_error)
        };
        let shown = (0..WORLDS).map(|_| request(&mut random)).find(shows);
        let options = ProofOptions { on_forbid_error, ..ProofOptions::default() };
        let compared = compare_gains(&before, &after, &solver, &options).unwrap();
        if let Some(request) = shown {
            gained += 1;
            assert!(!compared.gains_nothing(), "{on_forbid_error:?}\n{request:#?}\n{old}\n{new}");
        }
        for gain in &compared.gains {
            assert!(shows(&gain.witness.input), "{:?}\n{old}\n{new}", gain.witness);
        }
        nothing += usize::from(compared.gains_nothing());
    }
    assert!(gained > PAIRS / 10, "gains are planted: {gained}");
    assert!(nothing > PAIRS / 10, "and steps without are told as such: {nothing}");
}

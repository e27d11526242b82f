//! Repositories with teams.

use fastrand::Rng;
use humbaba::{
    model::{Uid, Value},
    request::{EntityInput, RequestInput},
};

use super::{Model, any, ask, entity, seldom, some, uid};

pub const MODEL: Model = Model {
    name: "github",
    schema: include_str!("github.cedarschema"),
    policies: include_str!("github.cedar"),
    world,
    ask: question,
};

/// The teams of a repository, from those who may do the most to those who may do the least.
const LEVELS: [&str; 4] = ["admins", "writers", "triagers", "readers"];

fn world(rng: &mut Rng, size: usize) -> Vec<EntityInput> {
    let mut entities = Vec::new();
    for n in 0..size {
        // In a team that was made before, so that none is in itself.
        let team = if n == 0 { vec![] } else { some(rng, "Team", n, 1) };
        entities.push(entity(uid("Team", n), team, []));
        let attributes = [
            ("owners", Value::Entity(of("Organization", n, "owners"))),
            ("members", Value::Entity(of("Organization", n, "members"))),
            ("writes_everywhere", seldom(rng, 5)),
        ];
        entities.push(entity(uid("Organization", n), vec![], attributes));
        let members = of("Organization", n, "members");
        entities.push(entity(members.clone(), vec![], []));
        entities.push(entity(of("Organization", n, "owners"), vec![members], []));

        for (index, level) in LEVELS.iter().enumerate() {
            let less = LEVELS.get(index + 1).map(|less| of("Repository", n, less));
            entities.push(entity(of("Repository", n, level), less.into_iter().collect(), []));
        }
        let team = |level| Value::Entity(of("Repository", n, level));
        let attributes = [
            ("organization", Value::Entity(any(rng, "Organization", size))),
            ("readers", team("readers")),
            ("triagers", team("triagers")),
            ("writers", team("writers")),
            ("admins", team("admins")),
            ("is_private", Value::Bool(rng.bool())),
            ("is_archived", seldom(rng, 10)),
        ];
        entities.push(entity(uid("Repository", n), vec![], attributes));

        let attributes = [
            ("repository", Value::Entity(any(rng, "Repository", size))),
            ("author", Value::Entity(any(rng, "User", size))),
            ("is_locked", seldom(rng, 5)),
        ];
        entities.push(entity(uid("Issue", n), vec![], attributes));
    }
    for n in 0..size {
        let mut teams = some(rng, "Team", size, 2);
        for _ in 0..rng.usize(..4) {
            teams.push(of("Repository", rng.usize(..size), LEVELS[rng.usize(..LEVELS.len())]));
        }
        let role = if rng.usize(..5) == 0 { "owners" } else { "members" };
        teams.push(of("Organization", rng.usize(..size), role));
        entities.push(entity(uid("User", n), teams, []));
    }
    entities
}

/// The team that has this part in something.
fn of(type_name: &str, number: usize, part: &str) -> Uid {
    Uid::new("Team", format!("{part} of {type_name} {number}"))
}

fn question(rng: &mut Rng, size: usize) -> RequestInput {
    let (resource, actions): (_, &[&str]) = if rng.bool() {
        ("Repository", &["pull", "fork", "push", "merge", "rename", "delete", "issue.create"])
    } else {
        ("Issue", &["issue.comment", "issue.edit", "issue.label", "issue.close", "issue.delete"])
    };
    let action = actions[rng.usize(..actions.len())];
    let principal = any(rng, "User", size);
    ask(principal, action, any(rng, resource, size), [])
}

//! To-do lists.

use fastrand::Rng;
use humbaba::{
    model::{Uid, Value},
    request::{EntityInput, RequestInput},
};

use super::{Model, any, ask, entity, named, some, uid};

pub const MODEL: Model = Model {
    name: "tinytodo",
    schema: include_str!("tinytodo.cedarschema"),
    policies: include_str!("tinytodo.cedar"),
    world,
    ask: question,
};

fn world(rng: &mut Rng, size: usize) -> Vec<EntityInput> {
    let mut entities =
        vec![entity(special("admins"), vec![], []), entity(special("interns"), vec![], [])];
    for n in 0..size {
        // In a team that was made before, so that none is in itself.
        let team = if n == 0 { vec![] } else { some(rng, "Team", n, 1) };
        entities.push(entity(uid("Team", n), team, []));

        let mut teams = some(rng, "Team", size, 3);
        match rng.usize(..10) {
            0 => teams.push(special("admins")),
            1 | 2 => teams.push(special("interns")),
            _ => {}
        }
        let city = ["Uruk", "Ur", "Nippur"][rng.usize(..3)];
        let level = Value::Long(rng.i64(1..10));
        let attributes = [("level", level), ("city", Value::String(city.to_owned()))];
        entities.push(entity(uid("User", n), teams, attributes));

        let task = |rng: &mut Rng, n: usize| {
            let name = Value::String(format!("task {n}"));
            Value::Record(named([("name", name), ("done", Value::Bool(rng.bool()))]))
        };
        let tasks = (0..rng.usize(..5)).map(|n| task(rng, n)).collect();
        let mut list = entity(
            uid("List", n),
            vec![],
            [
                ("owner", Value::Entity(any(rng, "User", size))),
                ("name", Value::String(format!("list {n}"))),
                ("readers", Value::Entity(any(rng, "Team", size))),
                ("editors", Value::Entity(any(rng, "Team", size))),
                ("tasks", Value::Set(tasks)),
            ],
        );
        if rng.usize(..4) == 0 {
            list.attributes.push(("min_level".to_owned(), Value::Long(rng.i64(1..10))));
        }
        entities.push(list);
    }
    entities
}

/// A team that policies name.
fn special(name: &str) -> Uid {
    Uid::new("Team", name)
}

fn question(rng: &mut Rng, size: usize) -> RequestInput {
    const ACTIONS: [&str; 7] = [
        "list.read",
        "list.rename",
        "list.delete",
        "list.share",
        "task.create",
        "task.update",
        "task.delete",
    ];

    let principal = any(rng, "User", size);
    if rng.usize(..10) == 0 {
        return ask(principal, "list.all", Uid::new("Service", "todo"), []);
    }
    let action = ACTIONS[rng.usize(..ACTIONS.len())];
    let from = if rng.bool() { "10.1.2.3" } else { "192.0.2.7" };
    let context = [("from", Value::Ip(from.to_owned()))];
    ask(principal, action, any(rng, "List", size), context)
}

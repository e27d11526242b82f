//! Shared documents.

use fastrand::Rng;
use humbaba::{
    model::Value,
    request::{EntityInput, RequestInput},
};

use super::{Model, any, ask, entity, seldom, set, some, uid};

pub const MODEL: Model = Model {
    name: "gdrive",
    schema: include_str!("gdrive.cedarschema"),
    policies: include_str!("gdrive.cedar"),
    world,
    ask: question,
};

fn world(rng: &mut Rng, size: usize) -> Vec<EntityInput> {
    let mut entities = Vec::new();
    for n in 0..size {
        let reads = set(some(rng, "Folder", size, 3));
        let writes = set(some(rng, "Folder", size, 1));
        entities.push(entity(uid("Group", n), vec![], [("reads", reads), ("writes", writes)]));

        let mut user = entity(
            uid("User", n),
            vec![],
            [
                ("reads", set(some(rng, "Folder", size, 2))),
                ("writes", set(some(rng, "Folder", size, 1))),
                ("documents", set(some(rng, "Document", size, 3))),
            ],
        );
        if rng.bool() {
            user.attributes.push(("group".to_owned(), Value::Entity(any(rng, "Group", size))));
        }
        entities.push(user);

        // In a folder that was made before, so that none is in itself.
        let parent = if n == 0 { vec![] } else { vec![any(rng, "Folder", n)] };
        let owner = Value::Entity(any(rng, "User", size));
        entities.push(entity(uid("Folder", n), parent, [("owner", owner)]));

        let folder = vec![any(rng, "Folder", size)];
        let owner = Value::Entity(any(rng, "User", size));
        let attributes =
            [("owner", owner), ("is_public", seldom(rng, 10)), ("in_trash", seldom(rng, 10))];
        entities.push(entity(uid("Document", n), folder, attributes));
    }
    entities
}

fn question(rng: &mut Rng, size: usize) -> RequestInput {
    let (resource, actions): (_, &[&str]) = if rng.usize(..4) == 0 {
        ("Folder", &["read", "rename", "add", "move", "share", "delete"])
    } else {
        ("Document", &["read", "read", "comment", "rename", "move", "share", "delete"])
    };
    let action = actions[rng.usize(..actions.len())];
    let signed_in = Value::Bool(rng.usize(..10) > 0);
    let principal = any(rng, "User", size);
    ask(principal, action, any(rng, resource, size), [("signed_in", signed_in)])
}

//! Directories in few words.

use std::{sync::Arc, time::Duration};

use humbaba::{
    directory::{Assignment, AssignmentKey, Change, DirectoryVersion, EntityRow, Position},
    model::{StoreName, Timestamp, Uid},
    reload::{Live, RowReport},
    request::{Grant, RequestLimits},
    store::PolicyStore,
};
use serde_json::Value as Json;

/// The generation of versions of these directories.
pub const GENERATION: &str = "history";

/// Somebody holds a role on a scope.
pub fn held(principal: &str, role: &str, scope: &str) -> Change {
    Change::Put(held_assignment(principal, role, scope))
}

/// The same, to be changed.
pub fn held_assignment(principal: &str, role: &str, scope: &str) -> Assignment {
    Assignment { key: key(principal, role, scope), expires_at: None, grant: Grant::default() }
}

/// The same until a moment.
pub fn held_until(principal: &str, role: &str, scope: &str, millis: i64) -> Change {
    let expires_at = Some(Timestamp::from_millis(millis));
    Change::Put(Assignment { expires_at, ..held_assignment(principal, role, scope) })
}

/// Somebody does not hold a role on a scope any more.
pub fn gone(principal: &str, role: &str, scope: &str) -> Change {
    Change::Delete(key(principal, role, scope))
}

/// An entity with attributes, parents and tags, in Cedar's JSON.
pub fn held_entity(uid: &str, json: &Json) -> Change {
    Change::PutEntity(EntityRow { uid: uid.parse().unwrap(), json: json.to_string() })
}

fn key(principal: &str, role: &str, scope: &str) -> AssignmentKey {
    let uid = |text: &str| text.parse::<Uid>().unwrap();
    AssignmentKey { principal: uid(principal), role: role.to_owned(), scope: uid(scope) }
}

/// The version after so many changes.
pub fn version(count: u64) -> DirectoryVersion {
    DirectoryVersion { generation: GENERATION.to_owned(), position: Position::Count(count) }
}

/// Announces the directory of a store, which is not loaded yet.
pub fn announce(live: &Live, store: &PolicyStore, max_age: Duration) {
    live.add_directory(store.name(), "test", max_age, 100);
}

/// Gives a store a directory.
pub fn give(live: &Live, store: &Arc<PolicyStore>, changes: Vec<Change>) {
    announce(live, store, Duration::from_secs(3_600));
    fill(live, store.name(), changes);
}

/// Puts the first state of a directory in force.
pub fn fill(live: &Live, name: &StoreName, changes: Vec<Change>) {
    let empty = live.empty_directory(name, &RequestLimits::default()).unwrap();
    let (directory, faults) = empty.apply(changes);
    assert_eq!(faults, []);
    live.replace_directory(name, directory, version(1), RowReport::default());
}

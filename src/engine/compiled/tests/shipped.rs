//! Every case of every shipped store, and each of them with one thing changed.

use std::sync::Arc;

use super::{Tally, compare};
use crate::{
    request::{EntityFacts, Request, RequestLimits, RoleAssignment, RoleAssignments, SentEntities},
    store::{Bounds, PolicyStore, StoreFiles, embedded_stores},
    testing,
};

/// Every case, and the changes of every case whose number divides by `step`.
fn check(files: StoreFiles, step: impl Fn(usize) -> usize) {
    let store = PolicyStore::load(Arc::new(files), &Bounds::default()).unwrap();
    let compiled = store.engine().compiled().unwrap();
    let mut tally = Tally::default();
    let cases = testing::cases(&store).unwrap();
    let step = step(cases.len());
    for (n, case) in cases.iter().enumerate() {
        let checked = store.check(&case.input, case.now, &RequestLimits::default());
        let Ok(request) = checked else { continue };
        let compare = |request: &Request, what: &str, tally: &mut Tally| {
            compare(compiled, store.engine().slices(), &store, request, tally)
                .unwrap_or_else(|e| panic!("{}: {}, {what}: {e}", case.file, case.name));
        };
        compare(&request, "as it is", &mut tally);
        if n % step != 0 {
            continue;
        }
        for (what, changed) in changes(&store, &request, n) {
            compare(&changed, &what, &mut tally);
        }
    }
    println!("{}: {} cases, {tally:?}", store.name(), cases.len());
    assert!(tally.compiled > 20 * tally.left, "{tally:?}");
    assert!(tally.allowed > 0 && tally.forbidden > 0, "{tally:?}");
}

/// The request with one thing left out, or one role more, or on another action.
fn changes(store: &PolicyStore, request: &Request, n: usize) -> Vec<(String, Request)> {
    let mut changes = Vec::new();
    let mut change = |what: String, by: &dyn Fn(&mut Request)| {
        let mut changed = request.clone();
        by(&mut changed);
        changes.push((what, changed));
    };
    let (schema, facts) = (store.schema(), &request.facts);
    let roles: Vec<RoleAssignment> = facts.role_assignments.iter().cloned().collect();
    let with_roles = |change: &dyn Fn(&mut Vec<RoleAssignment>)| {
        let mut roles = roles.clone();
        change(&mut roles);
        Arc::new(RoleAssignments::new(schema, roles))
    };
    for index in 0..roles.len() {
        let without = with_roles(&|roles| drop(roles.remove(index)));
        change(format!("without role {index}"), &|r| {
            r.facts.role_assignments = Arc::clone(&without);
        });
        let expired = with_roles(&|roles| roles[index].expires_at = Some(request.now));
        change(format!("with role {index} expired"), &|r| {
            r.facts.role_assignments = Arc::clone(&expired);
        });
    }
    let entities: Vec<EntityFacts> = facts.entities.iter().cloned().collect();
    let with_entities = |change: &dyn Fn(&mut Vec<EntityFacts>)| {
        let mut entities = entities.clone();
        change(&mut entities);
        Arc::new(SentEntities::new(schema, entities))
    };
    for (index, entity) in entities.iter().enumerate() {
        let without = with_entities(&|entities| drop(entities.remove(index)));
        change(format!("without {}", entity.uid), &|r| r.facts.entities = Arc::clone(&without));
        for (attribute, (name, _)) in entity.attributes.iter().enumerate() {
            let without =
                with_entities(&|entities| drop(entities[index].attributes.remove(attribute)));
            change(format!("without {}.{name}", entity.uid), &|r| {
                r.facts.entities = Arc::clone(&without);
            });
        }
    }
    for name in request.context.whole().keys() {
        change(format!("without context.{name}"), &|r| {
            r.context = Arc::new(r.context.without(name));
        });
    }
    let scopes = roles.iter().map(|role| &role.scope);
    let mut scopes: Vec<_> = scopes.chain([&request.resource]).collect();
    scopes.extend(entities.iter().map(|entity| &entity.uid));
    scopes.sort();
    scopes.dedup();
    let slots = scopes.iter().flat_map(|scope| {
        let shape = store.schema().entity(scope.entity_type());
        shape.into_iter().flat_map(|shape| shape.slots.keys()).map(|slot| ((*scope).clone(), slot))
    });
    let named = store.engine().named_roles().iter().map(|(scope, slot)| (scope.clone(), slot));
    for (scope, slot) in slots.chain(named) {
        let principal = request.principal.clone();
        let role = RoleAssignment {
            principal,
            slot: slot.clone(),
            scope: scope.clone(),
            expires_at: None,
        };
        let with = with_roles(&|roles| roles.push(role.clone()));
        change(format!("with {slot} on {scope}"), &|r| {
            r.facts.role_assignments = Arc::clone(&with);
        });
    }
    let types = (request.principal.entity_type(), request.resource.entity_type());
    let mut actions: Vec<_> = store
        .schema()
        .actions()
        .filter(|a| a.principals.contains(types.0) && a.resources.contains(types.1))
        .map(|action| &action.uid)
        .collect();
    actions.sort();
    for k in 0..4 {
        let action = actions[(n * 7 + k * 31) % actions.len()];
        change(format!("on {action}"), &|r| r.action = action.clone());
    }
    changes
}

fn check_all(step: impl Fn(usize) -> usize + Copy) {
    let stores = embedded_stores();
    assert_eq!(stores.len(), 5);
    for files in stores {
        check(files, step);
    }
}

#[test]
fn every_shipped_store_decides_as_cedar_does() {
    check_all(|cases| cases / 400 + 1);
}

#[test]
#[ignore = "a minute: the same with the changes of every case"]
fn every_shipped_store_decides_as_cedar_does_whatever_changes() {
    check_all(|_| 1);
}

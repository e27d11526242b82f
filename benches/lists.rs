//! A list of resources from a large directory, against asking for each resource by itself.
//!
//! HitKeep with 100,000 sites, 200,000 users and 1,000,000 role assignments: the sites that alice may
//! view, who has a role on 100 of them.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use humbaba::{
    directory::{Assignment, AssignmentKey, Change, Directory},
    engine::{ListOptions, ListedEntities, Page, list_entities},
    model::{OnForbidError, Timestamp, Uid},
    request::{Grant, Held, ListInput, RequestFacts, RequestInput, RequestLimits, Side},
    store::PolicyStore,
};

/// Like the product.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SITES: usize = 100_000;
const USERS: usize = 200_000;
const ASSIGNMENTS: usize = 1_000_000;
/// Sites on which alice has a role.
const OWN: usize = 100;
/// Lists that are timed.
const LISTS: usize = 1_000;

const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

fn main() {
    let store = support::hitkeep(0);
    let begun = Instant::now();
    let held = Held { facts: Arc::new(directory(&store)), request_facts: RequestFacts::Refuse };
    println!("directory of {ASSIGNMENTS} assignments: {:.1?}", begun.elapsed());

    let found = list(&store, &held).allowed.len();
    let times: Vec<_> =
        (0..LISTS).map(|_| timed(|| drop(black_box(list(&store, &held))))).collect();
    let begun = Instant::now();
    let expected = brute_force(&store, &held);
    let each = begun.elapsed();
    assert_eq!((found, expected), (OWN, OWN), "the list has what is allowed");

    let (median, p99) = (at(&times, 50), at(&times, 99));
    println!("| | sites | time |\n|---|---:|---:|");
    println!("| ListResources, median | {found} | {median:.1?} |");
    println!("| ListResources, p99 | {found} | {p99:.1?} |");
    println!("| each of {SITES} sites asked | {expected} | {each:.1?} |");
}

/// Makes the directory. Every user has roles on a few sites, and every site has a few users.
fn directory(store: &PolicyStore) -> Directory {
    let role = |user: String, role: &str, site: usize| {
        let key = AssignmentKey {
            principal: Uid::new("User", user),
            role: role.to_owned(),
            scope: Uid::new("Site", site.to_string()),
        };
        Change::Put(Assignment { key, expires_at: None, grant: Grant::default() })
    };
    let roles = ["viewer", "editor", "admin", "owner"];
    let others = (0..ASSIGNMENTS - OWN).map(|n| {
        // Each round of the users is on other sites.
        let (user, round) = (n % USERS, n / USERS);
        let site = (user + round * (SITES / 8 + 1)) % SITES;
        role(format!("user-{user}"), roles.get(round % 4).unwrap(), site)
    });
    let own = (0..OWN).map(|n| role("alice".to_owned(), "viewer", n * (SITES / OWN)));
    let empty = Directory::new(
        Arc::clone(store.schema_arc()),
        Arc::clone(store.stored_arc()),
        RequestLimits::default(),
    );
    let (directory, faults) = empty.apply(others.chain(own));
    assert!(faults.is_empty(), "every row fits the store");
    directory
}

fn question() -> RequestInput {
    RequestInput {
        principal: Some(Uid::new("User", "alice")),
        action: Some(Uid::action("site.view")),
        ..RequestInput::default()
    }
}

fn list(store: &PolicyStore, held: &Held) -> ListedEntities {
    let limits = RequestLimits::default();
    let options = ListOptions {
        held: Some(held),
        now: NOW,
        limits: &limits,
        on_forbid_error: OnForbidError::Deny,
    };
    let input =
        ListInput { question: question(), open: Side::Resource, entity_type: "Site".to_owned() };
    let page = Page { after: None, size: 1_000 };
    list_entities(store.engine(), &input, page, options, |request| support::decide(store, request))
        .expect("the question fits the store")
}

fn brute_force(store: &PolicyStore, held: &Held) -> usize {
    let limits = RequestLimits::default();
    let is_allowed = |site: &usize| {
        let resource = Some(Uid::new("Site", site.to_string()));
        let input = RequestInput { resource, ..question() };
        let request = store.check_with(Some(held), &input, NOW, &limits).expect("it fits");
        support::decide(store, &request).is_allow()
    };
    (0..SITES).filter(is_allowed).count()
}

fn timed(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

/// Returns the time within which `percent` per cent were.
fn at(times: &[Duration], percent: usize) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times.get(times.len() * percent / 100).copied().unwrap_or_default()
}

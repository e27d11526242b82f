//! A directory of a million role assignments: 200,000 users with five roles each on 100,000 HitKeep
//! sites. Loading, memory, single changes, pages, and decisions beside those with smaller
//! directories. `cargo bench --bench directory`.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod support;

use std::{
    fmt::Write as _,
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use humbaba::{
    directory::{Assignment, AssignmentFilter, AssignmentKey, Change, Directory},
    engine,
    model::{Effect, OnForbidError, Timestamp, Uid},
    request::{
        Grant, Held, HeldFacts, RequestFacts, RequestInput, RequestLimits, RoleAssignmentInput,
    },
    store::PolicyStore,
};

/// Like the product.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USERS: usize = 200_000;
const SITES: usize = 100_000;
const ROLES_OF_USER: usize = 5;
const ROLES: [&str; 4] = ["owner", "admin", "editor", "viewer"];
const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);
/// Questions, each about another user.
const QUESTIONS: usize = 20_000;

fn main() {
    let store = support::hitkeep(0);
    let empty = Directory::new(
        Arc::clone(store.schema_arc()),
        Arc::clone(store.stored_arc()),
        RequestLimits::default(),
    );
    let full = load(&empty);
    load_csv(&empty);
    changes(&full);
    pages(&full);
    decisions(&store, &empty, &full);
}

fn user(number: usize) -> String {
    format!("user-{number:07}")
}

fn site(number: usize) -> String {
    format!("site-{number:07}")
}

/// Returns the site of a role that a user holds.
fn site_of(user: usize, role: usize) -> usize {
    (user * 7_919 + role * 31_337 + (user * role) % 1_009) % SITES
}

fn assignment(user_number: usize, role: usize) -> Assignment {
    let number = user_number * ROLES_OF_USER + role;
    let granted = 1_700_000_000_000 + i64::try_from(number).unwrap();
    Assignment {
        key: AssignmentKey {
            principal: Uid::new("User", user(user_number)),
            role: ROLES[number % ROLES.len()].to_owned(),
            scope: Uid::new("Site", site(site_of(user_number, role))),
        },
        expires_at: number.is_multiple_of(10).then_some(Timestamp::from_millis(2_000_000_000_000)),
        grant: Grant {
            granted_at: Some(Timestamp::from_millis(granted)),
            granted_by: user(number % 100),
            reason: format!("ticket {}", number % 1_000),
        },
    }
}

fn assignments() -> impl Iterator<Item = Assignment> {
    (0..USERS).flat_map(|user| (0..ROLES_OF_USER).map(move |role| assignment(user, role)))
}

/// Returns the resident memory, in bytes, once the allocator has given back what is free.
fn resident() -> u64 {
    std::thread::sleep(Duration::from_millis(500));
    // mimalloc gives memory back while it is used.
    drop(black_box((0..1_000).map(|n| vec![0_u8; n * 64]).collect::<Vec<_>>()));
    let status = procfs::process::Process::myself().unwrap().status().unwrap();
    status.vmrss.unwrap() * 1_024
}

fn load(empty: &Directory) -> Directory {
    let before = resident();
    let started = Instant::now();
    let (full, faults) = empty.apply(assignments().map(Change::Put));
    println!("rows as they are made: {:.2?}", started.elapsed());
    assert_eq!(faults, []);
    let count = full.counts().assignments as u64;
    let bytes = resident().saturating_sub(before);
    println!("{count} assignments, {} bytes of resident memory each", bytes / count);

    let changes: Vec<_> = assignments().map(Change::Put).collect();
    let started = Instant::now();
    let (again, _) = empty.apply(changes);
    println!("rows of a list: {:.2?}", started.elapsed());
    let started = Instant::now();
    drop(again);
    println!("dropped: {:.2?}", started.elapsed());
    full
}

fn load_csv(empty: &Directory) {
    let mut text = String::from(
        "principal_type,principal_id,role,scope_type,scope_id,expires_at,granted_at,granted_by,reason\n",
    );
    for Assignment { key, expires_at, grant } in assignments() {
        let moment = |moment: Option<Timestamp>| moment.map(|at| at.to_string());
        let (expires_at, granted_at) = (moment(expires_at), moment(grant.granted_at));
        let AssignmentKey { principal, role, scope } = key;
        writeln!(
            text,
            "{},{},{role},{},{},{},{},{},{}",
            principal.type_name,
            principal.id,
            scope.type_name,
            scope.id,
            expires_at.unwrap_or_default(),
            granted_at.unwrap_or_default(),
            grant.granted_by,
            grant.reason
        )
        .unwrap();
    }
    let started = Instant::now();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let (full, _) = empty.apply(reader.records().map(|row| {
        let row = row.unwrap();
        let text = |column: usize| row[column].to_owned();
        let moment = |column: usize| {
            let text = &row[column];
            (!text.is_empty()).then(|| text.parse().unwrap())
        };
        Change::Put(Assignment {
            key: AssignmentKey {
                principal: Uid::new(text(0), text(1)),
                role: text(2),
                scope: Uid::new(text(3), text(4)),
            },
            expires_at: moment(5),
            grant: Grant { granted_at: moment(6), granted_by: text(7), reason: text(8) },
        })
    }));
    println!("rows of {} MB of CSV: {:.2?}", text.len() / 1_000_000, started.elapsed());
    assert_eq!(full.counts().assignments, USERS * ROLES_OF_USER);
}

/// Times single changes, each of the state that the one before has made.
fn changes(full: &Directory) {
    let one_by_one = |name: &str, directory: &Directory, change: &dyn Fn(usize) -> Change| {
        let mut state = directory.clone();
        let mut times = Vec::new();
        for number in 0..200 {
            let change = change(number);
            let started = Instant::now();
            state = state.apply([change]).0;
            times.push(started.elapsed());
        }
        println!("{name}: {}", spread(times));
    };
    let put = |user: String, site: String| {
        Change::Put(Assignment {
            key: AssignmentKey {
                principal: Uid::new("User", user),
                role: "viewer".to_owned(),
                scope: Uid::new("Site", site),
            },
            expires_at: None,
            grant: Grant::default(),
        })
    };
    one_by_one("a new assignment", full, &|n| put(user(n * 997), site(n * 499)));
    one_by_one("an assignment of a new user", full, &|n| put(format!("new-{n}"), site(n * 499)));
    one_by_one("an assignment that is deleted", full, &|n| {
        Change::Delete(assignment(n * 997, 0).key)
    });
    let crowd = (0..USERS).map(|n| put(user(n), "crowd".to_owned()));
    let started = Instant::now();
    let (crowded, _) = full.apply(crowd);
    println!("{USERS} assignments on one more site: {:.2?}", started.elapsed());
    one_by_one("a new assignment on it", &crowded, &|n| {
        put(format!("new-{n}"), "crowd".to_owned())
    });
}

fn pages(full: &Directory) {
    let every = AssignmentFilter::default();
    let on_site = AssignmentFilter { scope: Some(Uid::new("Site", site(0))), ..every.clone() };
    for (name, filter) in [("all", &every), ("one site", &on_site)] {
        let mut times = Vec::new();
        let mut after = None;
        for _ in 0..200 {
            let started = Instant::now();
            let page = full.assignments_page(filter, after.as_ref(), 1_000);
            times.push(started.elapsed());
            after = page.last().map(|row| row.key.clone());
        }
        println!("a page of 1,000 of {name}: {}", spread(times));
    }
}

/// Times questions whose answer depends on a role that the user holds, beside the same questions with
/// the role sent, and with no role at all.
fn decisions(store: &PolicyStore, empty: &Directory, full: &Directory) {
    let asked = |number: usize| assignment(number * (USERS / QUESTIONS), number % ROLES_OF_USER);
    let (small, _) = empty.apply((0..100).map(|number| Change::Put(asked(number))));
    for (name, users) in [("20,000 users", QUESTIONS), ("the same 100 users", 100)] {
        let questions = |with_role| {
            (0..QUESTIONS).map(move |number| question(asked(number % users), with_role))
        };
        println!("check and decision, of {name}:");
        let (without, with): (Vec<_>, Vec<_>) =
            (questions(false).collect(), questions(true).collect());
        decide_all("  no role, empty directory", store, empty, &without);
        decide_all("  role sent, empty directory", store, empty, &with);
        decide_all("  role held, directory of 100 assignments", store, &small, &without);
        decide_all("  role held, full directory", store, full, &without);
    }
}

fn question(row: Assignment, with_role: bool) -> RequestInput {
    let AssignmentKey { principal, role, scope } = row.key;
    let sent = RoleAssignmentInput {
        principal: Some(principal.clone()),
        role,
        scope: Some(scope.clone()),
        expires_at: row.expires_at,
    };
    RequestInput {
        principal: Some(principal),
        action: Some(Uid::action(support::ACTION)),
        resource: Some(scope),
        role_assignments: with_role.then_some(sent).into_iter().collect(),
        ..RequestInput::default()
    }
}

fn decide_all(name: &str, store: &PolicyStore, directory: &Directory, questions: &[RequestInput]) {
    let facts: Arc<dyn HeldFacts> = Arc::new(directory.clone());
    let held = Held { facts, request_facts: RequestFacts::Add };
    let limits = RequestLimits::default();
    let mut times = Vec::with_capacity(questions.len());
    let mut allowed = 0;
    for question in questions {
        let started = Instant::now();
        let request = store.check_with(Some(&held), question, NOW, &limits).unwrap();
        let decision = engine::decide(store.engine(), &request, OnForbidError::Deny);
        times.push(started.elapsed());
        allowed += usize::from(decision.effect == Effect::Allow);
    }
    println!("{name}: {}, {allowed} allowed", spread(times));
}

fn spread(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    format!("p50 {:.2?}, p99 {:.2?}", at(50), at(99))
}

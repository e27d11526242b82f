//! Clicky: whatever shares, links, filters and keys change as the policies allow, nobody ends with a
//! permission that no owner gave, by their own hand or through an Administrator whom an owner made.

use std::collections::{BTreeMap, BTreeSet};

use humbaba::{
    model::{Timestamp, Uid, Value as Fact},
    store::PolicyStore,
};
use proptest::prelude::*;

use crate::support::replay::{self, Question, Table, entities, entity, shipped};

/// olga owns the account of both sites.
const USERS: [&str; 5] = ["olga", "ada", "uri", "vera", "sam"];
const SITES: [&str; 2] = ["A", "B"];
/// From the lowest to the highest.
const LEVELS: [&str; 3] = ["view_only", "user", "administrator"];
const REPORTS: [&str; 3] = ["traffic", "content", "visitor-details"];
/// The actions that are about one report.
const OF_A_REPORT: [&str; 3] = ["reports.view", "dashboard.use", "alerts.own.configure"];
const NOW: Timestamp = Timestamp::from_millis(0);

/// A change that somebody tries to make on a site.
#[derive(Debug, Clone)]
enum Change {
    Share {
        user: usize,
        level: usize,
    },
    NewLevel {
        user: usize,
        level: usize,
    },
    Remove {
        user: usize,
    },
    GuestAccess {
        mode: Guests,
    },
    GuestReport {
        report: usize,
    },
    FilterReport {
        report: usize,
    },
    BillingVisible,
    /// Reads the admin key in the settings, and remembers it.
    ReadKey,
    RotateKey,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Guests {
    Disabled,
    Public,
    Password,
}

impl Guests {
    fn id(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::Public => "public",
            Self::Password => "password",
        }
    }

    fn column(self) -> Option<&'static str> {
        match self {
            Self::Disabled => None,
            Self::Public => Some("guest_public"),
            Self::Password => Some("guest_password"),
        }
    }
}

/// The state of a site.
#[derive(Debug, Clone)]
struct Site {
    levels: BTreeMap<usize, usize>,
    guests: Guests,
    guest_reports: BTreeSet<usize>,
    filter: BTreeSet<usize>,
    is_billing_visible: bool,
    /// The number of the key, which counts rotations, and those who know each.
    key: usize,
    known_keys: BTreeSet<(usize, usize)>,
}

#[derive(Debug, Clone)]
struct Book {
    sites: [Site; 2],
}

impl Book {
    fn at_first() -> Self {
        let site = |levels: &[(usize, usize)]| Site {
            levels: levels.iter().copied().collect(),
            guests: Guests::Disabled,
            guest_reports: BTreeSet::new(),
            filter: BTreeSet::new(),
            is_billing_visible: false,
            key: 0,
            known_keys: BTreeSet::new(),
        };
        Self { sites: [site(&[(1, 2), (2, 1), (3, 0)]), site(&[(2, 2), (1, 0)])] }
    }

    fn enter(&mut self, actor: usize, site: usize, change: &Change) {
        let site = &mut self.sites[site];
        match *change {
            Change::Share { user, level } | Change::NewLevel { user, level } => {
                site.levels.insert(user, level);
            }
            Change::Remove { user } => {
                site.levels.remove(&user);
            }
            Change::GuestAccess { mode } => site.guests = mode,
            Change::GuestReport { report } => {
                site.guest_reports.insert(report);
            }
            Change::FilterReport { report } => {
                site.filter.insert(report);
            }
            Change::BillingVisible => site.is_billing_visible = true,
            Change::ReadKey => {
                site.known_keys.insert((actor, site.key));
            }
            Change::RotateKey => site.key += 1,
        }
    }

    /// Returns whether somebody was given the right to make a change: the owner, or an Administrator of the
    /// site anything but the account's billing.
    fn gives(&self, actor: usize, site: usize, change: &Change) -> bool {
        let is_administrator = self.sites[site].levels.get(&actor) == Some(&2);
        actor == 0 || (is_administrator && !matches!(change, Change::BillingVisible))
    }

    /// A question with everything that is in force.
    fn ask(&self, principal: &Uid, action: &str, resource: &Uid) -> Question {
        let account = account();
        let mut question = Question::new(principal, action, resource)
            .role(&user_uid(0), "owner", &account, None)
            .attribute(&account, "pro", Fact::Bool(true));
        for (name, site) in SITES.iter().zip(&self.sites) {
            let uid = Uid::new("Site", *name);
            let guests = Uid::new("GuestAccess", site.guests.id());
            question = question
                .attribute(&uid, "account", entity(&account))
                .attribute(&uid, "heatmaps", Fact::Bool(true))
                .attribute(&uid, "session_recording", Fact::Bool(true))
                .attribute(&uid, "billing_visible", Fact::Bool(site.is_billing_visible))
                .attribute(&uid, "guest_access", entity(&guests))
                .attribute(&uid, "guest_reports", reports(&site.guest_reports))
                .attribute(&uid, "view_only_filter", reports(&site.filter));
            for (user, level) in &site.levels {
                question = question.role(&user_uid(*user), LEVELS[*level], &uid, None);
            }
            for rotation in 0..=site.key {
                let key = key_uid(name, rotation);
                question = question
                    .attribute(&key, "site", entity(&uid))
                    .attribute(&key, "kind", entity(&Uid::new("KeyKind", "admin")))
                    .attribute(&key, "current", Fact::Bool(rotation == site.key));
            }
        }
        question
    }
}

/// Asks whether the policies let somebody make a change.
fn is_allowed(
    store: &PolicyStore,
    book: &Book,
    actor: usize,
    site: usize,
    change: &Change,
) -> bool {
    let action = match change {
        Change::Share { .. } => "shared-users.add",
        Change::NewLevel { .. } => "shared-users.change-level",
        Change::Remove { .. } => "shared-users.remove",
        Change::GuestAccess { mode: Guests::Disabled } => "guest-link.disable",
        Change::GuestAccess { mode: Guests::Public } => "guest-link.create",
        Change::GuestAccess { mode: Guests::Password } => "guest-link.set-password",
        Change::GuestReport { .. } => "settings.guest-reports.configure",
        Change::FilterReport { .. } => "settings.view-only-filter.configure",
        Change::BillingVisible => "billing-visibility.configure",
        Change::ReadKey => "site-key.view",
        Change::RotateKey => "site-key.rotate",
    };
    let question = book.ask(&user_uid(actor), action, &Uid::new("Site", SITES[site]));
    let question = match *change {
        Change::Share { user, level } | Change::NewLevel { user, level } => question
            .fact("target", entity(&user_uid(user)))
            .fact("level", entity(&Uid::new("Level", LEVELS[level]))),
        Change::Remove { user } => question.fact("target", entity(&user_uid(user))),
        _ => question,
    };
    question.is_allowed(store, NOW)
}

/// Replays changes and names a permission that was never given, if somebody ends with one.
fn gain(store: &PolicyStore, changes: &[(usize, usize, Change)]) -> Option<String> {
    let table = Table::of(store);
    let (mut in_force, mut given) = (Book::at_first(), Book::at_first());
    for (actor, site, change) in changes {
        if !is_allowed(store, &in_force, *actor, *site, change) {
            continue;
        }
        if given.gives(*actor, *site, change) {
            given.enter(*actor, *site, change);
        }
        in_force.enter(*actor, *site, change);
    }
    (0..SITES.len()).find_map(|site| {
        people(store, &table, &in_force, &given, site)
            .or_else(|| guests(store, &table, &in_force, &given, site))
            .or_else(|| keys(store, &table, &in_force, &given, site))
    })
}

/// A permission that a signed-in person has on a site, or on the account through it, and that was
/// never given.
fn people(
    store: &PolicyStore,
    table: &Table,
    in_force: &Book,
    given: &Book,
    site: usize,
) -> Option<String> {
    let uid = Uid::new("Site", SITES[site]);
    for (user, name) in USERS.iter().enumerate() {
        let level = given.sites[site].levels.get(&user).map(|level| LEVELS[*level]);
        let may = |action| {
            (user == 0 && table.may("account_owner", action))
                || level.is_some_and(|level| table.may(level, action))
                || action == "site-id.view"
        };
        // Whom a share is about is somebody else; which key is presented is the one that they know.
        let target = (1..USERS.len()).find(|target| *target != user).unwrap();
        let known = in_force.sites[site].known_keys.iter().filter(|(by, _)| *by == user);
        let known = known.map(|(_, rotation)| *rotation).max();
        for action in table.actions(&["site"]) {
            for report in reports_of(action) {
                let mut question = in_force
                    .ask(&user_uid(user), action, &uid)
                    .fact("alert_owner", entity(&user_uid(user)))
                    .fact("target", entity(&user_uid(target)))
                    .fact("level", entity(&Uid::new("Level", "user")))
                    .fact("report", entity(&Uid::new("Report", REPORTS[report])));
                if let Some(rotation) = known {
                    let key = key_uid(SITES[site], rotation);
                    question = question.fact("site_key", entity(&key));
                }
                let filtered = level == Some("view_only") && OF_A_REPORT.contains(&action);
                let may = may(action)
                    && (!filtered || user == 0 || given.sites[site].filter.contains(&report));
                if question.is_allowed(store, NOW) && !may {
                    return Some(format!("{name} has {action} on {uid}"));
                }
            }
        }
        for action in ["billing.view", "billing.manage", "white-label.configure"] {
            let question = in_force.ask(&user_uid(user), action, &account());
            let question = question.fact("site", entity(&uid));
            let visible = action != "billing.view" || given.sites[site].is_billing_visible;
            let may = user == 0 || (may(action) && visible);
            if question.is_allowed(store, NOW) && !may {
                return Some(format!("{name} has {action}"));
            }
        }
    }
    None
}

/// A permission that a guest has on a site, with the password, and that was never given.
fn guests(
    store: &PolicyStore,
    table: &Table,
    in_force: &Book,
    given: &Book,
    site: usize,
) -> Option<String> {
    let (uid, guest) = (Uid::new("Site", SITES[site]), Uid::new("Guest", "link"));
    let column = given.sites[site].guests.column();
    for action in table.actions(&["site"]) {
        for report in reports_of(action) {
            let question = in_force
                .ask(&guest, action, &uid)
                .attribute(&guest, "site", entity(&uid))
                .fact("password_accepted", Fact::Bool(true))
                .fact("report", entity(&Uid::new("Report", REPORTS[report])));
            let listed = action != "reports.view"
                || (given.sites[site].guest_reports.contains(&report) && report != 2);
            let may = column.is_some_and(|column| table.may(column, action)) && listed;
            if question.is_allowed(store, NOW) && !may && action != "site-id.view" {
                return Some(format!("a guest has {action} of {} on {uid}", REPORTS[report]));
            }
        }
    }
    None
}

/// A permission that a key of a site has there or on the other one, and that was never given.
fn keys(
    store: &PolicyStore,
    table: &Table,
    in_force: &Book,
    given: &Book,
    site: usize,
) -> Option<String> {
    for rotation in 0..=in_force.sites[site].key {
        let key = key_uid(SITES[site], rotation);
        for (other, name) in SITES.iter().enumerate() {
            let uid = Uid::new("Site", *name);
            let is_current = other == site && rotation == given.sites[site].key;
            for action in table.actions(&["site"]) {
                let may = action == "site-id.view"
                    || (is_current && table.may("site_key_holder", action));
                if in_force.ask(&key, action, &uid).is_allowed(store, NOW) && !may {
                    return Some(format!("{key} has {action} on {uid}"));
                }
            }
        }
    }
    None
}

/// The reports with which an action is worth asking.
fn reports_of(action: &str) -> std::ops::Range<usize> {
    if OF_A_REPORT.contains(&action) { 0..REPORTS.len() } else { 0..1 }
}

fn account() -> Uid {
    Uid::new("Account", "acme")
}

fn user_uid(user: usize) -> Uid {
    Uid::new("User", USERS[user])
}

fn key_uid(site: &str, rotation: usize) -> Uid {
    Uid::new("SiteKey", format!("{site}-{rotation}"))
}

fn reports(some: &BTreeSet<usize>) -> Fact {
    let uids: Vec<_> = some.iter().map(|report| Uid::new("Report", REPORTS[*report])).collect();
    entities(&uids)
}

fn change() -> impl Strategy<Value = Change> {
    let user = 0..USERS.len();
    let shared = (user.clone(), 0..LEVELS.len());
    let report = 0..REPORTS.len();
    let mode = prop::sample::select(vec![Guests::Disabled, Guests::Public, Guests::Password]);
    prop_oneof![
        3 => shared.clone().prop_map(|(user, level)| Change::Share { user, level }),
        3 => shared.prop_map(|(user, level)| Change::NewLevel { user, level }),
        2 => user.prop_map(|user| Change::Remove { user }),
        2 => mode.prop_map(|mode| Change::GuestAccess { mode }),
        1 => report.clone().prop_map(|report| Change::GuestReport { report }),
        1 => report.prop_map(|report| Change::FilterReport { report }),
        1 => Just(Change::BillingVisible),
        1 => Just(Change::ReadKey),
        1 => Just(Change::RotateKey),
    ]
}

/// Looks for changes after which somebody has a permission that was never given.
fn search(store: &PolicyStore) -> Result<(), String> {
    let changes = prop::collection::vec((0..USERS.len(), 0..SITES.len(), change()), 1..24);
    replay::search(64, &changes, |changes| gain(store, &changes))
}

#[test]
fn nobody_ends_with_a_permission_that_no_owner_gave() {
    search(&shipped("clicky", &[])).unwrap();
}

#[test]
fn the_search_finds_a_permit_that_lets_a_user_share_the_site() {
    let planted = r#"
        @id("planted")
        permit (principal, action == Clicky::Action::"shared-users.add", resource)
        when { principal in resource.user };
    "#;
    search(&shipped("clicky", &[("planted.cedar", planted)])).unwrap_err();
}

#[test]
fn the_search_finds_an_administrator_who_opens_the_billing_to_themselves() {
    let planted = r#"
        @id("planted")
        permit (principal, action == Clicky::Action::"billing-visibility.configure", resource)
        when { principal in resource.administrator };
    "#;
    search(&shipped("clicky", &[("planted.cedar", planted)])).unwrap_err();
}

#[test]
fn the_search_finds_a_key_that_works_after_its_rotation() {
    let planted = r#"
        @id("planted")
        permit (principal is Clicky::SiteKey, action in Clicky::Action::"api.read", resource)
        when { principal has site && principal.site == resource };
    "#;
    search(&shipped("clicky", &[("planted.cedar", planted)])).unwrap_err();
}

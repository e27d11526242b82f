//! Piwik PRO: whatever changes of permissions the policies allow, one after the other, nobody ends
//! with a permission that no owner gave, by their own hand or through a Manage that an owner gave.

use std::collections::{BTreeMap, BTreeSet};

use humbaba::{
    model::{Timestamp, Uid},
    store::PolicyStore,
};
use proptest::prelude::*;

use crate::support::replay::{self, Question, Table, entities, entity, shipped};

const USERS: [&str; 4] = ["olga", "mia", "eve", "vic"];
const GROUPS: [&str; 2] = ["editors", "viewers"];
const SCOPES: [&str; 3] = ["App::shop", "App::blog", "MetaSite::all"];
/// From the lowest to the highest. A meta site has no `edit_publish`.
const LEVELS: [&str; 4] = ["view", "edit", "edit_publish", "manage"];
const MODULES: [&str; 2] = ["tag-manager", "analytics"];

const APP_ROWS: [&str; 7] = [
    "app",
    "administration",
    "analytics",
    "tag-manager",
    "consent-manager",
    "cdp",
    "audience-manager",
];

/// A change that somebody tries to make.
#[derive(Debug, Clone)]
enum Change {
    /// A level for a user or a group, or none.
    Level {
        scope: usize,
        holder: Holder,
        level: Option<usize>,
    },
    Owner {
        user: usize,
        is_owner: bool,
    },
    Member {
        user: usize,
        group: usize,
        is_member: bool,
    },
    Module {
        user: usize,
        module: usize,
        is_off: bool,
    },
    Delete {
        user: usize,
    },
    /// The dashboard of the shop is handed to "All sites & apps".
    SetGlobal,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Holder {
    User(usize),
    Group(usize),
}

/// The permissions of an account.
#[derive(Debug, Clone, PartialEq)]
struct Book {
    owners: BTreeSet<usize>,
    users: BTreeSet<usize>,
    members: BTreeSet<(usize, usize)>,
    levels: BTreeMap<(Holder, usize), usize>,
    modules_off: BTreeSet<(usize, usize)>,
    is_global: bool,
}

impl Book {
    /// olga owns the account; mia manages the shop; the editors edit it.
    fn at_first() -> Self {
        Self {
            owners: [0].into(),
            users: (0..USERS.len()).collect(),
            members: [(2, 0), (3, 1)].into(),
            levels: [
                ((Holder::User(1), 0), 3),
                ((Holder::User(1), 1), 2),
                ((Holder::Group(0), 0), 1),
                ((Holder::Group(1), 2), 0),
            ]
            .into(),
            modules_off: [(1, 0)].into(),
            is_global: false,
        }
    }

    /// The highest of a user's own and their groups' levels.
    fn level(&self, user: usize, scope: usize) -> Option<usize> {
        let groups = self.members.iter().filter(|(member, _)| *member == user);
        let holders = groups.map(|(_, group)| Holder::Group(*group));
        let levels = holders.chain([Holder::User(user)]);
        levels.filter_map(|holder| self.levels.get(&(holder, scope)).copied()).max()
    }

    fn enter(&mut self, change: &Change) {
        match *change {
            Change::Level { scope, holder, level: Some(level) } => {
                self.levels.insert((holder, scope), level);
            }
            Change::Level { scope, holder, level: None } => {
                self.levels.remove(&(holder, scope));
            }
            Change::Owner { user, is_owner: true } => {
                self.owners.insert(user);
            }
            Change::Owner { user, is_owner: false } => {
                self.owners.remove(&user);
            }
            Change::Member { user, group, is_member: true } => {
                self.members.insert((user, group));
            }
            Change::Member { user, group, is_member: false } => {
                self.members.remove(&(user, group));
            }
            Change::Module { user, module, is_off: true } => {
                self.modules_off.insert((user, module));
            }
            Change::Module { user, module, is_off: false } => {
                self.modules_off.remove(&(user, module));
            }
            Change::Delete { user } => {
                self.users.remove(&user);
                self.owners.remove(&user);
                self.members.retain(|(member, _)| *member != user);
                self.levels.retain(|(holder, _), _| *holder != Holder::User(user));
            }
            Change::SetGlobal => self.is_global = true,
        }
    }

    /// Returns whether the user whom a change is about was not deleted.
    fn has_users_of(&self, change: &Change) -> bool {
        match change {
            Change::Level { holder: Holder::User(user), .. }
            | Change::Owner { user, .. }
            | Change::Member { user, .. }
            | Change::Module { user, .. }
            | Change::Delete { user } => self.users.contains(user),
            Change::Level { holder: Holder::Group(_), .. } | Change::SetGlobal => true,
        }
    }

    /// Returns whether a user was given the right to make a change: an owner, or whoever manages a site the
    /// levels there.
    fn gives(&self, actor: usize, change: &Change) -> bool {
        let manages = |scope| self.level(actor, scope) == Some(LEVELS.len() - 1);
        match *change {
            Change::Level { scope, .. } => self.owners.contains(&actor) || manages(scope),
            Change::Owner { user, .. } | Change::Delete { user } => {
                self.owners.contains(&actor) && user != actor
            }
            Change::Member { .. } | Change::Module { .. } | Change::SetGlobal => {
                self.owners.contains(&actor)
            }
        }
    }

    /// Returns whether the vendor's table gives a user an action on a scope.
    fn justifies(&self, table: &Table, user: usize, action: &str, scope: usize) -> bool {
        let is_owner = self.owners.contains(&user) && table.may("owner", action);
        let level = self.level(user, scope).map(|level| LEVELS[level]);
        is_owner || level.is_some_and(|level| table.may(level, action))
    }

    /// A question with everything that is in force.
    fn ask(&self, user: usize, action: &str, resource: &Uid) -> Question {
        let account = account();
        let mut question = Question::new(&user_uid(user), action, resource);
        for scope in SCOPES {
            question = question.attribute(&uid(scope), "account", entity(&account));
        }
        for owner in &self.owners {
            question = question.role(&user_uid(*owner), "owner", &account, None);
        }
        for (member, group) in &self.members {
            question = question.parent(&user_uid(*member), &group_uid(*group));
        }
        for ((holder, scope), level) in &self.levels {
            let holder = match holder {
                Holder::User(user) => user_uid(*user),
                Holder::Group(group) => group_uid(*group),
            };
            question = question.role(&holder, LEVELS[*level], &uid(SCOPES[*scope]), None);
        }
        let off = self.modules_off.iter().filter(|(of, _)| *of == user);
        let off: Vec<_> = off.map(|(_, module)| Uid::new("Module", MODULES[*module])).collect();
        question.attribute(&user_uid(user), "modules_off", entities(&off))
    }
}

/// Asks whether the policies let a user make a change.
fn is_allowed(store: &PolicyStore, book: &Book, actor: usize, change: &Change) -> bool {
    let account = account();
    let question = match *change {
        Change::Level { scope, holder, .. } => {
            let action = match SCOPES[scope] {
                "MetaSite::all" => "meta-site.manage-permissions",
                _ => "app.manage-permissions",
            };
            let question = book.ask(actor, action, &uid(SCOPES[scope]));
            match holder {
                Holder::User(user) => question.fact("target", entity(&user_uid(user))),
                Holder::Group(_) => question,
            }
        }
        Change::Owner { user, .. } => book
            .ask(actor, "users.grant-owner-access", &account)
            .fact("target", entity(&user_uid(user))),
        Change::Delete { user } => {
            book.ask(actor, "users.delete", &account).fact("target", entity(&user_uid(user)))
        }
        Change::Member { .. } => book.ask(actor, "administration.create-group", &account),
        Change::Module { .. } => book.ask(actor, "modules.grant-access", &account),
        Change::SetGlobal => book.ask(actor, "analytics.dashboard.set-global", &uid(SCOPES[0])),
    };
    question.is_allowed(store, Timestamp::from_millis(0))
}

/// Replays changes and names a permission that was never given, if somebody ends with one.
fn gain(store: &PolicyStore, changes: &[(usize, Change)]) -> Option<String> {
    let table = Table::of(store);
    let (mut in_force, mut given) = (Book::at_first(), Book::at_first());
    for (actor, change) in changes {
        let are_there = in_force.users.contains(actor) && in_force.has_users_of(change);
        if !are_there || !is_allowed(store, &in_force, *actor, change) {
            continue;
        }
        if given.gives(*actor, change) {
            given.enter(change);
        }
        in_force.enter(change);
        if in_force.owners.is_empty() {
            return Some(format!("no owner is left after {change:?} by {}", USERS[*actor]));
        }
    }
    for user in in_force.users.iter().copied() {
        for (scope, name) in SCOPES.iter().enumerate() {
            let rows: &[&str] = if scope == 2 { &["meta-site"] } else { &APP_ROWS };
            for action in table.actions(rows) {
                let question = in_force.ask(user, action, &uid(name));
                if question.is_allowed(store, Timestamp::from_millis(0))
                    && !given.justifies(&table, user, action, scope)
                {
                    return Some(format!("{} has {action} on {name}", USERS[user]));
                }
            }
        }
        // Whom the questions on the account are about is somebody else.
        let target = user_uid((user + 1) % USERS.len());
        for action in table.actions(&["account"]) {
            let question = in_force.ask(user, action, &account());
            let takes_target = action != "modules.grant-access";
            let question =
                if takes_target { question.fact("target", entity(&target)) } else { question };
            if question.is_allowed(store, Timestamp::from_millis(0))
                && !given.owners.contains(&user)
            {
                return Some(format!("{} has {action} on the account", USERS[user]));
            }
        }
        // A dashboard of everybody is edited by owners alone.
        let dashboard = Uid::new("Dashboard", "sales");
        let question = in_force
            .ask(user, "analytics.dashboard.edit", &dashboard)
            .attribute(&dashboard, "app", entity(&uid(SCOPES[0])))
            .attribute(&dashboard, "author", entity(&user_uid(user)))
            .attribute(&dashboard, "global", humbaba::model::Value::Bool(in_force.is_global));
        let own = given.level(user, 0).is_some_and(|level| level >= 1) && !given.is_global;
        if question.is_allowed(store, Timestamp::from_millis(0))
            && !own
            && !given.owners.contains(&user)
        {
            return Some(format!("{} edits a dashboard that is not theirs alone", USERS[user]));
        }
    }
    None
}

fn uid(text: &str) -> Uid {
    text.parse().unwrap()
}

fn account() -> Uid {
    Uid::new("Account", "acme")
}

fn user_uid(user: usize) -> Uid {
    Uid::new("User", USERS[user])
}

fn group_uid(group: usize) -> Uid {
    Uid::new("Group", GROUPS[group])
}

fn change() -> impl Strategy<Value = Change> {
    let user = 0..USERS.len();
    let holder = prop_oneof![
        (0..USERS.len()).prop_map(Holder::User),
        (0..GROUPS.len()).prop_map(Holder::Group)
    ];
    let level = (0..SCOPES.len(), holder, prop::option::of(0..LEVELS.len()))
        .prop_filter("a meta site has no edit & publish", |(scope, _, level)| {
            *scope != 2 || *level != Some(2)
        });
    prop_oneof![
        4 => level.prop_map(|(scope, holder, level)| Change::Level { scope, holder, level }),
        1 => (user.clone(), any::<bool>())
            .prop_map(|(user, is_owner)| Change::Owner { user, is_owner }),
        2 => (user.clone(), 0..GROUPS.len(), any::<bool>())
            .prop_map(|(user, group, is_member)| Change::Member { user, group, is_member }),
        1 => (user.clone(), 0..MODULES.len(), any::<bool>())
            .prop_map(|(user, module, is_off)| Change::Module { user, module, is_off }),
        1 => user.prop_map(|user| Change::Delete { user }),
        1 => Just(Change::SetGlobal),
    ]
}

/// Looks for changes after which somebody has a permission that was never given.
fn search(store: &PolicyStore) -> Result<(), String> {
    let changes = prop::collection::vec((0..USERS.len(), change()), 1..24);
    replay::search(96, &changes, |changes| gain(store, &changes))
}

#[test]
fn nobody_ends_with_a_permission_that_no_owner_gave() {
    search(&shipped("piwik-pro", &[])).unwrap();
}

#[test]
fn the_search_finds_a_permit_that_gives_edit_and_publish_the_permissions() {
    let planted = r#"
        @id("planted")
        permit (principal, action == PiwikPro::Action::"app.manage-permissions", resource)
        when { principal in resource.edit_publish };
    "#;
    search(&shipped("piwik-pro", &[("planted.cedar", planted)])).unwrap_err();
}

#[test]
fn the_search_finds_a_permit_that_makes_whoever_manages_a_site_an_owner() {
    let planted = r#"
        @id("planted")
        permit (
            principal in PiwikPro::Role::"App::shop#manage",
            action == PiwikPro::Action::"users.grant-owner-access",
            resource
        );
    "#;
    search(&shipped("piwik-pro", &[("planted.cedar", planted)])).unwrap_err();
}

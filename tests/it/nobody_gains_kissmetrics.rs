//! Kissmetrics: whatever promotions, invitations, elevations, transfers and keys the policies allow,
//! nobody ends with a permission that no owner gave, by their own hand or through an Admin whom an
//! owner made; nobody raises themselves; and the account has one Owner.

use std::collections::{BTreeMap, BTreeSet};

use humbaba::{
    model::{Timestamp, Uid, Value as Fact},
    store::PolicyStore,
};
use proptest::prelude::*;

use crate::support::replay::{self, Question, Table, entities, entity, shipped};

/// olga owns the account, amy is Admin, uma User, rita Read-Only; nell has no level yet.
const USERS: [&str; 5] = ["olga", "amy", "uma", "rita", "nell"];
const PROJECTS: [&str; 2] = ["p1", "p2"];
/// From the lowest to the highest.
const LEVELS: [&str; 4] = ["read_only", "user", "admin", "owner"];
const ADMIN: usize = 2;
const OWNER: usize = 3;

/// A change that somebody tries to make.
#[derive(Debug, Clone)]
enum Change {
    Role {
        user: usize,
        level: usize,
    },
    Invite {
        user: usize,
        level: usize,
    },
    Elevate {
        user: usize,
        hours: u8,
    },
    Remove {
        user: usize,
    },
    Projects {
        user: usize,
        projects: BTreeSet<usize>,
    },
    /// The level and the projects in one call.
    Update {
        user: usize,
        level: usize,
        projects: BTreeSet<usize>,
    },
    Feature {
        user: usize,
    },
    Transfer {
        user: usize,
    },
}

/// A step of the replay.
#[derive(Debug, Clone)]
enum Step {
    /// Somebody, in person or by their key, tries a change, and names an approver.
    Try { actor: usize, by_key: bool, approver: Option<usize>, change: Change },
    /// Somebody's key is revoked.
    Revoke { user: usize },
    /// Time goes by.
    Wait { hours: u8 },
}

#[derive(Debug, Clone)]
struct Book {
    is_approval_required: bool,
    levels: BTreeMap<usize, usize>,
    /// The Admins, with the hour until which each is one.
    elevated: BTreeMap<usize, u32>,
    assigned: BTreeSet<(usize, usize)>,
    features: BTreeSet<usize>,
    revoked: BTreeSet<usize>,
}

impl Book {
    fn at_first(is_approval_required: bool) -> Self {
        Self {
            is_approval_required,
            levels: [(0, OWNER), (1, ADMIN), (2, 1), (3, 0)].into(),
            elevated: BTreeMap::new(),
            assigned: [(2, 0)].into(),
            features: BTreeSet::new(),
            revoked: BTreeSet::new(),
        }
    }

    /// The level that somebody has at that hour.
    fn level(&self, user: usize, hour: u32) -> Option<usize> {
        let elevated = self.elevated.get(&user).is_some_and(|end| hour < *end);
        let standing = self.levels.get(&user).copied();
        if elevated { standing.max(Some(ADMIN)) } else { standing }
    }

    fn enter(&mut self, actor: usize, hour: u32, change: &Change) {
        match change {
            Change::Role { user, level } | Change::Invite { user, level } => {
                self.levels.insert(*user, *level);
            }
            Change::Elevate { user, hours } => {
                self.elevated.insert(*user, hour + u32::from(*hours));
            }
            Change::Remove { user } => {
                self.levels.remove(user);
                self.elevated.remove(user);
                self.assigned.retain(|(of, _)| of != user);
            }
            Change::Projects { user, projects } => {
                self.assigned.retain(|(of, _)| of != user);
                self.assigned.extend(projects.iter().map(|project| (*user, *project)));
            }
            Change::Update { user, level, projects } => {
                self.enter(actor, hour, &Change::Role { user: *user, level: *level });
                let projects = projects.clone();
                self.enter(actor, hour, &Change::Projects { user: *user, projects });
            }
            Change::Feature { user } => {
                self.features.insert(*user);
            }
            Change::Transfer { user } => {
                self.levels.insert(*user, OWNER);
                self.levels.insert(actor, ADMIN);
            }
        }
    }

    /// Returns whether somebody was given the right to make a change: the Owner to transfer the ownership,
    /// Owner and Admin the rest, to somebody else than themselves and the Owner, and where approval
    /// is required not the Admin level alone.
    fn gives(&self, actor: usize, approver: Option<usize>, hour: u32, change: &Change) -> bool {
        let actors_level = self.level(actor, hour);
        let approved = approver.is_some_and(|approver| {
            approver != actor
                && Some(approver) != change.user()
                && self.levels.get(&approver).is_some_and(|level| *level >= ADMIN)
        });
        let level = match change {
            Change::Transfer { .. } => return actors_level == Some(OWNER),
            Change::Role { level, .. }
            | Change::Invite { level, .. }
            | Change::Update { level, .. } => *level,
            Change::Elevate { .. } => ADMIN,
            _ => 0,
        };
        let user = change.user();
        actors_level >= Some(ADMIN)
            && user != Some(actor)
            && user.is_none_or(|user| self.levels.get(&user) != Some(&OWNER))
            && level < OWNER
            && (level < ADMIN || !self.is_approval_required || approved)
    }

    /// Returns whether the vendor's table gives somebody an action, on a project where one is named.
    fn justifies(
        &self,
        table: &Table,
        user: usize,
        hour: u32,
        action: &str,
        project: Option<usize>,
    ) -> bool {
        let Some(level) = self.level(user, hour) else { return false };
        let has_project = project
            .is_none_or(|project| level >= ADMIN || self.assigned.contains(&(user, project)));
        let has_feature =
            action != "sensitive-data.access" || level == OWNER || self.features.contains(&user);
        // Each of the levels that somebody has at once gives what it gives.
        let may = (0..=level).any(|level| table.may(LEVELS[level], action));
        may && has_project && has_feature
    }

    /// A question with everything that is in force.
    fn ask(&self, principal: &Uid, action: &str, resource: &Uid) -> Question {
        let account = account();
        let projects = PROJECTS.map(|project| Uid::new("Project", project));
        let required = Fact::Bool(self.is_approval_required);
        let mut question = Question::new(principal, action, resource)
            .attribute(&account, "projects", entities(&projects))
            .attribute(&account, "approval_required", required)
            .attribute(&account, "ownership_transfer_enabled", Fact::Bool(true));
        for project in &projects {
            question = question.attribute(project, "account", entity(&account));
        }
        for user in 0..USERS.len() {
            let status = if self.revoked.contains(&user) { "revoked" } else { "active" };
            let (uid, key) = (user_uid(user), key_uid(user));
            question = question
                .attribute(&uid, "managed_by_sso", Fact::Bool(false))
                .attribute(&uid, "sensitive_data", Fact::Bool(self.features.contains(&user)))
                .attribute(&key, "holder", entity(&uid))
                .attribute(&key, "status", entity(&Uid::new("KeyStatus", status)));
        }
        for (user, level) in &self.levels {
            question = question.role(&user_uid(*user), LEVELS[*level], &account, None);
        }
        for (user, end) in &self.elevated {
            question = question.role(&user_uid(*user), "admin", &account, Some(at(*end)));
        }
        for (user, project) in &self.assigned {
            question = question.role(&user_uid(*user), "member", &projects[*project], None);
        }
        question
    }
}

impl Change {
    fn user(&self) -> Option<usize> {
        match self {
            Self::Role { user, .. }
            | Self::Invite { user, .. }
            | Self::Elevate { user, .. }
            | Self::Remove { user }
            | Self::Projects { user, .. }
            | Self::Update { user, .. }
            | Self::Feature { user }
            | Self::Transfer { user } => Some(*user),
        }
    }

    fn action(&self) -> &'static str {
        match self {
            Self::Role { .. } => "users.change-role",
            Self::Invite { .. } => "users.invite",
            Self::Elevate { .. } => "users.elevate-temporarily",
            Self::Remove { .. } => "users.remove",
            Self::Projects { .. } => "users.set-project-access",
            Self::Update { .. } => "users.update",
            Self::Feature { .. } => "users.set-feature-permissions",
            Self::Transfer { .. } => "ownership.transfer",
        }
    }
}

/// Asks whether the policies let a principal make a change.
fn is_allowed(
    store: &PolicyStore,
    book: &Book,
    principal: &Uid,
    approver: Option<usize>,
    hour: u32,
    change: &Change,
) -> bool {
    let mut question = book.ask(principal, change.action(), &account());
    if let Some(user) = change.user() {
        question = question.fact("user_affected", entity(&user_uid(user)));
    }
    if let Some(approver) = approver {
        question = question.fact("approver", entity(&user_uid(approver)));
    }
    if let Change::Projects { projects, .. } | Change::Update { projects, .. } = change {
        let projects = projects.iter().map(|project| Uid::new("Project", PROJECTS[*project]));
        question = question.fact("projects", entities(&projects.collect::<Vec<_>>()));
    }
    let question = match change {
        Change::Role { level, .. }
        | Change::Invite { level, .. }
        | Change::Update { level, .. } => {
            question.fact("new_level", entity(&Uid::new("Level", LEVELS[*level])))
        }
        Change::Elevate { hours, .. } => question
            .fact("new_level", entity(&Uid::new("Level", "admin")))
            .fact("expires_at", Fact::Datetime(at(hour + u32::from(*hours))))
            .fact("reason", Fact::String("Migration".into())),
        _ => question,
    };
    question.is_allowed(store, at(hour))
}

/// Replays steps and names a permission that was never given, if somebody ends with one.
fn gain(store: &PolicyStore, is_approval_required: bool, steps: &[Step]) -> Option<String> {
    let table = Table::of(store);
    let mut in_force = Book::at_first(is_approval_required);
    let mut given = in_force.clone();
    let mut hour = 0;
    for step in steps {
        let (actor, by_key, approver, change) = match step {
            Step::Wait { hours } => {
                hour += u32::from(*hours);
                continue;
            }
            Step::Revoke { user } => {
                in_force.revoked.insert(*user);
                given.revoked.insert(*user);
                continue;
            }
            Step::Try { actor, by_key, approver, change } => (*actor, *by_key, *approver, change),
        };
        let principal = if by_key { key_uid(actor) } else { user_uid(actor) };
        if !is_allowed(store, &in_force, &principal, approver, hour, change) {
            continue;
        }
        if given.gives(actor, approver, hour, change) && !(by_key && given.revoked.contains(&actor))
        {
            given.enter(actor, hour, change);
        }
        in_force.enter(actor, hour, change);
        let owners = in_force.levels.values().filter(|level| **level == OWNER).count();
        if owners != 1 {
            return Some(format!("{owners} owners after {step:?}"));
        }
    }
    people(store, &table, &in_force, &given, hour)
        .or_else(|| keys(store, &table, &in_force, &given, hour))
}

/// A level or a permission that a person has and that was never given.
fn people(
    store: &PolicyStore,
    table: &Table,
    in_force: &Book,
    given: &Book,
    hour: u32,
) -> Option<String> {
    for (user, name) in USERS.iter().enumerate() {
        if in_force.level(user, hour) > given.level(user, hour) {
            return Some(format!("{name} has the level {:?}", in_force.level(user, hour)));
        }
        for (project, id) in PROJECTS.iter().enumerate() {
            for action in table.actions(&["project"]) {
                let question = in_force.ask(&user_uid(user), action, &Uid::new("Project", *id));
                if question.is_allowed(store, at(hour))
                    && !given.justifies(table, user, hour, action, Some(project))
                {
                    return Some(format!("{name} has {action} on {id}"));
                }
            }
        }
        for action in on_the_account(table) {
            let question = in_force.ask(&user_uid(user), action, &account());
            if question.is_allowed(store, at(hour))
                && !given.justifies(table, user, hour, action, None)
            {
                return Some(format!("{name} has {action}"));
            }
        }
    }
    None
}

/// A permission that a key has and that was never given to its holder, or not to keys.
fn keys(
    store: &PolicyStore,
    table: &Table,
    in_force: &Book,
    given: &Book,
    hour: u32,
) -> Option<String> {
    for (user, name) in USERS.iter().enumerate() {
        for action in on_the_account(table) {
            let question = in_force.ask(&key_uid(user), action, &account());
            let may = table.may("api_key", action)
                && !given.revoked.contains(&user)
                && given.level(user, hour) >= Some(ADMIN);
            if question.is_allowed(store, at(hour)) && !may {
                return Some(format!("the key of {name} has {action}"));
            }
        }
    }
    None
}

/// The actions on the account that are not about a member: what a level gives.
fn on_the_account(table: &Table) -> impl Iterator<Item = &str> {
    let about_a_member = ["users.change-role", "users.set-", "users.elevate", "users.remove"];
    table
        .actions(&["account"])
        .filter(move |action| !about_a_member.iter().any(|start| action.starts_with(start)))
}

fn account() -> Uid {
    Uid::new("Account", "acme")
}

fn user_uid(user: usize) -> Uid {
    Uid::new("User", USERS[user])
}

fn key_uid(user: usize) -> Uid {
    Uid::new("ApiKey", format!("of-{}", USERS[user]))
}

/// The moment at which an hour begins.
fn at(hour: u32) -> Timestamp {
    Timestamp::from_millis(i64::from(hour) * 3_600_000)
}

fn change() -> impl Strategy<Value = Change> {
    let user = 0..USERS.len();
    let leveled = (user.clone(), 0..LEVELS.len());
    let projects = prop::collection::btree_set(0..PROJECTS.len(), 0..=PROJECTS.len());
    prop_oneof![
        4 => leveled.clone().prop_map(|(user, level)| Change::Role { user, level }),
        3 => leveled.clone().prop_map(|(user, level)| Change::Invite { user, level }),
        1 => (leveled, projects.clone())
            .prop_map(|((user, level), projects)| Change::Update { user, level, projects }),
        3 => (user.clone(), 1..9_u8).prop_map(|(user, hours)| Change::Elevate { user, hours }),
        1 => user.clone().prop_map(|user| Change::Remove { user }),
        1 => (user.clone(), projects)
            .prop_map(|(user, projects)| Change::Projects { user, projects }),
        1 => user.clone().prop_map(|user| Change::Feature { user }),
        1 => user.prop_map(|user| Change::Transfer { user }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let user = 0..USERS.len();
    let tried = (user.clone(), any::<bool>(), prop::option::of(user.clone()), change());
    prop_oneof![
        8 => tried.prop_map(|(actor, by_key, approver, change)| Step::Try {
            actor,
            by_key,
            approver,
            change
        }),
        1 => user.prop_map(|user| Step::Revoke { user }),
        2 => (1..6_u8).prop_map(|hours| Step::Wait { hours }),
    ]
}

/// Looks for steps after which somebody has a permission that was never given.
fn search(store: &PolicyStore) -> Result<(), String> {
    let steps = (any::<bool>(), prop::collection::vec(step(), 1..32));
    replay::search(128, &steps, |(is_approval_required, steps)| {
        gain(store, is_approval_required, &steps)
    })
}

#[test]
fn nobody_ends_with_a_permission_that_no_owner_gave() {
    search(&shipped("kissmetrics", &[])).unwrap();
}

#[test]
fn the_search_finds_a_permit_that_lets_a_user_invite() {
    let planted = r#"
        @id("planted")
        permit (principal, action == Kissmetrics::Action::"users.invite", resource)
        when { principal in resource.user };
    "#;
    search(&shipped("kissmetrics", &[("planted.cedar", planted)])).unwrap_err();
}

#[test]
fn the_search_finds_an_admin_who_transfers_the_ownership() {
    let planted = r#"
        @id("planted")
        permit (principal, action == Kissmetrics::Action::"ownership.transfer", resource)
        when { principal in resource.admin };
    "#;
    search(&shipped("kissmetrics", &[("planted.cedar", planted)])).unwrap_err();
}

#[test]
fn the_search_finds_a_key_that_edits_settings() {
    let planted = r#"
        @id("planted")
        permit (principal is Kissmetrics::ApiKey, action == Kissmetrics::Action::"settings.edit", resource)
        when { principal has holder && principal.holder in resource.admin };
    "#;
    search(&shipped("kissmetrics", &[("planted.cedar", planted)])).unwrap_err();
}

#[test]
fn the_search_finds_an_account_whose_approvals_nobody_asks_for() {
    search(&shipped("kissmetrics", &[("approval.cedar", "")])).unwrap_err();
}

#[test]
fn the_search_finds_an_owner_whom_an_admin_downgrades() {
    search(&shipped("kissmetrics", &[("members.cedar", "")])).unwrap_err();
}

/// KM-24: over all pairs of levels, the edit button is there exactly where some change is allowed.
#[test]
fn a_member_may_be_edited_exactly_where_some_change_of_them_is_allowed() {
    let store = shipped("kissmetrics", &[]);
    let mut seen = BTreeSet::new();
    for (actor, member) in (0..USERS.len()).flat_map(|a| (0..USERS.len()).map(move |b| (a, b))) {
        for by_key in [false, true] {
            let book = Book::at_first(false);
            let principal = if by_key { key_uid(actor) } else { user_uid(actor) };
            let allows = |change| is_allowed(&store, &book, &principal, None, 0, &change);
            let levels = (0..LEVELS.len()).map(|level| Change::Role { user: member, level });
            let projects: BTreeSet<_> = [0].into();
            let others = [
                Change::Update { user: member, level: 0, projects: projects.clone() },
                Change::Elevate { user: member, hours: 1 },
                Change::Remove { user: member },
                Change::Projects { user: member, projects },
                Change::Feature { user: member },
            ];
            let some_change = levels.chain(others).any(allows);
            let edit = book
                .ask(&principal, "users.edit", &account())
                .fact("user_affected", entity(&user_uid(member)))
                .is_allowed(&store, at(0));
            assert_eq!(edit, some_change, "{principal} edits {}", USERS[member]);
            seen.insert(edit);
        }
    }
    assert_eq!(seen, [false, true].into());
}

//! Nobody ends with more than they had, in the store `hitkeep`.
//!
//! Random sequences of changes are played on a small model of the product. Each is asked of the
//! policies with the facts of the model, and made where they allow it. Given is what somebody was
//! given by a person who held as much at that moment, so by induction what an owner or a creation
//! gave:
//!
//! - a role on a site, to a person or an API client, is given or offered by somebody who may as much
//!   on that site now (`Model::may`), or comes with the creation of the site;
//! - a role in a team is given or offered by somebody with at least that role in it, or comes with the
//!   creation of the team;
//! - an invitation gives what was offered, to whom it was offered;
//! - a site changes its team by the will of one of its owners;
//! - an instance role is given by an instance owner, and delegated to a client by somebody who holds it.
//!
//! Besides, a site keeps an owner, a team keeps an owner, the instance keeps an owner, and an archived
//! team does not change, nor do its sites.

mod model;
mod question;

use std::{collections::BTreeMap, sync::Arc};

use humbaba::{
    engine,
    model::{OnForbidError, Timestamp},
    request::RequestLimits,
    store::{Bounds, PolicyStore, StoreFiles, embedded_stores},
};
use proptest::{
    prelude::*,
    test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner},
};

use model::{
    CLIENTS, Change, InstanceRole, Invite, Model, Of, Principal, SITES, Site, SiteRole, TEAMS,
    TeamRole, USERS,
};

const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

#[test]
fn nobody_ends_with_more_than_they_were_given() {
    if let Err(error) = play(&store(shipped()), 256, 1_000) {
        panic!("{error}");
    }
}

/// Each fault lets somebody gain, or a site go astray, and the sequences find it.
#[test]
fn planted_faults_are_found() {
    let permit = |action: &str, condition: &str| {
        let policy = format!(
            "@id(\"planted\") permit (principal, action == HitKeep::Action::\"{action}\", resource)
             when {{ {condition} }};"
        );
        shipped().with_file("planted.cedar", policy.into_bytes())
    };
    let faults = [
        ("an editor adds members", permit("site.members.add", "principal in resource.editor")),
        ("a team member invites", permit("team.members.invite", "principal in resource.member")),
        ("anybody accepts an invitation", permit("site.invites.accept", "context has invite")),
        (
            "a team admin transfers the team",
            permit("team.ownership.transfer", "principal in resource.admin"),
        ),
        (
            "an instance admin changes roles",
            permit(
                "instance.users.change-role",
                "principal in HitKeep::Role::\"Instance::main#admin\"",
            ),
        ),
        ("an admin moves the site", permit("site.transfer-team", "principal in resource.admin")),
        ("admins touch owners", without("members.cedar", "site-owners-by-owners")),
        ("a site loses its last owner", without("members.cedar", "site-keeps-an-owner")),
        ("a team loses its last owner", without("team-members.cedar", "team-keeps-an-owner")),
        (
            "the instance loses its last owner",
            without("instance-users.cedar", "instance-keeps-an-owner"),
        ),
        ("sites of an archived team change", without("archived.cedar", "archived-team-sites")),
        ("an archived team changes", without("archived.cedar", "archived-team")),
        (
            "a viewer of the site counts as team admin",
            without("least-privileged.cedar", "least-privileged-administers"),
        ),
        (
            "a client gets more than its giver has",
            without("clients-manage.cedar", "delegate-site-role"),
        ),
        (
            "a client gets what its giver may not do now",
            without("clients-manage.cedar", "delegate-what-one-may-now"),
        ),
        (
            "a client gets a higher instance role",
            without("clients-manage.cedar", "delegate-instance-role"),
        ),
    ];
    let unnoticed: Vec<_> = faults
        .into_iter()
        .filter(|(_, files)| {
            let found = play(&store(files.clone()), 3_000, 0);
            !matches!(found, Err(TestError::Fail(..)))
        })
        .map(|(fault, _)| fault)
        .collect();
    assert!(unnoticed.is_empty(), "not found: {unnoticed:?}");
}

fn shipped() -> StoreFiles {
    embedded_stores().into_iter().find(|files| files.name().as_str() == "hitkeep").unwrap()
}

/// The store without one policy.
fn without(file: &str, policy: &str) -> StoreFiles {
    let text = shipped().get(file).unwrap().to_vec();
    let text = String::from_utf8(text).unwrap();
    let (before, rest) =
        text.split_once(&format!("@id(\"{policy}\")")).expect("the policy is there");
    let (_, after) = rest.split_once("};\n").unwrap_or_default();
    shipped().with_file(file, format!("{before}{after}").into_bytes())
}

fn store(files: StoreFiles) -> PolicyStore {
    PolicyStore::load(Arc::new(files), &Bounds::default()).unwrap()
}

type Played = Vec<(Principal, Change)>;

/// Plays so many sequences, and shrinks the first one that breaks a rule.
fn play(store: &PolicyStore, sequences: u32, shrinks: u32) -> Result<(), TestError<Played>> {
    let config = Config {
        cases: sequences,
        failure_persistence: None,
        max_shrink_iters: shrinks,
        ..Config::default()
    };
    let random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, random);
    runner.run(&prop::collection::vec((actor(), change()), 1..40), |changes| {
        let mut model = Model::new();
        for (by, change) in &changes {
            if !model.makes_sense(*by, change) || !is_allowed(store, &model, *by, change) {
                continue;
            }
            let before = model.clone();
            model.apply(*by, change);
            if let Some(fault) = fault(&before, &model, *by, change) {
                return Err(TestCaseError::fail(format!("{by:?} {change:?}: {fault}\n{before:?}")));
            }
        }
        Ok(())
    })
}

fn is_allowed(store: &PolicyStore, model: &Model, by: Principal, change: &Change) -> bool {
    let input = model.question(by, change);
    let request = store.check(&input, NOW, &RequestLimits::default());
    let request = request.unwrap_or_else(|violations| panic!("{input:?}: {violations:?}"));
    engine::decide(store.engine(), &request, OnForbidError::Deny).is_allow()
}

impl Model {
    /// Returns the actions that somebody may take on a site now, by the rules and without the policies: of the role on the
    /// site and the role from the active team the lesser, of a client and its owner the lesser.
    fn may(&self, who: Principal, site: usize) -> Option<SiteRole> {
        let Principal::User(user) = who else { return self.client_may(who, site) };
        if self.instance.get(&user) == Some(&InstanceRole::Owner) {
            return Some(SiteRole::Owner);
        }
        self.user_may(user, site)
    }

    fn user_may(&self, user: usize, site: usize) -> Option<SiteRole> {
        let site = self.site(site)?;
        let own = site.members.get(&Principal::User(user)).copied();
        let team = site.team.filter(|team| self.active.get(&user) == Some(team));
        let from_team = match team.and_then(|team| self.team(team)?.members.get(&user)) {
            Some(TeamRole::Owner) => Some(SiteRole::Owner),
            Some(TeamRole::Admin) => Some(SiteRole::Admin),
            _ => None,
        };
        own.into_iter().chain(from_team).min()
    }

    fn client_may(&self, who: Principal, site: usize) -> Option<SiteRole> {
        let Principal::Client(at) = who else { return None };
        let client = self.clients[at].as_ref().filter(|client| client.active)?;
        let grant = *self.site(site)?.members.get(&who)?;
        match client.of {
            Of::User(owner) => Some(grant.min(self.user_may(owner, site)?)),
            Of::Team(team) => (self.site(site)?.team == Some(team)).then_some(grant),
        }
    }

    fn in_team(&self, who: Principal, team: usize) -> Option<TeamRole> {
        let Principal::User(user) = who else { return None };
        self.team(team)?.members.get(&user).copied()
    }

    fn instance_role(&self, who: Principal) -> InstanceRole {
        let of_user = |user| self.instance.get(&user).copied().unwrap_or(InstanceRole::User);
        match who {
            Principal::User(user) => of_user(user),
            Principal::Client(client) => match &self.clients[client] {
                Some(client) => match client.of {
                    Of::User(owner) => client.instance_role.min(of_user(owner)),
                    Of::Team(_) => InstanceRole::User,
                },
                None => InstanceRole::User,
            },
        }
    }

    fn has_owner(&self, site: &Site) -> bool {
        let of_team = site.team.and_then(|team| self.team(team));
        let of_team =
            of_team.is_some_and(|team| team.members.values().any(|&role| role == TeamRole::Owner));
        of_team || site.members.values().any(|&role| role == SiteRole::Owner)
    }
}

/// Returns the mistake of a change that was made, if there is one.
fn fault(before: &Model, after: &Model, by: Principal, change: &Change) -> Option<String> {
    offered(before, after, by)
        .or_else(|| given(before, after, by, change))
        .or_else(|| moved(before, after, by))
        .or_else(|| kept(before, after))
}

/// An invitation offers no more than the inviter has.
fn offered(before: &Model, after: &Model, by: Principal) -> Option<String> {
    let new = after.invites.get(before.invites.len())?;
    let is_given = match *new {
        Invite::Site { site, role, .. } => before.may(by, site) >= Some(role),
        Invite::Team { team, role, .. } => before.in_team(by, team) >= Some(role),
    };
    (!is_given).then(|| format!("offers more than they have: {new:?}"))
}

/// Roles rise by the hand of somebody who has as much.
fn given(before: &Model, after: &Model, by: Principal, change: &Change) -> Option<String> {
    let accepted = match *change {
        Change::Accept { invite } => Some(&before.invites[invite]),
        _ => None,
    };
    for (at, site) in after.sites.iter().enumerate() {
        let (Some(site), Some(was)) = (site, before.site(at)) else { continue };
        for (&who, &role) in &site.members {
            let rises = was.members.get(&who) < Some(&role);
            let by_invite = matches!((accepted, who), (Some(&Invite::Site { site, invitee, role: offered }),
                Principal::User(user)) if site == at && invitee == user && offered == role
                && by == who);
            if rises && !by_invite && before.may(by, at) < Some(role) {
                return Some(format!("{who:?} is {role:?} on site {at} now"));
            }
        }
    }
    for (at, team) in after.teams.iter().enumerate() {
        let (Some(team), Some(was)) = (team, before.team(at)) else { continue };
        for (&who, &role) in &team.members {
            let rises = was.members.get(&who) < Some(&role);
            let by_invite = matches!(accepted, Some(&Invite::Team { team, invitee, role: offered })
                if team == at && invitee == who && offered == role && by == Principal::User(who));
            if rises && !by_invite && before.in_team(by, at) < Some(role) {
                return Some(format!("user {who} is {role:?} in team {at} now"));
            }
        }
    }
    for (&who, &role) in &after.instance {
        let rises = before.instance_role(Principal::User(who)) < role;
        if rises && before.instance_role(by) < InstanceRole::Owner {
            return Some(format!("user {who} is {role:?} of the instance now"));
        }
    }
    for (at, client) in after.clients.iter().enumerate() {
        let is_new = before.clients[at].is_none();
        let delegated = client.as_ref().map(|client| client.instance_role);
        if is_new && delegated > Some(before.instance_role(by)) {
            return Some(format!("client {at} is {delegated:?} of the instance now"));
        }
    }
    None
}

/// A site changes its team by the will of an owner.
fn moved(before: &Model, after: &Model, by: Principal) -> Option<String> {
    let moved = (0..SITES).find(|&at| {
        let teams = [before, after].map(|model| model.site(at).map(|site| site.team));
        teams[0].is_some() && teams[0] != teams[1]
    })?;
    (before.may(by, moved) < Some(SiteRole::Owner)).then(|| format!("moves site {moved}"))
}

/// Owners remain, and archived teams do not change.
fn kept(before: &Model, after: &Model) -> Option<String> {
    let orphan = after.sites.iter().flatten().position(|site| !after.has_owner(site));
    if let Some(site) = orphan {
        return Some(format!("site {site} has no owner any more"));
    }
    // A role on the site is not taken from its last owner, though the team has one.
    for at in 0..SITES {
        let owners = |model: &Model| {
            let members = model.site(at).into_iter().flat_map(|site| site.members.clone());
            members.filter(|(_, role)| *role == SiteRole::Owner).count()
        };
        let left_the_team = before.teams != after.teams;
        if owners(before) > 0 && owners(after) == 0 && !left_the_team {
            return Some(format!("the last owner of site {at} is gone"));
        }
    }
    let ownerless = after
        .teams
        .iter()
        .flatten()
        .position(|team| !team.members.values().any(|&role| role == TeamRole::Owner));
    if let Some(team) = ownerless {
        return Some(format!("team {team} has no owner any more"));
    }
    if !after.instance.values().any(|&role| role == InstanceRole::Owner) {
        return Some("the instance has no owner any more".to_owned());
    }
    for at in 0..TEAMS {
        let of_team = |model: &Model| -> BTreeMap<usize, Site> {
            let sites = model.sites.iter().enumerate();
            let sites = sites.filter_map(|(at, site)| Some((at, site.clone()?)));
            sites.filter(|(_, site)| site.team == Some(at)).collect()
        };
        let was_archived = before.team(at).is_some_and(|team| team.archived);
        let same = before.team(at) == after.team(at) && of_team(before) == of_team(after);
        if was_archived && !same {
            return Some(format!("archived team {at} changes"));
        }
    }
    None
}

fn actor() -> impl Strategy<Value = Principal> {
    prop_oneof![
        4 => (0..USERS).prop_map(Principal::User),
        1 => (0..CLIENTS).prop_map(Principal::Client),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    let site_role = || {
        prop_oneof![
            Just(SiteRole::Viewer),
            Just(SiteRole::Editor),
            Just(SiteRole::Admin),
            Just(SiteRole::Owner)
        ]
    };
    let team_role =
        || prop_oneof![Just(TeamRole::Member), Just(TeamRole::Admin), Just(TeamRole::Owner)];
    let instance_role = || {
        prop_oneof![
            3 => Just(InstanceRole::User),
            1 => Just(InstanceRole::Admin),
            1 => Just(InstanceRole::Owner)
        ]
    };
    let on_site = || (0..SITES, 0..USERS, site_role());
    prop_oneof![
        3 => on_site().prop_map(|(site, target, role)| Change::AddMember { site, target, role }),
        2 => on_site().prop_map(|(site, target, role)| Change::InviteToSite { site, target, role }),
        2 => on_site().prop_map(|(site, target, role)| Change::SetRole { site, target, role }),
        2 => (0..SITES, 0..USERS).prop_map(|(site, target)| Change::RemoveMember { site, target }),
        2 => (0..SITES, 0..TEAMS).prop_map(|(site, team)| Change::MoveSite { site, team }),
        1 => (0..SITES, 0..TEAMS).prop_map(|(site, team)| Change::CreateSite { site, team }),
        2 => (0..TEAMS, 0..USERS, team_role())
            .prop_map(|(team, target, role)| Change::InviteToTeam { team, target, role }),
        1 => (0..TEAMS, 0..USERS).prop_map(|(team, target)| Change::RemoveFromTeam { team, target }),
        1 => (0..TEAMS).prop_map(|team| Change::LeaveTeam { team }),
        1 => (0..TEAMS, 0..USERS).prop_map(|(team, target)| Change::TransferTeam { team, target }),
        1 => (0..TEAMS).prop_map(|team| Change::ArchiveTeam { team }),
        1 => (0..TEAMS).prop_map(|team| Change::CreateTeam { team }),
        2 => (0..TEAMS).prop_map(|team| Change::SetActive { team }),
        4 => (0..3_usize).prop_map(|invite| Change::Accept { invite }),
        2 => (0..CLIENTS, 0..SITES, site_role(), instance_role()).prop_map(
            |(client, site, role, instance_role)| Change::CreateClient { client, site, role, instance_role }
        ),
        2 => (0..CLIENTS, 0..TEAMS, 0..SITES, site_role()).prop_map(
            |(client, team, site, role)| Change::CreateTeamClient { client, team, site, role }
        ),
        1 => (0..CLIENTS).prop_map(|client| Change::RevokeClient { client }),
        1 => (0..USERS, instance_role())
            .prop_map(|(target, role)| Change::SetInstanceRole { target, role }),
    ]
}

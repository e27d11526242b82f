//! A change of the model as a question, with all facts that the model knows.

use humbaba::{
    model::{Uid, Value},
    request::{EntityInput, RequestInput, RoleAssignmentInput},
};

use super::{
    NOW,
    model::{Change, InstanceRole, Invite, Model, Of, Principal, SiteRole, TeamRole},
};

impl Model {
    /// Asks for a change, with everything that the model knows.
    pub fn question(&self, by: Principal, change: &Change) -> RequestInput {
        let owner_remains = |site: usize, target: usize| {
            let members = &self.site(site).expect("the change makes sense").members;
            members.iter().any(|(&who, &role)| {
                role == SiteRole::Owner
                    && who != Principal::User(target)
                    && matches!(who, Principal::User(_))
            })
        };
        let member = |action: &'static str, site: usize, target: usize, role: Option<SiteRole>| {
            let mut context = vec![
                ("target", entity(user(target))),
                ("owner_remains", Value::Bool(owner_remains(site, target))),
            ];
            context.extend(role.map(|role| ("role", site_role(role))));
            (action, site_uid(site), context)
        };
        let (action, resource, context) = match *change {
            Change::AddMember { site, target, role }
            | Change::InviteToSite { site, target, role } => {
                member("site.members.add", site, target, Some(role))
            }
            Change::SetRole { site, target, role } => {
                member("site.members.change-role", site, target, Some(role))
            }
            Change::RemoveMember { site, target } => {
                member("site.members.remove", site, target, None)
            }
            Change::MoveSite { site, team } => (
                "site.transfer-team",
                site_uid(site),
                vec![("destination", entity(team_uid(team)))],
            ),
            Change::CreateSite { site, .. } => {
                ("site.create", site_uid(site), vec![("within_plan", Value::Bool(true))])
            }
            Change::InviteToTeam { team, target, role } => {
                let context = vec![("target", entity(user(target))), ("role", team_role(role))];
                ("team.members.invite", team_uid(team), context)
            }
            Change::RemoveFromTeam { team, target } => {
                let remains = self.team_keeps_an_owner(team, target);
                let context =
                    vec![("target", entity(user(target))), ("owner_remains", Value::Bool(remains))];
                ("team.members.remove", team_uid(team), context)
            }
            Change::LeaveTeam { team } => {
                let Principal::User(leaver) = by else { unreachable!("a user leaves") };
                let others =
                    self.teams.iter().flatten().filter(|t| t.members.contains_key(&leaver));
                let context = vec![
                    ("has_other_team", Value::Bool(others.count() > 1)),
                    ("owner_remains", Value::Bool(self.team_keeps_an_owner(team, leaver))),
                ];
                ("team.leave", team_uid(team), context)
            }
            Change::TransferTeam { team, target } => {
                let context = vec![("target", entity(user(target)))];
                ("team.ownership.transfer", team_uid(team), context)
            }
            Change::ArchiveTeam { team } => ("team.archive-team", team_uid(team), vec![]),
            Change::CreateTeam { team } => {
                ("team.create", team_uid(team), vec![("within_plan", Value::Bool(true))])
            }
            Change::SetActive { team } => ("team.set-active", team_uid(team), vec![]),
            Change::Accept { invite } => {
                let context = vec![("invite", entity(uid("Invite", invite)))];
                match self.invites[invite] {
                    Invite::Site { site, .. } => ("site.invites.accept", site_uid(site), context),
                    Invite::Team { team, .. } => ("team.invites.accept", team_uid(team), context),
                }
            }
            Change::CreateClient { site, role, instance_role: delegated, .. } => {
                let Principal::User(owner) = by else { unreachable!("a user creates a client") };
                let context = vec![
                    ("instance_role", instance_role(delegated)),
                    ("grants", Value::Long(1)),
                    ("site", entity(site_uid(site))),
                    ("role", site_role(role)),
                ];
                ("api-clients.personal.create", user(owner), context)
            }
            Change::CreateTeamClient { team, site, role, .. } => {
                let context = vec![("site", entity(site_uid(site))), ("role", site_role(role))];
                ("api-clients.team.manage", team_uid(team), context)
            }
            Change::RevokeClient { client } => {
                ("api-clients.personal.revoke", client_uid(client), vec![])
            }
            Change::SetInstanceRole { target, role } => {
                let owners = self.instance.iter();
                let remains =
                    owners.filter(|&(&who, &held)| who != target && held == InstanceRole::Owner);
                let context = vec![
                    ("target", entity(user(target))),
                    ("role", instance_role(role)),
                    ("owner_remains", Value::Bool(remains.count() > 0)),
                ];
                ("instance.users.change-role", Uid::new("Instance", "main"), context)
            }
        };
        let mut entities = self.entities();
        if let Change::CreateSite { site, team } = *change {
            entities.push(said(site_uid(site), vec![("team", entity(team_uid(team)))]));
        }
        RequestInput {
            principal: Some(principal(by)),
            action: Some(Uid::action(action)),
            resource: Some(resource),
            context: context.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            entities,
            role_assignments: self.roles(),
        }
    }

    pub fn team_keeps_an_owner(&self, team: usize, without: usize) -> bool {
        let team = self.team(team).expect("the change makes sense");
        team.members.iter().any(|(&who, &role)| who != without && role == TeamRole::Owner)
    }

    fn entities(&self) -> Vec<EntityInput> {
        let mut all = Vec::new();
        for (at, team) in self.teams.iter().enumerate() {
            let Some(team) = team else { continue };
            let has_sites = self.sites.iter().flatten().any(|site| site.team == Some(at));
            all.push(said(
                team_uid(at),
                vec![
                    ("archived", Value::Bool(team.archived)),
                    ("is_default", Value::Bool(false)),
                    ("sites_left", Value::Bool(has_sites)),
                ],
            ));
        }
        for (at, site) in self.sites.iter().enumerate() {
            if let Some(team) = site.as_ref().and_then(|site| site.team) {
                all.push(said(site_uid(at), vec![("team", entity(team_uid(team)))]));
            }
        }
        for (&who, &team) in &self.active {
            all.push(said(user(who), vec![("active_team", entity(team_uid(team)))]));
        }
        for (at, client) in self.clients.iter().enumerate() {
            let Some(client) = client else { continue };
            let of = match client.of {
                Of::User(owner) => ("owner", entity(user(owner))),
                Of::Team(team) => ("owner_team", entity(team_uid(team))),
            };
            let status = if client.active { "active" } else { "revoked" };
            let status = ("status", entity(Uid::new("ClientStatus", status)));
            all.push(said(client_uid(at), vec![of, status]));
        }
        for (at, invite) in self.invites.iter().enumerate() {
            let (to, invitee) = match *invite {
                Invite::Site { site, invitee, .. } => (("site", entity(site_uid(site))), invitee),
                Invite::Team { team, invitee, .. } => (("team", entity(team_uid(team))), invitee),
            };
            all.push(said(
                uid("Invite", at),
                vec![
                    to,
                    ("invitee", entity(user(invitee))),
                    ("pending", Value::Bool(true)),
                    ("sent_at", Value::Datetime(NOW)),
                ],
            ));
        }
        all
    }

    fn roles(&self) -> Vec<RoleAssignmentInput> {
        let role = |who: Uid, role: String, scope: Uid| RoleAssignmentInput {
            principal: Some(who),
            role,
            scope: Some(scope),
            expires_at: None,
        };
        let main = || Uid::new("Instance", "main");
        let mut all: Vec<_> =
            self.instance.iter().map(|(&who, held)| role(user(who), name(held), main())).collect();
        for (at, team) in self.teams.iter().enumerate() {
            let members = team.iter().flat_map(|team| &team.members);
            all.extend(members.map(|(&who, held)| role(user(who), name(held), team_uid(at))));
        }
        for (at, site) in self.sites.iter().enumerate() {
            let members = site.iter().flat_map(|site| &site.members);
            all.extend(members.map(|(&who, held)| role(principal(who), name(held), site_uid(at))));
        }
        for (at, client) in self.clients.iter().enumerate() {
            let client = client.iter();
            all.extend(client.map(|c| role(client_uid(at), name(&c.instance_role), main())));
        }
        all
    }
}

/// The name of a role: its variant in lower case.
fn name(role: &impl std::fmt::Debug) -> String {
    format!("{role:?}").to_lowercase()
}

fn site_role(role: SiteRole) -> Value {
    entity(Uid::new("SiteRole", name(&role)))
}

fn team_role(role: TeamRole) -> Value {
    entity(Uid::new("TeamRole", name(&role)))
}

fn instance_role(role: InstanceRole) -> Value {
    entity(Uid::new("InstanceRole", name(&role)))
}

fn entity(uid: Uid) -> Value {
    Value::Entity(uid)
}

fn said(uid: Uid, attributes: Vec<(&str, Value)>) -> EntityInput {
    let attributes = attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    EntityInput { uid: Some(uid), attributes, ..EntityInput::default() }
}

fn uid(of_type: &str, at: usize) -> Uid {
    Uid::new(of_type, at.to_string())
}

fn user(at: usize) -> Uid {
    uid("User", at)
}

fn team_uid(at: usize) -> Uid {
    uid("Team", at)
}

fn site_uid(at: usize) -> Uid {
    uid("Site", at)
}

fn client_uid(at: usize) -> Uid {
    uid("ApiClient", at)
}

fn principal(who: Principal) -> Uid {
    match who {
        Principal::User(at) => user(at),
        Principal::Client(at) => client_uid(at),
    }
}

//! A small model of HitKeep: who holds which role where, and what changes that.

use std::collections::BTreeMap;

pub const USERS: usize = 4;
pub const TEAMS: usize = 4;
pub const SITES: usize = 5;
pub const CLIENTS: usize = 3;

/// A role on a site, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SiteRole {
    Viewer,
    Editor,
    Admin,
    Owner,
}

/// A role in a team, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TeamRole {
    Member,
    Admin,
    Owner,
}

/// A role on the instance, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum InstanceRole {
    User,
    Admin,
    Owner,
}

/// Somebody who acts, or holds a role on a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Principal {
    User(usize),
    Client(usize),
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Team {
    pub members: BTreeMap<usize, TeamRole>,
    pub archived: bool,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Site {
    pub team: Option<usize>,
    pub members: BTreeMap<Principal, SiteRole>,
}

/// Whose an API client is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Of {
    User(usize),
    Team(usize),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Client {
    pub of: Of,
    pub instance_role: InstanceRole,
    pub active: bool,
}

/// An invitation that was sent and neither accepted nor revoked.
#[derive(Debug, Clone, PartialEq)]
pub enum Invite {
    Site { site: usize, invitee: usize, role: SiteRole },
    Team { team: usize, invitee: usize, role: TeamRole },
}

/// A change that somebody asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    AddMember {
        site: usize,
        target: usize,
        role: SiteRole,
    },
    InviteToSite {
        site: usize,
        target: usize,
        role: SiteRole,
    },
    SetRole {
        site: usize,
        target: usize,
        role: SiteRole,
    },
    RemoveMember {
        site: usize,
        target: usize,
    },
    MoveSite {
        site: usize,
        team: usize,
    },
    CreateSite {
        site: usize,
        team: usize,
    },
    InviteToTeam {
        team: usize,
        target: usize,
        role: TeamRole,
    },
    RemoveFromTeam {
        team: usize,
        target: usize,
    },
    LeaveTeam {
        team: usize,
    },
    TransferTeam {
        team: usize,
        target: usize,
    },
    ArchiveTeam {
        team: usize,
    },
    CreateTeam {
        team: usize,
    },
    SetActive {
        team: usize,
    },
    /// Accepts the invitation of that place in the list.
    Accept {
        invite: usize,
    },
    CreateClient {
        client: usize,
        site: usize,
        role: SiteRole,
        instance_role: InstanceRole,
    },
    CreateTeamClient {
        client: usize,
        team: usize,
        site: usize,
        role: SiteRole,
    },
    RevokeClient {
        client: usize,
    },
    SetInstanceRole {
        target: usize,
        role: InstanceRole,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    pub instance: BTreeMap<usize, InstanceRole>,
    pub teams: Vec<Option<Team>>,
    pub sites: Vec<Option<Site>>,
    pub clients: Vec<Option<Client>>,
    pub active: BTreeMap<usize, usize>,
    pub invites: Vec<Invite>,
}

impl Model {
    /// Two teams and an archived one, four sites, one of them without a team, and a place for one
    /// more of each.
    pub fn new() -> Self {
        let team = |members: &[(usize, TeamRole)], archived| {
            Some(Team { members: members.iter().copied().collect(), archived })
        };
        let site = |team, owner| {
            let members = BTreeMap::from([(Principal::User(owner), SiteRole::Owner)]);
            Some(Site { team, members })
        };
        Self {
            instance: BTreeMap::from([(0, InstanceRole::Owner), (1, InstanceRole::Admin)]),
            teams: vec![
                team(&[(1, TeamRole::Owner), (2, TeamRole::Member), (3, TeamRole::Admin)], false),
                team(&[(2, TeamRole::Owner), (3, TeamRole::Member)], false),
                team(&[(3, TeamRole::Owner), (1, TeamRole::Member)], true),
                None,
            ],
            sites: vec![site(Some(0), 1), site(Some(1), 2), site(None, 3), site(Some(2), 3), None],
            clients: vec![None; CLIENTS],
            active: BTreeMap::from([(1, 0), (2, 1), (3, 0)]),
            invites: Vec::new(),
        }
    }

    pub fn team(&self, team: usize) -> Option<&Team> {
        self.teams[team].as_ref()
    }

    pub fn site(&self, site: usize) -> Option<&Site> {
        self.sites[site].as_ref()
    }

    /// Returns whether that change can be asked for: what it is about exists, or does not exist yet.
    pub fn makes_sense(&self, by: Principal, change: &Change) -> bool {
        let is_user = matches!(by, Principal::User(_));
        let client_acts = match by {
            Principal::User(_) => true,
            Principal::Client(client) => self.clients[client].is_some(),
        };
        let about = match *change {
            Change::AddMember { site, .. }
            | Change::InviteToSite { site, .. }
            | Change::SetRole { site, .. }
            | Change::RemoveMember { site, .. } => self.site(site).is_some(),
            Change::MoveSite { site, team } => {
                self.site(site).is_some() && self.team(team).is_some()
            }
            Change::CreateSite { site, team } => {
                is_user && self.site(site).is_none() && self.team(team).is_some()
            }
            Change::CreateTeam { team } => is_user && self.team(team).is_none(),
            Change::InviteToTeam { team, .. }
            | Change::RemoveFromTeam { team, .. }
            | Change::TransferTeam { team, .. }
            | Change::ArchiveTeam { team } => self.team(team).is_some(),
            Change::LeaveTeam { team } | Change::SetActive { team } => {
                is_user && self.team(team).is_some()
            }
            Change::Accept { invite } => is_user && invite < self.invites.len(),
            Change::CreateClient { client, site, .. } => {
                is_user && self.clients[client].is_none() && self.site(site).is_some()
            }
            Change::CreateTeamClient { client, team, site, .. } => {
                is_user
                    && self.clients[client].is_none()
                    && self.team(team).is_some()
                    && self.site(site).is_some()
            }
            Change::RevokeClient { client } => is_user && self.clients[client].is_some(),
            Change::SetInstanceRole { .. } => true,
        };
        client_acts && about
    }

    /// Makes a change that was allowed.
    pub fn apply(&mut self, by: Principal, change: &Change) {
        match *change {
            Change::AddMember { site, target, role } | Change::SetRole { site, target, role } => {
                self.put_on_site(site, Principal::User(target), role);
            }
            Change::InviteToSite { site, target, role } => {
                self.invites.push(Invite::Site { site, invitee: target, role });
            }
            Change::RemoveMember { site, target } => {
                self.site_mut(site).members.remove(&Principal::User(target));
            }
            Change::MoveSite { site, team } => self.site_mut(site).team = Some(team),
            Change::CreateSite { site, team } => {
                let members = BTreeMap::from([(by, SiteRole::Owner)]);
                self.sites[site] = Some(Site { team: Some(team), members });
            }
            Change::InviteToTeam { team, target, role } => {
                self.invites.push(Invite::Team { team, invitee: target, role });
            }
            Change::RemoveFromTeam { team, target } => self.leave(team, target),
            Change::LeaveTeam { team } => {
                if let Principal::User(user) = by {
                    self.leave(team, user);
                }
            }
            Change::TransferTeam { team, target } => {
                let members = &mut self.team_mut(team).members;
                if let Principal::User(user) = by {
                    members.insert(user, TeamRole::Admin);
                }
                members.insert(target, TeamRole::Owner);
            }
            Change::ArchiveTeam { team } => self.team_mut(team).archived = true,
            Change::CreateTeam { team } => {
                if let Principal::User(user) = by {
                    let members = BTreeMap::from([(user, TeamRole::Owner)]);
                    self.teams[team] = Some(Team { members, archived: false });
                }
            }
            Change::SetActive { team } => {
                if let Principal::User(user) = by {
                    self.active.insert(user, team);
                }
            }
            Change::Accept { invite } => match self.invites.remove(invite) {
                Invite::Site { site, invitee, role } => {
                    let user = Principal::User(invitee);
                    let role =
                        self.site_mut(site).members.get(&user).map_or(role, |&r| r.max(role));
                    self.put_on_site(site, user, role);
                }
                Invite::Team { team, invitee, role } => {
                    let members = &mut self.team_mut(team).members;
                    let role = members.get(&invitee).map_or(role, |&held| held.max(role));
                    members.insert(invitee, role);
                }
            },
            Change::CreateClient { client, site, role, instance_role } => {
                if let Principal::User(user) = by {
                    let of = Of::User(user);
                    self.clients[client] = Some(Client { of, instance_role, active: true });
                    self.put_on_site(site, Principal::Client(client), role);
                }
            }
            Change::CreateTeamClient { client, team, site, role } => {
                let of = Of::Team(team);
                let instance_role = InstanceRole::User;
                self.clients[client] = Some(Client { of, instance_role, active: true });
                self.put_on_site(site, Principal::Client(client), role);
            }
            Change::RevokeClient { client } => {
                if let Some(client) = &mut self.clients[client] {
                    client.active = false;
                }
            }
            Change::SetInstanceRole { target, role } => {
                self.instance.insert(target, role);
            }
        }
    }

    fn put_on_site(&mut self, site: usize, who: Principal, role: SiteRole) {
        self.site_mut(site).members.insert(who, role);
    }

    /// Somebody who leaves a team loses the roles on its sites as well.
    fn leave(&mut self, team: usize, user: usize) {
        self.team_mut(team).members.remove(&user);
        for site in self.sites.iter_mut().flatten().filter(|site| site.team == Some(team)) {
            site.members.remove(&Principal::User(user));
        }
    }

    fn site_mut(&mut self, site: usize) -> &mut Site {
        self.sites[site].as_mut().expect("the change makes sense")
    }

    fn team_mut(&mut self, team: usize) -> &mut Team {
        self.teams[team].as_mut().expect("the change makes sense")
    }
}

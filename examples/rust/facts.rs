//! Facts that this backend knows and the policies read: the roles of its table, and a few more.

use humbaba::client::{Entity, Question, RoleAssignment, Uid, Value};
use rusqlite::Result;

use crate::{
    hitkeep::{Action, EntityType, SiteRole, TeamRole},
    sites::Sites,
};

const SITES_OF_PLAN: u32 = 100;

/// For what is done on a site: the role that the user has there.
pub fn on_site(sites: &Sites, action: Action, user: &str, site: &str) -> Result<Question> {
    let question = Question::new(EntityType::User.uid(user), action, EntityType::Site.uid(site));
    with_role(question, sites, user, site)
}

/// For what is done to a member: their role too, the one that they are to have, and whether somebody
/// owns the site then. Without a role they lose theirs.
pub fn on_member(
    sites: &Sites,
    action: Action,
    user: &str,
    site: &str,
    member: &str,
    role: Option<SiteRole>,
) -> Result<Question> {
    let mut question = on_site(sites, action, user, site)?;
    if member != user {
        question = with_role(question, sites, member, site)?;
    }
    let owner_remains = role == Some(SiteRole::Owner) || sites.has_owner_beside(site, member)?;
    question =
        question.fact("target", EntityType::User.uid(member)).fact("owner_remains", owner_remains);
    Ok(match role {
        Some(role) => question.fact("role", EntityType::SiteRole.uid(role)),
        None => question,
    })
}

/// For a site that is to be: it belongs to the one team that there is, of which everybody is a
/// member.
pub fn on_new_site(sites: &Sites, user: &str, site: &str) -> Result<Question> {
    let (team, user) = (EntityType::Team.uid("main"), EntityType::User.uid(user));
    let site = EntityType::Site.uid(site);
    Ok(Question::new(user.clone(), Action::SiteCreate, site.clone())
        .role(TeamRole::Member, team.clone())
        .entity(entity(site, "team", team.clone()))
        .entity(entity(user, "active_team", team.clone()))
        .entity(entity(team, "archived", false))
        .fact("within_plan", sites.count()? < SITES_OF_PLAN))
}

fn with_role(question: Question, sites: &Sites, user: &str, site: &str) -> Result<Question> {
    let Some(role) = sites.role(site, user)? else { return Ok(question) };
    Ok(question.role_assignment(RoleAssignment {
        principal: Some(EntityType::User.uid(user)),
        role,
        scope: Some(EntityType::Site.uid(site)),
        expires_at: None,
    }))
}

fn entity(uid: Uid, attribute: &str, value: impl Into<Value>) -> Entity {
    let attributes = vec![(attribute.to_owned(), value.into())];
    Entity { uid: Some(uid), attributes, ..Entity::default() }
}

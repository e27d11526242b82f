// Facts that this backend knows and the policies read: the roles of its table, and a few more.

import type { Sites } from "./database.js";
import { EntityType, SiteRole, TeamRole } from "./hitkeep.js";
import { type Facts, uid } from "./pep.js";

const PLAN = 100;

function roles(sites: Sites, site: string, users: string[]) {
  return [...new Set(users)].flatMap((user) => {
    const role = sites.role(site, user);
    return role ? [{ principal: uid(EntityType.User, user), role, scope: uid(EntityType.Site, site) }] : [];
  });
}

/** For what is done on a site: the role that the user has there. */
export function onSite(sites: Sites, user: string, site: string): Facts {
  return { resource: uid(EntityType.Site, site), roleAssignments: roles(sites, site, [user]) };
}

/** For what is done to a member: their role too, the one that they are to have, and who owns the site then. */
export function onMember(sites: Sites, user: string, site: string, target: string, role?: SiteRole): Facts {
  const ownerRemains = role === SiteRole.Owner || sites.hasOwnerBeside(site, target);
  return {
    resource: uid(EntityType.Site, site),
    roleAssignments: roles(sites, site, [user, target]),
    context: {
      target: { entity: uid(EntityType.User, target) },
      owner_remains: { boolean: ownerRemains },
      ...(role && { role: { entity: uid(EntityType.SiteRole, role) } }),
    },
  };
}

/** For a site that is to be: it belongs to the one team that there is, of which everybody is a member. */
export function onNewSite(sites: Sites, user: string, site: string): Facts {
  const team = uid(EntityType.Team, "main");
  return {
    resource: uid(EntityType.Site, site),
    roleAssignments: [{ role: TeamRole.Member, scope: team }],
    entities: [
      { uid: uid(EntityType.Site, site), attributes: { team: { entity: team } } },
      { uid: uid(EntityType.User, user), attributes: { active_team: { entity: team } } },
      { uid: team, attributes: { archived: { boolean: false } } },
    ],
    context: { within_plan: { boolean: sites.count() < PLAN } },
  };
}

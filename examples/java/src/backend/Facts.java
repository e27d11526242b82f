package backend;

import humbaba.v1.AuthorizationServiceOuterClass.IsAuthorizedRequest;
import humbaba.v1.Types.Entity;
import humbaba.v1.Types.EntityUid;
import humbaba.v1.Types.RoleAssignment;
import humbaba.v1.Types.Value;
import java.sql.SQLException;

/** Facts that this backend knows and the policies read: the roles of its table, and a few more. */
record Facts(Sites sites) {
    private static final int SITES_OF_PLAN = 100;
    /** The one team that there is. Everybody who logs in is a member of it. */
    private static final EntityUid TEAM = uid("Team", "main");

    /** For what is done on a site: the role that the user has there. */
    IsAuthorizedRequest.Builder onSite(Action action, String user, String site) throws SQLException {
        IsAuthorizedRequest.Builder question = question(action, user, site);
        addRole(question, user, site);
        return question;
    }

    /**
     * For what is done to a member: their role too, the one that they are to have, and whether somebody owns
     * the site then. Without a role they lose theirs.
     */
    IsAuthorizedRequest.Builder onMember(Action action, String user, String site, String member, String role)
            throws SQLException {
        IsAuthorizedRequest.Builder question = onSite(action, user, site);
        if (!member.equals(user)) {
            addRole(question, member, site);
        }
        boolean ownerRemains = "owner".equals(role) || sites.hasOwnerBeside(site, member);
        question.putContext("target", value(uid("User", member)));
        question.putContext("owner_remains", value(ownerRemains));
        if (role != null) {
            question.putContext("role", value(uid("SiteRole", role)));
        }
        return question;
    }

    /** For a site that is to be: it belongs to the team, in which the user works. */
    IsAuthorizedRequest.Builder onNewSite(String user, String site) throws SQLException {
        return question(Action.SITE_CREATE, user, site)
                .addRoleAssignments(RoleAssignment.newBuilder().setRole("member").setScope(TEAM))
                .addEntities(entity(uid("Site", site), "team", value(TEAM)))
                .addEntities(entity(uid("User", user), "active_team", value(TEAM)))
                .addEntities(entity(TEAM, "archived", value(false)))
                .putContext("within_plan", value(sites.count() < SITES_OF_PLAN));
    }

    private static IsAuthorizedRequest.Builder question(Action action, String user, String site) {
        return IsAuthorizedRequest.newBuilder()
                .setPrincipal(uid("User", user))
                .setAction(EntityUid.newBuilder().setId(action.id))
                .setResource(uid("Site", site));
    }

    private void addRole(IsAuthorizedRequest.Builder question, String user, String site) throws SQLException {
        RoleAssignment.Builder held =
                RoleAssignment.newBuilder().setPrincipal(uid("User", user)).setScope(uid("Site", site));
        sites.role(site, user).ifPresent(role -> question.addRoleAssignments(held.setRole(role)));
    }

    private static Entity entity(EntityUid uid, String attribute, Value value) {
        return Entity.newBuilder().setUid(uid).putAttributes(attribute, value).build();
    }

    private static EntityUid uid(String type, String id) {
        return EntityUid.newBuilder().setType(type).setId(id).build();
    }

    private static Value value(EntityUid uid) {
        return Value.newBuilder().setEntity(uid).build();
    }

    private static Value value(boolean bool) {
        return Value.newBuilder().setBoolean(bool).build();
    }
}

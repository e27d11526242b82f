package backend;

/** The actions of the policy store `hitkeep` that this backend asks for. A misspelt one does not compile. */
enum Action {
    SITE_CREATE("site.create"),
    SITE_GOALS_CREATE("site.goals.create"),
    SITE_GOALS_EDIT("site.goals.edit"),
    SITE_GOALS_VIEW("site.goals.view"),
    SITE_MEMBERS_ADD("site.members.add"),
    SITE_MEMBERS_CHANGE_ROLE("site.members.change-role"),
    SITE_MEMBERS_REMOVE("site.members.remove");

    final String id;

    Action(String id) {
        this.id = id;
    }
}

"""The words of the policy store `hitkeep`.

Written by `humbaba generate --lang python hitkeep`: do not edit it.
"""

from enum import Enum

POLICY_STORE = "hitkeep"


class _Words(str, Enum):
    def __str__(self) -> str:
        return str(self.value)


class Action(_Words):
    """The actions that can be asked for."""

    # On Instance, User.
    API_CLIENTS_PERSONAL_CREATE = "api-clients.personal.create"
    # On ApiClient, Instance, User.
    API_CLIENTS_PERSONAL_REVOKE = "api-clients.personal.revoke"
    # On ApiClient, Instance, User.
    API_CLIENTS_PERSONAL_ROTATE = "api-clients.personal.rotate"
    # On Team.
    API_CLIENTS_TEAM_MANAGE = "api-clients.team.manage"
    # On Instance, Site.
    INSTANCE_AI_PROVIDER_CONFIGURE = "instance.ai-provider.configure"
    # On Instance.
    INSTANCE_AUDIT_EXPORT = "instance.audit.export"
    # On Instance.
    INSTANCE_AUDIT_VIEW = "instance.audit.view"
    # On Instance.
    INSTANCE_EXCLUSIONS_MANAGE = "instance.exclusions.manage"
    # On Instance.
    INSTANCE_EXPORT_AUDIT = "instance.export_audit"
    # On Instance.
    INSTANCE_MAINTENANCE_RUN = "instance.maintenance.run"
    # On Instance.
    INSTANCE_MANAGE_IMPORTS = "instance.manage_imports"
    # On Instance.
    INSTANCE_MANAGE_SETTINGS = "instance.manage_settings"
    # On Instance.
    INSTANCE_MANAGE_SITE_EXCLUSIONS = "instance.manage_site_exclusions"
    # On Instance.
    INSTANCE_MANAGE_SYSTEM = "instance.manage_system"
    # On Instance.
    INSTANCE_MANAGE_USERS = "instance.manage_users"
    # On Instance.
    INSTANCE_MANAGE_WEBHOOKS = "instance.manage_webhooks"
    # On Instance.
    INSTANCE_RUN_MAINTENANCE = "instance.run_maintenance"
    # On Instance.
    INSTANCE_SITES_ADMIN_DELETE = "instance.sites.admin-delete"
    # On Instance.
    INSTANCE_SITES_LIST_ALL = "instance.sites.list-all"
    # On Instance.
    INSTANCE_SYSTEM_SETTINGS_MANAGE = "instance.system-settings.manage"
    # On Instance.
    INSTANCE_SYSTEM_SETTINGS_VIEW = "instance.system-settings.view"
    # On Instance.
    INSTANCE_SYSTEM_STATUS_VIEW = "instance.system-status.view"
    # On Instance.
    INSTANCE_TEAMS_ARCHIVE = "instance.teams.archive"
    # On Instance.
    INSTANCE_TEAMS_DELETE = "instance.teams.delete"
    # On Instance.
    INSTANCE_TEAMS_LIST = "instance.teams.list"
    # On Instance.
    INSTANCE_USERS_CHANGE_ROLE = "instance.users.change-role"
    # On Instance.
    INSTANCE_USERS_DELETE = "instance.users.delete"
    # On Instance.
    INSTANCE_USERS_DISABLE_2FA = "instance.users.disable-2fa"
    # On Instance.
    INSTANCE_USERS_LIST = "instance.users.list"
    # On Instance.
    INSTANCE_VIEW_ACTIVATION = "instance.view_activation"
    # On Instance.
    INSTANCE_VIEW_ALL_SITES = "instance.view_all_sites"
    # On Instance.
    INSTANCE_VIEW_AUDIT = "instance.view_audit"
    # On Instance.
    INSTANCE_VIEW_SYSTEM = "instance.view_system"
    # On Site.
    MCP_ANALYTICS_READ = "mcp.analytics.read"
    # On Site.
    MCP_OPPORTUNITIES_GENERATE = "mcp.opportunities.generate"
    # On Site.
    MCP_OPPORTUNITIES_READ = "mcp.opportunities.read"
    # On Site.
    MCP_OPPORTUNITIES_UPDATE_STATUS = "mcp.opportunities.update-status"
    # On Site.
    SITE_AI_FETCH_INGEST = "site.ai-fetch.ingest"
    # On Site.
    SITE_AI_FETCH_VIEW = "site.ai-fetch.view"
    # On Site.
    SITE_ANNOTATIONS_MANAGE = "site.annotations.manage"
    # On Site.
    SITE_ASK_AI_USE = "site.ask-ai.use"
    # On Site.
    SITE_CREATE = "site.create"
    # On Site.
    SITE_DASHBOARD_VIEW = "site.dashboard.view"
    # On Site.
    SITE_DATA_CONTROLS_MANAGE = "site.data-controls.manage"
    # On Site.
    SITE_DELETE = "site.delete"
    # On Site.
    SITE_DELETE_SITE = "site.delete-site"
    # On Site.
    SITE_DOMAIN_RENAME = "site.domain.rename"
    # On Site.
    SITE_EVENTS_VIEW = "site.events.view"
    # On Site.
    SITE_EXCLUSIONS_MANAGE = "site.exclusions.manage"
    # On Site.
    SITE_FUNNELS_CREATE = "site.funnels.create"
    # On Site.
    SITE_FUNNELS_DELETE = "site.funnels.delete"
    # On Site.
    SITE_FUNNELS_EDIT = "site.funnels.edit"
    # On Site.
    SITE_FUNNELS_VIEW = "site.funnels.view"
    # On Site.
    SITE_GOALS_CREATE = "site.goals.create"
    # On Site.
    SITE_GOALS_DELETE = "site.goals.delete"
    # On Site.
    SITE_GOALS_EDIT = "site.goals.edit"
    # On Site.
    SITE_GOALS_VIEW = "site.goals.view"
    # On Site.
    SITE_HITS_EXPORT = "site.hits.export"
    # On Site.
    SITE_IMPORTS_MANAGE = "site.imports.manage"
    # On Site.
    SITE_INGEST_SERVER = "site.ingest.server"
    # On Site.
    SITE_INVITES_ACCEPT = "site.invites.accept"
    # On Site.
    SITE_MANAGE_ANNOTATIONS = "site.manage_annotations"
    # On Site.
    SITE_MANAGE_DATA = "site.manage_data"
    # On Site.
    SITE_MANAGE_GOALS = "site.manage_goals"
    # On Site.
    SITE_MANAGE_TEAM = "site.manage_team"
    # On Site.
    SITE_MANAGE_WEBHOOKS = "site.manage_webhooks"
    # On Site.
    SITE_MEMBERS_ADD = "site.members.add"
    # On Site.
    SITE_MEMBERS_CHANGE_ROLE = "site.members.change-role"
    # On Site.
    SITE_MEMBERS_LIST = "site.members.list"
    # On Site.
    SITE_MEMBERS_REMOVE = "site.members.remove"
    # On Site.
    SITE_OPPORTUNITIES_DIGEST_PREVIEW = "site.opportunities.digest-preview"
    # On Site.
    SITE_OPPORTUNITIES_GENERATE = "site.opportunities.generate"
    # On Site.
    SITE_OPPORTUNITIES_READ = "site.opportunities.read"
    # On Site.
    SITE_OPPORTUNITIES_UPDATE_STATUS = "site.opportunities.update-status"
    # On Site.
    SITE_QR_CODES_MANAGE = "site.qr-codes.manage"
    # On Site.
    SITE_QR_CODES_VIEW = "site.qr-codes.view"
    # On Site.
    SITE_REALTIME_VIEW = "site.realtime.view"
    # On Site.
    SITE_RETENTION_UPDATE = "site.retention.update"
    # On Site.
    SITE_SEARCH_CONSOLE_MAP = "site.search-console.map"
    # On Site.
    SITE_SEARCH_CONSOLE_VIEW = "site.search-console.view"
    # On Site.
    SITE_SHARE_LINKS_CREATE = "site.share-links.create"
    # On Site.
    SITE_SHARE_LINKS_LIST = "site.share-links.list"
    # On Site.
    SITE_SHARE_LINKS_REVOKE = "site.share-links.revoke"
    # On Site.
    SITE_STATS_RESET = "site.stats.reset"
    # On Site.
    SITE_TAKEOUT = "site.takeout"
    # On Site.
    SITE_TRANSFER_TEAM = "site.transfer-team"
    # On Site.
    SITE_VIEW = "site.view"
    # On Team.
    TEAM_ARCHIVE = "team.archive"
    # On Team.
    TEAM_ARCHIVE_TEAM = "team.archive-team"
    # On Team.
    TEAM_CREATE = "team.create"
    # On Team.
    TEAM_EXCLUSIONS_SSO_DOMAINS_MANAGE = "team.exclusions-sso-domains.manage"
    # On Team.
    TEAM_INVITES_ACCEPT = "team.invites.accept"
    # On Team.
    TEAM_LEAVE = "team.leave"
    # On Team.
    TEAM_MANAGE_API_CLIENTS = "team.manage_api_clients"
    # On Team.
    TEAM_MANAGE_INTEGRATIONS = "team.manage_integrations"
    # On Team.
    TEAM_MANAGE_MEMBERS = "team.manage_members"
    # On Team.
    TEAM_MANAGE_SETTINGS = "team.manage_settings"
    # On Team.
    TEAM_MEMBERS_INVITE = "team.members.invite"
    # On Team.
    TEAM_MEMBERS_REMOVE = "team.members.remove"
    # On Team.
    TEAM_OWNERSHIP_TRANSFER = "team.ownership.transfer"
    # On Team.
    TEAM_SET_ACTIVE = "team.set-active"
    # On Team.
    TEAM_TRANSFER_OWNERSHIP = "team.transfer_ownership"
    # On Team.
    TEAM_VIEW_AUDIT = "team.view_audit"
    # On Team.
    TEAM_VIEW_MEMBERS = "team.view_members"
    # On Instance, User.
    USER_PERMISSIONS_CHECK = "user.permissions.check"
    # On Instance, User.
    USER_PROFILE_SECURITY_MANAGE = "user.profile-security.manage"


class EntityType(_Words):
    """The types of entities."""

    ANONYMOUS = "Anonymous"
    API_CLIENT = "ApiClient"
    CLIENT_STATUS = "ClientStatus"
    INSTANCE = "Instance"
    INSTANCE_ROLE = "InstanceRole"
    INVITE = "Invite"
    SETTINGS_WORKFLOW = "SettingsWorkflow"
    SHARE_LINK = "ShareLink"
    SITE = "Site"
    SITE_ROLE = "SiteRole"
    TEAM = "Team"
    TEAM_ROLE = "TeamRole"
    USER = "User"


class InstanceRole(_Words):
    """The roles on `Instance`."""

    ADMIN = "admin"
    OWNER = "owner"
    USER = "user"


class SiteRole(_Words):
    """The roles on `Site`."""

    ADMIN = "admin"
    EDITOR = "editor"
    OWNER = "owner"
    VIEWER = "viewer"


class TeamRole(_Words):
    """The roles on `Team`."""

    ADMIN = "admin"
    MEMBER = "member"
    OWNER = "owner"

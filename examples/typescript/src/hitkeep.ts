// Written by `humbaba generate --lang typescript hitkeep`: do not edit it.

/** The policy store. */
export const POLICY_STORE = "hitkeep";

/** The actions that can be asked for. */
export const Action = {
  /** On Instance, User. */
  ApiClientsPersonalCreate: "api-clients.personal.create",
  /** On ApiClient, Instance, User. */
  ApiClientsPersonalRevoke: "api-clients.personal.revoke",
  /** On ApiClient, Instance, User. */
  ApiClientsPersonalRotate: "api-clients.personal.rotate",
  /** On Team. */
  ApiClientsTeamManage: "api-clients.team.manage",
  /** On Instance, Site. */
  InstanceAiProviderConfigure: "instance.ai-provider.configure",
  /** On Instance. */
  InstanceAuditExport: "instance.audit.export",
  /** On Instance. */
  InstanceAuditView: "instance.audit.view",
  /** On Instance. */
  InstanceExclusionsManage: "instance.exclusions.manage",
  /** On Instance. */
  InstanceExportAudit: "instance.export_audit",
  /** On Instance. */
  InstanceMaintenanceRun: "instance.maintenance.run",
  /** On Instance. */
  InstanceManageImports: "instance.manage_imports",
  /** On Instance. */
  InstanceManageSettings: "instance.manage_settings",
  /** On Instance. */
  InstanceManageSiteExclusions: "instance.manage_site_exclusions",
  /** On Instance. */
  InstanceManageSystem: "instance.manage_system",
  /** On Instance. */
  InstanceManageUsers: "instance.manage_users",
  /** On Instance. */
  InstanceManageWebhooks: "instance.manage_webhooks",
  /** On Instance. */
  InstanceRunMaintenance: "instance.run_maintenance",
  /** On Instance. */
  InstanceSitesAdminDelete: "instance.sites.admin-delete",
  /** On Instance. */
  InstanceSitesListAll: "instance.sites.list-all",
  /** On Instance. */
  InstanceSystemSettingsManage: "instance.system-settings.manage",
  /** On Instance. */
  InstanceSystemSettingsView: "instance.system-settings.view",
  /** On Instance. */
  InstanceSystemStatusView: "instance.system-status.view",
  /** On Instance. */
  InstanceTeamsArchive: "instance.teams.archive",
  /** On Instance. */
  InstanceTeamsDelete: "instance.teams.delete",
  /** On Instance. */
  InstanceTeamsList: "instance.teams.list",
  /** On Instance. */
  InstanceUsersChangeRole: "instance.users.change-role",
  /** On Instance. */
  InstanceUsersDelete: "instance.users.delete",
  /** On Instance. */
  InstanceUsersDisable2fa: "instance.users.disable-2fa",
  /** On Instance. */
  InstanceUsersList: "instance.users.list",
  /** On Instance. */
  InstanceViewActivation: "instance.view_activation",
  /** On Instance. */
  InstanceViewAllSites: "instance.view_all_sites",
  /** On Instance. */
  InstanceViewAudit: "instance.view_audit",
  /** On Instance. */
  InstanceViewSystem: "instance.view_system",
  /** On Site. */
  McpAnalyticsRead: "mcp.analytics.read",
  /** On Site. */
  McpOpportunitiesGenerate: "mcp.opportunities.generate",
  /** On Site. */
  McpOpportunitiesRead: "mcp.opportunities.read",
  /** On Site. */
  McpOpportunitiesUpdateStatus: "mcp.opportunities.update-status",
  /** On Site. */
  SiteAiFetchIngest: "site.ai-fetch.ingest",
  /** On Site. */
  SiteAiFetchView: "site.ai-fetch.view",
  /** On Site. */
  SiteAnnotationsManage: "site.annotations.manage",
  /** On Site. */
  SiteAskAiUse: "site.ask-ai.use",
  /** On Site. */
  SiteCreate: "site.create",
  /** On Site. */
  SiteDashboardView: "site.dashboard.view",
  /** On Site. */
  SiteDataControlsManage: "site.data-controls.manage",
  /** On Site. */
  SiteDelete: "site.delete",
  /** On Site. */
  SiteDeleteSite: "site.delete-site",
  /** On Site. */
  SiteDomainRename: "site.domain.rename",
  /** On Site. */
  SiteEventsView: "site.events.view",
  /** On Site. */
  SiteExclusionsManage: "site.exclusions.manage",
  /** On Site. */
  SiteFunnelsCreate: "site.funnels.create",
  /** On Site. */
  SiteFunnelsDelete: "site.funnels.delete",
  /** On Site. */
  SiteFunnelsEdit: "site.funnels.edit",
  /** On Site. */
  SiteFunnelsView: "site.funnels.view",
  /** On Site. */
  SiteGoalsCreate: "site.goals.create",
  /** On Site. */
  SiteGoalsDelete: "site.goals.delete",
  /** On Site. */
  SiteGoalsEdit: "site.goals.edit",
  /** On Site. */
  SiteGoalsView: "site.goals.view",
  /** On Site. */
  SiteHitsExport: "site.hits.export",
  /** On Site. */
  SiteImportsManage: "site.imports.manage",
  /** On Site. */
  SiteIngestServer: "site.ingest.server",
  /** On Site. */
  SiteInvitesAccept: "site.invites.accept",
  /** On Site. */
  SiteManageAnnotations: "site.manage_annotations",
  /** On Site. */
  SiteManageData: "site.manage_data",
  /** On Site. */
  SiteManageGoals: "site.manage_goals",
  /** On Site. */
  SiteManageTeam: "site.manage_team",
  /** On Site. */
  SiteManageWebhooks: "site.manage_webhooks",
  /** On Site. */
  SiteMembersAdd: "site.members.add",
  /** On Site. */
  SiteMembersChangeRole: "site.members.change-role",
  /** On Site. */
  SiteMembersList: "site.members.list",
  /** On Site. */
  SiteMembersRemove: "site.members.remove",
  /** On Site. */
  SiteOpportunitiesDigestPreview: "site.opportunities.digest-preview",
  /** On Site. */
  SiteOpportunitiesGenerate: "site.opportunities.generate",
  /** On Site. */
  SiteOpportunitiesRead: "site.opportunities.read",
  /** On Site. */
  SiteOpportunitiesUpdateStatus: "site.opportunities.update-status",
  /** On Site. */
  SiteQrCodesManage: "site.qr-codes.manage",
  /** On Site. */
  SiteQrCodesView: "site.qr-codes.view",
  /** On Site. */
  SiteRealtimeView: "site.realtime.view",
  /** On Site. */
  SiteRetentionUpdate: "site.retention.update",
  /** On Site. */
  SiteSearchConsoleMap: "site.search-console.map",
  /** On Site. */
  SiteSearchConsoleView: "site.search-console.view",
  /** On Site. */
  SiteShareLinksCreate: "site.share-links.create",
  /** On Site. */
  SiteShareLinksList: "site.share-links.list",
  /** On Site. */
  SiteShareLinksRevoke: "site.share-links.revoke",
  /** On Site. */
  SiteStatsReset: "site.stats.reset",
  /** On Site. */
  SiteTakeout: "site.takeout",
  /** On Site. */
  SiteTransferTeam: "site.transfer-team",
  /** On Site. */
  SiteView: "site.view",
  /** On Team. */
  TeamArchive: "team.archive",
  /** On Team. */
  TeamArchiveTeam: "team.archive-team",
  /** On Team. */
  TeamCreate: "team.create",
  /** On Team. */
  TeamExclusionsSsoDomainsManage: "team.exclusions-sso-domains.manage",
  /** On Team. */
  TeamInvitesAccept: "team.invites.accept",
  /** On Team. */
  TeamLeave: "team.leave",
  /** On Team. */
  TeamManageApiClients: "team.manage_api_clients",
  /** On Team. */
  TeamManageIntegrations: "team.manage_integrations",
  /** On Team. */
  TeamManageMembers: "team.manage_members",
  /** On Team. */
  TeamManageSettings: "team.manage_settings",
  /** On Team. */
  TeamMembersInvite: "team.members.invite",
  /** On Team. */
  TeamMembersRemove: "team.members.remove",
  /** On Team. */
  TeamOwnershipTransfer: "team.ownership.transfer",
  /** On Team. */
  TeamSetActive: "team.set-active",
  /** On Team. */
  TeamTransferOwnership: "team.transfer_ownership",
  /** On Team. */
  TeamViewAudit: "team.view_audit",
  /** On Team. */
  TeamViewMembers: "team.view_members",
  /** On Instance, User. */
  UserPermissionsCheck: "user.permissions.check",
  /** On Instance, User. */
  UserProfileSecurityManage: "user.profile-security.manage",
} as const;
export type Action = (typeof Action)[keyof typeof Action];

/** The types of entities. */
export const EntityType = {
  Anonymous: "Anonymous",
  ApiClient: "ApiClient",
  ClientStatus: "ClientStatus",
  Instance: "Instance",
  InstanceRole: "InstanceRole",
  Invite: "Invite",
  SettingsWorkflow: "SettingsWorkflow",
  ShareLink: "ShareLink",
  Site: "Site",
  SiteRole: "SiteRole",
  Team: "Team",
  TeamRole: "TeamRole",
  User: "User",
} as const;
export type EntityType = (typeof EntityType)[keyof typeof EntityType];

/** The roles on `Instance`. */
export const InstanceRole = {
  Admin: "admin",
  Owner: "owner",
  User: "user",
} as const;
export type InstanceRole = (typeof InstanceRole)[keyof typeof InstanceRole];

/** The roles on `Site`. */
export const SiteRole = {
  Admin: "admin",
  Editor: "editor",
  Owner: "owner",
  Viewer: "viewer",
} as const;
export type SiteRole = (typeof SiteRole)[keyof typeof SiteRole];

/** The roles on `Team`. */
export const TeamRole = {
  Admin: "admin",
  Member: "member",
  Owner: "owner",
} as const;
export type TeamRole = (typeof TeamRole)[keyof typeof TeamRole];

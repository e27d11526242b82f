// Written by `humbaba generate --lang rust hitkeep`: do not edit it.

use humbaba::client::{ActionUid, Uid};

/// The policy store.
#[allow(dead_code)]
pub const POLICY_STORE: &str = "hitkeep";

/// The actions that can be asked for.
#[allow(dead_code)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// On Instance, User.
    ApiClientsPersonalCreate,
    /// On ApiClient, Instance, User.
    ApiClientsPersonalRevoke,
    /// On ApiClient, Instance, User.
    ApiClientsPersonalRotate,
    /// On Team.
    ApiClientsTeamManage,
    /// On Instance, Site.
    InstanceAiProviderConfigure,
    /// On Instance.
    InstanceAuditExport,
    /// On Instance.
    InstanceAuditView,
    /// On Instance.
    InstanceExclusionsManage,
    /// On Instance.
    InstanceExportAudit,
    /// On Instance.
    InstanceMaintenanceRun,
    /// On Instance.
    InstanceManageImports,
    /// On Instance.
    InstanceManageSettings,
    /// On Instance.
    InstanceManageSiteExclusions,
    /// On Instance.
    InstanceManageSystem,
    /// On Instance.
    InstanceManageUsers,
    /// On Instance.
    InstanceManageWebhooks,
    /// On Instance.
    InstanceRunMaintenance,
    /// On Instance.
    InstanceSitesAdminDelete,
    /// On Instance.
    InstanceSitesListAll,
    /// On Instance.
    InstanceSystemSettingsManage,
    /// On Instance.
    InstanceSystemSettingsView,
    /// On Instance.
    InstanceSystemStatusView,
    /// On Instance.
    InstanceTeamsArchive,
    /// On Instance.
    InstanceTeamsDelete,
    /// On Instance.
    InstanceTeamsList,
    /// On Instance.
    InstanceUsersChangeRole,
    /// On Instance.
    InstanceUsersDelete,
    /// On Instance.
    InstanceUsersDisable2fa,
    /// On Instance.
    InstanceUsersList,
    /// On Instance.
    InstanceViewActivation,
    /// On Instance.
    InstanceViewAllSites,
    /// On Instance.
    InstanceViewAudit,
    /// On Instance.
    InstanceViewSystem,
    /// On Site.
    McpAnalyticsRead,
    /// On Site.
    McpOpportunitiesGenerate,
    /// On Site.
    McpOpportunitiesRead,
    /// On Site.
    McpOpportunitiesUpdateStatus,
    /// On Site.
    SiteAiFetchIngest,
    /// On Site.
    SiteAiFetchView,
    /// On Site.
    SiteAnnotationsManage,
    /// On Site.
    SiteAskAiUse,
    /// On Site.
    SiteCreate,
    /// On Site.
    SiteDashboardView,
    /// On Site.
    SiteDataControlsManage,
    /// On Site.
    SiteDelete,
    /// On Site.
    SiteDeleteSite,
    /// On Site.
    SiteDomainRename,
    /// On Site.
    SiteEventsView,
    /// On Site.
    SiteExclusionsManage,
    /// On Site.
    SiteFunnelsCreate,
    /// On Site.
    SiteFunnelsDelete,
    /// On Site.
    SiteFunnelsEdit,
    /// On Site.
    SiteFunnelsView,
    /// On Site.
    SiteGoalsCreate,
    /// On Site.
    SiteGoalsDelete,
    /// On Site.
    SiteGoalsEdit,
    /// On Site.
    SiteGoalsView,
    /// On Site.
    SiteHitsExport,
    /// On Site.
    SiteImportsManage,
    /// On Site.
    SiteIngestServer,
    /// On Site.
    SiteInvitesAccept,
    /// On Site.
    SiteManageAnnotations,
    /// On Site.
    SiteManageData,
    /// On Site.
    SiteManageGoals,
    /// On Site.
    SiteManageTeam,
    /// On Site.
    SiteManageWebhooks,
    /// On Site.
    SiteMembersAdd,
    /// On Site.
    SiteMembersChangeRole,
    /// On Site.
    SiteMembersList,
    /// On Site.
    SiteMembersRemove,
    /// On Site.
    SiteOpportunitiesDigestPreview,
    /// On Site.
    SiteOpportunitiesGenerate,
    /// On Site.
    SiteOpportunitiesRead,
    /// On Site.
    SiteOpportunitiesUpdateStatus,
    /// On Site.
    SiteQrCodesManage,
    /// On Site.
    SiteQrCodesView,
    /// On Site.
    SiteRealtimeView,
    /// On Site.
    SiteRetentionUpdate,
    /// On Site.
    SiteSearchConsoleMap,
    /// On Site.
    SiteSearchConsoleView,
    /// On Site.
    SiteShareLinksCreate,
    /// On Site.
    SiteShareLinksList,
    /// On Site.
    SiteShareLinksRevoke,
    /// On Site.
    SiteStatsReset,
    /// On Site.
    SiteTakeout,
    /// On Site.
    SiteTransferTeam,
    /// On Site.
    SiteView,
    /// On Team.
    TeamArchive,
    /// On Team.
    TeamArchiveTeam,
    /// On Team.
    TeamCreate,
    /// On Team.
    TeamExclusionsSsoDomainsManage,
    /// On Team.
    TeamInvitesAccept,
    /// On Team.
    TeamLeave,
    /// On Team.
    TeamManageApiClients,
    /// On Team.
    TeamManageIntegrations,
    /// On Team.
    TeamManageMembers,
    /// On Team.
    TeamManageSettings,
    /// On Team.
    TeamMembersInvite,
    /// On Team.
    TeamMembersRemove,
    /// On Team.
    TeamOwnershipTransfer,
    /// On Team.
    TeamSetActive,
    /// On Team.
    TeamTransferOwnership,
    /// On Team.
    TeamViewAudit,
    /// On Team.
    TeamViewMembers,
    /// On Instance, User.
    UserPermissionsCheck,
    /// On Instance, User.
    UserProfileSecurityManage,
}

#[allow(dead_code)]
impl Action {
    /// Returns the word as it is sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ApiClientsPersonalCreate => "api-clients.personal.create",
            Self::ApiClientsPersonalRevoke => "api-clients.personal.revoke",
            Self::ApiClientsPersonalRotate => "api-clients.personal.rotate",
            Self::ApiClientsTeamManage => "api-clients.team.manage",
            Self::InstanceAiProviderConfigure => "instance.ai-provider.configure",
            Self::InstanceAuditExport => "instance.audit.export",
            Self::InstanceAuditView => "instance.audit.view",
            Self::InstanceExclusionsManage => "instance.exclusions.manage",
            Self::InstanceExportAudit => "instance.export_audit",
            Self::InstanceMaintenanceRun => "instance.maintenance.run",
            Self::InstanceManageImports => "instance.manage_imports",
            Self::InstanceManageSettings => "instance.manage_settings",
            Self::InstanceManageSiteExclusions => "instance.manage_site_exclusions",
            Self::InstanceManageSystem => "instance.manage_system",
            Self::InstanceManageUsers => "instance.manage_users",
            Self::InstanceManageWebhooks => "instance.manage_webhooks",
            Self::InstanceRunMaintenance => "instance.run_maintenance",
            Self::InstanceSitesAdminDelete => "instance.sites.admin-delete",
            Self::InstanceSitesListAll => "instance.sites.list-all",
            Self::InstanceSystemSettingsManage => "instance.system-settings.manage",
            Self::InstanceSystemSettingsView => "instance.system-settings.view",
            Self::InstanceSystemStatusView => "instance.system-status.view",
            Self::InstanceTeamsArchive => "instance.teams.archive",
            Self::InstanceTeamsDelete => "instance.teams.delete",
            Self::InstanceTeamsList => "instance.teams.list",
            Self::InstanceUsersChangeRole => "instance.users.change-role",
            Self::InstanceUsersDelete => "instance.users.delete",
            Self::InstanceUsersDisable2fa => "instance.users.disable-2fa",
            Self::InstanceUsersList => "instance.users.list",
            Self::InstanceViewActivation => "instance.view_activation",
            Self::InstanceViewAllSites => "instance.view_all_sites",
            Self::InstanceViewAudit => "instance.view_audit",
            Self::InstanceViewSystem => "instance.view_system",
            Self::McpAnalyticsRead => "mcp.analytics.read",
            Self::McpOpportunitiesGenerate => "mcp.opportunities.generate",
            Self::McpOpportunitiesRead => "mcp.opportunities.read",
            Self::McpOpportunitiesUpdateStatus => "mcp.opportunities.update-status",
            Self::SiteAiFetchIngest => "site.ai-fetch.ingest",
            Self::SiteAiFetchView => "site.ai-fetch.view",
            Self::SiteAnnotationsManage => "site.annotations.manage",
            Self::SiteAskAiUse => "site.ask-ai.use",
            Self::SiteCreate => "site.create",
            Self::SiteDashboardView => "site.dashboard.view",
            Self::SiteDataControlsManage => "site.data-controls.manage",
            Self::SiteDelete => "site.delete",
            Self::SiteDeleteSite => "site.delete-site",
            Self::SiteDomainRename => "site.domain.rename",
            Self::SiteEventsView => "site.events.view",
            Self::SiteExclusionsManage => "site.exclusions.manage",
            Self::SiteFunnelsCreate => "site.funnels.create",
            Self::SiteFunnelsDelete => "site.funnels.delete",
            Self::SiteFunnelsEdit => "site.funnels.edit",
            Self::SiteFunnelsView => "site.funnels.view",
            Self::SiteGoalsCreate => "site.goals.create",
            Self::SiteGoalsDelete => "site.goals.delete",
            Self::SiteGoalsEdit => "site.goals.edit",
            Self::SiteGoalsView => "site.goals.view",
            Self::SiteHitsExport => "site.hits.export",
            Self::SiteImportsManage => "site.imports.manage",
            Self::SiteIngestServer => "site.ingest.server",
            Self::SiteInvitesAccept => "site.invites.accept",
            Self::SiteManageAnnotations => "site.manage_annotations",
            Self::SiteManageData => "site.manage_data",
            Self::SiteManageGoals => "site.manage_goals",
            Self::SiteManageTeam => "site.manage_team",
            Self::SiteManageWebhooks => "site.manage_webhooks",
            Self::SiteMembersAdd => "site.members.add",
            Self::SiteMembersChangeRole => "site.members.change-role",
            Self::SiteMembersList => "site.members.list",
            Self::SiteMembersRemove => "site.members.remove",
            Self::SiteOpportunitiesDigestPreview => "site.opportunities.digest-preview",
            Self::SiteOpportunitiesGenerate => "site.opportunities.generate",
            Self::SiteOpportunitiesRead => "site.opportunities.read",
            Self::SiteOpportunitiesUpdateStatus => "site.opportunities.update-status",
            Self::SiteQrCodesManage => "site.qr-codes.manage",
            Self::SiteQrCodesView => "site.qr-codes.view",
            Self::SiteRealtimeView => "site.realtime.view",
            Self::SiteRetentionUpdate => "site.retention.update",
            Self::SiteSearchConsoleMap => "site.search-console.map",
            Self::SiteSearchConsoleView => "site.search-console.view",
            Self::SiteShareLinksCreate => "site.share-links.create",
            Self::SiteShareLinksList => "site.share-links.list",
            Self::SiteShareLinksRevoke => "site.share-links.revoke",
            Self::SiteStatsReset => "site.stats.reset",
            Self::SiteTakeout => "site.takeout",
            Self::SiteTransferTeam => "site.transfer-team",
            Self::SiteView => "site.view",
            Self::TeamArchive => "team.archive",
            Self::TeamArchiveTeam => "team.archive-team",
            Self::TeamCreate => "team.create",
            Self::TeamExclusionsSsoDomainsManage => "team.exclusions-sso-domains.manage",
            Self::TeamInvitesAccept => "team.invites.accept",
            Self::TeamLeave => "team.leave",
            Self::TeamManageApiClients => "team.manage_api_clients",
            Self::TeamManageIntegrations => "team.manage_integrations",
            Self::TeamManageMembers => "team.manage_members",
            Self::TeamManageSettings => "team.manage_settings",
            Self::TeamMembersInvite => "team.members.invite",
            Self::TeamMembersRemove => "team.members.remove",
            Self::TeamOwnershipTransfer => "team.ownership.transfer",
            Self::TeamSetActive => "team.set-active",
            Self::TeamTransferOwnership => "team.transfer_ownership",
            Self::TeamViewAudit => "team.view_audit",
            Self::TeamViewMembers => "team.view_members",
            Self::UserPermissionsCheck => "user.permissions.check",
            Self::UserProfileSecurityManage => "user.profile-security.manage",
        }
    }
}

impl From<Action> for ActionUid {
    fn from(action: Action) -> Self {
        Uid::action(action.as_str()).into()
    }
}

/// The types of entities.
#[allow(dead_code)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EntityType {
    Anonymous,
    ApiClient,
    ClientStatus,
    Instance,
    InstanceRole,
    Invite,
    SettingsWorkflow,
    ShareLink,
    Site,
    SiteRole,
    Team,
    TeamRole,
    User,
}

#[allow(dead_code)]
impl EntityType {
    /// Returns the word as it is sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Anonymous => "Anonymous",
            Self::ApiClient => "ApiClient",
            Self::ClientStatus => "ClientStatus",
            Self::Instance => "Instance",
            Self::InstanceRole => "InstanceRole",
            Self::Invite => "Invite",
            Self::SettingsWorkflow => "SettingsWorkflow",
            Self::ShareLink => "ShareLink",
            Self::Site => "Site",
            Self::SiteRole => "SiteRole",
            Self::Team => "Team",
            Self::TeamRole => "TeamRole",
            Self::User => "User",
        }
    }
}

#[allow(dead_code)]
impl EntityType {
    /// Names the entity of an id.
    #[must_use]
    pub fn uid(self, id: impl Into<String>) -> Uid {
        Uid::new(self.as_str(), id)
    }
}

impl From<EntityType> for String {
    fn from(word: EntityType) -> Self {
        word.as_str().to_owned()
    }
}

/// The roles on `Instance`.
#[allow(dead_code)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum InstanceRole {
    Admin,
    Owner,
    User,
}

#[allow(dead_code)]
impl InstanceRole {
    /// Returns the word as it is sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Owner => "owner",
            Self::User => "user",
        }
    }
}

impl From<InstanceRole> for String {
    fn from(word: InstanceRole) -> Self {
        word.as_str().to_owned()
    }
}

/// The roles on `Site`.
#[allow(dead_code)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SiteRole {
    Admin,
    Editor,
    Owner,
    Viewer,
}

#[allow(dead_code)]
impl SiteRole {
    /// Returns the word as it is sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Editor => "editor",
            Self::Owner => "owner",
            Self::Viewer => "viewer",
        }
    }
}

impl From<SiteRole> for String {
    fn from(word: SiteRole) -> Self {
        word.as_str().to_owned()
    }
}

/// The roles on `Team`.
#[allow(dead_code)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TeamRole {
    Admin,
    Member,
    Owner,
}

#[allow(dead_code)]
impl TeamRole {
    /// Returns the word as it is sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Member => "member",
            Self::Owner => "owner",
        }
    }
}

impl From<TeamRole> for String {
    fn from(word: TeamRole) -> Self {
        word.as_str().to_owned()
    }
}

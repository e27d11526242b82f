package main

// Action is an action of the policy store hitkeep. Use these constants: a misspelt one does not compile.
type Action string

// The actions that this backend asks for.
const (
	SiteCreate            Action = "site.create"
	SiteGoalsCreate       Action = "site.goals.create"
	SiteGoalsEdit         Action = "site.goals.edit"
	SiteGoalsView         Action = "site.goals.view"
	SiteMembersAdd        Action = "site.members.add"
	SiteMembersChangeRole Action = "site.members.change-role"
	SiteMembersRemove     Action = "site.members.remove"
)

// SiteRoles are the roles on a site.
var SiteRoles = map[string]bool{"owner": true, "admin": true, "editor": true, "viewer": true}

package report

import rego.v1

default allow := false

allowed_roles := {
	"view": {"owner", "editor", "viewer"},
	"edit": {"owner", "editor"},
	"delete": {"owner"},
}

allow if {
	some role in input.roles
	role in allowed_roles[input.action]
	not denied
}

denied if input.user.tenant != input.report.tenant

denied if {
	input.action in {"edit", "delete"}
	input.report.archived
}

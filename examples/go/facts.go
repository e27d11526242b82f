package main

import (
	"net/http"

	pb "backend/humbabav1"
)

// Facts that this backend knows and the policies read: the roles of its table, and a few more.

const sitesOfPlan = 100

func uid(kind, id string) *pb.EntityUid { return &pb.EntityUid{Type: kind, Id: id} }

func entity(kind, id string) *pb.Value {
	return &pb.Value{Kind: &pb.Value_Entity{Entity: uid(kind, id)}}
}

func boolean(value bool) *pb.Value {
	return &pb.Value{Kind: &pb.Value_Boolean{Boolean: value}}
}

// roles are those of the users on a site.
func (b *backend) roles(site string, users ...string) (roles []*pb.RoleAssignment, err error) {
	for _, user := range users {
		role, err := b.sites.Role(site, user)
		if err != nil {
			return nil, err
		}
		if role != "" {
			assignment := &pb.RoleAssignment{Principal: uid("User", user), Role: role, Scope: uid("Site", site)}
			roles = append(roles, assignment)
		}
	}
	return roles, nil
}

// onSite is asked for what is done on a site.
func (b *backend) onSite(action Action) Question {
	return func(r *http.Request) (*pb.IsAuthorizedRequest, error) {
		site := param(r, "site")
		roles, err := b.roles(site, user(r))
		return &pb.IsAuthorizedRequest{
			Principal:       uid("User", user(r)),
			Action:          uid("", string(action)),
			Resource:        uid("Site", site),
			RoleAssignments: roles,
		}, err
	}
}

// onMember is asked for what is done to a member: their role counts too, the one that they are to have, and
// who owns the site then. role is empty where they lose theirs.
func (b *backend) onMember(action Action, role string) Question {
	return func(r *http.Request) (*pb.IsAuthorizedRequest, error) {
		site, member := param(r, "site"), param(r, "user")
		request, err := b.onSite(action)(r)
		if err != nil {
			return nil, err
		}
		if member != user(r) {
			roles, err := b.roles(site, member)
			if err != nil {
				return nil, err
			}
			request.RoleAssignments = append(request.RoleAssignments, roles...)
		}
		remains, err := b.sites.HasOwnerBeside(site, member)
		if err != nil {
			return nil, err
		}
		request.Context = map[string]*pb.Value{
			"target":        entity("User", member),
			"owner_remains": boolean(remains || role == "owner"),
		}
		if role != "" {
			request.Context["role"] = entity("SiteRole", role)
		}
		return request, nil
	}
}

// onNewSite is asked for a site that is to be: it belongs to the one team that there is, of which everybody
// is a member.
func (b *backend) onNewSite(site string) Question {
	return func(r *http.Request) (*pb.IsAuthorizedRequest, error) {
		count, err := b.sites.Count()
		return &pb.IsAuthorizedRequest{
			Principal:       uid("User", user(r)),
			Action:          uid("", string(SiteCreate)),
			Resource:        uid("Site", site),
			RoleAssignments: []*pb.RoleAssignment{{Role: "member", Scope: uid("Team", "main")}},
			Entities: []*pb.Entity{
				{Uid: uid("Site", site), Attributes: map[string]*pb.Value{"team": entity("Team", "main")}},
				{Uid: uid("User", user(r)), Attributes: map[string]*pb.Value{"active_team": entity("Team", "main")}},
				{Uid: uid("Team", "main"), Attributes: map[string]*pb.Value{"archived": boolean(false)}},
			},
			Context: map[string]*pb.Value{"within_plan": boolean(count < sitesOfPlan)},
		}, err
	}
}

// A small analytics backend: sites, goals and members. Each route says what it requires.
package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

type backend struct {
	sites    *Sites
	pep      *PEP
	sessions sync.Map
	// Held from the question to the write: whether an owner remains must still be true then.
	changingMembers sync.Mutex
}

var (
	errBadRequest = errors.New("bad request")
	errNotFound   = errors.New("not found")
)

// handler is a handler that may fail.
type handler func(w http.ResponseWriter, r *http.Request) error

func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	err := h(w, r)
	switch {
	case err == nil:
	case errors.Is(err, errBadRequest):
		respond(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
	case errors.Is(err, errNotFound):
		respond(w, http.StatusNotFound, map[string]string{"error": err.Error()})
	default:
		log.Printf("%s %s: %v", r.Method, r.URL.Path, err)
		respond(w, http.StatusInternalServerError, map[string]string{"error": "internal"})
	}
}

func (b *backend) routes() http.Handler {
	requires := func(action Action, next handler) http.Handler { return b.pep.Requires(b.onSite(action), next) }
	sites := router{
		{"POST", "/sites", handler(b.createSite)},
		{"GET", "/sites/{site}/goals", requires(SiteGoalsView, b.listGoals)},
		{"POST", "/sites/{site}/goals", requires(SiteGoalsCreate, b.createGoal)},
		{"PUT", "/sites/{site}/goals/{goal}", requires(SiteGoalsEdit, b.renameGoal)},
		{"PUT", "/sites/{site}/members/{user}", handler(b.setRole)},
		{"DELETE", "/sites/{site}/members/{user}", handler(b.removeMember)},
	}
	mux := http.NewServeMux()
	mux.Handle("/login", router{{"POST", "/login", handler(b.login)}})
	mux.Handle("/", b.authenticated(sites))
	return mux
}

// login is a stub: it believes everybody. Put your sessions here.
func (b *backend) login(w http.ResponseWriter, r *http.Request) error {
	user, err := field(w, r, "user")
	if err != nil {
		return err
	}
	token := newID()
	b.sessions.Store(token, user)
	respond(w, http.StatusOK, map[string]string{"token": token})
	return nil
}

type userKey struct{}

func user(r *http.Request) string {
	user, _ := r.Context().Value(userKey{}).(string)
	return user
}

func (b *backend) authenticated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, known := b.sessions.Load(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		if !known {
			respond(w, http.StatusUnauthorized, map[string]string{"error": "unauthenticated"})
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), userKey{}, user)))
	})
}

// createSite asks with the site that is to be, so it has its id before.
func (b *backend) createSite(w http.ResponseWriter, r *http.Request) error {
	site := newID()
	create := func(w http.ResponseWriter, r *http.Request) error {
		name, err := field(w, r, "name")
		if err != nil {
			return err
		}
		if err := b.sites.Create(site, name, user(r)); err != nil {
			return err
		}
		respond(w, http.StatusCreated, map[string]string{"id": site})
		return nil
	}
	b.pep.Requires(b.onNewSite(site), handler(create)).ServeHTTP(w, r)
	return nil
}

func (b *backend) listGoals(w http.ResponseWriter, r *http.Request) error {
	goals, err := b.sites.Goals(param(r, "site"))
	if err != nil {
		return err
	}
	respond(w, http.StatusOK, goals)
	return nil
}

func (b *backend) createGoal(w http.ResponseWriter, r *http.Request) error {
	name, err := field(w, r, "name")
	if err != nil {
		return err
	}
	goal := newID()
	if err := b.sites.CreateGoal(goal, param(r, "site"), name); err != nil {
		return err
	}
	respond(w, http.StatusCreated, map[string]string{"id": goal})
	return nil
}

func (b *backend) renameGoal(w http.ResponseWriter, r *http.Request) error {
	name, err := field(w, r, "name")
	if err != nil {
		return err
	}
	found, err := b.sites.RenameGoal(param(r, "site"), param(r, "goal"), name)
	if err != nil {
		return err
	}
	if !found {
		return errNotFound
	}
	respond(w, http.StatusOK, Goal{ID: param(r, "goal"), Name: name})
	return nil
}

// setRole adds who is no member yet and changes the role of others: two actions of the store.
func (b *backend) setRole(w http.ResponseWriter, r *http.Request) error {
	site, member := param(r, "site"), param(r, "user")
	role, err := field(w, r, "role")
	if err != nil {
		return err
	}
	if !SiteRoles[role] {
		return fmt.Errorf("%w: `role` must be owner, admin, editor or viewer", errBadRequest)
	}
	b.changingMembers.Lock()
	defer b.changingMembers.Unlock()
	held, err := b.sites.Role(site, member)
	if err != nil {
		return err
	}
	action := SiteMembersChangeRole
	if held == "" {
		action = SiteMembersAdd
	}
	set := func(w http.ResponseWriter, _ *http.Request) error {
		if err := b.sites.SetRole(site, member, role); err != nil {
			return err
		}
		respond(w, http.StatusOK, map[string]string{"user": member, "role": role})
		return nil
	}
	b.pep.Requires(b.onMember(action, role), handler(set)).ServeHTTP(w, r)
	return nil
}

func (b *backend) removeMember(w http.ResponseWriter, r *http.Request) error {
	b.changingMembers.Lock()
	defer b.changingMembers.Unlock()
	remove := func(w http.ResponseWriter, r *http.Request) error {
		found, err := b.sites.Remove(param(r, "site"), param(r, "user"))
		if err != nil {
			return err
		}
		if !found {
			return errNotFound
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	b.pep.Requires(b.onMember(SiteMembersRemove, ""), handler(remove)).ServeHTTP(w, r)
	return nil
}

// field reads a text of the body.
func field(w http.ResponseWriter, r *http.Request, name string) (string, error) {
	var body map[string]interface{}
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&body)
	if err != nil {
		return "", fmt.Errorf("%w: the body is no JSON object: %v", errBadRequest, err)
	}
	text, _ := body[name].(string)
	if text == "" {
		return "", fmt.Errorf("%w: the body must have a text `%s`", errBadRequest, name)
	}
	return text, nil
}

func newID() string {
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		log.Fatal(err)
	}
	return hex.EncodeToString(id)
}

func variable(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func main() {
	sites, err := OpenSites(variable("DATABASE", ":memory:"))
	if err != nil {
		log.Fatal(err)
	}
	pep, err := NewPEP(variable("HUMBABA", "http://127.0.0.1:8180"))
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+variable("PORT", "8000"))
	if err != nil {
		log.Fatal(err)
	}
	b := &backend{sites: sites, pep: pep}
	server := http.Server{Handler: b.routes(), ReadTimeout: 10 * time.Second}
	fmt.Printf("listening on http://%s\n", listener.Addr())
	log.Fatal(server.Serve(listener))
}

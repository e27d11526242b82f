package main

import (
	"context"
	"encoding/json"
	"log"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/local"

	pb "backend/humbabav1"
)

// PEP asks Humbaba. It knows nothing of the rest of the backend.
type PEP struct{ client pb.AuthorizationServiceClient }

// Question makes the question for a request: principal, action, resource and what the backend knows of them.
type Question func(*http.Request) (*pb.IsAuthorizedRequest, error)

// NewPEP makes the one connection of the process. It connects with the first question, and again when it must.
func NewPEP(address string) (*PEP, error) {
	connection, err := grpc.Dial(strings.TrimPrefix(address, "http://"),
		// Plain text, and so to this machine alone: another address is refused.
		grpc.WithTransportCredentials(local.NewCredentials()),
		// The default pause grows to two minutes, in which nobody is let in after a restart of Humbaba.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: time.Second,
		}),
	)
	if err != nil {
		return nil, err
	}
	return &PEP{pb.NewAuthorizationServiceClient(connection)}, nil
}

// Ask asks one question. Without an answer within a second it is an error.
func (p *PEP) Ask(r *http.Request, question Question) (*pb.IsAuthorizedRequest, *pb.IsAuthorizedResponse, error) {
	request, err := question(r)
	if err != nil {
		return nil, nil, err
	}
	request.PolicyStore, request.Explain = "hitkeep", true
	ctx, cancel := context.WithTimeout(r.Context(), time.Second)
	defer cancel()
	answer, err := p.client.IsAuthorized(ctx, request)
	return request, answer, err
}

// Requires lets a request through to next only on an allow.
func (p *PEP) Requires(question Question, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request, answer, err := p.Ask(r, question)
		switch {
		case err != nil:
			log.Printf("%s %s: no answer from Humbaba: %v", r.Method, r.URL.Path, err)
			respond(w, http.StatusServiceUnavailable, map[string]string{"error": "unavailable"})
		case answer.Decision != pb.Decision_DECISION_ALLOW:
			respond(w, http.StatusForbidden, map[string]string{
				"error":       "forbidden",
				"action":      request.Action.Id,
				"why":         answer.GetExplanation().GetSummary(),
				"decision_id": answer.DecisionId,
			})
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func respond(w http.ResponseWriter, status int, body interface{}) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		log.Print(err)
	}
}

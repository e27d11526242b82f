package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/local"

	pb "backend/humbabav1"
)

// deadline is how long an answer may take. A call without one waits for as long as Humbaba hangs.
const deadline = time.Second

// PEP asks Humbaba whether somebody may do something. Whatever goes wrong, the answer is no.
type PEP struct{ client pb.AuthorizationServiceClient }

// Question makes the question for a request: principal, action, resource and what the backend knows of them.
type Question func(*http.Request) (*pb.IsAuthorizedRequest, error)

// NewPEP makes a PEP. Have one for the process: a connection carries any number of calls at once. It connects
// by itself. The address is http://host:port or unix:/path.
func NewPEP(address string) (*PEP, error) {
	if !strings.HasPrefix(address, "http://") && !strings.HasPrefix(address, "unix:/") {
		return nil, fmt.Errorf("HUMBABA=%s: must be http://host:port or unix:/path", address)
	}
	connection, err := grpc.Dial(strings.TrimPrefix(address, "http://"),
		// Plain text within this machine. Connections that leave it are refused.
		grpc.WithTransportCredentials(local.NewCredentials()),
		grpc.WithNoProxy(),
		// After failures gRPC waits longer and longer, up to two minutes, before it connects again.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{
				BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second,
			},
			MinConnectTimeout: time.Second,
		}),
		// No keepalive: Humbaba is on this machine. If it ends its connections close, and if it hangs there is
		// the deadline.
	)
	if err != nil {
		return nil, err
	}
	return &PEP{pb.NewAuthorizationServiceClient(connection)}, nil
}

// Ask asks one question. No answer in time is an error.
func (p *PEP) Ask(r *http.Request, question Question) (*pb.IsAuthorizedRequest, *pb.IsAuthorizedResponse, error) {
	request, err := question(r)
	if err != nil {
		return nil, nil, err
	}
	request.PolicyStore, request.Explain = "hitkeep", true
	ctx, cancel := context.WithTimeout(r.Context(), deadline)
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

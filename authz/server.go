package authz

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/durward/durward/policy"
	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/contract"
	"github.com/durward/durward/policy/record"
	"github.com/durward/durward/policy/token"
)

const (
	// LongestCheck bounds a check whose caller gives more time, or none.
	LongestCheck = 5 * time.Second
	// margin is kept back from the caller's deadline, so that the answer is ours and
	// not a timeout.
	margin = 20 * time.Millisecond
)

// Generation is everything that one configuration decides by. A check uses one
// generation from beginning to end.
type Generation struct {
	Catalogue *catalog.Catalogue
	// Verifiers has one verifier for each authorization server of the catalogue, by
	// name. A missing one fails the checks that need it.
	Verifiers map[string]*token.Verifier
	// Prove checks the proofs of bound tokens; nil refuses all of them.
	Prove policy.Prove
}

// serving is a generation, nil before the first, and what all its answers share.
type serving struct {
	*Generation
	owned []string
}

// Server is the ext_authz service. Until the first Swap it denies with Internal.
type Server struct {
	authv3.UnimplementedAuthorizationServer

	log        *slog.Logger
	metrics    *metrics
	now        func() time.Time
	pseudonyms record.Pseudonyms
	serving    atomic.Pointer[serving]
}

// NewServer registers the metrics and serves nothing yet.
func NewServer(log *slog.Logger, r prometheus.Registerer, now func() time.Time) *Server {
	s := &Server{log: log, metrics: newMetrics(r), now: now, pseudonyms: record.NewPseudonyms()}
	s.Swap(nil)
	return s
}

// Swap makes g the generation of all checks that begin from now on. Nothing in g may
// change afterwards.
func (s *Server) Swap(g *Generation) {
	s.serving.Store(&serving{Generation: g, owned: ownedHeaders(g.catalogue())})
}

// Check answers one question. The error is always nil: see the package comment.
func (s *Server) Check(ctx context.Context, req *authv3.CheckRequest) (res *authv3.CheckResponse, _ error) {
	start := s.now()
	gen := s.serving.Load()
	id := newDecisionID()
	defer func() {
		if p := recover(); p != nil {
			res = respond(s.panicked(ctx, p), question{}, id, gen.owned)
		}
	}()
	var q question
	d := s.guarded(ctx, &q, req, gen)
	res = respond(d, q, id, gen.ownedIn(q))

	rec := record.New(d, q.Request, id, q.requestID, gen.revision(), start, s.now())
	rec.User = s.pseudonyms.Name(gen.logUser(), d.Fact.Claims.Subject)
	s.metrics.observe(rec)
	rec.Log(ctx, s.log)
	return res, nil
}

// guarded turns a panic into a denial that is recorded like any other.
func (s *Server) guarded(ctx context.Context, q *question, req *authv3.CheckRequest, gen *serving) (d policy.Decision) {
	defer func() {
		if p := recover(); p != nil {
			d = s.panicked(ctx, p)
		}
	}()
	*q = parseRequest(req)
	if gen.foreignEnvoy() {
		q.doubt()
		q.route(gen.Catalogue)
	}
	return s.decide(ctx, *q, gen.Generation)
}

// panicked reports a panic without its value, which may hold what the caller sent: the
// type and the stack's places are enough to find it.
func (s *Server) panicked(ctx context.Context, p any) policy.Decision {
	s.metrics.panics.Inc()
	stack := make([]byte, 8<<10)
	stack = stack[:runtime.Stack(stack, false)]
	s.log.ErrorContext(ctx, "check panicked", "panic", fmt.Sprintf("%T", p), "stack", string(stack))
	return policy.Deny(contract.Internal, "panic")
}

func (s *Server) decide(ctx context.Context, q question, gen *Generation) policy.Decision {
	if gen.catalogue() == nil {
		return policy.Deny(contract.Internal, "no configuration is serving")
	}
	ctx, cancel := withMargin(ctx)
	defer cancel()
	by := policy.Witness{Verify: gen.Verifying(ctx), Prove: gen.Prove, Now: s.now}
	return policy.Decide(gen.Catalogue, q.Request, by, nil)
}

// Verifying is how the checks of this generation verify tokens, until ctx ends. A policy
// whose server has no verifier fails.
func (g *Generation) Verifying(ctx context.Context) policy.Verify {
	return func(p *catalog.TokenPolicy, t token.Token) (token.Fact, error) {
		v := g.Verifiers[p.Server.Name]
		if v == nil {
			return token.Fact{}, fmt.Errorf("no verifier for authorization server %s", p.Server.Name)
		}
		return v.Verify(ctx, t, token.Demand{Mode: token.Mode(p.Verify), MaxAge: p.MaxAge})
	}
}

// withMargin leaves time to answer before the caller stops waiting.
func withMargin(ctx context.Context) (context.Context, context.CancelFunc) {
	limit := LongestCheck
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline)-margin)
	}
	return context.WithTimeout(ctx, limit)
}

func (g *Generation) catalogue() *catalog.Catalogue {
	if g == nil {
		return nil
	}
	return g.Catalogue
}

func (g *Generation) revision() string {
	if cat := g.catalogue(); cat != nil {
		return cat.Revision
	}
	return ""
}

func (g *Generation) logUser() string {
	if cat := g.catalogue(); cat != nil {
		return cat.LogUser
	}
	return record.UserNone
}

var idEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// newDecisionID returns 80 random bits as 16 characters that survive being read aloud.
func newDecisionID() string {
	var b [10]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return idEncoding.EncodeToString(b[:])
}

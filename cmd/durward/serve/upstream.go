package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/token"
	"github.com/durward/durward/policy/token/jwt"
	"github.com/durward/durward/policy/token/okta"
)

// identity is what makes two configurations of an authorization server the same: a
// verifier with its cache, keys and budget lives as long as it does not change.
type identity struct {
	name, issuers, audience, algorithms, caFile string
	opaque, org                                 bool
	leeway                                      time.Duration
	introspection                               catalog.Introspection
}

func identityOf(s *catalog.AuthorizationServer) identity {
	client := s.Introspection
	// Where a key stands in the file changes nothing.
	client.SecretAt, client.KeyAt = catalog.Position{}, catalog.Position{}
	return identity{
		name: s.Name, issuers: strings.Join(s.Issuers, " "), audience: s.Audience,
		algorithms: strings.Join(s.Algorithms, " "), caFile: s.CAFile,
		opaque: s.Opaque, org: s.Org, leeway: s.Leeway, introspection: client,
	}
}

// upstream is one authorization server at work.
type upstream struct {
	issuer   string
	log      *slog.Logger
	client   *okta.Client
	keys     *jwt.Keys // nil where nothing is read from the server's tokens
	verifier *token.Verifier
	// asked says that the server has been tried once, whatever it said.
	asked chan struct{}

	end   context.CancelFunc
	tasks sync.WaitGroup
}

// fleet makes upstreams and keeps what outlives each of them.
type fleet struct {
	log          *slog.Logger
	oktaMetrics  *okta.Metrics
	tokenMetrics *token.Metrics
	// budgets has one for each Okta organization, by host; a custom server and the org
	// server of one host have buckets of their own.
	budgets map[string]*okta.Budget
}

func newFleet(log *slog.Logger, r prometheus.Registerer) *fleet {
	f := &fleet{
		log: log, oktaMetrics: okta.NewMetrics(r), tokenMetrics: &token.Metrics{},
		budgets: make(map[string]*okta.Budget),
	}
	for result, count := range f.tokenMetrics.Lookups() {
		r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name:        "durward_cache_requests_total",
			Help:        "Look-ups of what is known about a token, by result.",
			ConstLabels: prometheus.Labels{"result": result},
		}, func() float64 { return float64(count()) }))
	}
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "durward_cache_bound_bytes",
		Help: "How many bytes of claims may be kept, over all authorization servers: less while memory is short.",
	}, func() float64 { return float64(f.tokenMetrics.Bound()) }))
	return f
}

func (f *fleet) budget(s *catalog.AuthorizationServer) (*okta.Budget, error) {
	u, err := url.Parse(s.Issuer)
	if err != nil {
		return nil, err
	}
	bucket := u.Host
	if s.Org {
		bucket += "/org"
	}
	if b := f.budgets[bucket]; b != nil {
		return b, nil
	}
	b, err := okta.NewBudget(okta.BudgetConfig{})
	if err == nil {
		f.budgets[bucket] = b
	}
	return b, err
}

// upstream prepares a server; start sets it to work.
func (f *fleet) upstream(s *catalog.AuthorizationServer) (*upstream, error) {
	budget, err := f.budget(s)
	if err != nil {
		return nil, err
	}
	u := &upstream{issuer: s.Issuer, log: f.log.With("authorization_server", s.Name), asked: make(chan struct{})}
	u.client, err = okta.NewClient(okta.Config{
		Name: s.Name, Issuer: s.Issuer, ClientID: s.Introspection.ClientID,
		Auth: okta.AuthMethod(s.Introspection.Auth), SecretFile: s.Introspection.SecretFile,
		KeyFile: s.Introspection.KeyFile, KeyID: s.Introspection.KeyID, CAFile: s.CAFile,
		Budget: budget, Metrics: f.oktaMetrics, Leeway: s.Leeway, Log: f.log,
	})
	if err != nil {
		return nil, err
	}
	parts := token.Parts{Server: u.client, Now: time.Now, Metrics: f.tokenMetrics}
	if !s.Opaque {
		allowed := make([]jwt.Algorithm, len(s.Algorithms))
		for i, a := range s.Algorithms {
			allowed[i] = jwt.Algorithm(a)
		}
		if u.keys, err = jwt.NewKeys(u.client.FetchKeys, time.Now, allowed...); err != nil {
			u.client.Close()
			return nil, err
		}
		parts.Reader = u.keys
		u.client.ReportKeys(func() time.Time { return u.keys.Status().FetchedAt })
	}
	u.verifier, err = token.NewVerifier(token.Config{
		Issuers: s.Issuers, Audience: s.Audience, Leeway: s.Leeway, Opaque: s.Opaque,
	}, parts)
	if err != nil {
		u.client.Close()
		return nil, err
	}
	return u, nil
}

// start keeps keys and credentials fresh, and the cache within its memory, until close.
func (u *upstream) start() {
	ctx, end := context.WithCancel(context.Background())
	u.end = end
	run := func(f func(context.Context) error) {
		u.tasks.Go(func() { _ = f(ctx) }) // ends with ctx, and has told of everything else
	}
	run(u.client.Run)
	run(u.verifier.Run)
	if u.keys != nil {
		run(u.keys.Run)
		u.tasks.Go(func() { watchKeys(ctx, u.keys, u.log) })
	}
}

// close forgets all, and waits for what start began.
func (u *upstream) close() {
	if u.end != nil {
		u.end()
	}
	u.verifier.Close()
	u.tasks.Wait()
	u.client.Close()
}

// probe asks a new server once, so that a wrong issuer or a dead Okta is known at once and
// not at the first request. It changes nothing.
func (u *upstream) probe(ctx context.Context, log *slog.Logger) {
	defer close(u.asked)
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	err := u.client.Probe(ctx)
	if err != nil && !errors.Is(context.Cause(ctx), context.Canceled) {
		log.Warn("authorization server does not answer; what must be asked of it is denied with 503 until it does",
			"issuer", u.issuer, "error", err.Error())
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for u.keys != nil && u.keys.Status().Attempts == 0 {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// probeTime bounds the first question to a server.
const probeTime = 2 * time.Second

// upstreams builds what cat needs, keeping from old what did not change. On an error
// nothing new is left.
func (f *fleet) upstreams(cat *catalog.Catalogue, old map[identity]*upstream) (all map[identity]*upstream, byName map[string]*token.Verifier, err error) {
	all = make(map[identity]*upstream, len(cat.Servers))
	byName = make(map[string]*token.Verifier, len(cat.Servers))
	defer func() {
		if err == nil {
			return
		}
		for key, u := range all {
			if old[key] == nil {
				u.close()
			}
		}
	}()
	for _, s := range cat.Servers {
		if _, err = ReadSecret(s); err != nil {
			return nil, nil, err
		}
		key := identityOf(s)
		u := old[key]
		if u == nil {
			if u, err = f.upstream(s); err != nil {
				return nil, nil, fmt.Errorf("authorization server %s: %w", s.Name, err)
			}
		}
		all[key], byName[s.Name] = u, u.verifier
	}
	for _, s := range cat.Servers {
		byName[s.Name].Keep(s.LongestAge)
	}
	return all, byName, nil
}

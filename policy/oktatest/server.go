package oktatest

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxBody  = 64 << 10
	maxQuery = 16 << 10
	// rateLimit is Okta's number of requests a minute for one bucket of an Enterprise org.
	rateLimit = 1200
	// Beyond these the oldest entry is forgotten: an old token then introspects as inactive.
	maxTokens, maxCodes, maxSessions, maxSpent = 1 << 16, 1 << 12, 1 << 12, 1 << 16
)

var supportedGrants = []string{grantCode, grantRefresh, grantClient}

// Server is one local Okta org. It is an http.Handler; [Server.Start] gives it a
// listener of its own. Use [New] or [NewServer]: the zero Server serves nothing.
// All methods may be called at any time from any goroutine.
type Server struct {
	config  Config
	baseURL atomic.Pointer[string]
	mux     *http.ServeMux
	idp     string       // id of the org's identity provider, a claim of ID tokens
	offset  atomic.Int64 // nanoseconds that Advance added to the clock
	minting atomic.Int64 // nanoseconds by which SkewTokens put the stamps of tokens off it

	servers map[string]*authServer // fixed after NewServer, like clients and users
	clients []*application
	users   []*account

	mu       sync.Mutex // guards what follows, and every grant, token, keyring, list of nonces, application and account
	tokens   bounded[*issued]
	codes    bounded[*authorization]
	sessions bounded[*session]
	faults   faults
	limiter  limiter
	spent    bounded[bool] // client assertions and proofs, by owner and jti

	listening listening
}

type authServer struct {
	AuthorizationServer
	keys       keyring
	encryption *signingKey // for encrypted access tokens
	nonces     []nonce     // of the last three days, the latest last
}

type application struct {
	Client
	inactive   bool
	unassigned map[*account]bool
}

type account struct {
	User
	inactive  bool // deactivated, for good
	suspended bool
}

// blocked needs Server.mu.
func (a *account) blocked() bool { return a.inactive || a.suspended }

// NewServer makes a server without a listener. It checks every field of cfg and
// keeps no reference to it. Signing keys are made at first use.
func NewServer(cfg Config) (*Server, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("oktatest: %w", err)
	}
	s := &Server{
		config:   Config{BaseURL: cfg.BaseURL, AllowRemote: cfg.AllowRemote, Limits: cfg.Limits},
		mux:      http.NewServeMux(),
		idp:      newID("00o"),
		servers:  map[string]*authServer{},
		tokens:   newBounded[*issued](maxTokens),
		codes:    newBounded[*authorization](maxCodes),
		sessions: newBounded[*session](maxSessions),
		faults:   newFaults(),
		limiter:  newLimiter(cfg.Limits),
		spent:    newBounded[bool](maxSpent),
	}
	s.baseURL.Store(&cfg.BaseURL)
	if err := s.populate(cfg); err != nil {
		return nil, fmt.Errorf("oktatest: %w", err)
	}
	s.route()
	return s, nil
}

func (s *Server) populate(cfg Config) error {
	for _, as := range cfg.AuthorizationServers {
		if s.servers[as.ID] != nil {
			return fmt.Errorf("two authorization servers %q", as.ID)
		}
		s.servers[as.ID] = &authServer{
			AuthorizationServer: as.clone(),
			keys:                keyring{active: newSigningKey(), next: newSigningKey(), rotated: s.now()},
			encryption:          newSigningKey(),
		}
	}
	for _, client := range cfg.Clients {
		client = client.clone()
		if client.ID == "" {
			client.ID = newID("0oa")
		}
		if s.client(client.ID) != nil || client.Name != "" && s.client(client.Name) != nil {
			return fmt.Errorf("two clients %q (%s)", client.Name, client.ID)
		}
		s.clients = append(s.clients, &application{Client: client, unassigned: map[*account]bool{}})
	}
	for _, user := range cfg.Users {
		user = user.clone()
		if user.ID == "" {
			user.ID = newID("00u")
		}
		if s.user(user.ID) != nil || s.user(user.Login) != nil {
			return fmt.Errorf("two users %q (%s)", user.Login, user.ID)
		}
		s.users = append(s.users, &account{User: user})
	}
	return nil
}

// URL returns the base URL, without a trailing slash; empty before there is one.
func (s *Server) URL() string { return *s.baseURL.Load() }

// Issuer returns the issuer of the authorization server with this id.
func (s *Server) Issuer(as string) string {
	if as == OrgServer {
		return s.URL()
	}
	return s.URL() + "/oauth2/" + as
}

// Client returns the client with this name or client id, with its generated
// fields filled in. An unknown one is the zero Client.
func (s *Server) Client(nameOrID string) Client {
	if app := s.client(nameOrID); app != nil {
		return app.clone()
	}
	return Client{}
}

// User returns the user with this login or id, with generated fields filled in.
// An unknown one is the zero User.
func (s *Server) User(loginOrID string) User {
	if person := s.user(loginOrID); person != nil {
		return person.clone()
	}
	return User{}
}

func (s *Server) client(nameOrID string) *application {
	for _, app := range s.clients {
		if app.ID == nameOrID || nameOrID != "" && app.Name == nameOrID {
			return app
		}
	}
	return nil
}

// clientByID is the lookup for requests, where a name must not pass for an id.
func (s *Server) clientByID(id string) *application {
	if app := s.client(id); app != nil && app.ID == id {
		return app
	}
	return nil
}

func (s *Server) user(loginOrID string) *account {
	for _, person := range s.users {
		if person.ID == loginOrID || strings.EqualFold(person.Login, loginOrID) {
			return person
		}
	}
	return nil
}

// now is the server's clock: the machine's, plus what Advance added.
func (s *Server) now() time.Time { return time.Now().Add(time.Duration(s.offset.Load())) }

// Advance moves the server's clock by d, which may be negative. Tokens, codes and
// sessions age by it, and the Date header shows it.
func (s *Server) Advance(d time.Duration) { s.offset.Add(int64(d)) }

// SkewTokens puts the clock of what mints tokens off the server's by d, which may
// be negative: iat and exp of new tokens follow it, while Date, rate limits and the
// judgement of what is live do not. A [Fault] of kind [Skew] moves Date instead.
func (s *Server) SkewTokens(d time.Duration) { s.minting.Store(int64(d)) }

// mintingTime is the time that tokens are stamped with, in whole seconds.
func (s *Server) mintingTime() time.Time {
	return s.now().Add(time.Duration(s.minting.Load())).Truncate(time.Second)
}

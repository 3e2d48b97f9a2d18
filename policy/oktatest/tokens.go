package oktatest

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	idTokenLifetime = time.Hour
	refreshIdle     = 7 * 24 * time.Hour  // an unused refresh token ends
	refreshLifetime = 90 * 24 * time.Hour // so does a used one; rotation does not renew it
	refreshLeeway   = 30 * time.Second
)

// grant is one sign-in of a user, or one client_credentials request, and the
// family of all tokens that came from it.
type grant struct {
	as           *authServer
	app          *application
	user         *account // nil for a machine
	scopes       []string
	nonce        string
	authTime     time.Time
	class        string        // acr
	confirmation *confirmation // cnf of a token bound by DPoP; nil for others
	refreshID    string        // Okta's oar… id, in the jti of access tokens; empty without refresh token
	ends         time.Time
	revoked      bool
}

// confirmation is the cnf claim of RFC 9449 §6.1.
type confirmation struct {
	Thumbprint string `json:"jkt"`
}

func (g *grant) tokenType() string {
	if g.confirmation != nil {
		return "DPoP"
	}
	return "Bearer"
}

type kind int

const (
	kindAccess kind = iota + 1
	kindRefresh
	kindID
)

// issued is what the server remembers of a token.
type issued struct {
	kind        kind
	grant       *grant
	scopes      []string
	jti         string
	issued, exp time.Time
	custom      map[string]any
	revoked     bool
	replaced    time.Time // when rotation superseded a refresh token; zero: it has not
}

// live is Okta's answer at this moment, not at the time of issue.
func (t *issued) live(now time.Time) bool {
	g := t.grant
	return !t.revoked && !g.revoked && now.Before(t.exp) && !g.app.inactive && (g.user == nil || !g.user.blocked()) &&
		(t.replaced.IsZero() || now.Sub(t.replaced) <= refreshLeeway)
}

// accessClaims and idClaims keep Okta's claim order.
type accessClaims struct {
	Version  int      `json:"ver"`
	ID       string   `json:"jti"`
	Issuer   string   `json:"iss"`
	Audience string   `json:"aud"`
	IssuedAt int64    `json:"iat"`
	Expires  int64    `json:"exp"`
	ClientID string   `json:"cid"`
	UserID   string   `json:"uid,omitempty"`
	Scopes   []string `json:"scp"`
	AuthTime int64    `json:"auth_time,omitempty"`
	Subject  string   `json:"sub"`

	Class        string        `json:"acr,omitempty"`
	Confirmation *confirmation `json:"cnf,omitempty"`
}

type idClaims struct {
	Subject  string   `json:"sub"`
	Name     string   `json:"name,omitempty"`
	Email    string   `json:"email,omitempty"`
	Version  int      `json:"ver"`
	Issuer   string   `json:"iss"`
	Audience string   `json:"aud"`
	IssuedAt int64    `json:"iat"`
	Expires  int64    `json:"exp"`
	ID       string   `json:"jti"`
	Methods  []string `json:"amr"`
	IDP      string   `json:"idp"`
	Nonce    string   `json:"nonce,omitempty"`
	Username string   `json:"preferred_username,omitempty"`
	AuthTime int64    `json:"auth_time"`
	AtHash   string   `json:"at_hash"`
	Class    string   `json:"acr,omitempty"`
}

type tokenReply struct {
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"`
	AccessToken  string `json:"access_token"`
	Scope        string `json:"scope"`
	RefreshToken string `json:"refresh_token,omitempty"`
	IDToken      string `json:"id_token,omitempty"`
}

// issue mints the tokens that scopes ask for. It needs s.mu.
func (s *Server) issue(g *grant, scopes []string) (*tokenReply, error) {
	now := s.mintingTime()
	if g.refreshID == "" && slices.Contains(g.scopes, "offline_access") {
		g.refreshID, g.ends = newID("oar"), now.Add(refreshLifetime)
	}
	access, err := s.issueAccess(g, scopes, now)
	if err != nil {
		return nil, err
	}
	reply := &tokenReply{
		TokenType: g.tokenType(), ExpiresIn: int64(g.as.AccessTokenLifetime.Seconds()),
		AccessToken: access, Scope: strings.Join(scopes, " "),
	}
	if slices.Contains(scopes, "openid") {
		reply.IDToken, err = s.issueID(g, scopes, access, now)
	}
	return reply, err
}

func (s *Server) issueAccess(g *grant, scopes []string, now time.Time) (string, error) {
	t := &issued{
		kind: kindAccess, grant: g, scopes: scopes, jti: "AT." + random(32),
		issued: now, exp: now.Add(g.as.AccessTokenLifetime), custom: map[string]any{},
	}
	if g.refreshID != "" {
		t.jti += "." + g.refreshID
	}
	claims := accessClaims{
		Version: 1, ID: t.jti, Issuer: s.Issuer(g.as.ID), Audience: s.audience(g.as),
		IssuedAt: now.Unix(), Expires: t.exp.Unix(), ClientID: g.app.ID, Scopes: scopes, Subject: g.app.ID,
		Class: g.class, Confirmation: g.confirmation,
	}
	if g.user != nil {
		claims.UserID, claims.AuthTime, claims.Subject = g.user.ID, g.authTime.Unix(), g.user.Login
		for _, name := range g.as.Claims {
			if value, ok := g.user.Profile[name]; ok {
				t.custom[name] = value
			}
		}
	}
	return s.signAndKeep(t, claims)
}

func (s *Server) issueID(g *grant, scopes []string, access string, now time.Time) (string, error) {
	t := &issued{kind: kindID, grant: g, scopes: scopes, jti: "ID." + random(32), issued: now, exp: now.Add(idTokenLifetime)}
	hash := sha256.Sum256([]byte(access))
	claims := idClaims{
		Subject: g.user.ID, Version: 1, Issuer: s.Issuer(g.as.ID), Audience: g.app.ID,
		IssuedAt: now.Unix(), Expires: t.exp.Unix(), ID: t.jti, Methods: methods(g.class), IDP: s.idp,
		Nonce: g.nonce, AuthTime: g.authTime.Unix(), AtHash: base64.RawURLEncoding.EncodeToString(hash[:16]),
		Class: g.class,
	}
	if slices.Contains(scopes, "profile") {
		claims.Name, claims.Username = g.user.Name, g.user.Login
	}
	if slices.Contains(scopes, "email") {
		claims.Email = g.user.Login
	}
	return s.signAndKeep(t, claims)
}

func (s *Server) signAndKeep(t *issued, claims any) (string, error) {
	payload, err := withCustom(claims, t.custom)
	if err != nil {
		return "", err
	}
	token, err := t.grant.as.write(t.kind, payload)
	if err != nil {
		return "", err
	}
	s.tokens.put(fingerprint(token), t)
	return token, nil
}

// issueRefresh returns a new opaque refresh token of a family. It needs s.mu.
func (s *Server) issueRefresh(g *grant) string {
	now := s.mintingTime()
	t := &issued{kind: kindRefresh, grant: g, scopes: g.scopes, jti: g.refreshID, issued: now}
	t.touch(now)
	token := random(32)
	s.tokens.put(fingerprint(token), t)
	return token
}

// touch renews a refresh token's idle window, within the life of its family.
func (t *issued) touch(now time.Time) {
	t.exp = now.Add(refreshIdle)
	if t.grant.ends.Before(t.exp) {
		t.exp = t.grant.ends
	}
}

// withCustom encodes claims and, after them in the order of their names, the custom ones.
func withCustom(claims any, custom map[string]any) ([]byte, error) {
	body, err := marshal(claims)
	if err != nil || len(custom) == 0 {
		return body, err
	}
	extra, err := marshal(custom)
	if err != nil {
		return nil, fmt.Errorf("custom claims: %w", err)
	}
	return append(append(bytes.TrimSuffix(body, []byte("}")), ','), extra[1:]...), nil
}

// fingerprint is what tokens are stored under.
func fingerprint(token string) string {
	sum := sha256.Sum256([]byte(token))
	return string(sum[:])
}

// bounded is a map that forgets its oldest entries beyond max. Keys are put once.
type bounded[V any] struct {
	max   int
	items map[string]V
	order []string
}

func newBounded[V any](max int) bounded[V] { return bounded[V]{max: max, items: map[string]V{}} }

func (b *bounded[V]) get(key string) V { return b.items[key] }

func (b *bounded[V]) put(key string, v V) {
	b.items[key] = v
	b.order = append(b.order, key)
	if len(b.order) > b.max {
		delete(b.items, b.order[0])
		b.order = b.order[1:]
	}
}

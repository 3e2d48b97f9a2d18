package token

import (
	"sync/atomic"
	"time"
)

// entry is one fact at rest: claims with whole seconds, in half the space. Only used and
// ahead change once it is kept.
type entry struct {
	*family
	subject, userID, tokenID   string
	expires, notBefore, issued int64 // Unix time
	// signedIn is Unix time, zero where it is not known.
	signedIn int64
	rare     *rare
	// asked is when the question was sent, or under ByJWT the check arrived.
	asked time.Time
	// turn is the question's place among all, or under ByJWT the generation of the keys
	// that proved the token. The greater knows better.
	turn uint64
	// ttl is how long it is worth its memory, from when it was stored.
	ttl time.Duration
	// used says that it served a check, ahead that the one early refresh was tried.
	used, ahead atomic.Bool
}

// rare is what few tokens have.
type rare struct {
	keyThumbprint string
	other         *Other
}

func (r *rare) size() int {
	if r == nil {
		return 0
	}
	return len(r.keyThumbprint) + r.other.size()
}

func (v *Verifier) newEntry(c Claims) *entry {
	e := &entry{
		family:  v.families.of(c),
		subject: c.Subject, userID: c.UserID, tokenID: c.TokenID,
		expires: c.ExpiresAt.Unix(), notBefore: c.NotBefore.Unix(), issued: c.IssuedAt.Unix(),
	}
	if !c.AuthTime.IsZero() {
		e.signedIn = c.AuthTime.Unix()
	}
	if c.KeyThumbprint != "" || c.Other != nil {
		e.rare = &rare{c.KeyThumbprint, c.Other}
	}
	return e
}

func (e *entry) claims() Claims {
	c := Claims{
		Issuer: e.issuer, Subject: e.subject, UserID: e.userID, ClientID: e.clientID,
		Audience: e.audience, Scopes: e.scopes, Groups: e.groups, TokenID: e.tokenID, Bound: e.bound, ACR: e.acr,
		ExpiresAt: time.Unix(e.expires, 0), NotBefore: time.Unix(e.notBefore, 0), IssuedAt: time.Unix(e.issued, 0),
	}
	if e.signedIn != 0 {
		c.AuthTime = time.Unix(e.signedIn, 0)
	}
	if e.rare != nil {
		c.KeyThumbprint, c.Other = e.rare.keyThumbprint, e.rare.other
	}
	return c
}

// elapsed is the time since then on the clock that ran further: neither a step back of
// the wall clock nor a suspended machine makes a fact younger.
func elapsed(then, now time.Time) time.Duration {
	return max(now.Sub(then), now.Round(0).Sub(then.Round(0)))
}

func (e *entry) age(now time.Time) time.Duration { return elapsed(e.asked, now) }

// left is the time until the token expires on the clock that gets there first: the wall
// clock, or the one that ran since the question was sent.
func (e *entry) left(now time.Time) time.Duration {
	return time.Unix(e.expires, 0).Sub(e.asked.Round(0)) - e.age(now)
}

func (e *entry) dead(now time.Time) bool { return e.left(now) <= 0 }

// weight is the entry's size in bytes, roughly, as if it shared nothing.
func (e *entry) weight() uint32 {
	return uint32(entryOverhead + len(e.subject) + len(e.userID) + len(e.tokenID) + e.size() + e.rare.size())
}

package demo

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/durward/durward/policy/token"
	"github.com/durward/durward/policy/token/dpop"
)

// othersOrders asks for bob's orders as alice, after her own.
func (d *demo) othersOrders(ctx context.Context) (outcome, error) {
	own, err := d.send(ctx, http.MethodGet, "/orders/by/alice@example.com", d.alice, nil, nil)
	if err != nil {
		return outcome{}, err
	}
	got, err := d.send(ctx, http.MethodGet, "/orders/by/bob@example.com", d.alice, nil, nil)
	if own.status != http.StatusOK && got.failing == "" {
		got.failing = fmt.Sprintf("her own orders are %s", own)
	}
	got.shows = []string{"rule: request.params.login == token.sub; GET /orders/by/alice@example.com is 200"}
	return got, err
}

// weakDelete deletes with a sign-in of any kind.
func (d *demo) weakDelete(ctx context.Context) (outcome, error) {
	t, err := d.login(ctx, clientMobile, "bob", "orders.write")
	if err != nil {
		return outcome{}, err
	}
	return d.send(ctx, http.MethodDelete, "/orders/7", t, nil, func(a answer) (string, []string) {
		challenge := a.header.Get("WWW-Authenticate")
		if !strings.Contains(challenge, `acr_values="phr"`) || !strings.Contains(challenge, `max_age="300"`) {
			return "the challenge does not say what is needed: " + challenge, nil
		}
		return "", []string{"WWW-Authenticate: " + challenge}
	})
}

// strongDelete signs in again as the challenge asks.
func (d *demo) strongDelete(ctx context.Context) (outcome, error) {
	t, err := signingIn{issuer: d.issuer, clientID: clientMobile, user: "bob", scopes: []string{"orders.write"}, acrValues: []string{"phr"}}.token(ctx)
	d.issued(t)
	if err != nil {
		return outcome{}, err
	}
	return d.send(ctx, http.MethodDelete, "/orders/7", t, nil, nil)
}

// bound is a token that is bound to a key, and the header of the proof that was sent.
type bound struct{ token, proof string }

// prove signs alice in with a key, and calls with a proof of it.
func (d *demo) prove(ctx context.Context) (outcome, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return outcome{}, err
	}
	d.bound.token, err = signingIn{issuer: d.issuer, clientID: clientMobile, user: "alice", scopes: []string{"orders.read"}, key: key}.token(ctx)
	d.issued(d.bound.token)
	if err != nil {
		return outcome{}, err
	}
	t, err := token.Parse(d.bound.token)
	if err != nil {
		return outcome{}, err
	}
	d.bound.proof, err = dpop.Sign(key, dpop.Statement{
		Method: http.MethodGet, URL: d.gateway + "/orders/7", Token: t, IssuedAt: time.Now(),
	})
	d.issued(d.bound.proof)
	if err != nil {
		return outcome{}, err
	}
	return d.replay(ctx)
}

// replay sends the bound token with the proof.
func (d *demo) replay(ctx context.Context) (outcome, error) {
	return d.send(ctx, http.MethodGet, "/orders/7", "", http.Header{
		"Authorization": {"DPoP " + d.bound.token}, "Dpop": {d.bound.proof},
	}, nil)
}

package demo

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/html"
	"golang.org/x/oauth2"

	cli "github.com/durward/durward/cmd/durward/login"
)

const (
	pageLimit     = 256 << 10
	signInTimeout = 10 * time.Second
)

// login returns the access token of a plain sign-in.
func login(ctx context.Context, issuer, clientID, user string, scopes ...string) (string, error) {
	return signingIn{issuer: issuer, clientID: clientID, user: user, scopes: scopes}.token(ctx)
}

// signingIn is a sign-in of a user by way of an app.
type signingIn struct {
	issuer, clientID, user string
	scopes                 []string // beside openid
	acrValues              []string // of a step-up (RFC 9470); nil for any sign-in
	// key is what the token is bound to (RFC 9449); nil for a bearer token.
	key *ecdsa.PrivateKey
}

// token signs in as a browser and an app would (RFC 7636): verifier and S256 challenge,
// authorize, the sign-in form, the code, the token exchange without a client secret. It
// returns the access token.
func (s signingIn) token(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, signInTimeout)
	defer cancel()
	app := oauth2.Config{
		ClientID:    s.clientID,
		RedirectURL: redirectURIs()[0],
		Scopes:      append([]string{"openid"}, s.scopes...),
		Endpoint: oauth2.Endpoint{
			AuthURL: s.issuer + "/v1/authorize", TokenURL: s.issuer + "/v1/token", AuthStyle: oauth2.AuthStyleInParams,
		},
	}
	verifier, state := oauth2.GenerateVerifier(), oauth2.GenerateVerifier()
	asked := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(verifier)}
	if len(s.acrValues) > 0 {
		asked = append(asked, oauth2.SetAuthURLParam("acr_values", strings.Join(s.acrValues, " ")))
	}
	browser, err := newBrowser()
	if err != nil {
		return "", err
	}
	code, err := browser.signIn(ctx, app.AuthCodeURL(state, asked...), s.user, state)
	if err != nil {
		return "", fmt.Errorf("sign in %s: %w", s.user, err)
	}
	wanted := "Bearer"
	if s.key != nil {
		wanted = "DPoP"
		ctx = context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: cli.Prover{Next: &http.Transport{DisableKeepAlives: true}, Key: s.key}})
	}
	t, err := app.Exchange(ctx, code, oauth2.VerifierOption(verifier))
	switch {
	case err != nil:
		return "", fmt.Errorf("exchange the code of %s: %w", s.user, err)
	case t.Type() != wanted:
		return "", fmt.Errorf("the token of %s is of type %s, not %s", s.user, t.Type(), wanted)
	}
	return t.AccessToken, nil
}

// browser keeps cookies and shows redirects instead of following them.
type browser struct{ http *http.Client }

func newBrowser() (browser, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return browser{}, err
	}
	return browser{&http.Client{
		Jar:           jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// signIn opens the authorize URL, fills the form in and returns the code from the
// redirect that ends it.
func (b browser) signIn(ctx context.Context, authorizeURL, user, state string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, authorizeURL, nil)
	if err != nil {
		return "", err
	}
	page, _, err := b.open(req)
	if err != nil {
		return "", err
	}
	action, form, err := readForm(page)
	if err != nil {
		return "", err
	}
	form.Set("username", user)
	form.Set("password", "any will do")
	target, err := req.URL.Parse(action)
	if err != nil {
		return "", err
	}
	req, err = http.NewRequestWithContext(ctx, http.MethodPost, target.String(), strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	_, location, err := b.open(req)
	if err != nil {
		return "", err
	}
	answer, err := url.Parse(location)
	if err != nil {
		return "", err
	}
	q := answer.Query()
	switch {
	case q.Get("error") != "":
		return "", fmt.Errorf("%s: %s", q.Get("error"), q.Get("error_description"))
	case q.Get("state") != state:
		return "", errors.New("the callback has a foreign state")
	case q.Get("code") == "":
		return "", errors.New("the callback has no code")
	}
	return q.Get("code"), nil
}

// open returns the page and, for a redirect, where it leads.
func (b browser) open(req *http.Request) (page, location string, err error) {
	res, err := b.http.Do(req)
	if err != nil {
		return "", "", err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, pageLimit))
	if err != nil {
		return "", "", err
	}
	if res.StatusCode >= 400 {
		return "", "", fmt.Errorf("%s answers %s", req.URL.Path, res.Status)
	}
	return string(body), res.Header.Get("Location"), nil
}

// readForm returns the action and the named fields of a page's form.
func readForm(page string) (action string, fields url.Values, err error) {
	doc, err := html.Parse(strings.NewReader(page))
	if err != nil {
		return "", nil, err
	}
	fields = url.Values{}
	for n := range doc.Descendants() {
		switch {
		case n.Type != html.ElementNode:
		case n.Data == "form":
			action = attribute(n, "action")
		case n.Data == "input":
			if name := attribute(n, "name"); name != "" {
				fields.Set(name, attribute(n, "value"))
			}
		}
	}
	if action == "" {
		return "", nil, errors.New("the page has no sign-in form")
	}
	return action, fields, nil
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

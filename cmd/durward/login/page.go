package login

import (
	"bytes"
	"crypto/rand"
	_ "embed"
	"html/template"
	"net/http"
	"time"
)

//go:embed page.html
var pageHTML string

var pages = template.Must(template.New("page.html").Parse(pageHTML))

// page is what the browser shows. It holds no code and no token.
type page struct {
	Title, Text string
	// User and Until are set after a sign-in that worked.
	User  string
	Until time.Time
	// Problem is what Okta said after one that did not.
	Problem string
	// App is the application's name.
	App string
	// Nonce lets the page's own script and style run.
	Nonce string
}

func (p page) status() int {
	if p.User == "" {
		return http.StatusBadRequest
	}
	return http.StatusOK
}

func (p page) write(w http.ResponseWriter, status int) {
	p.Nonce = rand.Text()
	var body bytes.Buffer
	if err := pages.Execute(&body, p); err != nil {
		http.Error(w, "the page cannot be shown; see the terminal", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'nonce-"+p.Nonce+"'; style-src 'nonce-"+p.Nonce+
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // the browser has gone if this fails
}

package explain

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/durward/durward/policy/catalog"
)

// TokenReport is what there is to say of a token. Its JSON form is stable: fields are
// added, never renamed or removed; what is not known is left out, or empty where a list.
//
//	token         the first 8 hex digits of the token's SHA-256, its name in logs
//	form          jwt, encrypted or opaque
//	verified      true only where Okta confirmed the token in this run
//	introspected  true where Okta was asked
//	answers       [ { server, issuer, active, error, at } ], one for each server asked
//	header, claims
//	              [ { name, value, meaning } ], each value as text of at most 200 characters
//	expires_at    by its claims
//	client_id, application, organization
//	              whose token it is; the names only where the configuration has the client
//	apis          [ { api, at, operations: [ { methods, path, outcome, reason, expected, found, expected_at, at } ] } ]
type TokenReport struct {
	Token        string     `json:"token"`
	Form         string     `json:"form"`
	Verified     bool       `json:"verified"`
	Introspected bool       `json:"introspected"`
	Answers      []said     `json:"answers"`
	Header       []member   `json:"header"`
	Claims       []member   `json:"claims"`
	ExpiresAt    string     `json:"expires_at,omitempty"`
	ClientID     string     `json:"client_id,omitempty"`
	Application  string     `json:"application,omitempty"`
	Organization string     `json:"organization,omitempty"`
	APIs         []apiTried `json:"apis"`

	// Config is the path of the configuration that was read, empty for none.
	Config string `json:"-"`

	now           time.Time
	answers       map[string]answer
	unreachable   bool
	applicationAt catalog.Position
}

// said is what one authorization server said about the token: that it is active and
// meant for us, or why not.
type said struct {
	Server string    `json:"server"`
	Issuer string    `json:"issuer"`
	Active bool      `json:"active"`
	Error  string    `json:"error,omitempty"`
	At     *position `json:"at,omitempty"`
}

// Err is ErrUnreachable where Okta was asked and could not tell, else nil.
func (r *TokenReport) Err() error {
	if r.unreachable && !r.Verified {
		return ErrUnreachable
	}
	return nil
}

// WriteJSON writes the report as one JSON object.
func (r *TokenReport) WriteJSON(w io.Writer) error {
	text, err := encodeJSON(r)
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}

// WriteText writes the report for people.
func (r *TokenReport) WriteText(w io.Writer, s Style) error {
	var b strings.Builder
	fmt.Fprintf(&b, "token %s: %s\n", r.Token, r.formInWords())
	b.WriteString("  " + r.trust(s) + "\n")
	for _, a := range r.Answers {
		state, text := passed, "active, and for us"
		if !a.Active {
			state, text = failed, strings.TrimPrefix(printable(a.Error), "token: ")
		}
		fmt.Fprintf(&b, "  %s %s says: %s   %s\n", s.mark(state), printable(a.Issuer), text, place(a.At))
	}
	writeMembers(&b, "header", r.Header)
	writeMembers(&b, "claims", r.Claims)
	b.WriteString("\n  " + r.owner() + "\n")
	r.writeOperations(&b, s)
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *TokenReport) formInWords() string {
	switch r.Form {
	case formJWT:
		return "a JWT"
	case formEncrypted:
		return "an encrypted JWT: only its authorization server can read the claims"
	default:
		return "opaque: only its authorization server can say what it means"
	}
}

// trust says how far the claims can be believed.
func (r *TokenReport) trust(s Style) string {
	switch {
	case r.Verified:
		return paint(s.Good, "verified") + ": Okta was asked just now"
	case r.Introspected:
		return paint(s.Bad, "NOT VERIFIED") + ": no authorization server confirms it"
	case r.Form == formJWT:
		return paint(s.Bad, "NOT VERIFIED") + ": anybody can write such claims; --introspect asks Okta"
	default:
		return paint(s.Bad, "NOT VERIFIED") + ": --introspect asks Okta"
	}
}

// owner says whose token it is.
func (r *TokenReport) owner() string {
	switch {
	case r.Application != "":
		return fmt.Sprintf("application %s of organization %s%s", r.Application, r.Organization, at(r.applicationAt))
	case r.ClientID == "":
		return "whose it is cannot be read from it"
	case r.Config == "":
		return "client " + printable(r.ClientID) + "; there is no configuration to say whose that is (-c names one)"
	default:
		return "client " + printable(r.ClientID) + ", which is no application of " + printable(r.Config)
	}
}

func writeMembers(b *strings.Builder, title string, list []member) {
	if len(list) == 0 {
		return
	}
	fmt.Fprintf(b, "\n  %s\n", title)
	for _, m := range list {
		line := fmt.Sprintf("    %-10s %-40s %s", m.Name, m.Value, m.Meaning)
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}

func (r *TokenReport) writeOperations(b *strings.Builder, s Style) {
	if len(r.APIs) == 0 {
		return
	}
	title := "what it opens"
	if !r.Verified {
		title = "what it would open, did Okta confirm it"
	}
	if r.Introspected {
		title = "what it opens"
	}
	fmt.Fprintf(b, "\n  %s\n", title)
	for _, api := range r.APIs {
		line := fmt.Sprintf("    %-62s %s", api.API, place(api.At))
		b.WriteString(strings.TrimRight(line, " ") + "\n")
		for _, op := range api.Operations {
			writeOperation(b, s, op)
		}
	}
}

func writeOperation(b *strings.Builder, s Style, op operationTried) {
	state := passed
	if op.Outcome != "allow" {
		state = failed
	}
	line := fmt.Sprintf("      %s %-58s %s", s.mark(state), strings.Join(op.Methods, ",")+" "+op.Path, place(op.At))
	b.WriteString(strings.TrimRight(line, " ") + "\n")
	if op.Reason == "" {
		return
	}
	found := printable(op.Found)
	if found == "" {
		found = "none"
	}
	line = fmt.Sprintf("          %-56s %s", fmt.Sprintf("%s: needs %s; found %s", op.Reason, printable(op.Expected), found), place(op.ExpectedAt))
	b.WriteString(strings.TrimRight(line, " ") + "\n")
}

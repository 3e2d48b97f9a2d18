package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/durward/durward/cmd/durward/call"
	"github.com/durward/durward/policy/token"
)

// printAnswer writes what was decided to standard error and the body to standard output,
// or one JSON object there.
func printAnswer(cmd *cobra.Command, form string, req *http.Request, a call.Answer, body []byte) error {
	talk, out := cmd.ErrOrStderr(), cmd.OutOrStdout()
	if req.URL.Scheme == "http" && !isLoopback(req.URL.Hostname()) {
		_, _ = fmt.Fprintf(talk, "warning: the token went to %s without TLS\n", req.URL.Host)
	}
	if form == "json" {
		text, err := json.MarshalIndent(a, "", "  ")
		return errors.Join(err, writeForeign(out, append(text, '\n')))
	}
	if _, err := io.WriteString(talk, verdict(styleFor(cmd, talk), req, a)); err != nil {
		return err
	}
	return writeForeign(out, body)
}

// verdict says it for people. What it takes from the answer is plain text by its form.
func verdict(s style, req *http.Request, a call.Answer) string {
	var b strings.Builder
	switch {
	case a.Verdict == call.Allowed:
		fmt.Fprintf(&b, "%s %d", s.good("✓ allowed"), a.Status)
	case a.Reason != "":
		fmt.Fprintf(&b, "%s %d %s", s.bad("✗ denied"), a.Status, a.Reason)
	case a.Verdict == call.Denied:
		fmt.Fprintf(&b, "%s %d", s.bad("✗ denied"), a.Status)
	default:
		fmt.Fprintf(&b, "%s %d", s.bad("! undecided"), a.Status)
	}
	fmt.Fprintf(&b, "  %s %s  answered by %s", req.Method, token.Mask(req.URL.RequestURI()), a.AnsweredBy)
	if a.DecisionID != "" {
		fmt.Fprintf(&b, "  decision %s", a.DecisionID)
	}
	b.WriteByte('\n')
	if a.Cause != "" {
		fmt.Fprintf(&b, "  likely cause: %s\n", a.Cause)
	}
	if len(a.ScopesNeeded) > 0 {
		fmt.Fprintf(&b, "  needs the scope %s\n", strings.Join(a.ScopesNeeded, " "))
	}
	if a.RetryAfter > 0 {
		fmt.Fprintf(&b, "  try again in %d s\n", a.RetryAfter)
	}
	if a.Truncated {
		fmt.Fprintf(&b, "  the body is cut after %d bytes\n", call.MaxBody)
	}
	for i, command := range a.Next {
		label := "next:"
		if i > 0 {
			label = "     "
		}
		fmt.Fprintf(&b, "  %s %s\n", label, command)
	}
	return b.String()
}

// writeForeign writes what a backend sent: as it is, but to a terminal without what
// would steer it.
func writeForeign(w io.Writer, text []byte) error {
	if isTerminal(w) {
		text = call.Printable(text)
		if len(text) > 0 && text[len(text)-1] != '\n' {
			text = append(text, '\n')
		}
	}
	_, err := w.Write(text)
	return err
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

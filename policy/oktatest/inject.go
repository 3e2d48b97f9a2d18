package oktatest

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Fault is one way to go wrong, for [Server.Inject].
type Fault struct {
	Endpoint Endpoint  // whose answers; empty: all of them
	Kind     FaultKind // required
	// Count is how many answers it spoils; zero: all until [Server.Clear].
	Count int
	// Delay is how long Latency waits, Drip waits before each byte, Lag holds keys
	// back, and, either way, how far Skew is off.
	Delay time.Duration
	// Jitter is up to how much longer Latency waits, evenly spread; the sequence is
	// the same for each new server.
	Jitter time.Duration
	// Status is the HTTP status of Status (required), HTML, Empty, Body (else 200)
	// and Redirect (else 302).
	Status int
	// Size is a number of bytes: how many of the body Truncate (zero: half) and Reset
	// let through, the Content-Length that WrongLength claims, the length of Huge. To
	// Limit it is a number of requests per minute.
	Size int64
	// Text is the target of Redirect, the body of Body, or "Name: value" of Header.
	Text string
}

// FaultKind names what a [Fault] does.
type FaultKind string

// These change an answer and can be ordered together: Latency, Skew (of the Date
// header alone) and Header, which sets one.
const (
	Latency FaultKind = "latency"
	Skew    FaultKind = "skew"
	Header  FaultKind = "header"
)

// These spoil how the right answer is sent: the request has been carried out.
const (
	Reset       FaultKind = "reset"    // the connection is reset
	Truncate    FaultKind = "truncate" // the connection closes before the whole body went out
	WrongLength FaultKind = "length"   // Content-Length is not the body's; the connection closes after it
	Drip        FaultKind = "drip"     // one byte of the body at a time
)

// These answer instead of Okta. Status has Okta's words for it, like [Server.Fail].
const (
	Status      FaultKind = "status"
	HTML        FaultKind = "html"
	Empty       FaultKind = "empty"
	Redirect    FaultKind = "redirect"
	Body        FaultKind = "body"        // any text, as JSON: a poisoned key set
	Huge        FaultKind = "huge"        // a JSON object of Size bytes
	Endless     FaultKind = "endless"     // a JSON object that goes on until the client leaves, at most 1 GiB
	Concurrency FaultKind = "concurrency" // 429 as of [Limits].Concurrent
)

// These last until [Server.Clear] and have no Count.
const (
	Limit FaultKind = "limit" // enforces a limit on the endpoint's buckets
	Lag   FaultKind = "lag"   // all key sets are published as they were Delay ago
)

const (
	maxFaults = 1 << 10
	maxDelay  = time.Hour
	maxHuge   = 1 << 30
	maxText   = 1 << 20
)

var endpoints = []Endpoint{Authorize, Token, Introspect, Revoke, Keys, Metadata, UserInfo, Logout}

// Inject orders a fault. Each answer meets every Latency, Skew and Header that is in
// force for its endpoint, and the oldest of the other kinds; when that one's Count is
// spent the next takes its place. Faults apply to whatever would answer, [Server.Fail]
// and [Server.Respond] included; what a limit refuses meets none. It fails for a fault
// that makes no sense and beyond 1024 of them.
func (s *Server) Inject(f Fault) error {
	if err := f.check(); err != nil {
		return fmt.Errorf("oktatest: fault %q of %q: %w", f.Kind, f.Endpoint, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch f.Kind {
	case Limit:
		s.limiter.setLimit(f.Endpoint, int(f.Size))
	case Lag:
		s.setLag(f.Delay)
	default:
		if len(s.faults.ordered) == maxFaults {
			return fmt.Errorf("oktatest: more than %d faults", maxFaults)
		}
		s.faults.ordered = append(s.faults.ordered, f)
	}
	return nil
}

// Clear takes all injected faults back, limits and lag too: what [Config] says
// holds again. [Server.Fail] and [Server.Respond] stay in force.
func (s *Server) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults.ordered = nil
	s.limiter.restore()
	s.setLag(0)
}

// setLag needs s.mu.
func (s *Server) setLag(d time.Duration) {
	for _, as := range s.servers {
		as.keys.lag = d
	}
}

func (f Fault) changes() bool { return f.Kind == Latency || f.Kind == Skew || f.Kind == Header }

func (f Fault) check() error {
	switch {
	case f.Endpoint != "" && !slices.Contains(endpoints, f.Endpoint):
		return fmt.Errorf("no such endpoint; there are %v", endpoints)
	case f.Count < 0 || f.Count > 0 && (f.Kind == Limit || f.Kind == Lag):
		return fmt.Errorf("count %d is negative, or of a kind that has none", f.Count)
	case f.Delay > maxDelay || f.Delay < 0 && (f.Kind != Skew || f.Delay < -maxDelay) || f.Jitter < 0 || f.Jitter > maxDelay:
		return fmt.Errorf("a delay outside 0 to %v", maxDelay)
	case f.Size < 0 || f.Size > maxHuge:
		return fmt.Errorf("size %d is outside 0 to %d", f.Size, maxHuge)
	case len(f.Text) > maxText:
		return fmt.Errorf("text of more than %d bytes", maxText)
	}
	return f.checkKind()
}

func (f Fault) checkKind() error {
	switch f.Kind {
	case Latency, Skew, Drip:
		return needs(f.Delay != 0, "a delay")
	case Lag:
		return needs(f.Delay != 0 && (f.Endpoint == "" || f.Endpoint == Keys), "a delay and no endpoint but keys")
	case Header:
		name, _, ok := strings.Cut(f.Text, ":")
		return needs(ok && name != "" && !strings.ContainsAny(name, " \t\r\n") && !strings.ContainsAny(f.Text, "\r\n"), "text of the form Name: value")
	case Status:
		return needs(f.Status >= 400 && f.Status <= 599, "a status of 400 to 599")
	case HTML, Empty, Body:
		return needs(f.Status == 0 || f.Status >= 200 && f.Status <= 599, "a status of 200 to 599, or none")
	case Redirect:
		_, err := url.Parse(f.Text)
		return needs(f.Text != "" && err == nil && (f.Status == 0 || f.Status >= 300 && f.Status <= 399), "a target URL, and a status of 300 to 399 or none")
	case Huge:
		return needs(f.Size > 0, "a size")
	case Limit:
		if f.Endpoint != "" && bucketOf[f.Endpoint] == unlimited {
			return errNoBucket
		}
		return needs(f.Size > 0, "a number of requests per minute")
	case Reset, Truncate, WrongLength, Endless, Concurrency:
		return nil
	}
	return errors.New("no such kind")
}

func needs(has bool, what string) error {
	if has {
		return nil
	}
	return fmt.Errorf("it needs %s", what)
}

// take returns the faults that the next answer of an endpoint meets: those that
// change it, Jitter drawn, and at the end at most one other. It needs Server.mu.
func (f *faults) take(e Endpoint) []Fault {
	var changes, other []Fault
	for i := range f.ordered {
		fault := &f.ordered[i]
		if fault.Endpoint != "" && fault.Endpoint != e || !fault.changes() && other != nil {
			continue
		}
		met := *fault
		met.Delay += f.jitter(met)
		if met.changes() {
			changes = append(changes, met)
		} else {
			other = []Fault{met}
		}
		if fault.Count--; fault.Count == 0 {
			fault.Kind = "" // spent
		}
		fault.Count = max(fault.Count, 0) // zero does not count down
	}
	f.ordered = slices.DeleteFunc(f.ordered, func(f Fault) bool { return f.Kind == "" })
	return append(changes, other...)
}

func (f *faults) jitter(fault Fault) time.Duration {
	if fault.Jitter == 0 {
		return 0
	}
	return time.Duration(f.random.Int64N(int64(fault.Jitter) + 1))
}

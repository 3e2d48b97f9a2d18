package oktatest

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ParseFault reads a fault from text of the form endpoint:kind[=value][*count], such
// as introspect:latency=300ms~50ms, introspect:status=500*3 or keys:html. The endpoint
// * is all of them; a count at the end of the value is always the count. Values are
//
//	latency=300ms or 300ms~50ms (Jitter)   skew=-30s   lag=1m   drip=1s
//	status=503   html, html=502   empty, empty=502
//	reset, reset=10   truncate, truncate=10   length=5   huge=1048576 (bytes)
//	redirect=URL   body=text   header=Name: value   limit=60 (per minute)
//	concurrency   endless
//
// Errors name the text; what it returns is fit for [Server.Inject].
func ParseFault(text string) (Fault, error) {
	f, err := parseFault(text)
	if err == nil {
		err = f.check()
	}
	if err != nil {
		return Fault{}, fmt.Errorf("fault %q: %w", text, err)
	}
	return f, nil
}

func parseFault(text string) (Fault, error) {
	endpoint, rest, ok := strings.Cut(text, ":")
	if !ok || endpoint == "" {
		return Fault{}, errors.New("it is not endpoint:kind[=value][*count]")
	}
	f := Fault{Endpoint: Endpoint(endpoint)}
	if endpoint == "*" {
		f.Endpoint = ""
	}
	if at := strings.LastIndexByte(rest, '*'); at >= 0 {
		if n, err := strconv.ParseUint(rest[at+1:], 10, 31); err == nil {
			if n == 0 {
				return Fault{}, errors.New("a count of zero")
			}
			f.Count, rest = int(n), rest[:at]
		}
	}
	kind, value, valued := strings.Cut(rest, "=")
	f.Kind = FaultKind(kind)
	if !valued {
		return f, nil
	}
	return f, f.parseValue(value)
}

func (f *Fault) parseValue(value string) (err error) {
	switch f.Kind {
	case Latency:
		fixed, jitter, jittered := strings.Cut(value, "~")
		if jittered {
			if f.Jitter, err = time.ParseDuration(jitter); err != nil {
				return err
			}
		}
		f.Delay, err = time.ParseDuration(fixed)
	case Skew, Lag, Drip:
		f.Delay, err = time.ParseDuration(value)
	case Status, HTML, Empty:
		f.Status, err = strconv.Atoi(value)
	case Reset, Truncate, WrongLength, Huge, Limit:
		f.Size, err = strconv.ParseInt(value, 10, 64)
	case Redirect, Body, Header:
		f.Text = value
	default:
		return fmt.Errorf("%q takes no value, or there is no such kind", f.Kind)
	}
	return err
}

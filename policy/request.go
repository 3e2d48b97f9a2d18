package policy

import (
	"errors"
	"net/url"
	"strings"

	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/contract"
)

// maxMethod is the length of the longest method that is looked at.
const maxMethod = 32

// Request is what is judged. The zero Request is malformed.
type Request struct {
	// API is the name that the gateway's route gives, or contract.NoAPI.
	API string
	// Method, Host and Path are the caller's, as the gateway normalised them; Path
	// still has its query.
	Method, Host, Path string
	// Authorization and Proofs hold every value of the authorization and of the DPoP
	// header, in order.
	Authorization, Proofs []string
	// SourceIP is the address of the gateway's peer, empty where it is not known.
	SourceIP string
	// Defect says why the transport already found the request unusable; empty if it
	// did not.
	Defect string
}

// target is a request's usable form.
type target struct{ host, path, query string }

// parse refuses what two readers could read in two ways.
func (r Request) parse() (target, error) {
	if r.Defect != "" {
		return target{}, errors.New(r.Defect)
	}
	if !isMethod(r.Method) {
		return target{}, errors.New("unusable method")
	}
	host, err := catalog.CanonicalHost(r.Host)
	if err != nil {
		return target{}, err
	}
	path, query, _ := strings.Cut(r.Path, "?")
	if err := catalog.CheckPath(path); err != nil {
		return target{}, err
	}
	return target{host, path, query}, nil
}

func isMethod(m string) bool {
	if m == "" || len(m) > maxMethod {
		return false
	}
	for i := range len(m) {
		if (m[i] < 'A' || m[i] > 'Z') && m[i] != '-' && m[i] != '_' {
			return false
		}
	}
	return true
}

// carriesToken reports whether a query has the access_token parameter of RFC 6750
// section 2.3, which we never accept.
func carriesToken(query string) bool {
	for pair := range strings.FieldsFuncSeq(query, func(r rune) bool { return r == '&' || r == ';' }) {
		name, _, _ := strings.Cut(pair, "=")
		if name, err := url.QueryUnescape(name); err == nil && name == "access_token" {
			return true
		}
	}
	return false
}

// hasAPI reports whether the gateway's route names an API at all.
func (r Request) hasAPI() bool { return r.API != "" && r.API != contract.NoAPI }

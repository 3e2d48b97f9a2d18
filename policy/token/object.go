package token

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// maxTime is the last second of the year 9999; later dates are attacks on arithmetic.
const maxTime = 253402300799

// Object is a JSON object of security-relevant members, kept as text until each is
// asked for by its type.
type Object map[string]jsontext.Value

// ParseObject accepts exactly one JSON object: valid UTF-8, no duplicate names at any
// depth, no two names that differ by case alone, nothing behind it. The caller has
// capped the size of text.
func ParseObject(text []byte) (Object, error) {
	var o Object
	if err := json.Unmarshal(text, &o); err != nil {
		// The library's message quotes the input.
		return nil, fmt.Errorf("not one strict JSON object")
	}
	if o == nil {
		return nil, fmt.Errorf("JSON null in place of an object")
	}
	if err := checkCase(o); err != nil {
		return nil, err
	}
	return o, nil
}

// checkCase refuses names that differ by case alone. Among names of small ASCII letters
// there are none.
func checkCase(o Object) error {
	small := true
	for name := range o {
		small = small && !strings.ContainsFunc(name, func(r rune) bool { return r >= utf8.RuneSelf || 'A' <= r && r <= 'Z' })
	}
	if small {
		return nil
	}
	folded := make(map[string]struct{}, len(o))
	for name := range o {
		folded[strings.Map(fold, name)] = struct{}{}
	}
	if len(folded) != len(o) {
		return errors.New("member names that differ by case alone")
	}
	return nil
}

// fold returns the least of the characters that differ from r by case alone. Lowering
// would tell U+017F from s.
func fold(r rune) rune {
	for {
		next := unicode.SimpleFold(r)
		if next <= r {
			return next
		}
		r = next
	}
}

// Bool returns a member that must be there and be true or false.
func (o Object) Bool(name string) (bool, error) {
	switch v := o[name]; v.Kind() {
	case 't', 'f':
		return v.Kind() == 't', nil
	default:
		return false, fmt.Errorf("%s is not a boolean", name)
	}
}

// Text returns a string member, or "" where it is absent.
func (o Object) Text(name string) (string, error) {
	v, ok := o[name]
	if !ok {
		return "", nil
	}
	s, err := unquote(v)
	if err != nil {
		return "", fmt.Errorf("%s is not a string", name)
	}
	return s, nil
}

// unquote returns what a JSON string says. A valid one without a backslash says what
// stands between its quotes.
func unquote(v jsontext.Value) (string, error) {
	if v.Kind() != '"' {
		return "", errors.New("not a string")
	}
	if bytes.IndexByte(v, '\\') < 0 {
		return string(v[1 : len(v)-1]), nil
	}
	s, err := jsontext.AppendUnquote(nil, v)
	return string(s), err
}

// List returns an array of strings, or a single string as a list of one; nil where the
// member is absent.
func (o Object) List(name string) ([]string, error) {
	v, ok := o[name]
	if !ok {
		return nil, nil
	}
	if v.Kind() == '"' {
		s, err := o.Text(name)
		return []string{s}, err
	}
	var items []jsontext.Value
	if v.Kind() != '[' || json.Unmarshal(v, &items) != nil {
		return nil, fmt.Errorf("%s is not a list of strings", name)
	}
	list := make([]string, len(items))
	for i, item := range items {
		s, err := unquote(item)
		if err != nil {
			return nil, fmt.Errorf("%s is not a list of strings", name)
		}
		list[i] = s
	}
	return list, nil
}

// Time returns a NumericDate (RFC 7519 section 2) of whole seconds between 1970 and
// 9999, or the zero Time where it is absent.
func (o Object) Time(name string) (time.Time, error) {
	v, ok := o[name]
	if !ok {
		return time.Time{}, nil
	}
	if v.Kind() != '0' {
		return time.Time{}, fmt.Errorf("%s is not a number", name)
	}
	f, err := strconv.ParseFloat(string(v), 64)
	if err != nil || f != math.Trunc(f) || f < 0 || f > maxTime {
		return time.Time{}, fmt.Errorf("%s is not a date in whole seconds", name)
	}
	return time.Unix(int64(f), 0), nil
}

// ParseClaims reads the claims of an access token or of an introspection answer, which
// name two of them differently (`scp` and `scope`, `cid` and `client_id`). Absent
// claims stay zero. A claim of the wrong type is a plain error: the server broke its
// contract. Two names that disagree are a *Error with Malformed.
func ParseClaims(o Object) (Claims, error) {
	p := claimsParser{object: o}
	c := Claims{
		Issuer:    p.text("iss"),
		Subject:   p.text("sub"),
		UserID:    p.text("uid"),
		TokenID:   p.text("jti"),
		Audience:  p.list("aud"),
		Groups:    p.list("groups"),
		ExpiresAt: p.time("exp"),
		NotBefore: p.time("nbf"),
		IssuedAt:  p.time("iat"),
		ClientID:  p.clientID(),
		Scopes:    p.scopes(),
	}
	_, c.Bound = o["cnf"]
	if p.err != nil {
		return Claims{}, p.err
	}
	return c, nil
}

// claimsParser keeps the first error.
type claimsParser struct {
	object Object
	err    error
}

func (p *claimsParser) keep(err error) {
	if p.err == nil {
		p.err = err
	}
}

func (p *claimsParser) text(name string) string {
	s, err := p.object.Text(name)
	p.keep(err)
	return s
}

func (p *claimsParser) list(name string) []string {
	l, err := p.object.List(name)
	p.keep(err)
	return l
}

func (p *claimsParser) time(name string) time.Time {
	t, err := p.object.Time(name)
	p.keep(err)
	return t
}

func (p *claimsParser) clientID() string {
	long, short := p.text("client_id"), p.text("cid")
	_, hasLong := p.object["client_id"]
	if !hasLong {
		return short
	}
	if _, hasShort := p.object["cid"]; hasShort && long != short {
		p.keep(refuse(Malformed, "client_id and cid differ"))
	}
	return long
}

// scopes splits `scope` on blanks alone (RFC 6749 section 3.3); `scp` is a list whose
// items are never split.
func (p *claimsParser) scopes() []string {
	scope := strings.FieldsFunc(p.text("scope"), func(r rune) bool { return r == ' ' })
	_, hasScope := p.object["scope"]
	scp := p.list("scp")
	if !hasScope {
		return scp
	}
	if _, hasScp := p.object["scp"]; hasScp && !sameSet(scope, scp) {
		p.keep(refuse(Malformed, "scope and scp differ"))
	}
	return scope
}

func sameSet(a, b []string) bool {
	set := make(map[string]bool, len(a))
	for _, s := range a {
		set[s] = true
	}
	seen := make(map[string]bool, len(b))
	for _, s := range b {
		if !set[s] {
			return false
		}
		seen[s] = true
	}
	return len(seen) == len(set)
}

package token

import (
	stdjson "encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
	"google.golang.org/protobuf/types/known/structpb"
)

// isOurs reports a member of a token or an answer that Claims has a field for, or that
// speaks of the answer and not of the token.
func isOurs(name string) bool {
	switch name {
	case "active", "aud", "auth_time", "acr", "cid", "client_id", "cnf", "exp", "groups", "iat",
		"iss", "jti", "nbf", "scope", "scp", "sub", "token_type", "uid", "ver":
		return true
	}
	return false
}

// Other holds the claims that Claims has no field for. A nil *Other holds none. It is
// immutable and safe for concurrent use.
type Other struct {
	// text is one strict JSON object.
	text    string
	once    sync.Once
	fields  map[string]any
	asProto *structpb.Struct
}

// newOther keeps what object has beside our own claims; `username` only where it is not the
// subject again. It returns nil where nothing is left.
func newOther(o Object, subject string) *Other {
	var names []string
	for name := range o {
		if !isOurs(name) {
			names = append(names, name)
		}
	}
	if s, err := o.Text("username"); err == nil && s == subject {
		names = slices.DeleteFunc(names, func(name string) bool { return name == "username" })
	}
	return o.other(names)
}

// other writes the members of these names down, nil where there are none.
func (o Object) other(names []string) *Other {
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	size := 2
	for _, name := range names {
		size += len(name) + len(o[name]) + len(`"":,`)
	}
	text := append(make([]byte, 0, size), '{')
	for i, name := range names {
		if i > 0 {
			text = append(text, ',')
		}
		// Names are valid UTF-8, see ParseObject.
		text, _ = jsontext.AppendQuote(text, name)
		text = append(append(text, ':'), o[name]...)
	}
	return &Other{text: string(append(text, '}'))}
}

// or adds what less has beside o.
func (o *Other) or(less *Other) *Other {
	switch {
	case less == nil || o != nil && o.text == less.text:
		return o
	case o == nil:
		return less
	}
	all, err := ParseObject([]byte(less.text))
	own, ownErr := ParseObject([]byte(o.text))
	if err != nil || ownErr != nil {
		return o
	}
	maps.Copy(all, own)
	return all.other(slices.Collect(maps.Keys(all)))
}

// Lookup returns the claim at the end of path: a string, bool, encoding/json.Number, []any or
// map[string]any, which must not be changed; nil where it is absent or null.
func (o *Other) Lookup(path ...string) any {
	if o == nil || len(path) == 0 {
		return nil
	}
	o.once.Do(o.decode)
	var at any = o.fields
	for _, name := range path {
		object, ok := at.(map[string]any)
		if !ok {
			return nil
		}
		at = object[name]
	}
	return at
}

// Struct returns the claims as a message, which must not be changed. Numbers are
// doubles there; one that is too great for that is absent.
func (o *Other) Struct() *structpb.Struct {
	if o == nil {
		return nil
	}
	o.once.Do(o.decode)
	return o.asProto
}

func (o *Other) decode() {
	d := stdjson.NewDecoder(strings.NewReader(o.text))
	d.UseNumber()
	if d.Decode(&o.fields) != nil {
		o.fields = nil
	}
	o.asProto = &structpb.Struct{Fields: make(map[string]*structpb.Value, len(o.fields))}
	for name, value := range o.fields {
		if v, err := structpb.NewValue(value); err == nil {
			o.asProto.Fields[name] = v
		}
	}
}

// Equal reports whether two hold the same claims, written alike.
func (o *Other) Equal(p *Other) bool {
	if o == nil || p == nil {
		return o == p
	}
	return o.text == p.text
}

func (o *Other) size() int {
	if o == nil {
		return 0
	}
	return 2 * len(o.text)
}

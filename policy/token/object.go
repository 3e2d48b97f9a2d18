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

// usualMembers is room for the claims of Okta's tokens.
const usualMembers = 14

// Object is a JSON object of security-relevant members, kept as text until each is
// asked for by its type.
type Object map[string]jsontext.Value

// ParseObject accepts exactly one JSON object: valid UTF-8, no duplicate names at any
// depth, no two names that differ by case alone, nothing behind it. The caller has
// capped the size of text, and does not change it afterwards: the Object shares it.
func ParseObject(text []byte) (Object, error) {
	r := objectReader{text: text, members: make(Object, usualMembers)}
	// The decoder allows what the reader refuses: its own list of names costs more.
	if err := json.Unmarshal(text, &r, jsontext.AllowDuplicateNames(true)); err != nil {
		// The library's message quotes the input.
		return nil, errors.New("not one strict JSON object")
	}
	if r.folds {
		if err := checkCase(r.members); err != nil {
			return nil, err
		}
	}
	return r.members, nil
}

// objectReader takes the members from where they stand in text, without copies.
type objectReader struct {
	text    []byte
	members Object
	// folds says that a name is not small.
	folds bool
}

// UnmarshalJSONFrom refuses duplicate names at any depth; all else is the decoder's work.
func (r *objectReader) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if begin, err := d.ReadToken(); err != nil || begin.Kind() != '{' {
		return errors.Join(err, errors.New("not an object"))
	}
	count := 0
	for ; d.PeekKind() == '"'; count++ {
		quoted, err := d.ReadValue()
		if err != nil {
			return err
		}
		name, err := unquote(quoted)
		if err != nil {
			return err
		}
		value, err := d.ReadValue()
		if err != nil {
			return err
		}
		if k := value.Kind(); (k == '{' || k == '[') && !value.IsValid() {
			return errors.New("duplicate names inside")
		}
		end := int(d.InputOffset())
		r.members[name] = r.text[end-len(value) : end : end]
		r.folds = r.folds || !isSmall(name)
	}
	if len(r.members) != count {
		return errors.New("duplicate names")
	}
	_, err := d.ReadToken()
	return err
}

// checkCase refuses names that differ by case alone.
func checkCase(o Object) error {
	folded := make(map[string]struct{}, len(o))
	for name := range o {
		folded[strings.Map(fold, name)] = struct{}{}
	}
	if len(folded) != len(o) {
		return errors.New("member names that differ by case alone")
	}
	return nil
}

// isSmall reports that name has no capital of ASCII and nothing beyond ASCII. No two such
// names differ by case alone.
func isSmall(name string) bool {
	for i := range len(name) {
		if c := name[i]; c >= utf8.RuneSelf || 'A' <= c && c <= 'Z' {
			return false
		}
	}
	return true
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
	var list textList
	if v.Kind() != '[' || json.Unmarshal(v, &list) != nil {
		return nil, fmt.Errorf("%s is not a list of strings", name)
	}
	return list, nil
}

// textList is an array of strings and of nothing else: the library takes null for "".
type textList []string

// UnmarshalJSONFrom reads a whole array.
func (l *textList) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	*l = textList{}
	for d.PeekKind() == '"' {
		item, err := d.ReadValue()
		if err != nil {
			return err
		}
		s, err := unquote(item)
		if err != nil {
			return err
		}
		*l = append(*l, s)
	}
	end, err := d.ReadToken()
	if err == nil && end.Kind() != ']' {
		return errors.New("not a string")
	}
	return err
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

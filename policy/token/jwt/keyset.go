package jwt

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/durward/durward/policy/token"
)

// maxDocument is the longest JWKS document parsed, in bytes; Okta's have some 1 KiB.
const maxDocument = 1 << 20

// maxKeys is how many keys of a document are looked at; Okta publishes two or three.
const maxKeys = 64

// KeySet holds the usable keys of one JWKS document. It never changes. A nil KeySet has
// no keys.
type KeySet struct {
	keys    map[string]Key
	dropped []error
}

// ParseKeySet reads a JWKS document (RFC 7517 section 5) of at most 1 MiB: strict JSON,
// without duplicate names at any depth. Of its first 64 keys those are usable that are
// public, have an id of at most 256 bytes, are meant for signatures and of one of the
// allowed algorithms (RS256 where none is given), RSA of 2048 to 4096 bits or EC on
// P-256. A usable key verifies the algorithm that it names or, naming none, the first
// allowed one of its type. Other keys are dropped, see Dropped. Usable keys with one id
// are all dropped: which of them a token means cannot be known.
//
// A document without a usable key is an error; the caller keeps the set that it has.
func ParseKeySet(document []byte, allowed ...Algorithm) (*KeySet, error) {
	allowed, err := algorithms(allowed)
	if err != nil {
		return nil, err
	}
	texts, more, err := keyTexts(document)
	if err != nil {
		return nil, fmt.Errorf("jwt: key document: %w", err)
	}
	s := &KeySet{keys: make(map[string]Key)}
	counts := make(map[string]int)
	for i, text := range texts {
		key, err := parseKey(text, allowed)
		if err != nil {
			s.drop(i, err)
			continue
		}
		if counts[key.id]++; counts[key.id] > 1 {
			s.drop(i, errors.New("kid of another key, which is dropped too"))
			delete(s.keys, key.id)
			continue
		}
		s.keys[key.id] = key
	}
	if more > 0 {
		s.dropped = append(s.dropped, fmt.Errorf("%d keys behind the first %d were not looked at", more, maxKeys))
	}
	if len(s.keys) == 0 {
		return nil, fmt.Errorf("jwt: key document without a usable key: %w", errors.Join(s.dropped...))
	}
	return s, nil
}

func (s *KeySet) drop(i int, err error) {
	s.dropped = append(s.dropped, fmt.Errorf("key %d: %w", i+1, err))
}

// algorithms returns what is allowed: RS256 unless something else is asked for.
func algorithms(asked []Algorithm) ([]Algorithm, error) {
	if len(asked) == 0 {
		return []Algorithm{RS256}, nil
	}
	for _, a := range asked {
		if a.KeyType() == "" {
			return nil, fmt.Errorf("jwt: algorithm %q is not one of RS256, PS256 and ES256", a)
		}
	}
	return slices.Clone(asked), nil
}

// keyTexts returns the first maxKeys items of `keys` and how many more there are.
func keyTexts(document []byte) (texts []jsontext.Value, more int, err error) {
	if len(document) > maxDocument {
		return nil, 0, errors.New("too long")
	}
	o, err := token.ParseObject(document)
	if err != nil {
		return nil, 0, err
	}
	keys := o["keys"]
	if keys.Kind() != '[' {
		return nil, 0, errors.New("keys is not an array")
	}
	d := jsontext.NewDecoder(bytes.NewBuffer(keys))
	if _, err := d.ReadToken(); err != nil {
		return nil, 0, fmt.Errorf("keys: %w", err)
	}
	for d.PeekKind() != ']' {
		text, err := d.ReadValue()
		if err != nil {
			return nil, 0, fmt.Errorf("keys: %w", err)
		}
		if len(texts) == maxKeys {
			more++
			continue
		}
		texts = append(texts, text.Clone())
	}
	return texts, more, nil
}

// Lookup returns the key whose id is exactly kid.
func (s *KeySet) Lookup(kid string) (Key, bool) {
	if s == nil {
		return Key{}, false
	}
	key, ok := s.keys[kid]
	return key, ok
}

// Len returns the number of usable keys.
func (s *KeySet) Len() int {
	if s == nil {
		return 0
	}
	return len(s.keys)
}

// IDs returns the ids of the usable keys, sorted.
func (s *KeySet) IDs() []string {
	if s == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(s.keys))
}

// Dropped says of each key that is not usable why, by its place in the document.
func (s *KeySet) Dropped() []error {
	if s == nil {
		return nil
	}
	return slices.Clone(s.dropped)
}

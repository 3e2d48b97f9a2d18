// Package jsonschema describes the configuration to editors: it turns the message types
// of the configuration, their comments and their rules on single fields into a JSON
// Schema, draft-07, which is the latest that YAML language servers read.
//
// The schema helps whoever writes; it protects nobody. What compares two places of a
// configuration, or one file with another, is beyond it, and so is what YAML readers
// disagree on: package source is the judge. Whatever source loads without a finding
// satisfies the schema.
package jsonschema

import (
	"bytes"
	"encoding/json"
	"fmt"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/reflect/protoreflect"

	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// Schema returns the JSON Schema of a configuration file, indented and with a final
// newline. It is the same for every call. The error is one of this package: a rule of
// the message types that it cannot express.
func Schema() ([]byte, error) {
	root, err := ofMessage((*durwardv1.Config)(nil).ProtoReflect().Descriptor())
	if err != nil {
		return nil, fmt.Errorf("JSON Schema: %w", err)
	}
	root.Schema = "http://json-schema.org/draft-07/schema#"
	root.Title = "Durward configuration"
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(root); err != nil {
		return nil, fmt.Errorf("JSON Schema: %w", err)
	}
	return b.Bytes(), nil
}

// schema is the part of draft-07 that we need.
type schema struct {
	Schema      string `json:"$schema,omitempty"`
	Title       string `json:"title,omitempty"`
	Description string `json:"description,omitempty"`
	// Type is a word, or a list of them.
	Type any `json:"type"`

	Const     any      `json:"const,omitempty"`
	Enum      []string `json:"enum,omitempty"`
	Pattern   string   `json:"pattern,omitempty"`
	MinLength uint64   `json:"minLength,omitempty"`
	MaxLength uint64   `json:"maxLength,omitempty"`
	Minimum   *uint32  `json:"minimum,omitempty"`
	Maximum   *uint32  `json:"maximum,omitempty"`

	Items       *schema `json:"items,omitempty"`
	MinItems    uint64  `json:"minItems,omitempty"`
	MaxItems    uint64  `json:"maxItems,omitempty"`
	UniqueItems bool    `json:"uniqueItems,omitempty"`

	Required []string `json:"required,omitempty"`
	// AdditionalProperties is false, or the schema of values whose keys are the writer's
	// own.
	AdditionalProperties any                `json:"additionalProperties,omitempty"`
	Properties           map[string]*schema `json:"properties,omitempty"`
	PropertyNames        *schema            `json:"propertyNames,omitempty"`
	MaxProperties        uint64             `json:"maxProperties,omitempty"`
}

// ofMessage describes a mapping: its keys and no others. Message types do not contain
// themselves, so that each stands where it is used.
func ofMessage(m protoreflect.MessageDescriptor) (*schema, error) {
	s := &schema{
		Type:                 "object",
		Description:          durwardv1.Comment(string(m.FullName())),
		AdditionalProperties: false,
		Properties:           make(map[string]*schema),
	}
	for i := range m.Fields().Len() {
		field := m.Fields().Get(i)
		property, required, err := ofField(field)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", field.FullName(), err)
		}
		s.Properties[string(field.Name())] = property
		if required {
			s.Required = append(s.Required, string(field.Name()))
		}
	}
	return s, nil
}

// ofField describes the value of a key, and says whether the key must be written.
func ofField(field protoreflect.FieldDescriptor) (s *schema, required bool, err error) {
	rules, err := protovalidate.ResolveFieldRules(field)
	if err != nil {
		return nil, false, err
	}
	if field.IsMap() {
		s, err = ofMap(field)
	} else {
		s, err = ofType(field)
	}
	if err != nil {
		return nil, false, err
	}
	if field.IsList() {
		s = &schema{Type: "array", Items: s}
	}
	if comment := durwardv1.Comment(string(field.FullName())); comment != "" {
		s.Description = comment
	}
	required, err = s.restrict(rules)
	return s, required, err
}

// ofMap describes a mapping whose keys are the writer's own.
func ofMap(field protoreflect.FieldDescriptor) (*schema, error) {
	value, err := ofType(field.MapValue())
	if err != nil {
		return nil, err
	}
	return &schema{Type: "object", PropertyNames: &schema{Type: "string"}, AdditionalProperties: value}, nil
}

// ofType describes one value of a field's type.
func ofType(field protoreflect.FieldDescriptor) (*schema, error) {
	switch kind := field.Kind(); kind {
	case protoreflect.StringKind:
		return &schema{Type: "string"}, nil
	case protoreflect.BoolKind:
		return &schema{Type: "boolean"}, nil
	case protoreflect.Int32Kind, protoreflect.Uint32Kind:
		return &schema{Type: "integer"}, nil
	case protoreflect.MessageKind:
		switch field.Message().FullName() {
		case "google.protobuf.Duration":
			return &schema{Type: "string", Pattern: duration}, nil
		case "google.protobuf.Timestamp":
			return &schema{Type: "string", Pattern: timestamp}, nil
		case "google.protobuf.Value":
			return &schema{Type: []string{"string", "number", "boolean"}}, nil
		}
		return ofMessage(field.Message())
	default:
		return nil, fmt.Errorf("no JSON Schema for %s", kind)
	}
}

// duration is what package source reads as a duration that is not negative.
const duration = `^\+?(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$`

// timestamp is what package source reads as a time (RFC 3339), as far as a pattern can
// tell.
const timestamp = `^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$`

package source

import (
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/durward/durward/policy/catalog"
)

const durationMessage = "google.protobuf.Duration"

// schemaCheck holds the nodes of one file against the schema, and notes where each
// path is written.
type schemaCheck struct {
	part     *part
	findings []catalog.Finding
}

// checkSchema finds unknown and repeated keys and values of the wrong type. After it
// the file decodes, and p knows its paths.
func checkSchema(p *part, body *ast.MappingNode, m protoreflect.MessageDescriptor) []catalog.Finding {
	c := &schemaCheck{part: p}
	c.version(body)
	c.message("", body, m)
	return c.findings
}

// version holds that the file says version: 1. It is checked for itself, since in
// another version everything else could differ.
func (c *schemaCheck) version(body *ast.MappingNode) {
	for _, pair := range body.Values {
		if keyOf(pair) != "version" {
			continue
		}
		if n, ok := pair.Value.(*ast.IntegerNode); !ok || n.Token.Value != "1" {
			c.find(spanOf(pair.Value), badVersion, "this version is unknown")
		}
		return
	}
	c.find(spanOf(body), badVersion, "the file does not say its version")
}

func (c *schemaCheck) find(s span, code, format string, args ...any) *catalog.Finding {
	c.findings = append(c.findings, s.finding(c.part.name, code, fmt.Sprintf(format, args...)))
	return &c.findings[len(c.findings)-1]
}

// message checks a mapping against a message type.
func (c *schemaCheck) message(path string, node ast.Node, m protoreflect.MessageDescriptor) {
	mapping, ok := asMapping(node)
	if !ok {
		c.find(spanOf(node), wrongType, "%s stands where keys and values are expected", kindOf(node))
		return
	}
	seen := make(map[string]span)
	for _, pair := range mapping.Values {
		key := keyOf(pair)
		at := spanOf(pair.Key)
		field := m.Fields().ByTextName(key)
		if field == nil && isSecretKey(key) {
			f := c.find(at, inlineSecret, "%s would hold a secret, and a configuration holds none", key)
			if field = m.Fields().ByTextName(strings.ToLower(key) + "_file"); field != nil {
				f.Fix = fmt.Sprintf("write it to a file of its own (chmod 600), and %s: with the file's path", field.Name())
			}
			continue
		}
		if field == nil {
			f := c.find(at, unknownKey, "key %q is unknown here", key)
			f.Fix = suggestKey(key, m)
			continue
		}
		if first, twice := seen[key]; twice {
			c.find(at, duplicateKey, "key %q is already written at line %d", key, first.line)
			continue
		}
		seen[key] = at
		if path == "" {
			c.section(field, at, pair.Value)
			continue
		}
		c.field(path+"."+key, field, at, pair.Value)
	}
}

// section checks a top-level key. Several files may go on with a list, and all say the
// version; anything else stands in one file only.
func (c *schemaCheck) section(field protoreflect.FieldDescriptor, at span, value ast.Node) {
	name := string(field.Name())
	switch list, ok := value.(*ast.SequenceNode); {
	case name == "version":
		return
	case !field.IsList():
		c.part.sections[name] = at
	case ok:
		c.part.items[name] = len(list.Values)
	}
	c.field(name, field, at, value)
}

// field checks the value of a key at span at.
func (c *schemaCheck) field(path string, field protoreflect.FieldDescriptor, at span, value ast.Node) {
	if isNothing(value) {
		f := c.find(at, wrongType, "nothing is written for %s", field.Name())
		f.Fix = "write a value, or remove the key"
		return
	}
	if field.IsMap() {
		c.entries(path, value, func(path string, node ast.Node) { c.value(path, field.MapValue(), node) })
		return
	}
	if !field.IsList() {
		c.value(path, field, value)
		return
	}
	list, ok := value.(*ast.SequenceNode)
	if !ok {
		f := c.find(spanOf(value), wrongType, "%s stands where a list is expected", kindOf(value))
		f.Fix = fmt.Sprintf("write %s: [...], or a line with a dash for each item", field.Name())
		return
	}
	c.note(path, value)
	for i, item := range list.Values {
		c.value(fmt.Sprintf("%s[%d]", path, i), field, item)
	}
}

func (c *schemaCheck) note(path string, node ast.Node) {
	c.part.places[path] = spanOf(node)
}

// value checks one value against the type of its field.
func (c *schemaCheck) value(path string, field protoreflect.FieldDescriptor, node ast.Node) {
	c.note(path, node)
	switch {
	case field.Message() != nil && field.Message().FullName() == structMessage:
		c.entries(path, node, c.anything)
	case field.Message() != nil && field.Message().FullName() == timestampMessage:
		c.timestamp(node)
	case field.Message() != nil && field.Message().FullName() == valueMessage:
		c.single(field, node)
	case field.Message() != nil && field.Message().FullName() != durationMessage:
		c.message(path, node, field.Message())
	case field.Message() != nil:
		c.duration(field, node)
	case field.Kind() == protoreflect.StringKind:
		c.text(field, node)
	case field.Kind() == protoreflect.BoolKind:
		c.truth(node)
	default:
		c.number(node)
	}
}

func keyOf(pair *ast.MappingValueNode) string {
	if s, ok := pair.Key.(*ast.StringNode); ok {
		return s.Value
	}
	return strings.TrimSpace(pair.Key.GetToken().Value)
}

func suggestKey(key string, m protoreflect.MessageDescriptor) string {
	if field := m.Fields().ByJSONName(key); field != nil {
		return fmt.Sprintf("write %s", field.Name())
	}
	names := make([]string, m.Fields().Len())
	for i := range names {
		names[i] = string(m.Fields().Get(i).Name())
	}
	return catalog.Suggest(key, names)
}

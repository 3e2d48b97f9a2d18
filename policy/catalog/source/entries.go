package source

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"google.golang.org/protobuf/reflect/protoreflect"
)

const valueMessage = "google.protobuf.Value"

// maxExact is where doubles, as which claims are compared, begin to leave whole numbers
// out.
const maxExact = 1 << 53

// entries checks a mapping whose keys are the writer's own, each value by check.
func (c *schemaCheck) entries(path string, node ast.Node, check func(path string, node ast.Node)) {
	c.note(path, node)
	mapping, ok := asMapping(node)
	if !ok {
		c.find(spanOf(node), wrongType, "%s stands where keys and values are expected", kindOf(node))
		return
	}
	seen := make(map[string]span)
	for _, pair := range mapping.Values {
		key, plain, ok := scalarText(pair.Key)
		at := spanOf(pair.Key)
		if !ok || plain && isAmbiguous(key) {
			f := c.find(at, wrongType, "this key is not a string to every reader of YAML")
			f.Fix = "quote it: " + strconv.Quote(key)
			continue
		}
		if first, twice := seen[key]; twice {
			c.find(at, duplicateKey, "key %q is already written at line %d", key, first.line)
			continue
		}
		seen[key] = at
		if isNothing(pair.Value) {
			f := c.find(at, wrongType, "nothing is written for %s", key)
			f.Fix = "write a value, or remove the key"
			continue
		}
		check(fmt.Sprintf("%s[%q]", path, key), pair.Value)
	}
}

// single checks a value that is a text, a number or a boolean by the way it is written.
func (c *schemaCheck) single(field protoreflect.FieldDescriptor, node ast.Node) {
	value, plain, ok := scalarText(node)
	switch {
	case !ok:
		f := c.find(spanOf(node), wrongType, "%s stands where a text, a number or a boolean is expected", kindOf(node))
		f.Fix = fmt.Sprintf("write one value for %s", field.Name())
	case plain && jsonNumber.MatchString(value) && !strings.ContainsAny(value, "eE"):
		if n, err := strconv.ParseFloat(value, 64); err != nil || math.Abs(n) >= maxExact {
			f := c.find(spanOf(node), wrongType, "the number %s is too great to be compared exactly", value)
			f.Fix = "if the claim is a text, quote it: " + strconv.Quote(value)
		}
	case plain && (value == "true" || value == "false"):
	default:
		c.text(field, node)
	}
}

package source

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"buf.build/go/protoyaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// text checks a string. Only what every YAML reader takes for one is one: the same
// file is read by editors and other tools, some of them by the rules of YAML 1.1.
func (c *schemaCheck) text(field protoreflect.FieldDescriptor, node ast.Node) {
	value, plain, ok := scalarText(node)
	switch {
	case !ok:
		c.find(spanOf(node), wrongType, "%s stands where a string is expected", kindOf(node))
	case isSecretFile(field.Name()) && looksLikeSecret(value):
		f := c.find(spanOf(node), inlineSecret, "this is no path but looks like the secret itself")
		f.Fix = fmt.Sprintf("write the secret to a file of its own (chmod 600), and %s: with its path; if it is a file's name, write ./ before it", field.Name())
	case strings.Contains(value, "${"):
		c.find(spanOf(node), noExpansion, "${...} is not expanded: no variable of the environment is read here")
	case plain && isAmbiguous(value):
		f := c.find(spanOf(node), wrongType, "%s is not a string to every reader of YAML", value)
		f.Fix = "quote it: " + strconv.Quote(value)
	case strings.ContainsFunc(value, unicode.IsControl):
		c.find(spanOf(node), wrongType, "the string holds a line break or a control character")
	}
}

// scalarText returns the text of a scalar and whether it is written without quotes.
func scalarText(node ast.Node) (value string, plain, ok bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, n.Token.Type == token.StringType, true
	case *ast.LiteralNode:
		return n.Value.Value, false, true
	case *ast.NullNode:
		return n.Token.Value, true, n.Token.Type == token.NullType
	case *ast.MappingNode, *ast.MappingValueNode, *ast.SequenceNode:
		return "", false, false
	case ast.ScalarNode:
		return node.GetToken().Value, true, true
	}
	return "", false, false
}

// numberOrDate is what YAML 1.1 or 1.2 reads as a number, a sexagesimal number or a
// date.
var numberOrDate = regexp.MustCompile(`^(?i:[-+]?(\.inf|0x[0-9a-f_]+|0o?[0-7_]+|0b[01_]+|[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?|[0-9][0-9_]*(\.[0-9_]*)?(e[-+]?[0-9]+)?|\.[0-9][0-9_]*(e[-+]?[0-9]+)?)|\.nan|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([t \t].*)?)$`)

func isAmbiguous(plain string) bool {
	switch strings.ToLower(plain) {
	case "", "~", "null", "true", "false", "yes", "no", "on", "off", "y", "n":
		return true
	}
	return strings.IndexByte("+-.0123456789", plain[0]) >= 0 && numberOrDate.MatchString(plain)
}

func (c *schemaCheck) truth(node ast.Node) {
	value, plain, ok := scalarText(node)
	if !ok || !plain || value != "true" && value != "false" {
		f := c.find(spanOf(node), wrongType, "%s stands where true or false is expected", kindOf(node))
		f.Fix = "write true or false"
	}
}

func (c *schemaCheck) number(node ast.Node) {
	value, plain, ok := scalarText(node)
	if _, err := strconv.ParseInt(value, 10, 32); !ok || !plain || err != nil {
		f := c.find(spanOf(node), wrongType, "%s stands where a number is expected", kindOf(node))
		f.Fix = "write a whole number in decimal digits"
	}
}

func (c *schemaCheck) duration(field protoreflect.FieldDescriptor, node ast.Node) {
	value, _, ok := scalarText(node)
	// The zero without a unit that Go allows decodes to nothing at all.
	if _, err := protoyaml.ParseDuration(value); !ok || err != nil || strings.Trim(value, "+-0") == "" {
		f := c.find(spanOf(node), wrongType, "%s is not a duration", field.Name())
		f.Fix = "write a number with a unit, as in 30s, 1m30s or 0s"
	}
}

// isNothing reports whether a key has no value, not even a written null.
func isNothing(node ast.Node) bool {
	n, ok := node.(*ast.NullNode)
	return node == nil || ok && n.Token.Type != token.NullType
}

// kindOf names a node for people.
func kindOf(node ast.Node) string {
	switch n := node.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.NullNode:
		return "nothing"
	case *ast.StringNode, *ast.LiteralNode:
		return "a string"
	case *ast.BoolNode:
		return n.Token.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a number"
	}
	return "something else"
}

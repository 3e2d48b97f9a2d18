package source

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"time"

	"github.com/goccy/go-yaml/ast"
)

const (
	structMessage    = "google.protobuf.Struct"
	timestampMessage = "google.protobuf.Timestamp"
)

// jsonNumber is what YAML and JSON both read as a number.
var jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$`)

// anything checks a value that may be all that JSON has.
func (c *schemaCheck) anything(path string, node ast.Node) {
	c.note(path, node)
	if list, ok := node.(*ast.SequenceNode); ok {
		for i, item := range list.Values {
			c.anything(fmt.Sprintf("%s[%d]", path, i), item)
		}
		return
	}
	value, plain, scalar := scalarText(node)
	number, err := strconv.ParseFloat(value, 64)
	switch {
	case !scalar:
		c.entries(path, node, c.anything)
	case !plain || value == "null" || value == "true" || value == "false":
	case jsonNumber.MatchString(value):
		if err != nil || math.Abs(number) >= maxExact {
			f := c.find(spanOf(node), wrongType, "the number %s is too great to be exact", value)
			f.Fix = "write a smaller number, or a string in quotes"
		}
	case isAmbiguous(value):
		f := c.find(spanOf(node), wrongType, "%s is not a string to every reader of YAML", value)
		f.Fix = "quote it: " + strconv.Quote(value)
	}
}

// timestamp checks a point in time, with quotes around it or without.
func (c *schemaCheck) timestamp(node ast.Node) {
	value, _, ok := scalarText(node)
	if _, err := time.Parse(time.RFC3339, value); !ok || err != nil {
		f := c.find(spanOf(node), wrongType, "%s stands where a date with a time is expected", kindOf(node))
		f.Fix = "write it as in 2026-01-31T12:00:00Z"
	}
}

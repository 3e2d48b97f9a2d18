package source

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"buf.build/go/protovalidate"
	"buf.build/go/protoyaml"
	"google.golang.org/protobuf/proto"

	"github.com/durward/durward/policy/catalog"
)

// decode turns text that passed checkSchema into a message. The decoder has a YAML
// parser of its own; where that one disagrees with ours, the text is refused.
func decode(f file, into proto.Message) []catalog.Finding {
	var err error
	if !survives(func() { err = protoyaml.Unmarshal(f.data, into) }) {
		err = errors.New("the decoder gave up")
	}
	if err == nil {
		return nil
	}
	s := span{1, 1, 1}
	if at := decoderPosition.FindStringSubmatch(err.Error()); at != nil {
		s.line, _ = strconv.Atoi(at[1] + at[3])
		if at[2] != "" {
			s.column, _ = strconv.Atoi(at[2])
		}
	}
	found := s.finding(f.name, badSyntax, "not every reader of YAML understands this alike")
	found.Fix = "write it in a simpler way, with quotes around strings"
	return []catalog.Finding{found}
}

// decoderPosition finds where an error of the decoder or of its parser points.
var decoderPosition = regexp.MustCompile(`^:(\d{1,9}):(\d{1,9}) |^yaml: line (\d{1,9})`)

// violations checks the schema's rules on single fields. Where Compile found something
// at the same path, it knew better what is wrong.
func violations(cfg proto.Message, at *positions, compiled []catalog.Finding) []catalog.Finding {
	err := protovalidate.Validate(cfg)
	if err == nil {
		return nil
	}
	var invalid *protovalidate.ValidationError
	if !errors.As(err, &invalid) {
		return []catalog.Finding{catalog.NewFinding(brokenRule, catalog.Position{}, "the schema's rules could not be checked")}
	}
	said := make(map[string]bool)
	for _, f := range compiled {
		said[f.Path] = true
	}
	var findings []catalog.Finding
	for _, v := range invalid.Violations {
		path := protovalidate.FieldPathString(v.Proto.GetField())
		if said[path] {
			continue
		}
		said[path] = true
		position, _ := at.locate(path)
		f := catalog.NewFinding(brokenRule, position, "")
		f.Path = path
		f.Message, f.Fix = describe(v, path)
		findings = append(findings, f)
	}
	return findings
}

// describe says which rule a value breaks, and what to write.
func describe(v *protovalidate.Violation, path string) (message, fix string) {
	name := path[strings.LastIndexByte(path, '.')+1:]
	rule := v.Proto.GetRuleId()
	switch rule {
	case "required", "string.min_len":
		return name + " is missing", "write " + name
	case "string.pattern":
		return fmt.Sprintf("%s %q is malformed", name, v.FieldValue.String()), wellFormed(name, v)
	case "string.in":
		return fmt.Sprintf("%s %q is unknown", name, v.FieldValue.String()), "write one of " + alternatives(v)
	case "string.max_len":
		return fmt.Sprintf("%s is longer than %d characters", name, v.RuleValue.Uint()), "shorten it"
	case "repeated.min_items":
		return name + " is empty", "write at least one item"
	case "repeated.unique":
		return name + " holds a value twice", "write each value once"
	}
	return fmt.Sprintf("%s %s", name, v.Proto.GetMessage()), "write a value in the allowed range"
}

// wellFormed says what a pattern means.
func wellFormed(name string, v *protovalidate.Violation) string {
	switch list, _, _ := strings.Cut(name, "["); list {
	case "client_ids":
		return "write 1 to 100 letters, digits and characters of . _ ~ -"
	case "all", "any":
		return "write 1 to 255 printable characters without blanks, quotes and backslashes"
	}
	return "write what matches " + v.RuleValue.String()
}

func alternatives(v *protovalidate.Violation) string {
	list := v.RuleValue.List()
	words := make([]string, list.Len())
	for i := range words {
		words[i] = list.Get(i).String()
	}
	return strings.Join(words, ", ")
}

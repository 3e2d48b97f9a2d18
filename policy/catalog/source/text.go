package source

import (
	"bytes"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/durward/durward/policy/catalog"
)

// parse takes a file from text to the mapping that is its one document.
func parse(f file) (*ast.MappingNode, []catalog.Finding) {
	if found := checkText(f); found != nil {
		return nil, []catalog.Finding{*found}
	}
	var document *ast.File
	var failure *catalog.Finding
	// The parser has panicked on hostile text before.
	if !survives(func() { document, failure = parseTokens(f) }) {
		found := newFinding(badSyntax, f.name, "the text cannot be read as YAML")
		failure = &found
	}
	if failure != nil {
		return nil, []catalog.Finding{*failure}
	}
	if len(document.Docs) == 0 || document.Docs[0].Body == nil {
		return nil, []catalog.Finding{span{1, 1, 1}.finding(f.name, badVersion, "the file is empty")}
	}
	body := document.Docs[0].Body
	mapping, ok := asMapping(body)
	if !ok {
		return nil, []catalog.Finding{spanOf(body).finding(f.name, wrongType, "the file is no mapping of keys to values")}
	}
	return mapping, nil
}

func parseTokens(f file) (*ast.File, *catalog.Finding) {
	tokens := lexer.Tokenize(string(f.data))
	if found := checkTokens(f, tokens); found != nil {
		return nil, found
	}
	document, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		found := syntaxFinding(f, err)
		return nil, &found
	}
	return document, nil
}

// survives runs f and reports whether it came back without a panic.
func survives(f func()) (ok bool) {
	defer func() { ok = recover() == nil }()
	f()
	return true
}

// syntaxFinding turns a parser's error into ours.
func syntaxFinding(f file, err error) catalog.Finding {
	var position yaml.Error
	if !errors.As(err, &position) || position.GetToken() == nil || position.GetToken().Position == nil {
		return newFinding(badSyntax, f.name, "the text cannot be read as YAML")
	}
	s := spanOfToken(position.GetToken())
	// What a message repeats of the text comes last, and may be anything.
	message, _, _ := strings.Cut(position.GetMessage(), `: "`)
	found := s.finding(f.name, badSyntax, message)
	line := lineOf(f.data, s.line)
	if strings.Contains(line[:len(line)-len(strings.TrimLeft(line, " \t"))], "\t") {
		found.Message, found.Fix = "a tab stands in the indentation", "indent with blanks"
	}
	return found
}

// checkText refuses text that readers of YAML, or people, do not all see alike: other
// encodings, control characters, line breaks that are not everybody's, and characters
// that change the direction of writing.
func checkText(f file) *catalog.Finding {
	if indicators(f.data) > maxIndicators {
		found := newFinding(outOfBounds, f.name, "the file holds too many values")
		return &found
	}
	message := ""
	offset := 0
	switch {
	case bytes.HasPrefix(f.data, []byte("\xef\xbb\xbf")):
		message = "the file begins with a byte order mark"
	case bytes.HasPrefix(f.data, []byte("\xff\xfe")), bytes.HasPrefix(f.data, []byte("\xfe\xff")):
		message = "the file is UTF-16"
	default:
		offset, message = firstOddRune(f.data)
	}
	if message == "" {
		return nil
	}
	before := f.data[:offset]
	start := bytes.LastIndexByte(before, '\n') + 1
	s := span{line: bytes.Count(before, []byte("\n")) + 1, column: utf8.RuneCount(before[start:]) + 1, width: 1}
	found := s.finding(f.name, notPlainText, message)
	return &found
}

func firstOddRune(data []byte) (offset int, message string) {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			return i, "this is not UTF-8"
		case r == '\r' && (i+1 == len(data) || data[i+1] != '\n'):
			return i, "a carriage return stands without a line feed"
		case r < ' ' && r != '\t' && r != '\n' && r != '\r', r >= 0x7f && r < 0xa0:
			return i, "a control character stands here"
		case r == 0x2028 || r == 0x2029 || r == 0xfeff,
			r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
			return i, "an invisible character stands here"
		}
		i += size
	}
	return 0, ""
}

// maxIndicators is far above what 4 MiB of a real catalogue hold, and keeps what the
// parsers allocate in proportion.
const maxIndicators = 1 << 19

func indicators(data []byte) int {
	n := 0
	for _, c := range data {
		switch c {
		case '\n', ',', ':', '[', ']', '{', '}', '!', '|', '&', '*', '"', '\'':
			n++
		}
	}
	return n
}

// kindOfIndirection names the parts of YAML that we refuse.
func kindOfIndirection(t token.Type) string {
	switch t {
	case token.AnchorType:
		return "an anchor"
	case token.AliasType:
		return "an alias"
	case token.MergeKeyType:
		return "a merge key"
	case token.TagType:
		return "a tag"
	case token.DirectiveType:
		return "a directive"
	}
	return ""
}

func lineOf(data []byte, number int) string {
	for ; number > 1; number-- {
		_, rest, ok := bytes.Cut(data, []byte("\n"))
		if !ok {
			return ""
		}
		data = rest
	}
	line, _, _ := bytes.Cut(data, []byte("\n"))
	return string(bytes.TrimSuffix(line, []byte("\r")))
}

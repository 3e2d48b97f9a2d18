package source

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
	"google.golang.org/protobuf/proto"

	"github.com/durward/durward/policy/catalog"
)

// span is where something is written in a file: line and column from 1, in runes.
type span struct{ line, column, width int }

func (s span) position(file string) catalog.Position {
	return catalog.Position{File: file, Line: s.line, Column: s.column}
}

func (s span) finding(file, code, message string) catalog.Finding {
	f := catalog.NewFinding(code, s.position(file), message)
	f.Width = max(1, s.width)
	return f
}

func spanOfToken(t *token.Token) span {
	if t == nil || t.Position == nil {
		return span{1, 1, 1}
	}
	text, _, _ := strings.Cut(strings.TrimSpace(t.Origin), "\n")
	width := utf8.RuneCountInString(strings.TrimSpace(text))
	return span{max(1, t.Position.Line), max(1, t.Position.Column), max(1, width)}
}

// spanOf is where a node begins: a block mapping at its first key.
func spanOf(node ast.Node) span {
	if m, ok := asMapping(node); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		return spanOf(m.Values[0].Key)
	}
	return spanOfToken(node.GetToken())
}

func asMapping(node ast.Node) (*ast.MappingNode, bool) {
	switch n := node.(type) {
	case *ast.MappingNode:
		return n, true
	case *ast.MappingValueNode:
		return &ast.MappingNode{BaseNode: n.BaseNode, Start: n.Start, Values: []*ast.MappingValueNode{n}}, true
	}
	return nil, false
}

// place is a span in one of the files.
type place struct {
	file string
	span
}

// part is one file, read as far as it can be without the others.
type part struct {
	file
	// message is what the file says; nothing where findings are.
	message  proto.Message
	findings []catalog.Finding
	// valid says that the file by itself obeys the schema's rules on values.
	valid bool
	// places is where paths are written; indices count in this file alone.
	places map[string]span
	// items counts the items of each top-level list; sections are the top-level keys of
	// anything else, which only one file may have.
	items    map[string]int
	sections map[string]span
}

// positions knows where each path of the merged configuration is written. The lists of
// the parts are joined in their order.
type positions struct {
	parts []*part
	// starts has, for each top-level list, the index at which it goes on in each part.
	starts map[string][]int
}

func newPositions(parts ...*part) *positions {
	p := &positions{parts: parts, starts: make(map[string][]int)}
	for i, part := range parts {
		for name, n := range part.items {
			if p.starts[name] == nil {
				p.starts[name] = make([]int, len(parts)+1)
			}
			p.starts[name][i+1] = n
		}
	}
	for _, starts := range p.starts {
		for i := range parts {
			starts[i+1] += starts[i]
		}
	}
	return p
}

// locate returns the position of path, or of its nearest written ancestor and false.
func (p *positions) locate(path string) (catalog.Position, bool) {
	at, ok := p.find(path)
	return at.position(at.file), ok
}

func (p *positions) find(path string) (place, bool) {
	for name := path; name != ""; name = name[:max(0, strings.LastIndexAny(name, ".["))] {
		if at, ok := p.written(name); ok {
			return at, name == path
		}
	}
	if len(p.parts) == 0 {
		return place{}, false
	}
	return place{p.parts[0].name, span{1, 1, 1}}, false
}

// written looks for path alone.
func (p *positions) written(path string) (place, bool) {
	list, index, rest, ok := cutIndex(path)
	if !ok {
		for _, part := range p.parts {
			if at, ok := part.places[path]; ok {
				return place{part.name, at}, true
			}
		}
		return place{}, false
	}
	starts := p.starts[list]
	if len(starts) == 0 || index >= starts[len(starts)-1] {
		return place{}, false
	}
	i, _ := slices.BinarySearch(starts, index+1)
	part := p.parts[i-1]
	if start := starts[i-1]; start > 0 {
		path = list + "[" + strconv.Itoa(index-start) + "]" + rest
	}
	at, ok := part.places[path]
	return place{part.name, at}, ok
}

// cutIndex takes apart a path into a top-level list, as apis[7].name.
func cutIndex(path string) (list string, index int, rest string, ok bool) {
	open := strings.IndexAny(path, ".[")
	if open < 0 || path[open] == '.' {
		return "", 0, "", false
	}
	digits, rest, ok := strings.Cut(path[open+1:], "]")
	index, err := strconv.Atoi(digits)
	return path[:open], index, rest, ok && err == nil && index >= 0
}

// complete gives the findings their source lines and widths, and sorts them.
func (p *positions) complete(findings []catalog.Finding) []catalog.Finding {
	lines := make(map[string][]string)
	for _, f := range p.parts {
		lines[f.name] = nil
	}
	for i := range findings {
		f := &findings[i]
		if f.Path != "" {
			at, _ := p.find(f.Path)
			f.Width = max(1, at.width)
		}
		f.Line = p.line(lines, f.At)
		f.Message, f.Fix = clip(f.Message), clip(f.Fix)
	}
	catalog.SortFindings(findings)
	return findings
}

// line looks a source line up; lines keeps the files that were split for it.
func (p *positions) line(lines map[string][]string, at catalog.Position) string {
	split, known := lines[at.File]
	if !known {
		return ""
	}
	if split == nil {
		for _, f := range p.parts {
			if f.name == at.File {
				split = redact(strings.Split(string(f.data), "\n"))
				lines[at.File] = split
			}
		}
	}
	if at.Line < 1 || at.Line > len(split) {
		return ""
	}
	return strings.TrimSuffix(split[at.Line-1], "\r")
}

// maxWords bounds what a finding says: it may repeat what the file holds.
const maxWords = 400

func clip(text string) string {
	if len(text) <= maxWords {
		return text
	}
	return strings.ToValidUTF8(text[:maxWords], "") + "…"
}

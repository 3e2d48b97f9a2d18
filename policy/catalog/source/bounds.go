package source

import (
	"fmt"

	"github.com/goccy/go-yaml/token"

	"github.com/durward/durward/policy/catalog"
)

// Bounds on structure. The parser calls itself for every level and for every key of a
// mapping, and moves everything that follows for every value that is left out.
const (
	maxFlowDepth = 32
	maxColumn    = 256
	maxKeys      = 1000
	maxEmpty     = 1000
)

// checkTokens refuses, before anything is built of the tokens, what a catalogue never
// needs: indirection, several documents, depth and breadth beyond the bounds.
func checkTokens(f file, tokens token.Tokens) *catalog.Finding {
	s := shape{blockKeys: make(map[int]int)}
	started, ended := false, false
	for _, t := range tokens {
		if t.Type == token.CommentType {
			continue
		}
		code, message := "", ""
		if kind := kindOfIndirection(t.Type); kind != "" {
			code, message = indirection, kind+" stands here"
		} else if ended || started && t.Type == token.DocumentHeaderType {
			code, message = manyDocuments, "a second document begins here"
		} else if message = s.add(t); message != "" {
			code = outOfBounds
		}
		if code != "" {
			found := spanOfToken(t).finding(f.name, code, message)
			return &found
		}
		started = true
		ended = t.Type == token.DocumentEndType
	}
	return nil
}

// shape follows how deep and how wide the structure of the tokens so far is.
type shape struct {
	// flows are the open flow collections.
	flows []flow
	// blockKeys counts keys for each column at which a block mapping stands.
	blockKeys map[int]int
	// line is that of the last token, column where what stands on it begins, but for
	// the dashes of the sequences around it.
	line, column int
	// opener is the last token if a value belongs after it, openerColumn where the
	// key or dash stands. In a flow mapping the key alone is one.
	opener       *token.Token
	openerColumn int
	empty        int
}

// flow is a collection in brackets.
type flow struct {
	mapping bool
	keys    int
	// first says that an item begins with the next token.
	first bool
}

// add takes the next token in, and says which bound it breaks.
func (s *shape) add(t *token.Token) string {
	if t.Position.Line != s.line {
		s.line, s.column = t.Position.Line, 0
	}
	if s.leftEmpty(t) {
		if s.empty++; s.empty > maxEmpty {
			return fmt.Sprintf("more than %d values are left out", maxEmpty)
		}
	}
	switch t.Type {
	case token.SequenceStartType, token.MappingStartType:
		s.flows = append(s.flows, flow{mapping: t.Type == token.MappingStartType, first: true})
	case token.SequenceEndType, token.MappingEndType:
		s.flows = s.flows[:max(0, len(s.flows)-1)]
	}
	if len(s.flows) > maxFlowDepth {
		return fmt.Sprintf("more than %d levels of brackets", maxFlowDepth)
	}
	opens := t.Type == token.SequenceEntryType || t.Type == token.MappingKeyType
	if s.column == 0 && !opens {
		s.column = t.Position.Column
	}
	s.opener, s.openerColumn = nil, s.column
	if opens || t.Type == token.MappingValueType {
		s.opener = t
	}
	if opens {
		s.openerColumn = t.Position.Column
	}
	if len(s.flows) > 0 {
		return s.addFlow(t, &s.flows[len(s.flows)-1])
	}
	return s.addBlock(t, opens)
}

// leftEmpty reports whether next shows that nothing follows the opener before it.
func (s *shape) leftEmpty(next *token.Token) bool {
	if s.opener == nil {
		return false
	}
	switch next.Type {
	case token.CollectEntryType, token.SequenceEndType, token.MappingEndType:
		return true
	}
	column := next.Position.Column
	if next.Position.Line == s.opener.Position.Line || column > s.openerColumn {
		return false
	}
	// A sequence may stand right below its key.
	below := s.opener.Type == token.MappingValueType && next.Type == token.SequenceEntryType
	return column < s.openerColumn || !below
}

func (s *shape) addFlow(t *token.Token, f *flow) string {
	switch t.Type {
	case token.CollectEntryType:
		f.first = true
		return ""
	case token.SequenceStartType, token.MappingStartType:
		return ""
	case token.MappingValueType:
		if f.keys++; f.keys > maxKeys {
			return fmt.Sprintf("more than %d keys in one mapping", maxKeys)
		}
	}
	if f.first && f.mapping {
		s.opener = t
	}
	f.first = false
	return ""
}

// addBlock counts a key at the column where its line begins.
func (s *shape) addBlock(t *token.Token, opens bool) string {
	column := s.column
	if opens {
		column = t.Position.Column
	} else if t.Type != token.MappingValueType {
		return ""
	}
	if column > maxColumn {
		return "this stands too deep"
	}
	for c := range s.blockKeys {
		if c > column {
			delete(s.blockKeys, c)
		}
	}
	if opens {
		return ""
	}
	s.blockKeys[column]++
	if s.blockKeys[column] > maxKeys {
		return fmt.Sprintf("more than %d keys in one mapping", maxKeys)
	}
	return ""
}

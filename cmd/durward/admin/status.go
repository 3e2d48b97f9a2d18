package admin

import (
	"strings"
	"unicode/utf8"
)

// Status is the state of everything. Its JSON form is an interface: names and values
// stay.
type Status struct {
	// Revision is that of the catalogue that serves.
	Revision string   `json:"revision"`
	Objects  []Object `json:"objects"`
	// Omitted is how many objects were left out to keep the answer bounded.
	Omitted int `json:"omitted"`
}

// Object is the state of one object.
type Object struct {
	// Kind is catalogue, authorization_server, listener, gateway, envoy, denial,
	// organization, application or api.
	Kind string `json:"kind"`
	Name string `json:"name"`
	// State is one word for programs, Reason why it is so; empty where there is nothing
	// to say.
	State  string `json:"state"`
	Reason string `json:"reason"`
	// Revision is that of the catalogue in which the object is in this state; empty where
	// it has none, or none yet.
	Revision string `json:"revision"`
}

const (
	// maxText bounds a name or a reason, in bytes.
	maxText = 2000
	// maxObjects bounds the names, states and reasons of an answer together, in bytes.
	maxObjects = 8 << 20
	// overhead is what an object costs beside them in JSON.
	overhead = 80
)

// Bounded returns s with long texts cut, and without the last objects where all of them
// are too many for one answer.
func (s Status) Bounded() Status {
	kept, size := make([]Object, 0, len(s.Objects)), 0
	for _, o := range s.Objects {
		o.Name, o.Reason = cut(o.Name), cut(o.Reason)
		size += len(o.Kind) + len(o.Name) + len(o.State) + len(o.Reason) + len(o.Revision) + overhead
		if size > maxObjects {
			break
		}
		kept = append(kept, o)
	}
	s.Omitted += len(s.Objects) - len(kept)
	s.Objects = kept
	return s
}

// cut makes a text one line of valid UTF-8.
func cut(text string) string {
	if len(text) > maxText {
		end := maxText
		for end > 0 && !utf8.RuneStart(text[end]) {
			end--
		}
		text = text[:end] + "…"
	}
	return strings.ToValidUTF8(text, "�")
}

package explain

import (
	"fmt"
	"strings"
	"time"

	"github.com/durward/durward/policy/catalog"
)

// instant is t as JSON and people read it; empty for none.
func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// when says how far t is from now, in the largest unit that keeps it at two or more.
func when(t, now time.Time) string {
	d := t.Sub(now)
	if d < 0 {
		return span(-d) + " ago"
	}
	return "in " + span(d)
}

func span(d time.Duration) string {
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{{24 * time.Hour, "days"}, {time.Hour, "hours"}, {time.Minute, "minutes"}} {
		if d >= 2*unit.length {
			return fmt.Sprintf("%d %s", d/unit.length, unit.name)
		}
	}
	return fmt.Sprintf("%d seconds", d/time.Second)
}

// where is a position as editors open it, or nothing.
func where(at catalog.Position) string { return place(placeOf(at)) }

func place(p *position) string {
	switch {
	case p == nil:
		return ""
	case p.Line == 0:
		return p.File
	default:
		return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
	}
}

// at is where with a blank and brackets before and behind it.
func at(p catalog.Position) string {
	if text := where(p); text != "" {
		return " (" + text + ")"
	}
	return ""
}

// needs says what scopes an operation asks for.
func needs(all, any []string) string {
	switch {
	case len(all) == 1:
		return all[0]
	case len(all) > 1:
		return "all of " + strings.Join(all, ", ")
	case len(any) == 1:
		return any[0]
	default:
		return "one of " + strings.Join(any, ", ")
	}
}

// orNone is a list in words.
func orNone(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, " ")
}

package policytest

import (
	"slices"

	"github.com/durward/durward/policy/catalog"
)

// Coverage counts what cases show of a catalogue. Each grant can allow and deny at each
// operation of its API; a public operation, which has no grant, can only allow. What cannot
// happen is not counted: a grant that lets no enabled application call only denies.
//
// A case counts where it passed, for the grant of its caller's organization. A deny before
// the caller's application is known, as for want of a token, is about no grant.
type Coverage struct {
	outcomes []Outcome
	shown    map[Outcome]bool
}

// Outcome is one way in which one grant can decide at one operation.
type Outcome struct {
	API *catalog.API
	// Organization is the grant's; nil for a public operation.
	Organization *catalog.Organization
	Operation    *catalog.Operation
	// Verdict is Allow or Deny; Shadow counts as Deny.
	Verdict Verdict
}

// NewCoverage is that of no case at all.
func NewCoverage(cat *catalog.Catalogue) *Coverage {
	c := &Coverage{shown: make(map[Outcome]bool)}
	for _, api := range cat.APIs {
		for _, op := range api.Operations {
			if op.Public {
				c.outcomes = append(c.outcomes, Outcome{api, nil, op, Allow})
				continue
			}
			for _, o := range cat.Organizations {
				if !api.OrganizationGranted(o) {
					continue
				}
				if opensTo(api, o) {
					c.outcomes = append(c.outcomes, Outcome{api, o, op, Allow})
				}
				c.outcomes = append(c.outcomes, Outcome{api, o, op, Deny})
			}
		}
	}
	return c
}

// opensTo reports whether an application of the organization may call the API.
func opensTo(api *catalog.API, o *catalog.Organization) bool {
	return !o.Disabled && slices.ContainsFunc(o.Applications, func(a *catalog.Application) bool {
		return !a.Disabled && api.ApplicationGranted(a)
	})
}

// Add counts a result.
func (c *Coverage) Add(r Result) {
	d := r.Decision
	if len(r.Wrong) > 0 || d.Operation == nil {
		return
	}
	shown := Outcome{API: d.API, Operation: d.Operation, Verdict: Deny}
	if d.Allowed() {
		shown.Verdict = Allow
	}
	if d.Application != nil {
		shown.Organization = d.Application.Organization
	}
	c.shown[shown] = true
}

// Missing lists what no case showed, in the order of the configuration.
func (c *Coverage) Missing() (missing []Outcome) {
	for _, o := range c.outcomes {
		if !c.shown[o] {
			missing = append(missing, o)
		}
	}
	return missing
}

// Count returns how many outcomes were shown, and how many there are.
func (c *Coverage) Count() (shown, all int) {
	return len(c.outcomes) - len(c.Missing()), len(c.outcomes)
}

// Percent is how much was shown, rounded down: 100 means everything. It is 0 where nothing
// can happen.
func (c *Coverage) Percent() int {
	shown, all := c.Count()
	if all == 0 {
		return 0
	}
	return shown * 100 / all
}

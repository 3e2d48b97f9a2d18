package catalog

import (
	"slices"

	"google.golang.org/protobuf/reflect/protoreflect"

	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// Compiler compiles one configuration after the other and keeps what is the same: an *API
// in two Catalogues is one that neither itself nor anything it refers to has changed. The
// zero Compiler has compiled nothing yet. It is for one goroutine at a time.
//
// A message is known by its address, not by its content. It must not change once it was
// compiled, and stands at the same positions wherever it comes again.
type Compiler struct{ last *compiler }

// Compile is the function Compile. Of two runs, neither the findings nor what the Catalogue
// holds depend on the first: only whether parts of it are those of the Catalogue before.
func (k *Compiler) Compile(cfg *durwardv1.Config, locate func(path string) (Position, bool)) (*Catalogue, []Finding) {
	c := compile(cfg, locate, k.last)
	SortFindings(c.findings)
	if HasErrors(c.findings) {
		return nil, c.findings
	}
	k.last = c.kept()
	return c.cat, c.findings
}

// kept is what the next run may need of this one.
func (c *compiler) kept() *compiler {
	k := *c
	k.last, k.locate, k.findings, k.frontends, k.named = nil, nil, nil, nil, nil
	return &k
}

// base compiles everything but organizations, denials, APIs and grants. Almost anything of
// an API may depend on it: where it has changed, all is compiled anew.
func (c *compiler) base() {
	if c.last != nil && sameBase(c.cfg, c.last.cfg) {
		c.takeBase(c.last)
		return
	}
	c.last = nil
	c.baseDigest = c.digestBase()
	c.log()
	c.headers()
	c.listeners()
	c.gateways()
	c.authorizationServers()
	c.tokenPolicies()
	c.baseFindings = slices.Clone(c.findings)
}

func (c *compiler) takeBase(last *compiler) {
	c.cat.CheckTimeout, c.cat.LogUser = last.cat.CheckTimeout, last.cat.LogUser
	c.cat.Listeners, c.cat.Headers = last.cat.Listeners, last.cat.Headers
	c.cat.Gateways, c.cat.Servers, c.cat.TokenPolicies = last.cat.Gateways, last.cat.Servers, last.cat.TokenPolicies
	c.servers, c.policies, c.listening = last.servers, last.policies, last.listening
	for kind, known := range last.declared {
		if kind != kindAPI {
			c.declared[kind] = known // of members too, which go where they are compiled
		}
	}
	c.baseFindings, c.baseDigest = last.baseFindings, last.baseDigest
	c.again(c.baseFindings)
}

// members compiles organizations and their applications.
func (c *compiler) members() {
	c.sameMembers = c.last != nil && slices.Equal(c.cfg.GetOrganizations(), c.last.cfg.GetOrganizations())
	if c.sameMembers {
		c.cat.Organizations, c.cat.clients = c.last.cat.Organizations, c.last.cat.clients
		c.organizations, c.applications, c.owners = c.last.organizations, c.last.applications, c.last.owners
		c.foldedClients = c.last.foldedClients
		c.memberFindings, c.memberDigest = c.last.memberFindings, c.last.memberDigest
		c.again(c.memberFindings)
		return
	}
	delete(c.declared, kindOrganization)
	delete(c.declared, kindApplication)
	before := len(c.findings)
	c.memberDigest = c.digestMembers()
	c.declareOrganizations()
	c.memberFindings = slices.Clone(c.findings[before:])
}

// again reports what was found before. Where something is missing, the position is that of
// what stands around it, which may be in another file now.
func (c *compiler) again(findings []Finding) {
	for _, f := range findings {
		f.At = c.at(f.Path)
		c.findings = append(c.findings, f)
	}
}

// keptDrafts are those of the APIs that the last run found nothing wrong with.
func (c *compiler) keptDrafts() former[*durwardv1.API, draft] {
	if c.last == nil {
		return former[*durwardv1.API, draft]{}
	}
	return formerly(c.cfg.GetApis(), c.last.cfg.GetApis(), c.last.drafts)
}

// keptAccesses are those of the grants that the last run found nothing wrong with.
func (c *compiler) keptAccesses() former[*durwardv1.Grant, access] {
	if !c.sameMembers {
		return former[*durwardv1.Grant, access]{}
	}
	return formerly(c.cfg.GetGrants(), c.last.cfg.GetGrants(), c.last.accesses)
}

// former finds what messages compiled to before. Most messages that come again do so before
// or after everything that changes: only those in between are looked up.
type former[M comparable, R any] struct {
	results      []R
	front, back  int // how many messages at both ends are the same
	now, shifted int // how many there are now, and how many more than before
	between      map[M]*R
}

func formerly[M comparable, R any](now, before []M, results []R) former[M, R] {
	f := former[M, R]{results: results, now: len(now), shifted: len(now) - len(before), between: make(map[M]*R)}
	shorter := min(len(now), len(before))
	for f.front < shorter && now[f.front] == before[f.front] {
		f.front++
	}
	for f.back < shorter-f.front && now[len(now)-1-f.back] == before[len(before)-1-f.back] {
		f.back++
	}
	for i := f.front; i < len(before)-f.back; i++ {
		f.between[before[i]] = &results[i]
	}
	return f
}

// at is what message, the i-th now, compiled to, or nil.
func (f former[M, R]) at(i int, message M) *R {
	switch {
	case i < f.front:
		return &f.results[i]
	case f.back > 0 && i >= f.now-f.back:
		return &f.results[i-f.shifted]
	}
	return f.between[message]
}

// beyondBase are the fields of a configuration that base does not read.
var beyondBase = map[protoreflect.Name]bool{"organizations": true, "denials": true, "apis": true, "grants": true}

// sameBase reports whether what base reads is the same, message by message.
func sameBase(a, b *durwardv1.Config) bool {
	fields := a.ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if !beyondBase[f.Name()] && !sameField(a.ProtoReflect(), b.ProtoReflect(), f) {
			return false
		}
	}
	return true
}

func sameField(a, b protoreflect.Message, f protoreflect.FieldDescriptor) bool {
	switch {
	case a.Has(f) != b.Has(f):
		return false
	case !a.Has(f):
		return true
	case f.IsList() && f.Message() != nil:
		x, y := a.Get(f).List(), b.Get(f).List()
		if x.Len() != y.Len() {
			return false
		}
		for i := range x.Len() {
			if x.Get(i).Message().Interface() != y.Get(i).Message().Interface() {
				return false
			}
		}
		return true
	case f.Message() != nil && !f.IsMap():
		return a.Get(f).Message().Interface() == b.Get(f).Message().Interface()
	}
	return a.Get(f).Equal(b.Get(f))
}

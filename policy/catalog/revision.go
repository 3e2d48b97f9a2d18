package catalog

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// digest is a SHA-256 over the content of one thing in a configuration, or of many.
type digest [sha256.Size]byte

// withoutOrder is the digest of all things, which it sorts. Their sum would do for nobody:
// it is easy to find others of the same.
func withoutOrder(things []digest) digest {
	slices.SortFunc(things, func(a, b digest) int { return bytes.Compare(a[:], b[:]) })
	sum := sha256.New()
	for i := range things {
		sum.Write(things[i][:])
	}
	return digest(sum.Sum(nil))
}

// hash is that of the content, in hex. The split into files does not count, nor the order
// of the lists at the top, of an organization's applications and of a grant's. The order of
// any other list does: hosts, operations, scopes.
func (c *compiler) hash() string {
	apis, grants := make([]digest, len(c.drafts)), make([]digest, len(c.accesses))
	for i := range c.drafts {
		apis[i] = c.drafts[i].digest
	}
	for i := range c.accesses {
		grants[i] = c.accesses[i].digest
	}
	all := []digest{c.baseDigest, c.memberDigest, c.denialDigest, withoutOrder(apis), withoutOrder(grants)}
	sum := sha256.New()
	for i := range all {
		sum.Write(all[i][:])
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// digestOf is that of one message.
func (c *compiler) digestOf(m proto.Message) digest {
	content, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil && !c.foreignText {
		c.foreignText = true
		c.find(badText, "", "a value is not UTF-8")
	}
	return sha256.Sum256(content)
}

// digestBase is that of everything that base reads.
func (c *compiler) digestBase() digest {
	var all []byte
	cfg := c.cfg.ProtoReflect()
	for i := range cfg.Descriptor().Fields().Len() {
		f := cfg.Descriptor().Fields().Get(i)
		if beyondBase[f.Name()] || !cfg.Has(f) {
			continue
		}
		all = binary.BigEndian.AppendUint64(all, uint64(f.Number()))
		var things []digest
		if f.IsList() && f.Message() != nil {
			for i := range cfg.Get(f).List().Len() {
				things = append(things, c.digestOf(cfg.Get(f).List().Get(i).Message().Interface()))
			}
		} else {
			alone := new(durwardv1.Config)
			alone.ProtoReflect().Set(f, cfg.Get(f))
			things = append(things, c.digestOf(alone))
		}
		together := withoutOrder(things)
		all = append(all, together[:]...)
	}
	return sha256.Sum256(all)
}

// digestMembers is that of the organizations, whose applications have no order.
func (c *compiler) digestMembers() digest {
	var all []digest
	for _, o := range c.cfg.GetOrganizations() {
		o = proto.CloneOf(o)
		slices.SortStableFunc(o.GetApplications(), func(a, b *durwardv1.Application) int { return cmp.Compare(a.GetName(), b.GetName()) })
		all = append(all, c.digestOf(o))
	}
	return withoutOrder(all)
}

func (c *compiler) digestDenials() digest {
	var all []digest
	for _, d := range c.cfg.GetDenials() {
		all = append(all, c.digestOf(d))
	}
	return withoutOrder(all)
}

// digestGrant is that of a grant, whose applications have no order.
func (c *compiler) digestGrant(g *durwardv1.Grant) digest {
	if !slices.IsSorted(g.GetApplications()) {
		g = proto.CloneOf(g)
		slices.Sort(g.GetApplications())
	}
	return c.digestOf(g)
}

func durationOr(d *durationpb.Duration, otherwise time.Duration) time.Duration {
	if d == nil {
		return otherwise
	}
	return d.AsDuration()
}

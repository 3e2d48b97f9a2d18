package catalog

import (
	"fmt"
	"slices"
	"strings"
)

// denials compiles denials: who is turned away. It comes after the applications, of which
// a denial may name a client id.
func (c *compiler) denials() {
	if c.sameMembers && slices.Equal(c.cfg.GetDenials(), c.last.cfg.GetDenials()) {
		c.cat.Denials, c.cat.denied = c.last.cat.Denials, c.last.cat.denied
		c.denialFindings, c.denialDigest = c.last.denialFindings, c.last.denialDigest
		c.again(c.denialFindings)
		return
	}
	before := len(c.findings)
	c.denialDigest = c.digestDenials()
	c.declareDenials()
	c.denialFindings = slices.Clone(c.findings[before:])
}

func (c *compiler) declareDenials() {
	c.cat.denied = make(map[denied]*Denial)
	for i, p := range c.cfg.GetDenials() {
		path := fmt.Sprintf("denials[%d]", i)
		d := &Denial{UserID: p.GetUserId(), ClientID: p.GetClientId(), TokenID: p.GetTokenId(), Reason: p.GetReason(), At: c.at(path)}
		if p.Until != nil {
			d.Until = p.GetUntil().AsTime()
			if p.GetUntil().CheckValid() != nil || d.Until.IsZero() {
				c.find(brokenRule, path+".until", "until is no time")
			}
		}
		c.cat.Denials = append(c.cat.Denials, d)
		key := denied{d.UserID, d.ClientID, d.TokenID}
		if !c.denialForm(path, key) {
			continue
		}
		if first := c.cat.denied[key]; first != nil {
			c.find(duplicateDenial, path, "%s is already denied%s", d.Whom(), in(first.At))
			continue
		}
		c.cat.denied[key] = d
		if d.ClientID != "" && c.cat.clients[d.ClientID] == nil {
			c.find(uselessDenial, path+".client_id", "client id %q belongs to no application", d.ClientID)
		}
	}
}

// denialForm holds that a denial names one thing.
func (c *compiler) denialForm(path string, key denied) bool {
	set := 0
	for _, name := range []struct{ key, value string }{{"user_id", key.user}, {"client_id", key.client}, {"token_id", key.token}} {
		if !c.written(path+"."+name.key, name.value != "") {
			continue
		}
		set++
		if strings.TrimSpace(name.value) != name.value || name.value == "" {
			c.find(denialForm, path+"."+name.key, "%s %q is empty, or blanks stand around it", name.key, name.value)
			return false
		}
	}
	if set != 1 {
		c.find(denialForm, path, "the denial names %d of user_id, client_id and token_id", set)
	}
	return set == 1
}

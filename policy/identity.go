package policy

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/contract"
)

// maxIdentity bounds names and values of all identity headers together, in bytes.
const maxIdentity = 8 << 10

// identity is what the backend is told about an authenticated caller, the mapped claims
// last. A claim that is absent, or has no text, makes no header: an empty value could let
// a forged one live.
func identity(d Decision, mapped []catalog.ClaimHeader) ([]Header, error) {
	c := d.Fact.Claims
	all := []Header{
		{contract.HeaderAPI, encode(d.API.Name, "")},
		{contract.HeaderApplication, encode(d.Application.Name, "")},
		{contract.HeaderClientID, encode(c.ClientID, "")},
		{contract.HeaderGroups, join(c.Groups, ",")},
		{contract.HeaderIssuer, encode(c.Issuer, "")},
		{contract.HeaderOrganization, encode(d.Application.Organization.Name, "")},
		{contract.HeaderScopes, join(c.Scopes, " ")},
		{contract.HeaderSubject, encode(c.Subject, "")},
		{contract.HeaderTokenID, encode(c.TokenID, "")},
		{contract.HeaderUserID, encode(c.UserID, "")},
	}
	for _, m := range mapped {
		all = append(all, Header{m.Header, headerText(claim(c, m.Path))})
	}
	size, set := 0, all[:0]
	for _, h := range all {
		if h.Value == "" {
			continue
		}
		size += len(h.Name) + len(h.Value)
		set = append(set, h)
	}
	if size > maxIdentity {
		return nil, fmt.Errorf("identity headers take %d bytes of %d", size, maxIdentity)
	}
	return set, nil
}

// headerText is a claim as the value of a header: a text, a number as the token has it,
// true or false, or a list of these joined by commas. An object has none.
func headerText(claim any) string {
	items, isList := claim.([]any)
	if !isList {
		return encode(scalarText(claim), "")
	}
	texts := make([]string, len(items))
	for i, item := range items {
		texts[i] = scalarText(item)
	}
	return join(texts, ",")
}

func scalarText(claim any) string {
	switch v := claim.(type) {
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case json.Number:
		return v.String()
	default:
		return ""
	}
}

// join encodes each item, the separator in it too, so that the list can be taken apart.
func join(items []string, separator string) string {
	encoded := make([]string, 0, len(items))
	for _, item := range items {
		if item != "" {
			encoded = append(encoded, encode(item, separator))
		}
	}
	return strings.Join(encoded, separator)
}

// encode percent-encodes what is not printable ASCII, `%`, the characters in also, and
// blanks at either end, which HTTP would drop.
func encode(value, also string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(value) {
		c := value[i]
		edge := c == ' ' && (i == 0 || i == len(value)-1)
		if c < ' ' || c > '~' || c == '%' || edge || strings.IndexByte(also, c) >= 0 {
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

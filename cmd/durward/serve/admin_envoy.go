package serve

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/durward/durward/cmd/durward/admin"
	"github.com/durward/durward/envoy/ads"
	"github.com/durward/durward/policy/catalog"
)

// envoys are the gateways with the Envoys of each below it, and the gateways of which some
// do not have what serves.
func envoys(cat *catalog.Catalogue, now ads.Status) (objects []admin.Object, behind []string) {
	of := make(map[string][]ads.Envoy)
	for _, e := range now.Envoys {
		of[e.Gateway] = append(of[e.Gateway], e)
	}
	for _, gw := range cat.Gateways {
		o := gateway(cat, gw.Name, of[gw.Name])
		if o.State != "acked" {
			behind = append(behind, gw.Name)
		}
		objects = append(objects, o)
		for _, e := range of[gw.Name] {
			objects = append(objects, oneEnvoy(e))
		}
	}
	return objects, behind
}

// envoyLines are the gateways, their Envoys and what these refuse, a line each.
func envoyLines(cat *catalog.Catalogue, now ads.Status) (lines []string) {
	objects, _ := envoys(cat, now)
	for _, o := range objects {
		line := o.Kind + " " + o.Name + ": " + o.State
		for _, more := range []string{o.Revision, o.Reason} {
			if more != "" {
				line += ", " + more
			}
		}
		lines = append(lines, line)
	}
	for _, p := range now.Parked {
		lines = append(lines, "api "+p.API+": parked, "+parkedText(p))
	}
	return lines
}

// gateway is the worst of its Envoys.
func gateway(cat *catalog.Catalogue, name string, connected []ads.Envoy) admin.Object {
	o := admin.Object{Kind: "gateway", Name: name, State: "acked", Revision: cat.Revision}
	behind := 0
	for _, e := range connected {
		if !e.Current {
			behind++
		}
	}
	switch {
	case len(connected) == 0:
		o.State, o.Reason, o.Revision = "waiting", "no Envoy is connected", ""
	case behind > 0:
		o.State, o.Revision = "behind", ""
		o.Reason = fmt.Sprintf("%d of %d Envoys do not have what serves", behind, len(connected))
	default:
		o.Reason = fmt.Sprintf("%d connected", len(connected))
	}
	return o
}

func oneEnvoy(e ads.Envoy) admin.Object {
	o := admin.Object{Kind: "envoy", Name: e.Gateway + "/" + e.NodeID, State: "acked", Revision: e.Revision}
	notes := []string{e.Version}
	if e.Outdated {
		notes = append(notes, "its release lacks fixes of known holes")
	}
	switch {
	case e.Current:
	case e.Refusal != "":
		o.State = "refused"
		notes = append(notes, e.Refusal)
	default:
		o.State = "behind"
	}
	o.Reason = strings.Join(slices.DeleteFunc(notes, func(s string) bool { return s == "" }), "; ")
	return o
}

// apis are published once the gateways that serve them have the revision. Those that are
// otherwise come first: where there are too many for an answer, the last are left out.
func apis(cat *catalog.Catalogue, behind []string, parked []ads.Parked) []admin.Object {
	held := make(map[string]ads.Parked)
	for _, p := range parked {
		if _, ok := held[p.API]; !ok || p.Guilty {
			held[p.API] = p
		}
	}
	objects := make([]admin.Object, 0, len(cat.APIs))
	for _, api := range cat.APIs {
		o := admin.Object{Kind: "api", Name: api.Name, State: "published", Revision: cat.Revision}
		p, isParked := held[api.Name]
		switch {
		case isParked:
			o.State, o.Reason, o.Revision = "parked", parkedText(p), ""
		case slices.ContainsFunc(behind, api.ServedBy):
			o.State, o.Reason, o.Revision = "publishing", "a gateway does not have it yet", ""
		case api.Shadow:
			o.State = "shadow"
		}
		if api.Shadow {
			o.Reason = strings.TrimPrefix(o.Reason+"; every request passes, whatever the verdict", "; ")
		}
		objects = append(objects, o)
	}
	for _, api := range cat.Unpublished {
		objects = append(objects, admin.Object{Kind: "api", Name: api.Name, State: unpublished, Reason: "published: false"})
	}
	slices.SortStableFunc(objects, func(a, b admin.Object) int { return cmp.Compare(dull(a), dull(b)) })
	return objects
}

func parkedText(p ads.Parked) string {
	text := "gateway " + p.Gateway + ": "
	if p.At.Line > 0 {
		text = fmt.Sprintf("%s:%d: %s", p.At.File, p.At.Line, text)
	}
	text += p.Reason
	if !p.Guilty {
		text += "; it is one of several of which one is at fault"
	}
	whose := "Envoys"
	if len(p.Only) > 0 {
		whose = strings.Join(p.Only[:min(len(p.Only), 10)], ", ")
		text += "; other Envoys have it"
	}
	if p.Former {
		return text + "; " + whose + " have it as it was before"
	}
	return text + "; " + whose + " do not have it"
}

const unpublished = "unpublished"

func dull(o admin.Object) int {
	if o.State == "published" || o.State == unpublished {
		return 1
	}
	return 0
}

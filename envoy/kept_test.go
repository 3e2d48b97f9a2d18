package envoy

import (
	"bytes"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/durward/durward/policy/catalog"
)

// anyAPI draws one of that name, with few hosts, paths and backends so that APIs meet.
func anyAPI(name string) *rapid.Generator[*catalog.API] {
	return rapid.Custom(func(t *rapid.T) *catalog.API {
		hosts := rapid.SampledFrom([]string{"a", "b.a", "c.b.a", "*.a", "*.b.a", "*"})
		base := rapid.SampledFrom([]string{"/", "/x", "/x/y", "/z", "/.well-known/z"}).Draw(t, "base path")
		backend := rapid.SampledFrom([]string{"http://one:8080", "http://one:8080/v2", "https://two", "https://three"}).Draw(t, "backend")
		api := literalAPI(name, base, backend, rapid.SliceOfNDistinct(hosts, 1, 3, rapid.ID).Draw(t, "hosts")...)
		api.ProtectedResource = rapid.Bool().Draw(t, "protected resource")
		api.External = []string{"https://" + rapid.SampledFrom([]string{"a", "b"}).Draw(t, "external")}
		if rapid.Bool().Draw(t, "second backend") {
			other := api.Backends[0]
			other.Weight, other.TLS.CAFile = 1, rapid.SampledFrom([]string{"", "/ca.pem"}).Draw(t, "ca file")
			api.Backends[0].Weight = 2
			api.Backends = append(api.Backends, other)
		}
		if rapid.Bool().Draw(t, "cors") {
			api.CORS = &catalog.CORS{Origins: []string{"https://app.example.com"}}
		}
		if rapid.IntRange(0, 4).Draw(t, "unpublished") == 0 {
			api.Gateways = nil
		}
		api.Backends[0].Timeout = time.Duration(rapid.IntRange(1, 2).Draw(t, "timeout")) * time.Second
		return api
	})
}

// edited draws what comes of a catalogue: APIs added, changed, removed and copied, the
// gateway's or our own port moved, or nothing at all.
func edited(t *rapid.T, cat *catalog.Catalogue) *catalog.Catalogue {
	next := *cat
	next.APIs = slices.Clone(cat.APIs)
	byName := make(map[string]*catalog.API)
	for _, api := range cat.APIs {
		byName[api.Name] = api
	}
	for range rapid.IntRange(0, 3).Draw(t, "edits") {
		name := fmt.Sprint("api-", rapid.IntRange(0, 9).Draw(t, "name"))
		switch api := byName[name]; rapid.SampledFrom([]string{"put", "put", "remove", "copy"}).Draw(t, "edit") {
		case "put":
			byName[name] = anyAPI(name).Draw(t, name)
		case "remove":
			delete(byName, name)
		case "copy":
			if api != nil {
				same := *api
				byName[name] = &same
			}
		}
	}
	next.APIs = slices.SortedFunc(maps.Values(byName), func(a, b *catalog.API) int { return strings.Compare(a.Name, b.Name) })
	switch rapid.IntRange(0, 9).Draw(t, "else") {
	case 0:
		next.Listeners.Check.Address = rapid.SampledFrom([]string{"unix:/a", "unix:/b"}).Draw(t, "check")
	case 1:
		next.CheckTimeout = time.Duration(rapid.IntRange(1, 3).Draw(t, "check timeout")) * time.Second
	case 2:
		gw := *cat.Gateways[0]
		gw.Listen = rapid.SampledFrom([]string{"127.0.0.1:1", "127.0.0.1:2"}).Draw(t, "listen")
		next.Gateways = []*catalog.Gateway{&gw}
	}
	return &next
}

// Whatever was published before, a catalogue is translated to the same bytes in the same
// order.
func TestNextIsTranslate(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		cat := literal()
		var res Resources
		for range rapid.IntRange(2, 3).Draw(t, "publications") {
			cat = edited(t, cat)
			next, err := res.Next(cat, "edge")
			fresh, want := Translate(cat, "edge")
			if fmt.Sprint(err) != fmt.Sprint(want) {
				t.Fatalf("error %v, from scratch %v", err, want)
			}
			if err != nil {
				continue
			}
			if diff := differs(next, fresh); diff != "" {
				t.Fatalf("%s is not as from scratch", diff)
			}
			res = next
		}
	})
}

// differs names the first resource that is not the same in both, or not in the same place.
func differs(a, b Resources) string {
	x, y := a.inOrder(), b.inOrder()
	for i := range max(len(x), len(y)) {
		if i >= len(x) || i >= len(y) {
			return fmt.Sprintf("%d resources, %d", len(x), len(y))
		}
		text, err := pack(x[i])
		other, err2 := pack(y[i])
		if err != nil || err2 != nil || !bytes.Equal(text.GetValue(), other.GetValue()) {
			return fmt.Sprintf("%s %s", y[i].ProtoReflect().Descriptor().Name(), y[i].(resource).GetName())
		}
	}
	return ""
}

func (res Resources) inOrder() (list []message) {
	for _, m := range res.Clusters {
		list = append(list, m)
	}
	for _, m := range res.Listeners {
		list = append(list, m)
	}
	for _, m := range res.Secrets {
		list = append(list, m)
	}
	for _, m := range res.Scopes {
		list = append(list, m)
	}
	for _, m := range res.Routes {
		list = append(list, m)
	}
	return list
}

// Of a change of one API, all other messages are those of before, and lists of which
// nothing changed are the same list. A copy of an API changes nothing.
func TestNextTakesWhatIsTheSame(t *testing.T) {
	t.Parallel()
	for _, oneHost := range []bool{false, true} {
		cat := crowd(1_000, oneHost)
		before := mustTranslate(t, cat)
		next := *cat
		next.APIs = slices.Clone(cat.APIs)
		one := *cat.APIs[500]
		next.APIs[500] = &one
		after, err := before.Next(&next, "edge")
		if err != nil {
			t.Fatal(err)
		}
		if !sameList(before.Routes, after.Routes) || !sameList(before.Scopes, after.Scopes) || !sameList(before.Clusters, after.Clusters) || !sameList(before.Listeners, after.Listeners) {
			t.Error("a copy of an API makes another list")
		}
		slower := one
		slower.Backends = slices.Clone(one.Backends)
		slower.Backends[0].Timeout *= 2
		next.APIs[500] = &slower
		if after, err = before.Next(&next, "edge"); err != nil {
			t.Fatal(err)
		}
		if !sameList(before.Scopes, after.Scopes) || !sameList(before.Clusters, after.Clusters) || !sameList(before.Listeners, after.Listeners) {
			t.Error("the timeout of an API is not of its route alone")
		}
		fresh := 0
		for i, rc := range after.Routes {
			if rc != before.Routes[i] {
				fresh++
			}
		}
		if fresh != 1 {
			t.Errorf("%d tables are written again", fresh)
		}
	}
}

func sameList[T any](a, b []T) bool { return len(a) == len(b) && &a[0] == &b[0] }

// What is kept for the next translation is no more after many than after one.
func TestNextKeepsNoMore(t *testing.T) {
	t.Parallel()
	cat := crowd(100, false)
	res := mustTranslate(t, cat)
	for to := range 500 {
		var err error
		if res, err = res.Next(moved(cat, to), "edge"); err != nil {
			t.Fatal(err)
		}
	}
	m := res.kept
	if a, w := len(m.apis), len(m.written); a != 100 || w != 100 {
		t.Errorf("%d APIs, %d written", a, w)
	}
	if s, c, r := len(m.scopes.at), len(m.clusters.at), len(m.tables); s != len(res.Scopes) || c != len(res.Clusters) || r != len(res.Routes) {
		t.Errorf("%d scopes, %d clusters, %d tables", s, c, r)
	}
	if _, err := res.Next(cat, "edge"); err != nil {
		t.Fatal(err)
	}
	other := *cat
	other.Gateways = []*catalog.Gateway{{Name: "inner", Listen: "127.0.0.1:2"}}
	if _, err := res.Next(&other, "edge"); err == nil {
		t.Error("translated for a gateway that is gone")
	}
}

// Who is compared with whom goes by the order of names.
func TestNextWantsOrder(t *testing.T) {
	t.Parallel()
	cat := crowd(3, false)
	a, b, c := cat.APIs[0], cat.APIs[1], cat.APIs[2]
	for _, apis := range [][]*catalog.API{{b, a, c}, {a, c, b}, {a, a, b}} {
		cat.APIs = apis
		if _, err := Translate(cat, "edge"); err == nil {
			t.Error("APIs are translated that are not sorted by unique names")
		}
	}
}

// Resources of one gateway are not taken for another.
func TestNextOfAnotherGateway(t *testing.T) {
	t.Parallel()
	cat := crowd(10, false)
	edge := mustTranslate(t, cat)
	for _, api := range cat.APIs {
		api.Gateways = []*catalog.Gateway{{Name: "inner"}}
	}
	cat.Gateways = []*catalog.Gateway{{Name: "inner", Listen: "127.0.0.1:2"}}
	inner, err := edge.Next(cat, "inner")
	if err != nil {
		t.Fatal(err)
	}
	if want, err := Translate(cat, "inner"); err != nil || differs(inner, want) != "" {
		t.Errorf("%s, error %v", differs(inner, want), err)
	}
}

// A cluster is known by its name from one translation to the next: backends of which Envoy
// is told anything else have another name.
func TestClusterNameSaysAllOfTheCluster(t *testing.T) {
	t.Parallel()
	base := literalAPI("api", "/", "https://one:8443/v1").Backends[0]
	base.TLS.CertFile, base.TLS.KeyFile = "/cert.pem", "/key.pem"
	names := make(map[string]*clusterv3.Cluster)
	at := func(url string) catalog.Backend { return literalAPI("api", "/", url).Backends[0] }
	backends := []catalog.Backend{base, at("http://one:8443"), at("https://two:8443"), at("https://one"), at("https://one:8443/v2")}
	fields := reflect.TypeFor[catalog.Backend]().NumField()
	for i := range fields {
		b := base
		switch f := reflect.ValueOf(&b).Elem().Field(i); f.Interface().(type) {
		case *url.URL, catalog.BackendTLS: // see above and below
		case catalog.Protocol:
			f.SetString(string(catalog.HTTP2))
		case time.Duration, int:
			f.SetInt(7)
		default:
			t.Fatalf("field %d is of an unknown type", i)
		}
		backends = append(backends, b)
	}
	for i := range reflect.TypeFor[catalog.BackendTLS]().NumField() {
		for _, text := range []string{"a", "a,b", "a&sans=b", "%26"} {
			b := base
			switch f := reflect.ValueOf(&b.TLS).Elem().Field(i); f.Kind() {
			case reflect.String:
				f.SetString(text)
			case reflect.Slice:
				f.Set(reflect.ValueOf(strings.Split(text, "&")))
			default:
				t.Fatalf("field %d of TLS is of an unknown type", i)
			}
			backends = append(backends, b)
		}
	}
	for _, b := range backends {
		name := clusterName(b)
		c, err := backendCluster(name, b)
		if err != nil {
			t.Fatal(err)
		}
		if same := names[name]; same != nil && !proto.Equal(same, c) {
			t.Errorf("two clusters are named %s:\n%v\n%v", name, same, c)
		}
		names[name] = c
	}
	if len(names) < 10 {
		t.Errorf("%d names", len(names))
	}
}

package envoy

import (
	"encoding/json"
	"testing"
)

// Everything that Envoys are told is in what is validated, each once.
func TestStatic(t *testing.T) {
	t.Parallel()
	cat := literal(literalAPI("orders", "/orders", "http://orders:8080", "*"), literalAPI("items", "/items", "https://items", "shop.example.com"))
	cat.Listeners.XDS.Address = "127.0.0.1:18000"
	res, err := Translate(cat, "edge")
	if err != nil {
		t.Fatal(err)
	}
	text, err := Static(cat, "edge")
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Static struct {
			Listeners, Clusters []struct{ Name string }
		} `json:"static_resources"`
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	names := make(map[string]int)
	for _, l := range got.Static.Listeners {
		names["listener "+l.Name]++
	}
	for _, c := range got.Static.Clusters {
		names["cluster "+c.Name]++
	}
	want := []string{"cluster " + xdsCluster}
	for _, l := range res.Listeners {
		want = append(want, "listener "+l.GetName())
	}
	for _, rc := range res.Routes {
		want = append(want, "listener table "+rc.GetName())
	}
	for _, c := range res.Clusters {
		want = append(want, "cluster "+c.GetName())
	}
	for _, name := range want {
		if names[name] != 1 {
			t.Errorf("%s stands there %d times", name, names[name])
		}
	}
	if len(names) != len(want) || len(res.Routes) == 0 {
		t.Errorf("%d resources, want %d", len(names), len(want))
	}
	if text, err := Static(cat, "inner"); !says(err, "no gateway is named") || text != nil {
		t.Errorf("an unknown gateway: %v", err)
	}
}

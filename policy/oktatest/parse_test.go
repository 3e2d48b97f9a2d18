package oktatest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/durward/durward/policy/oktatest"
	"github.com/google/go-cmp/cmp"
)

func TestParseFault(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	for text, want := range map[string]oktatest.Fault{
		"introspect:latency=300ms":            {Endpoint: oktatest.Introspect, Kind: oktatest.Latency, Delay: 300 * ms},
		"introspect:latency=300ms~50ms*4":     {Endpoint: oktatest.Introspect, Kind: oktatest.Latency, Delay: 300 * ms, Jitter: 50 * ms, Count: 4},
		"introspect:status=500*3":             {Endpoint: oktatest.Introspect, Kind: oktatest.Status, Status: 500, Count: 3},
		"keys:html":                           {Endpoint: oktatest.Keys, Kind: oktatest.HTML},
		"*:html=502":                          {Kind: oktatest.HTML, Status: 502},
		"introspect:drip=1s":                  {Endpoint: oktatest.Introspect, Kind: oktatest.Drip, Delay: time.Second},
		"token:reset*1":                       {Endpoint: oktatest.Token, Kind: oktatest.Reset, Count: 1},
		"token:reset=10":                      {Endpoint: oktatest.Token, Kind: oktatest.Reset, Size: 10},
		"revoke:truncate":                     {Endpoint: oktatest.Revoke, Kind: oktatest.Truncate},
		"userinfo:length=5*2":                 {Endpoint: oktatest.UserInfo, Kind: oktatest.WrongLength, Size: 5, Count: 2},
		"logout:empty=204":                    {Endpoint: oktatest.Logout, Kind: oktatest.Empty, Status: 204},
		"authorize:redirect=http://a/?b=c*1":  {Endpoint: oktatest.Authorize, Kind: oktatest.Redirect, Text: "http://a/?b=c", Count: 1},
		"introspect:huge=10485760":            {Endpoint: oktatest.Introspect, Kind: oktatest.Huge, Size: 10 << 20},
		"introspect:endless":                  {Endpoint: oktatest.Introspect, Kind: oktatest.Endless},
		`keys:body={"keys":[]}`:               {Endpoint: oktatest.Keys, Kind: oktatest.Body, Text: `{"keys":[]}`},
		"metadata:body=*:a=b*c*2":             {Endpoint: oktatest.Metadata, Kind: oktatest.Body, Text: "*:a=b*c", Count: 2},
		"keys:header=Cache-Control: no-cache": {Endpoint: oktatest.Keys, Kind: oktatest.Header, Text: "Cache-Control: no-cache"},
		"*:skew=-30s":                         {Kind: oktatest.Skew, Delay: -30 * time.Second},
		"introspect:concurrency*2":            {Endpoint: oktatest.Introspect, Kind: oktatest.Concurrency, Count: 2},
		"introspect:limit=60":                 {Endpoint: oktatest.Introspect, Kind: oktatest.Limit, Size: 60},
		"keys:lag=1m":                         {Endpoint: oktatest.Keys, Kind: oktatest.Lag, Delay: time.Minute},
	} {
		got, err := oktatest.ParseFault(text)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", text, err, diff)
		}
	}
}

func TestParseFaultRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                               "it is not endpoint:kind",
		"introspect":                     "it is not endpoint:kind",
		":html":                          "it is not endpoint:kind",
		"nowhere:html":                   "no such endpoint",
		"introspect:":                    "no such kind",
		"introspect:boom":                "no such kind",
		"introspect:boom=1":              "no such kind",
		"introspect:html*0":              "a count of zero",
		"introspect:html*-1":             "no such kind",
		"introspect:endless=5":           "takes no value",
		"introspect:latency":             "a delay",
		"introspect:latency=5":           "missing unit",
		"introspect:latency=1s~x":        "invalid duration",
		"introspect:latency=-1s":         "a delay outside",
		"introspect:latency=2h":          "a delay outside",
		"introspect:skew=-2h":            "a delay outside",
		"introspect:status":              "a status of 400 to 599",
		"introspect:status=200":          "a status of 400 to 599",
		"introspect:status=x":            "invalid syntax",
		"introspect:html=99":             "a status of 200 to 599",
		"introspect:redirect":            "a target URL",
		"introspect:header=nothing":      "Name: value",
		"introspect:header=a: b\r\nc: d": "Name: value",
		"introspect:huge":                "a size",
		"introspect:huge=9999999999":     "outside 0 to",
		"introspect:reset=-1":            "outside 0 to",
		"introspect:limit=0":             "a number of requests",
		"introspect:limit=9*2":           "of a kind that has none",
		"keys:limit=9":                   "not rate limited",
		"introspect:lag=1m":              "no endpoint but keys",
		"introspect:body=" + strings.Repeat("x", 1<<20+1): "text of more than",
	} {
		got, err := oktatest.ParseFault(text)
		if err == nil || !strings.Contains(err.Error(), want) || got != (oktatest.Fault{}) {
			t.Errorf("%.60q: got %v, %+v; want %q", text, err, got, want)
		}
	}
}

// FuzzParseFault holds that what parses can be injected.
func FuzzParseFault(f *testing.F) {
	for _, text := range []string{"introspect:latency=300ms~50ms*4", "*:body=a*b*2", "keys:lag=1m", "token:limit=1", "a:b=c*d"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		fault, err := oktatest.ParseFault(text)
		if err != nil {
			return
		}
		s, err := oktatest.NewServer(oktatest.DefaultConfig())
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Inject(fault); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	})
}

func TestInjectIsBounded(t *testing.T) {
	t.Parallel()
	s := oktatest.New(t)
	for range 1024 {
		inject(t, s, "keys:html")
	}
	if err := s.Inject(oktatest.Fault{Kind: oktatest.HTML}); err == nil || !strings.Contains(err.Error(), "more than 1024") {
		t.Errorf("one more: %v", err)
	}
	if err := s.Inject(oktatest.Fault{}); err == nil {
		t.Error("took the zero Fault")
	}
}

package serve

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/durward/durward/authz"
)

var abuseRows = map[string]func(*testing.T){
	"G07": oddRequests, "G08": panics, "G09": impatient, "G12": noTokenAnywhere, "G13": cardinality,
}

type runtimeMemory struct{ heap uint64 }

func (m *runtimeMemory) read() {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	m.heap = stats.HeapAlloc
}

// seriesOf are the names of all series that the server has.
func seriesOf(t *testing.T, s *Server) string {
	t.Helper()
	_, text := get(t, s, "/metrics")
	var names []string
	for line := range strings.Lines(text) {
		if name, _, ok := strings.Cut(line, " "); ok && strings.HasPrefix(name, "durward_") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, "\n")
}

// octets sends a message as it is.
type octets []byte

type octetCodec struct{}

func (octetCodec) Name() string { return "proto" }

func (octetCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.(octets))}, nil
}

func (octetCodec) Unmarshal(data mem.BufferSlice, v any) error {
	return proto.Unmarshal(data.Materialize(), v.(proto.Message))
}

func oddRequests(t *testing.T) {
	w := newWorld(t, setting{})
	good := w.good()
	client := authv3.NewAuthorizationClient(w.conn)
	nested := structpb.NewStringValue("x")
	for range 90 {
		nested = structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{nested}})
	}
	many := question("jwt", "/jwt/1", "")
	for i := range 5_000 {
		many.Attributes.Request.Http.Headers[fmt.Sprintf("authorization%d", i)] = "Bearer " + good[:9]
	}
	both := question("jwt", "/jwt/1", good)
	both.Attributes.Request.Http.HeaderMap = &corev3.HeaderMap{Headers: []*corev3.HeaderValue{{Key: "AUTHORIZATION", Value: "Bearer " + good}}}
	deep := question("jwt", "/jwt/1", "")
	deep.Attributes.MetadataContext = &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{"a": {Fields: map[string]*structpb.Value{"b": nested}}}}
	noHTTP := question("jwt", "/jwt/1", good)
	noHTTP.Attributes.Request.Http = nil
	noRequest := question("jwt", "/jwt/1", good)
	noRequest.Attributes.Request = nil
	pseudo := question("jwt", "/jwt/1", good)
	pseudo.Attributes.Request.Http.Headers[":path"] = "/both/1"
	for what, c := range map[string]struct {
		req  *authv3.CheckRequest
		want string
	}{
		"empty":        {&authv3.CheckRequest{}, "400 request_malformed"},
		"attributes":   {&authv3.CheckRequest{Attributes: &authv3.AttributeContext{}}, "400 request_malformed"},
		"no request":   {noRequest, "400 request_malformed"},
		"no HTTP":      {noHTTP, "400 request_malformed"},
		"both kinds":   {both, "400 request_malformed"},
		"pseudo":       {pseudo, "400 request_malformed"},
		"many headers": {many, "401 token_missing"},
		"deep":         {deep, "401 token_missing"},
	} {
		res, err := client.Check(t.Context(), c.req)
		if err != nil || outcome(res) != c.want {
			t.Errorf("%s: %v, %v", what, outcome(res), err)
		}
	}
	whole := must(proto.Marshal(question("jwt", "/jwt/1", good)))
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 2_000 {
		text := slices.Clone(whole)
		if i%2 == 0 {
			text = make([]byte, i%512)
		}
		for j := range text {
			if i%2 == 0 || random.IntN(20) == 0 {
				text[j] = byte(random.Uint32())
			}
		}
		res := new(authv3.CheckResponse)
		err := w.conn.Invoke(t.Context(), checkMethod, octets(text), res, grpc.ForceCodecV2(octetCodec{}))
		if err == nil && outcome(res) == "allow" && i%2 == 0 {
			t.Errorf("random bytes are allowed: %x", text)
		}
		if err == nil && res.GetStatus() == nil {
			t.Errorf("an answer without status: %v", res)
		}
	}
	w.allows(t, good)
	if _, text := get(t, w.Server, "/metrics"); !strings.Contains(text, "panics_total 0\n") {
		t.Error("a check panicked")
	}
}

// panics are made by a catalogue that cannot be compiled.
func panics(t *testing.T) {
	w := newWorld(t, setting{})
	good := w.good()
	broken, _, err := Load(w.path)
	if err != nil {
		t.Fatal(err)
	}
	for _, api := range broken.APIs {
		api.Policy.Server = nil
	}
	w.authz.Swap(&authz.Generation{Catalogue: broken})
	for _, mode := range threeModes {
		res := w.send(t, mode, "/"+mode+"/1", nil, "Bearer "+good)
		if got := outcome(res); got != "503 internal" || told(res, "retry-after") == "" {
			t.Errorf("%s: %s", mode, got)
		}
	}
	if _, text := get(t, w.Server, "/metrics"); !strings.Contains(text, "panics_total 3\n") {
		t.Error("the panics were not counted")
	}
	if err := w.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.allows(t, good)
}

// impatient callers leave; the question goes on for those who stay.
func impatient(t *testing.T) {
	w := newWorld(t, setting{})
	for _, mode := range asking {
		text := w.good()
		release := make(chan struct{})
		answer := w.is.asked("introspect")
		claims := func() string { w.is.mu.Lock(); defer w.is.mu.Unlock(); return w.is.issued["default "+text] }()
		w.is.respond("introspect", func(rw http.ResponseWriter, r *http.Request) {
			select {
			case <-release:
			case <-r.Context().Done():
			}
			_, _ = io.WriteString(rw, `{"active":true,`+claims[1:])
		})
		client := authv3.NewAuthorizationClient(w.conn)
		var early, late sync.WaitGroup
		for i := range 20 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+10*i)*time.Millisecond)
			early.Go(func() {
				defer cancel()
				if i%2 == 0 {
					time.AfterFunc(5*time.Millisecond, cancel)
				}
				if res, err := client.Check(ctx, question(mode, "/"+mode+"/1", text)); err == nil && outcome(res) == "allow" {
					t.Errorf("%s: allowed before the answer", mode)
				}
			})
			late.Go(func() {
				if got := w.ask(t, mode, text); got != "allow" {
					t.Errorf("%s: %s for who waited", mode, got)
				}
			})
		}
		early.Wait()
		close(release)
		late.Wait()
		if n := w.is.asked("introspect") - answer; n != 1 {
			t.Errorf("%s: %d introspections", mode, n)
		}
		w.is.respond("introspect", nil)
	}
}

// noTokenAnywhere looks for every token that was shown in all that is written.
func noTokenAnywhere(t *testing.T) {
	w := newWorld(t, setting{maxAge: "0s"})
	tokens := []string{
		w.good(), w.wrong("exp", "1"), w.wrong("iss", `"https://evil"`), w.wrong("scp", "[]"), w.wrong("uid", ""), w.wrong("aud", `"x"`),
		jws(usualHeader, w.claims(nil), rs256(evilRSA())), jws(`{"kid":"nobody","alg":"RS256"}`, w.claims(nil), rs256(evilRSA())),
		jws(`{"kid":"k1","alg":"none"}`, w.claims(nil), constant("x")), "opaque-0123456789abcdefghijklmnopqrstuvwxyz",
	}
	for _, mode := range threeModes {
		for _, text := range tokens {
			_ = w.ask(t, mode, text)
			_ = w.send(t, mode, "/"+mode+"/1?access_token="+text, nil)
			_ = w.send(t, mode, "/"+mode+"/1", nil, "Bearer "+text+" x")
			_ = w.send(t, mode, "/"+mode+"/1", nil, "Token "+text)
			if strings.HasPrefix(text, "eyJ") { // other text in a path cannot be known for a token
				_ = w.send(t, mode, "/"+mode+"/"+text, nil, "Bearer "+text)
			}
		}
	}
	secret := w.good()
	w.is.respond("introspect", func(rw http.ResponseWriter, r *http.Request) { // an answer that repeats the token
		rw.Header().Set("Content-Type", "application/"+secret)
		rw.Header().Set("Location", "http://x/"+secret)
		_, _ = io.WriteString(rw, `{"active":true,"iss":"`+secret+`","exp":9999999999}`)
	})
	_ = w.ask(t, "introspection", secret)
	_, metrics := get(t, w.Server, "/metrics")
	places := map[string]string{"log": w.log.String(), "metrics": metrics}
	if n := len(w.log.lines(t, "decision")); n < 3*4*len(tokens)-9 {
		t.Errorf("the log has only %d decisions", n)
	}
	for _, text := range append(tokens, secret) {
		for i, part := range strings.Split(text, ".") {
			for place, written := range places {
				// The first part of a JWT says nothing.
				if len(part) > 20 && (i > 0 || part == text) && strings.Contains(written, part) {
					t.Errorf("the %s shows a part of a token, %.12q", place, part)
				}
			}
		}
	}
}

// cardinality: nothing that a caller writes makes a series.
func cardinality(t *testing.T) {
	w := newWorld(t, setting{})
	try := func(i int) {
		for _, mode := range []string{"jwt", "both"} {
			method := fmt.Sprintf("M%s", strings.Repeat("X", i%20))
			_ = w.send(t, mode, fmt.Sprintf("/%s/p%d", mode, i), func(r *authv3.AttributeContext_HttpRequest) { r.Method = method },
				"Bearer "+jws(fmt.Sprintf(`{"kid":"c%d","alg":"RS256"}`, i), w.claims(nil), constant("x")))
			_ = w.send(t, mode, fmt.Sprintf("/%s/p%d/q", mode, i), func(r *authv3.AttributeContext_HttpRequest) { r.Host = fmt.Sprintf("h%d.example.com", i) },
				"Bearer "+w.claimless(i))
			req := question(fmt.Sprintf("api%d", i), fmt.Sprintf("/x%d", i), "")
			if _, err := authv3.NewAuthorizationClient(w.conn).Check(t.Context(), req); err != nil {
				t.Fatal(err)
			}
		}
	}
	try(0)
	w.allows(t, w.good())
	before := seriesOf(t, w.Server)
	for i := range 500 {
		try(i + 1)
	}
	if after := seriesOf(t, w.Server); after != before {
		t.Errorf("series grew from %d to %d", strings.Count(before, "\n"), strings.Count(after, "\n"))
	}
	if !strings.Contains(before, "durward_decisions_total") {
		t.Error("no series was looked at")
	}
}

// claimless is junk that differs.
func (w *world) claimless(i int) string {
	return jws(usualHeader, fmt.Sprintf(`{"n":%d}`, i), constant("x"))
}

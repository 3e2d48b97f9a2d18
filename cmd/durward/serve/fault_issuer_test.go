package serve

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// idp is an authorization server whose every answer a test decides. It is also the
// oracle: it knows of each token when it ends.
type idp struct {
	name, url, address string
	tls                *tls.Config
	opaque             bool

	asked, fetched, flying, peak atomic.Int64
	// skew is added to the clock that tokens and answers are stamped by, in nanoseconds.
	skew atomic.Int64
	// limit is announced in X-Rate-Limit-Limit; 0 announces nothing.
	limit atomic.Int64
	// respond and publish answer in place of introspection and keys, where not nil.
	respond, publish atomic.Pointer[http.HandlerFunc]

	mu        sync.Mutex
	minted    map[string]*minted
	published []int
	server    *http.Server
	stopped   chan struct{}
}

// minted is a token, and when it ceases to be good.
type minted struct {
	claims  map[string]any
	expires time.Time
	// revoked is when the revocation was complete; zero if it was not.
	revoked time.Time
}

// signers are made once: four are enough for every rotation here.
var signers = [4]func() *rsa.PrivateKey{}

func init() {
	for i := range signers {
		signers[i] = sync.OnceValue(func() *rsa.PrivateKey {
			k, err := rsa.GenerateKey(rand.Reader, 2048)
			if err != nil {
				panic(err)
			}
			return k
		})
	}
}

func newIdp(t testing.TB, change ...func(*idp)) *idp {
	t.Helper()
	i := &idp{name: "main", minted: make(map[string]*minted), published: []int{0, 1}}
	i.limit.Store(1_000_000)
	for _, c := range change {
		c(i)
	}
	i.up(t)
	scheme := "http"
	if i.tls != nil {
		scheme = "https"
	}
	i.url = scheme + "://" + i.address + "/oauth2/default"
	t.Cleanup(i.down)
	return i
}

// up listens, on the address it had if it had one.
func (i *idp) up(t testing.TB) {
	t.Helper()
	address := i.address
	if address == "" {
		address = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	i.address = l.Addr().String()
	if i.tls != nil {
		l = tls.NewListener(l, i.tls)
	}
	i.server = &http.Server{Handler: i, ReadHeaderTimeout: time.Minute, ErrorLog: discardLog}
	stopped := make(chan struct{})
	i.stopped = stopped
	go func(s *http.Server) { defer close(stopped); _ = s.Serve(l) }(i.server)
}

// down refuses connections and cuts those there are.
func (i *idp) down() {
	_ = i.server.Close()
	<-i.stopped
}

func (i *idp) now() time.Time { return time.Now().Add(time.Duration(i.skew.Load())) }

func (i *idp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", i.now().UTC().Format(http.TimeFormat))
	switch path := strings.TrimPrefix(r.URL.Path, "/oauth2/default"); {
	case path == "/v1/introspect":
		i.asked.Add(1)
		now := i.flying.Add(1)
		defer i.flying.Add(-1)
		for p := i.peak.Load(); now > p && !i.peak.CompareAndSwap(p, now); p = i.peak.Load() {
		}
		i.announce(w)
		_ = r.ParseForm()
		if h := i.respond.Load(); h != nil {
			(*h)(w, r)
			return
		}
		i.introspect(w, r)
	case path == "/v1/keys":
		i.fetched.Add(1)
		if h := i.publish.Load(); h != nil {
			(*h)(w, r)
			return
		}
		writeJSON(w, map[string]any{"keys": i.jwks()})
	case strings.HasPrefix(path, "/.well-known/"):
		writeJSON(w, map[string]any{"issuer": i.url, "jwks_uri": i.url + "/v1/keys", "introspection_endpoint": i.url + "/v1/introspect"})
	default:
		http.NotFound(w, r)
	}
}

func (i *idp) announce(w http.ResponseWriter) {
	if n := i.limit.Load(); n > 0 {
		h := w.Header()
		h.Set("X-Rate-Limit-Limit", strconv.FormatInt(n, 10))
		h.Set("X-Rate-Limit-Remaining", strconv.FormatInt(n-1, 10))
		h.Set("X-Rate-Limit-Reset", strconv.FormatInt(i.now().Add(time.Minute).Unix(), 10))
	}
}

// introspect is the honest answer.
func (i *idp) introspect(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	m := i.minted[r.PostForm.Get("token")]
	active := m != nil && m.revoked.IsZero() && time.Now().Before(m.expires)
	i.mu.Unlock()
	if !active {
		writeJSON(w, map[string]any{"active": false})
		return
	}
	answer := map[string]any{"active": true, "token_type": "Bearer"}
	for k, v := range m.claims {
		switch k {
		case "cid":
			answer["client_id"] = v
		case "scp":
			answer["scope"] = strings.Join(v.([]string), " ")
		case "ver":
		default:
			answer[k] = v
		}
	}
	writeJSON(w, answer)
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func (i *idp) jwks() []map[string]string {
	i.mu.Lock()
	defer i.mu.Unlock()
	var all []map[string]string
	for _, n := range i.published {
		k := signers[n]().PublicKey
		all = append(all, map[string]string{
			"kty": "RSA", "alg": "RS256", "use": "sig", "kid": kid(n),
			"n": base64url(k.N.Bytes()), "e": base64url(big.NewInt(int64(k.E)).Bytes()),
		})
	}
	return all
}

func (i *idp) publishKeys(numbers ...int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.published = numbers
}

func kid(n int) string          { return fmt.Sprintf("key-%d", n) }
func base64url(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// mint makes a token that ends after ttl, rounded up to whole seconds.
func (i *idp) mint(t testing.TB, ttl time.Duration) string { return i.mintBy(t, 0, ttl) }

func (i *idp) mintBy(t testing.TB, key int, ttl time.Duration) string {
	t.Helper()
	now := i.now()
	expires := now.Add(ttl).Truncate(time.Second).Add(time.Second)
	id := base64url(random())
	claims := map[string]any{
		"ver": 1, "jti": "AT." + id, "iss": i.url, "aud": "api://default", "sub": "alice@example.com", "uid": "00uALICE",
		"iat": now.Unix(), "exp": expires.Unix(), "cid": "0oaMOBILE", "scp": []string{"orders.read"},
	}
	text := "opaque-" + id
	if !i.opaque {
		body, err := json.Marshal(claims)
		if err != nil {
			t.Fatal(err)
		}
		signed := base64url([]byte(`{"kid":"`+kid(key)+`","alg":"RS256"}`)) + "." + base64url(body)
		sum := sha256.Sum256([]byte(signed))
		signature, err := rsa.SignPKCS1v15(rand.Reader, signers[key](), crypto.SHA256, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		text = signed + "." + base64url(signature)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.minted[text] = &minted{claims: claims, expires: expires}
	return text
}

func random() []byte {
	b := make([]byte, 24)
	_, _ = rand.Read(b)
	return b
}

func (i *idp) revoke(token string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if m := i.minted[token]; m.revoked.IsZero() {
		m.revoked = time.Now()
	}
}

func (i *idp) ends(token string) (expires, revoked time.Time) {
	i.mu.Lock()
	defer i.mu.Unlock()
	m := i.minted[token]
	return m.expires, m.revoked
}

// answer replaces introspection; nil gives it back.
func (i *idp) answer(h http.HandlerFunc) {
	if h == nil {
		i.respond.Store(nil)
		return
	}
	i.respond.Store(&h)
}

func answering(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// delayed is the honest answer after d, or none if the caller goes first.
func (i *idp) delayed(d time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(d):
			i.introspect(w, r)
		case <-r.Context().Done():
		}
	}
}

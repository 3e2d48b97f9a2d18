package serve

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// The rows of what a gateway may let in beside plain requests.
var doorRows = map[string]func(*testing.T){"Q10": namesAsked, "Q16": upgrades, "Q17": outlived}

// Each place where websockets are, and each where they are not.
var (
	openPlaces = []string{
		"chat.example.com/chat/1", "CHAT.example.com/chat/1", "a.wild.example.com/chat/1", "a.b.WILD.example.com/chat/1",
		"chat.example.com/any/1", "a.wild.example.com/any/1", "other.example.net/any/1", "OTHER.example.net/any/1",
	}
	closedPlaces = []string{
		"chat.example.com/plain/1", "CHAT.example.com/plain/1", "a.wild.example.com/plain/1", "other.example.net/plain/1", "OTHER.example.net/plain/1",
		"other.example.net/chat/1", "other.example.net/none", "chat.example.com/none", "chat.example.com/", "chat.example.com/upload/1",
	}
)

// upgrades (Q16): a websocket is opened where an API allows it, once the check allowed it,
// and no other way to leave HTTP exists. What follows a refusal on its connection is not
// read as a request, by Envoy or the backend.
func upgrades(t *testing.T) {
	d := newDoor(t, "http", "")
	t.Run("opened", d.opened)
	t.Run("refused", d.refused)
	t.Run("CONNECT", d.connects)
	// Envoy takes away what asks for HTTP/2 and goes on.
	for _, at := range []string{"chat.example.com/chat/1", "chat.example.com/plain/1", "other.example.net/any/1"} {
		res, _, _ := d.open(t, knock{at: at, token: d.token, lines: []string{"Upgrade: h2c"}}.request("GET"))
		if seen := d.rooms.take(); res.StatusCode != 200 || len(seen) != 1 || seen[0].Header.Get("Upgrade") != "" {
			t.Errorf("%s, h2c: %d, and the backend got %v", at, res.StatusCode, seen)
		}
	}
}

func (d *door) opened(t *testing.T) {
	for _, at := range openPlaces {
		res, c, r := d.open(t, knock{at: at, token: d.token, lines: []string{"Connection: keep-alive, Upgrade, x-auth-subject, x-auth-user-id", "X-Auth-Subject: forged", "Transfer-Encoding: chunked"}}.request("GET"))
		if res.StatusCode != http.StatusSwitchingProtocols {
			t.Errorf("%s: %d", at, res.StatusCode)
			continue
		}
		_, _ = io.WriteString(c, "anything at all")
		echo := make([]byte, len("anything at all"))
		if _, err := io.ReadFull(r, echo); err != nil || string(echo) != "anything at all" {
			t.Errorf("%s: the backend says %q, error %v", at, echo, err)
		}
		_ = c.Close()
		seen := d.rooms.take()
		if len(seen) != 1 {
			t.Fatalf("%s: the backend was asked %d times", at, len(seen))
		}
		if coding := seen[0].TransferEncoding; len(coding) > 0 {
			t.Errorf("%s: the backend waits for a body: %q", at, coding)
		}
		h := seen[0].Header
		if got := h.Get("Connection"); strings.ToLower(got) != "upgrade" {
			t.Errorf("%s: the backend is to forget %q", at, got)
		}
		if h.Get("X-Auth-Subject") != "alice%40example.com" && h.Get("X-Auth-Subject") != "alice@example.com" || h.Get("Authorization") != "" {
			t.Errorf("%s: the backend got %v", at, h)
		}
	}
}

func (d *door) refused(t *testing.T) {
	stranger := d.wrong("aud", `"api://other"`)
	d.everywhere(t, func(t *testing.T, at string, open bool) {
		want := map[string]string{knock{at: at, token: d.token, lines: []string{"Upgrade: websocket", "Content-Length: 4"}}.request("POST"): "403"}
		if !open {
			want[knock{at: at, token: d.token}.request("GET")] = "403"
		} else {
			want[knock{at: at}.request("GET")] = "401 token_missing"
			want[knock{at: at, token: stranger}.request("GET")] = "401 audience_mismatch"
			// The backend would not answer before the body has come, nor anybody end the wait.
			for _, line := range []string{"Content-Length: 4", "Content-Length: 00"} {
				want[knock{at: at, token: d.token, lines: []string{line}}.request("GET")] = "400"
			}
		}
		for _, protocol := range []string{"TLS/1.0", "other", "websocket, h2c", "h2c, websocket", "websocket2", "CONNECT", "websocket;a=b", "websocket\r\nUpgrade: other"} {
			want[knock{at: at, token: d.token, lines: []string{"Upgrade: " + protocol}}.request("GET")] = "403"
		}
		want[knock{at: "chat.example.com/chat/1/secret", token: d.token}.request("GET")] = "403 scope_missing"
		for request, outcome := range want {
			smuggled := "GET /plain/1 HTTP/1.1\r\nHost: chat.example.com\r\nAuthorization: Bearer " + d.token + "\r\n\r\n"
			var told []string
			for _, res := range exchange(t, d.gateway, request+smuggled, 200*time.Millisecond) {
				told = append(told, verdict(res))
			}
			if got := strings.Join(told, " then "); got != outcome {
				t.Errorf("%.150q: %s, want %s", request, got, outcome)
			}
		}
	})
}

// everywhere tries all places at once, and wants that no request reaches the backend.
func (d *door) everywhere(t *testing.T, try func(t *testing.T, at string, open bool)) {
	t.Helper()
	_ = d.rooms.take()
	t.Run("everywhere", func(t *testing.T) {
		for i, at := range slices.Concat(openPlaces, closedPlaces) {
			t.Run(at, func(t *testing.T) {
				t.Parallel()
				try(t, at, i < len(openPlaces))
			})
		}
	})
	for _, a := range d.rooms.take() {
		t.Errorf("the backend was asked: %s %s of %s", a.Method, a.RequestURI, a.Host)
	}
}

// connects tries what would make a tunnel, by both versions of HTTP.
func (d *door) connects(t *testing.T) {
	d.everywhere(t, func(t *testing.T, at string, _ bool) {
		host, path, _ := strings.Cut(at, "/")
		bearer := "Authorization: Bearer " + d.token + "\r\n"
		for _, request := range []string{
			"CONNECT " + host + ":80 HTTP/1.1\r\nHost: " + host + ":80\r\n" + bearer + "\r\n",
			"OPTIONS * HTTP/1.1\r\nHost: " + host + "\r\nTransfer-Encoding: chunked\r\n" + bearer + "\r\n",
			"CONNECT /" + path + " HTTP/1.1\r\nHost: " + host + "\r\n" + bearer + "\r\n",
			"CONNECT " + host + ":80 HTTP/1.1\r\nHost: " + host + ":80\r\nUpgrade: websocket\r\nConnection: upgrade\r\n" + bearer + "\r\n",
		} {
			res, _, _ := d.open(t, request)
			if s := res.StatusCode; s != 403 && s != 404 && s != 400 {
				t.Errorf("%.100q: %d", request, s)
			}
		}
		for what, fields := range map[string][]string{
			"CONNECT":          {":method", "CONNECT", ":authority", host + ":80"},
			"extended CONNECT": {":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":path", "/" + path, ":authority", host},
			"upgrade":          {":method", "GET", ":scheme", "http", ":path", "/" + path, ":authority", host, "connection", "upgrade", "upgrade", "websocket"},
		} {
			told := newPeer(t, d.gateway).speakH2("", append(fields, "authorization", "Bearer "+d.token)...)
			if status, _, _ := strings.Cut(told, " "); status != "403" && status != "404" && told != "closed" && told != "reset" {
				t.Errorf("h2 %s to %s: %s", what, at, told)
			}
		}
	})
}

// outlived (Q17): the check is at the start, so that a token which expires ends no
// websocket, and the API's own bound does, however busy it is; so it does for a backend
// that does not say yes or no.
func outlived(t *testing.T) {
	d := newDoor(t, "http", "")
	dying := d.is.issue(usualHeader, d.claims(map[string]string{"exp": fmt.Sprint(time.Now().Unix() + 2)}))
	for _, host := range []string{"chat.example.com", "a.wild.example.com"} {
		began := time.Now()
		res, c, r := d.open(t, knock{at: host + "/chat/1", token: dying}.request("GET"))
		if res.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("%s: %d", host, res.StatusCode)
		}
		for {
			_, werr := io.WriteString(c, ".")
			_, rerr := r.ReadByte()
			if werr != nil || rerr != nil {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		if lasted := time.Since(began); lasted < 2900*time.Millisecond || lasted > 5*time.Second {
			t.Errorf("%s: it lasted %s, want 3s", host, lasted)
		}
		dying = d.token
	}
	dead := d.is.issue(usualHeader, d.claims(map[string]string{"exp": fmt.Sprint(time.Now().Unix() - 1)}))
	if res, _, _ := d.open(t, knock{at: "chat.example.com/chat/1", token: dead}.request("GET")); res.StatusCode != 401 {
		t.Errorf("a token that has expired opens a websocket: %d", res.StatusCode)
	}
}

// A backend that does not open the websocket gets nothing but the handshake: what a caller
// sends after it would be read as requests that nobody checked.
func TestAttackNothingFollowsARefusedWebsocket(t *testing.T) {
	t.Parallel()
	d := newDoor(t, "http", "")
	for _, at := range []string{"chat.example.com/chat/closed", "other.example.net/any/closed"} {
		request := knock{at: at, token: d.token}.request("GET")
		smuggled := "GET /1/secret HTTP/1.1\r\nHost: chat.example.com\r\n\r\n"
		res, c, r := d.open(t, request+smuggled)
		_, _ = io.WriteString(c, smuggled)
		rest, _ := io.ReadAll(io.LimitReader(r, 1<<16))
		if res.StatusCode != 200 || strings.Contains(string(rest), "HTTP/1.1 200") {
			t.Errorf("%s: %d, then %q", at, res.StatusCode, rest)
		}
		time.Sleep(200 * time.Millisecond)
		if seen := d.rooms.take(); len(seen) != 1 {
			for _, a := range seen {
				t.Logf("%s %s %q", a.Method, a.RequestURI, a.body)
			}
			t.Errorf("%s: the backend was asked %d times", at, len(seen))
		}
	}
}

package serve

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
)

// What the proxies before the gateway say of the caller is believed of as many as are
// trusted, and of nobody where none is; nothing else that begins alike gets through.
func TestGatewayTrustsHops(t *testing.T) {
	t.Parallel()
	lines := "X-Forwarded-For: 203.0.113.9, 198.51.100.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.example.com\r\n" +
		"X-Forwarded-User: root\r\nX-Forwarded-Protocol: evil\r\nX-Forwarded-Fo: evil\r\nX-Forwarded-: evil\r\nX-Forwarded-Forx: evil\r\nForwarded: for=203.0.113.9\r\n"
	for hops, want := range map[int][2]string{
		0: {"", "http"},
		1: {"203.0.113.9, 198.51.100.7,", "https"},
	} {
		t.Run(fmt.Sprint(hops), func(t *testing.T) {
			t.Parallel()
			d := newDoor(t, "http", fmt.Sprintf(", trusted_hops: %d", hops))
			request := strings.Replace(d.get("chat.example.com/plain/1", d.token), "\r\n\r\n", "\r\n"+lines+"\r\n", 1)
			if res, _, _ := d.open(t, request); res.StatusCode != 200 {
				t.Fatal(res.StatusCode)
			}
			h := d.rooms.take()[0].Header
			last, ours := strings.CutPrefix(h.Get("X-Forwarded-For"), want[0])
			if _, err := netip.ParseAddr(last); !ours || err != nil || last == "203.0.113.9" || last == "198.51.100.7" || h.Get("X-Forwarded-Proto") != want[1] {
				t.Errorf("the backend sees %q and %q, want %q and the connection's address, and %q", h.Get("X-Forwarded-For"), h.Get("X-Forwarded-Proto"), want[0], want[1])
			}
			if got := h.Get("X-Forwarded-Host"); got != "chat.example.com" {
				t.Errorf("the backend sees x-forwarded-host %q", got)
			}
			for name, values := range h {
				if strings.Contains(fmt.Sprint(values), "evil") || strings.Contains(fmt.Sprint(values), "root") || name == "Forwarded" {
					t.Errorf("the backend sees %s: %q", name, values)
				}
			}
		})
	}
}

// A request is as large as its API lets it be, whether it says so before or not, once it
// was allowed; requests of other APIs are not even held.
func TestLargeRequests(t *testing.T) {
	t.Parallel()
	d := newDoor(t, "http", "")
	post := func(at, token string, size int, chunked bool) string {
		head := strings.Replace(d.get(at, token), "GET", "POST", 1)
		body := strings.Repeat("x", size)
		if chunked {
			return strings.Replace(head, "\r\n\r\n", "\r\nTransfer-Encoding: chunked\r\n\r\n", 1) + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", size, body)
		}
		return strings.Replace(head, "\r\n\r\n", fmt.Sprintf("\r\nContent-Length: %d\r\n\r\n", size), 1) + body
	}
	for _, host := range []string{"chat.example.com", "CHAT.example.com", "other.example.net"} {
		for _, chunked := range []bool{false, true} {
			for request, want := range map[string]string{
				post(host+"/upload/1", d.token, 100_000, chunked):   "200",
				post(host+"/upload/1", d.token, 100_001, chunked):   "413",
				post(host+"/upload/1", d.token, 1_000_000, chunked): "413",
				post(host+"/upload/1", "", 1_000_000, chunked):      "401 token_missing",
				post(host+"/plain/1", d.token, 1_000_000, chunked):  "200",
			} {
				told := exchange(t, d.gateway, request, 300*time.Millisecond)
				if len(told) == 0 || verdict(told[0]) != want {
					t.Errorf("%.60q of %d bytes: %v, want %s", request, len(request), told, want)
				}
				if seen := d.rooms.take(); (len(seen) == 1) != (want == "200") {
					t.Errorf("%.60q of %d bytes: the backend was asked %d times", request, len(request), len(seen))
				}
			}
		}
		// The backend answers before the body, if it is asked by then.
		head := strings.Replace(d.get(host+"/plain/hasty", d.token), "GET", "POST", 1)
		if res, _, _ := d.open(t, strings.Replace(head, "\r\n\r\n", "\r\nTransfer-Encoding: chunked\r\n\r\n", 1)); res.StatusCode != 200 {
			t.Errorf("%s: a request that is not complete: %d", host, res.StatusCode)
		}
	}
}

// An API that is not published answers nobody: not by a route of before, not in shadow, and
// not where requests are malformed.
func TestUnpublishedAPIAnswersNobody(t *testing.T) {
	t.Parallel()
	d := newDoor(t, "http", "")
	if got := ask(t, d.conn, "drafted", "/drafted/1", d.token); got != "404 api_unknown" {
		t.Errorf("by a route of before: %s", got)
	}
	req := question("drafted", "/drafted/%", d.token)
	if res := must(authv3.NewAuthorizationClient(d.conn).Check(t.Context(), req)); res.GetOkResponse() != nil {
		t.Errorf("a malformed request: %v", res)
	}
	// That of another gateway is known, to whoever comes from there.
	for api, want := range map[string]string{"inside": "allow", "plain": "allow"} {
		if got := ask(t, d.conn, api, "/"+api+"/1", d.token); got != want {
			t.Errorf("%s: %s", api, got)
		}
	}
	for _, at := range []string{"chat.example.com/drafted/1", "other.example.net/drafted/1", "chat.example.com/inside/1", "other.example.net/inside/1"} {
		res, _, _ := d.open(t, d.get(at, d.token))
		if got := verdict(res); got != "404 api_unknown" {
			t.Errorf("%s: %s", at, got)
		}
	}
	if seen := d.rooms.take(); len(seen) > 0 {
		t.Errorf("the backend was asked %d times", len(seen))
	}
}

// A stream that nobody reads or writes ends by the stream's idle timeout, not by the
// backend's timeout, which is for answers.
func TestWebsocketOutlastsTheTimeout(t *testing.T) {
	t.Parallel()
	d := newDoor(t, "http", "")
	res, c, r := d.open(t, knock{at: "chat.example.com/chat/1", token: d.token}.request("GET"))
	if res.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(res.StatusCode)
	}
	time.Sleep(2 * time.Second) // chat's timeout is 1s, its max_duration 3s
	if _, err := io.WriteString(c, "x"); err != nil {
		t.Fatal(err)
	}
	if b, err := r.ReadByte(); err != nil || b != 'x' {
		t.Errorf("after two seconds of silence: %q, %v", b, err)
	}
}

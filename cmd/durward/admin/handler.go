package admin

import (
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// Path is where the status is.
const Path = "/api/v1/status"

// socketHost is the Host of requests over a unix socket.
const socketHost = "localhost"

// NewServer returns the server of the admin port. read is asked for each request, and
// must not wait long; it may be called at any time, by several at once.
func NewServer(read func() Status, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: handler(read), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// maxAtOnce bounds the answers that are kept in memory together.
const maxAtOnce = 4

func handler(read func() Status) http.Handler {
	slots := make(chan struct{}, maxAtOnce)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		switch {
		case !isOurs(r.Host):
			http.Error(w, "this port is called by a loopback address or localhost", http.StatusForbidden)
		case r.URL.Path != Path:
			http.Error(w, "there is "+Path, http.StatusNotFound)
		case r.Method != http.MethodGet:
			h.Set("Allow", http.MethodGet)
			http.Error(w, "nothing can be changed here", http.StatusMethodNotAllowed)
		default:
			select {
			case slots <- struct{}{}:
				defer func() { <-slots }()
				writeStatus(w, read().Bounded())
			default:
				h.Set("Retry-After", "1")
				http.Error(w, "too many ask at once", http.StatusServiceUnavailable)
			}
		}
	})
}

func writeStatus(w http.ResponseWriter, s Status) {
	text, err := json.Marshal(s)
	if err != nil {
		http.Error(w, "the status has no JSON form", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(text, '\n')) // who hung up needs no answer
}

// isOurs reports whether a Host names this machine by itself: whatever a name of others
// resolves to, it is a page of theirs that asks.
func isOurs(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	} else if len(host) > 1 && host[0] == '[' && host[len(host)-1] == ']' {
		name = host[1 : len(host)-1]
	}
	address, err := netip.ParseAddr(name)
	return name == "localhost" || err == nil && address.IsLoopback()
}

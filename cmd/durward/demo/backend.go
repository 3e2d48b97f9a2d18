package demo

import (
	"context"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/durward/durward/policy/catalog"
)

// backend is one address that APIs of a catalogue forward to.
type backend struct {
	url, listen string
	apis        []string
	// refused says why no echo runs there; empty if one does.
	refused string
}

// backendsOf are the catalogue's backends, each address once.
func backendsOf(cat *catalog.Catalogue) []backend {
	var list []backend
	byAddress := make(map[string]int)
	for _, api := range cat.APIs {
		for _, b := range api.Backends {
			u := b.URL
			key := u.Scheme + "://" + u.Host
			i, known := byAddress[key]
			if !known {
				i = len(list)
				byAddress[key] = i
				list = append(list, backend{url: key, listen: listenOn(u), refused: unplayed(b)})
			}
			list[i].apis = append(list[i].apis, api.Name)
		}
	}
	return list
}

// unplayed says why no echo runs for a backend, if none does.
func unplayed(b catalog.Backend) string {
	switch {
	case b.URL.Scheme != "http":
		return "not played: https"
	case !isLoopback(b.URL.Hostname()):
		return "not played: not a loopback address"
	case b.Protocol == catalog.GRPC:
		return "not played: grpc"
	}
	return ""
}

// startEcho runs the echo backend until stop, which waits for it.
func startEcho(ctx context.Context, b backend) (stop func() error, err error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", b.listen)
	if err != nil {
		return nil, taken(err, "the backend of "+strings.Join(b.apis, ", "), b.listen)
	}
	return serveEcho(l, http.HandlerFunc(Echo)), nil
}

// serveEcho serves h on l until stop.
func serveEcho(l net.Listener, h http.Handler) (stop func() error) {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, Protocols: new(http.Protocols)}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true) // for backends with protocol: http2
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(l) }() // ends with Close
	return func() error { err := server.Close(); <-done; return err }
}

package ads_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// What a caller says after the body is looked at by nobody, and so no backend hears it; the
// body itself is passed on as it comes.
func TestRealEnvoyPassesNoTrailers(t *testing.T) {
	t.Parallel()
	arrived, ended := make(chan string, 1), make(chan http.Header, 1)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first := make([]byte, 5)
		_, _ = io.ReadFull(r.Body, first)
		arrived <- string(first)
		_, _ = io.Copy(io.Discard, r.Body)
		ended <- r.Trailer
		_, _ = io.WriteString(w, "answer")
		_ = http.NewResponseController(w).Flush()
		w.Header().Set(http.TrailerPrefix+"X-Checksum", "of the answer")
	}))
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetUnencryptedHTTP2(true)
	srv.Start()
	t.Cleanup(srv.Close)
	list := map[string]string{"http2": "two.example.com", "grpc": "grpc.example.com"}
	two, grpc := api("two", "/", srv.URL, list["http2"]), api("grpc", "/", srv.URL, list["grpc"])
	two.Backend.Protocol, grpc.Backend.Protocol = "http2", "grpc"
	g := startGateway(t, two, grpc)
	for protocol, host := range list {
		body, caller := io.Pipe()
		req, err := http.NewRequest("POST", "http://"+g.addr+"/x", body)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		req.Trailer = http.Header{"X-Auth-Subject": {"admin"}, "X-Claim-Email": {"admin"}, "X-Any": {"x"}}
		done := make(chan *http.Response, 1)
		go func() {
			res, err := (&http.Client{Transport: overHTTP2(), Timeout: 12 * time.Second}).Do(req)
			if err != nil {
				t.Error(err)
			}
			done <- res
		}()
		_, _ = io.WriteString(caller, "first")
		select {
		case got := <-arrived:
			if got != "first" {
				t.Errorf("%s: the backend reads %q", protocol, got)
			}
		case <-time.After(5 * time.Second):
			t.Errorf("%s: a body is held until it ends", protocol)
		}
		_ = caller.Close()
		res := <-done
		if res == nil {
			t.Fatalf("%s: no answer", protocol)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		for name, values := range <-ended {
			if len(values) > 0 { // else it is only announced
				t.Errorf("%s: the backend got the trailer %s: %q", protocol, name, values)
			}
		}
		if res.StatusCode != 200 || res.Trailer.Get("X-Checksum") == "" {
			t.Errorf("%s: %d, trailers %v", protocol, res.StatusCode, res.Trailer)
		}
	}
	g.noNACKs(t)
}

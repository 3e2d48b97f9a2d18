package call

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/durward/durward/authz"
)

// A denial as package authz builds it is recognised.
func TestRealDenial(t *testing.T) {
	t.Parallel()
	s := authz.NewServer(slog.New(slog.DiscardHandler), prometheus.NewRegistry(), time.Now)
	for _, method := range []string{"GET", "HEAD"} {
		res, err := s.Check(t.Context(), &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
			Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{Method: method, Host: "a", Path: "/"}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		denied := res.GetDeniedResponse()
		header := http.Header{}
		for _, h := range denied.GetHeaders() {
			header.Add(h.GetHeader().GetKey(), h.GetHeader().GetValue())
		}
		if denied.GetBody() == "" {
			header.Del("Content-Type") // so does Envoy 1.40
		}
		a := judge(&http.Response{
			StatusCode: int(denied.GetStatus().GetCode()), Header: header, Body: io.NopCloser(strings.NewReader("")),
			Request: &http.Request{Method: method},
		}, []byte(denied.GetBody()))
		if a.Verdict != Denied || a.AnsweredBy != Durward || (a.Reason == "internal") != (method == "GET") || a.DecisionID == "" || a.RetryAfter == 0 {
			t.Errorf("%s: %+v from %v", method, a, denied)
		}
	}
}

package envoy

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/durward/durward/envoy/binary"
	durwardv1 "github.com/durward/durward/proto/durward/v1"
)

// A real Envoy reads what lets more in than plain requests, and looks at the files of the
// gateway's certificate.
func TestStaticDoor(t *testing.T) {
	t.Parallel()
	chat := api("chat", "/chat", "http://127.0.0.1:8080", "*", "a.example.com")
	chat.Websocket = &durwardv1.Websocket{MaxDuration: durationpb.New(time.Minute)}
	upload := api("upload", "/upload", "http://127.0.0.1:8080", "*")
	upload.MaxRequestBytes = 1000
	cfg := small()
	cfg.Apis, cfg.Listeners = []*durwardv1.API{chat, upload}, nil
	cfg.Gateways[0].TrustedHops = 1
	validate := func() error {
		t.Helper()
		text, err := Static(compile(t, cfg), "edge")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute) // may have to fetch Envoy
		defer cancel()
		path, err := binary.Find(ctx, binary.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return binary.Validate(ctx, path, text)
	}
	if err := validate(); err != nil {
		t.Error(err)
	}
	cfg.Gateways[0].Url = "https://api.example.com"
	cfg.Gateways[0].Tls = &durwardv1.GatewayTLS{Sds: &durwardv1.SDS{Address: "unix:/run/agent.sock", Name: "edge"}}
	if err := validate(); err != nil {
		t.Error(err)
	}
	missing := filepath.Join(t.TempDir(), "cert.pem")
	cfg.Gateways[0].Tls = &durwardv1.GatewayTLS{CertFile: missing, KeyFile: missing}
	if err := validate(); !says(err, missing) {
		t.Errorf("a certificate that is not there: %v", err)
	}
}

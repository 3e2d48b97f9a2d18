package serve

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

var portRows = map[string]func(*testing.T){
	"G01": intruders, "G03": unknownMethods, "G04": frameFloods, "G05": limits, "G06": slowPeers, "G10": plaintextOffLoopback, "G11": nothingElse, "G14": keepalives,
}

// checkMethod is the path of a check.
const checkMethod = authv3.Authorization_Check_FullMethodName

func unknownMethods(t *testing.T) {
	w := newWorld(t, setting{})
	x := dial(t, w.Catalogue().Listeners.XDS.Address)
	for _, method := range []string{
		checkMethod[1:], "/envoy.service.auth.v3.authorization/Check", "/envoy.service.auth.v3.Authorization/check",
		"/envoy.service.auth.v2.Authorization/Check", "/ENVOY.service.auth.v3.Authorization/Check", "/" + checkMethod, checkMethod + "/",
		checkMethod + "?a", "/envoy.service.auth.v3.Authorization/", "/", "/Check", "/envoy.service.auth.v3.Authorization%2fCheck",
		"/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources",
	} {
		err := w.conn.Invoke(t.Context(), method, question("jwt", "/jwt/1", w.good()), new(authv3.CheckResponse))
		if status.Code(err) != codes.Unimplemented {
			t.Errorf("%s: %v", method, err)
		}
	}
	err := x.Invoke(t.Context(), checkMethod, question("jwt", "/jwt/1", w.good()), new(authv3.CheckResponse))
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("a check on the xDS port: %v", err)
	}
	w.allows(t, w.good())
}

// peer speaks HTTP/2 frame by frame.
type peer struct {
	net.Conn
	*http2.Framer
	settings map[http2.SettingID]uint32
}

func newPeer(t *testing.T, address string) *peer {
	t.Helper()
	c, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	p := &peer{c, http2.NewFramer(c, c), map[http2.SettingID]uint32{}}
	_, err = io.WriteString(c, http2.ClientPreface)
	if err = errors.Join(err, p.WriteSettings()); err != nil {
		t.Fatal(err)
	}
	return p
}

// headers are the block of one check's headers, and more.
func headers(more ...string) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	fields := append([]string{":method", "POST", ":scheme", "http", ":path", checkMethod, ":authority", "x", "content-type", "application/grpc", "te", "trailers"}, more...)
	for i := 0; i < len(fields); i += 2 {
		_ = e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return b.Bytes()
}

// drain reads until the peer ends or says go away, whose debug text it returns.
func (p *peer) drain() (goAway string, err error) {
	for {
		f, err := p.ReadFrame()
		if err != nil {
			return "", err
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			_ = f.ForeachSetting(func(s http2.Setting) error { p.settings[s.ID] = s.Val; return nil })
		case *http2.GoAwayFrame:
			return string(f.DebugData()), nil
		}
	}
}

// frameFloods: while one client floods, others are served.
func frameFloods(t *testing.T) {
	w := newWorld(t, setting{})
	address := w.Catalogue().Listeners.Check.Address
	good := w.good()
	bomb := func() []byte {
		var b bytes.Buffer
		e := hpack.NewEncoder(&b)
		_ = e.WriteField(hpack.HeaderField{Name: "x", Value: strings.Repeat("a", 4<<10)})
		return append(b.Bytes(), bytes.Repeat([]byte{0x80 | 62}, 15<<10)...) // 60 MiB of references
	}()
	floods := map[string]func(p *peer, i uint32) error{
		"reset": func(p *peer, i uint32) error {
			id := 2*i + 1
			return errors.Join(p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: headers(), EndHeaders: true}), p.WriteRSTStream(id, http2.ErrCodeCancel))
		},
		"made you reset": func(p *peer, i uint32) error {
			id := 2*i + 1
			return errors.Join(p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: headers(), EndHeaders: true}), p.WriteWindowUpdate(id, 1<<31-1))
		},
		"settings": func(p *peer, i uint32) error {
			return p.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: i})
		},
		"ping": func(p *peer, _ uint32) error { return p.WritePing(false, [8]byte{}) },
		"continuation": func(p *peer, i uint32) error {
			if i == 0 {
				return p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: headers()})
			}
			return p.WriteContinuation(1, false, headers("x", strings.Repeat("y", 1<<10))[100:])
		},
		"bomb": func(p *peer, i uint32) error {
			return p.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*i + 1, BlockFragment: bomb, EndHeaders: true})
		},
		"empty data": func(p *peer, i uint32) error {
			if i == 0 {
				return p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: headers(), EndHeaders: true})
			}
			return p.WriteData(1, false, nil)
		},
	}
	for what, write := range floods {
		p := newPeer(t, address)
		var flood sync.WaitGroup
		ended := make(chan struct{})
		flood.Go(func() {
			defer close(ended)
			for i := range uint32(5_000) {
				if write(p, i) != nil {
					return
				}
			}
		})
		flood.Go(func() { _, _ = p.drain() })
		checks, worst := 0, time.Duration(0)
		for over := false; !over || checks < 20; checks++ {
			began := time.Now()
			if got := w.ask(t, "jwt", good); got != "allow" {
				t.Errorf("%s: another client gets %s", what, got)
			}
			worst = max(worst, time.Since(began))
			select {
			case <-ended:
				over = true
			case <-time.After(time.Millisecond):
			}
		}
		_ = p.Close()
		flood.Wait()
		if worst > time.Second {
			t.Errorf("%s: another client waited %s", what, worst)
		}
		t.Logf("%s: %d checks of another client, the slowest %s", what, checks, worst)
	}
	var p runtimeMemory
	if p.read(); p.heap > 512<<20 {
		t.Errorf("the heap is %d MiB", p.heap>>20)
	}
	w.allows(t, w.good())
}

func limits(t *testing.T) {
	w := newWorld(t, setting{})
	for what, size := range map[string]int{"300 KiB": 300 << 10, "5 MiB": 5 << 20} {
		req := question("jwt", "/jwt/1", w.good())
		req.Attributes.Request.Http.Body = strings.Repeat("x", size)
		_, err := authv3.NewAuthorizationClient(w.conn).Check(t.Context(), req)
		if status.Code(err) != codes.ResourceExhausted {
			t.Errorf("%s: %v", what, err)
		}
	}
	p := newPeer(t, w.Catalogue().Listeners.Check.Address)
	_ = p.SetReadDeadline(time.Now().Add(time.Second))
	_, _ = p.drain()
	if p.settings[http2.SettingMaxConcurrentStreams] != 1024 || p.settings[http2.SettingMaxHeaderListSize] != 64<<10 {
		t.Errorf("settings are %v", p.settings)
	}
	xds := newPeer(t, w.Catalogue().Listeners.XDS.Address)
	_ = xds.SetReadDeadline(time.Now().Add(time.Second))
	if _, _ = xds.drain(); xds.settings[http2.SettingMaxConcurrentStreams] != 8 {
		t.Errorf("settings of the xds port are %v", xds.settings)
	}
	// More streams than that are refused, and the rest of the world goes on.
	p = newPeer(t, w.Catalogue().Listeners.Check.Address)
	refused := make(chan int)
	go func() {
		n := 0
		for {
			f, err := p.ReadFrame()
			if err != nil {
				refused <- n
				return
			}
			if r, ok := f.(*http2.RSTStreamFrame); ok && r.ErrCode == http2.ErrCodeRefusedStream {
				n++
			}
		}
	}()
	const streams = 3_000
	for i := range uint32(streams) {
		if err := p.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*i + 1, BlockFragment: headers(), EndHeaders: true}); err != nil {
			break
		}
	}
	w.allows(t, w.good())
	_ = p.SetReadDeadline(time.Now().Add(time.Second))
	if n := <-refused; n < streams-1024 {
		t.Errorf("%d of %d streams were refused", n, streams)
	}
	_ = p.Close()
	// Headers over 64 KiB: the client of gRPC heeds the setting, a peer does not.
	p = newPeer(t, w.Catalogue().Listeners.Check.Address)
	block := headers("x", strings.Repeat("y", 80<<10))
	_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block[:16<<10]})
	for rest := block[16<<10:]; len(rest) > 0; {
		n := min(len(rest), 16<<10)
		_ = p.WriteContinuation(1, n == len(rest), rest[:n])
		rest = rest[n:]
	}
	if !answersWithoutAllow(p) {
		t.Error("headers of 80 KiB got an answer")
	}
	w.allows(t, w.good())
}

// answersWithoutAllow reads to the end of stream 1, its reset or the connection's end.
func answersWithoutAllow(p *peer) bool {
	_ = p.SetReadDeadline(time.Now().Add(5 * time.Second))
	for {
		f, err := p.ReadFrame()
		if err != nil {
			return true
		}
		switch f := f.(type) {
		case *http2.RSTStreamFrame, *http2.GoAwayFrame:
			return true
		case *http2.DataFrame:
			return f.Length == 0
		case *http2.HeadersFrame:
			if f.StreamEnded() {
				return true
			}
		}
	}
}

// slowPeers never finish their greeting.
func slowPeers(t *testing.T) {
	w := newWorld(t, setting{})
	l := w.Catalogue().Listeners
	var peers sync.WaitGroup
	for _, address := range []string{l.Check.Address, l.XDS.Address} {
		for what, greeting := range map[string]string{"nothing": "", "half a preface": http2.ClientPreface[:12], "no settings": http2.ClientPreface, "TLS": "\x16\x03\x01\x02\x00\x01"} {
			c, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			peers.Go(func() {
				defer func() { _ = c.Close() }()
				began := time.Now()
				_, _ = io.WriteString(c, greeting)
				_ = c.SetReadDeadline(began.Add(12 * time.Second))
				n, err := io.Copy(io.Discard, c)
				if took := time.Since(began); took > 8*time.Second {
					t.Errorf("%s: closed after %s, %d bytes: %v", what, took, n, err)
				}
			})
		}
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		peers.Go(func() { // a byte a second
			defer func() { _ = c.Close() }()
			began := time.Now()
			for i := 0; time.Since(began) < 10*time.Second; i++ {
				if _, err := c.Write([]byte{http2.ClientPreface[i%24]}); err != nil {
					return
				}
				_ = c.SetReadDeadline(time.Now().Add(time.Second))
				var timeout net.Error
				if _, err := c.Read(make([]byte, 100)); err != nil && (!errors.As(err, &timeout) || !timeout.Timeout()) {
					return
				}
			}
			t.Error("a byte a second keeps a connection open")
		})
	}
	w.allows(t, w.good())
	peers.Wait()
}

func plaintextOffLoopback(t *testing.T) {
	_, c := newOrg(t)
	for name, change := range map[string]func(*config){"check": func(c *config) { c.check = "0.0.0.0:0" }, "xds": func(c *config) { c.xds = "0.0.0.0:0" }} {
		open := c
		change(&open)
		open.write(t)
		var config *ConfigError
		if err := refused(t, open); !errors.As(err, &config) || !strings.Contains(err.Error(), "plaintext off loopback") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// nothingElse is at our ports.
func nothingElse(t *testing.T) {
	w := newWorld(t, setting{})
	x := dial(t, w.Catalogue().Listeners.XDS.Address)
	for _, method := range []string{
		"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
		"/grpc.channelz.v1.Channelz/GetServers", "/grpc.channelz.v1.Channelz/GetTopChannels", "/envoy.service.status.v3.ClientStatusDiscoveryService/FetchClientStatus",
		"/grpc.admin.v1.Admin/Dump",
	} {
		for _, err := range []error{
			w.conn.Invoke(t.Context(), method, new(emptypb.Empty), new(emptypb.Empty)),
			x.Invoke(t.Context(), method, new(emptypb.Empty), new(emptypb.Empty)),
		} {
			if status.Code(err) != codes.Unimplemented {
				t.Errorf("%s: %v", method, err)
			}
		}
	}
	for _, path := range []string{"/debug/pprof/", "/debug/vars", "/config_dump", "/quitquitquit", "/", "/metrics/", "/config", "/catalogue"} {
		if code, body := get(t, w.Server, path); code != 404 {
			t.Errorf("%s: %d %.100s", path, code, body)
		}
	}
}

// keepalives as Envoy may send them, every 5 s and without a stream, are tolerated; ten
// times as many are not.
func keepalives(t *testing.T) {
	w := newWorld(t, setting{})
	address := w.Catalogue().Listeners.Check.Address
	p := newPeer(t, address)
	said := make(chan error, 1)
	go func() {
		text, err := p.drain()
		if err == nil {
			err = errors.New("told to go away: " + text)
		}
		said <- err
	}()
	flood := newPeer(t, address)
	for i := range uint64(10) {
		var data [8]byte
		binary.BigEndian.PutUint64(data[:], i)
		_ = flood.WritePing(false, data)
		time.Sleep(time.Millisecond)
	}
	if text, err := flood.drain(); err != nil || text != "too_many_pings" {
		t.Errorf("a flood of pings: %q, %v", text, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 16*time.Second)
	defer cancel()
	tick := time.NewTicker(5100 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		if err := p.WritePing(false, [8]byte{}); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-said:
			t.Fatal(err)
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	_ = p.Close()
	<-said
}

package oktatest

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxRecorded bounds an answer that a fault spoils.
const maxRecorded = 16 << 20

// recording keeps an answer back until it is known how it is to be sent.
type recording struct {
	header http.Header // that of the real writer
	status int
	body   bytes.Buffer
}

func (r *recording) Header() http.Header { return r.header }

func (r *recording) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}

func (r *recording) Write(b []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	if r.body.Len()+len(b) > maxRecorded {
		return 0, fmt.Errorf("answer exceeds %d bytes", maxRecorded)
	}
	return r.body.Write(b)
}

// spoil answers by way of faults. Where it must break the connection it panics with
// http.ErrAbortHandler, which is how a handler does that.
func (s *Server) spoil(w http.ResponseWriter, r *http.Request, faults []Fault, answer func(http.ResponseWriter)) {
	if len(faults) == 0 {
		answer(w)
		return
	}
	body, err := io.ReadAll(r.Body) // a client that leaves shows only once its request is read
	if err != nil {
		errMalformed.write(w)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	for _, f := range faults {
		if f.Kind == Latency {
			wait(w, r, f.Delay)
			w.Header().Set("Date", s.date(0))
		}
	}
	last := faults[len(faults)-1]
	kept := &recording{header: w.Header()}
	if !s.replace(kept, last) {
		answer(kept)
	}
	kept.WriteHeader(http.StatusOK)
	for _, f := range faults {
		switch f.Kind {
		case Skew:
			kept.header.Set("Date", s.date(f.Delay))
		case Header:
			name, value, _ := strings.Cut(f.Text, ":")
			kept.header.Set(name, strings.TrimSpace(value))
		}
	}
	s.send(w, r, kept, last)
}

// replace answers in place of Okta, if the fault is of such a kind.
func (s *Server) replace(w http.ResponseWriter, f Fault) bool {
	status := f.Status
	if status == 0 {
		status = http.StatusOK
	}
	switch f.Kind {
	case Status:
		s.fail(w, f.Status)
	case Concurrency:
		s.refuse(w, 0, s.now().Add(window))
	case HTML:
		writeBadGateway(w, status)
	case Empty:
		w.WriteHeader(status)
	case Body:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, f.Text) // a recording: no error below its bound
	case Redirect:
		if f.Status == 0 {
			status = http.StatusFound
		}
		w.Header().Set("Location", f.Text)
		w.WriteHeader(status)
	case Huge, Endless:
		w.Header().Set("Content-Type", "application/json")
	default:
		return false
	}
	return true
}

// send writes an answer as the last fault has it.
func (s *Server) send(w http.ResponseWriter, r *http.Request, a *recording, f Fault) {
	body := a.body.Bytes()
	switch f.Kind {
	case Reset:
		s.cut(w, a, len(body), body[:min(int(f.Size), len(body))], true)
	case WrongLength:
		s.cut(w, a, int(f.Size), body, false)
	case Truncate:
		truncate(w, a, f.Size)
	case Drip:
		drip(w, r, a, f.Delay)
	case Huge:
		w.Header().Set("Content-Length", strconv.FormatInt(f.Size, 10))
		pad(w, f.Size)
	case Endless:
		pad(w, maxHuge)
	default:
		w.WriteHeader(a.status)
		w.Write(body) // the client has gone if this fails
	}
}

// truncate promises the whole body and sends n bytes of it, or half.
func truncate(w http.ResponseWriter, a *recording, n int64) {
	body := a.body.Bytes()
	if n == 0 {
		n = int64(len(body) / 2)
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(a.status)
	w.Write(body[:max(min(n, int64(len(body))-1), 0)]) // never all of it
	_ = http.NewResponseController(w).Flush()          // not every ResponseWriter can
	panic(http.ErrAbortHandler)
}

func drip(w http.ResponseWriter, r *http.Request, a *recording, interval time.Duration) {
	w.Header().Set("Content-Length", strconv.Itoa(a.body.Len()))
	w.WriteHeader(a.status)
	rc := http.NewResponseController(w)
	_ = rc.Flush() // not every ResponseWriter can
	for _, b := range a.body.Bytes() {
		wait(w, r, interval)
		if _, err := w.Write([]byte{b}); err != nil {
			return
		}
		_ = rc.Flush()
	}
}

// pad writes a JSON object of size bytes, as far as the client reads it.
func pad(w io.Writer, size int64) {
	const head, tail = `{"active":true,"pad":"`, `"}`
	filler := bytes.Repeat([]byte("x"), 32<<10)
	if _, err := io.WriteString(w, head[:min(int64(len(head)), size)]); err != nil {
		return
	}
	for left := size - int64(len(head)); left > 0; {
		chunk := filler[:min(int64(len(filler)), left)]
		if left <= int64(len(tail)) {
			chunk = []byte(tail[:left])
		} else if left-int64(len(chunk)) < int64(len(tail)) {
			chunk = chunk[:left-int64(len(tail))]
		}
		n, err := w.Write(chunk)
		if err != nil {
			return
		}
		left -= int64(n)
	}
}

// wait waits for d, or breaks the connection if the client leaves or the server closes.
func wait(w http.ResponseWriter, r *http.Request, d time.Duration) {
	rc, until := http.NewResponseController(w), time.Now().Add(d+time.Minute)
	_ = rc.SetReadDeadline(until) // not every ResponseWriter has deadlines
	_ = rc.SetWriteDeadline(until)
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
		panic(http.ErrAbortHandler)
	}
}

// cut writes an answer by hand, as net/http never would, and ends the connection.
func (s *Server) cut(w http.ResponseWriter, a *recording, length int, body []byte, reset bool) {
	s.listening.conns.Add(1) // net/http no longer counts a connection that was taken from it
	defer s.listening.conns.Done()
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2 has no connection to cut
	}
	defer conn.Close()
	a.header.Set("Content-Length", strconv.Itoa(length))
	var raw bytes.Buffer
	fmt.Fprintf(&raw, "HTTP/1.1 %d %s\r\n", a.status, http.StatusText(a.status))
	_ = a.header.Write(&raw) // a Buffer takes everything
	raw.WriteString("\r\n")
	raw.Write(body)
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if !reset || len(body) > 0 {
		_, _ = conn.Write(raw.Bytes()) // the client has gone if this fails
	}
	if reset {
		sendReset(conn)
	}
}

// sendReset makes the close of a connection a TCP reset.
func sendReset(conn net.Conn) {
	if secure, ok := conn.(interface{ NetConn() net.Conn }); ok { // TLS
		conn = secure.NetConn()
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
}

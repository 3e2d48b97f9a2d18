package serve

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// arrival is a request as a backend reads it.
type arrival struct {
	*http.Request
	body string
}

// origin is a backend that keeps all it is sent, also what is no request: net/http would
// answer that by itself, and nobody would know.
type origin struct {
	address string

	mu    sync.Mutex
	seen  []arrival
	total int
	// broken is what arrived and could not be read to its end.
	broken []string
}

func newOrigin(t *testing.T) *origin {
	t.Helper()
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	o := &origin{address: l.Addr().String()}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { o.serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		serving.Wait() // whoever called has ended by now
	})
	return o
}

func (o *origin) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(2 * time.Minute))
	r := bufio.NewReader(c)
	for {
		if _, err := r.Peek(1); err != nil {
			return
		}
		req, err := http.ReadRequest(r)
		if err != nil {
			o.keep(arrival{}, err)
			return
		}
		body, err := io.ReadAll(io.LimitReader(req.Body, 8<<20))
		o.keep(arrival{req, string(body)}, err)
		if err != nil {
			return
		}
		if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"); err != nil {
			return
		}
	}
}

func (o *origin) keep(a arrival, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if a.Request != nil {
		o.seen = append(o.seen, a)
		o.total++
	}
	if err != nil {
		o.broken = append(o.broken, err.Error())
	}
}

// take returns what came since the last take.
func (o *origin) take() (seen []arrival, broken []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	seen, broken = o.seen, o.broken
	o.seen, o.broken = nil, nil
	return seen, broken
}

func (o *origin) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.total
}

// exchange sends bytes and reads answers until the other side says that there are no more,
// or has been silent for quiet.
func exchange(t *testing.T, address, bytes string, quiet time.Duration) []*http.Response {
	t.Helper()
	c, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetWriteDeadline(time.Now().Add(5 * time.Second))
	// Who refuses a request need not read it to its end.
	var writing sync.WaitGroup
	writing.Go(func() { _, _ = io.WriteString(c, bytes) })
	defer writing.Wait()
	method, _, _ := strings.Cut(bytes, " ")
	r := bufio.NewReader(c)
	var answers []*http.Response
	for {
		_ = c.SetReadDeadline(time.Now().Add(quiet))
		res, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			var timeout net.Error
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && (!errors.As(err, &timeout) || !timeout.Timeout()) && !strings.Contains(err.Error(), "reset by peer") {
				t.Errorf("an answer is not HTTP: %v", err)
			}
			return answers
		}
		body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
		if err != nil {
			return append(answers, res)
		}
		res.Body = io.NopCloser(strings.NewReader(string(body)))
		if answers = append(answers, res); res.Close {
			return answers // Envoy holds the connection for another second
		}
	}
}

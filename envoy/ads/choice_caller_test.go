package ads_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// caller asks one thing after the other, over one connection for as long as Envoy leaves
// it open.
type caller struct {
	address string
	h2      bool

	conn   net.Conn
	reader *bufio.Reader
	framer *http2.Framer
	stream uint32 // the last one
}

// ask returns the status that Envoy answers with; 0 if it ends the connection or the
// stream instead.
func (c *caller) ask(q call, tag string) (int, error) {
	if c.conn == nil {
		if err := c.dial(); err != nil {
			return 0, err
		}
	}
	if err := c.conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return 0, err
	}
	speak := c.speakH1
	if c.h2 {
		speak = c.speakH2
	}
	status, open, err := speak(q, tag)
	if !open {
		c.close()
	}
	return status, err
}

func (c *caller) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

func (c *caller) dial() (err error) {
	if c.conn, err = net.DialTimeout("tcp", c.address, 5*time.Second); err != nil {
		return err
	}
	c.reader = bufio.NewReader(c.conn)
	if !c.h2 {
		return nil
	}
	c.stream = 0
	c.framer = http2.NewFramer(c.conn, c.reader)
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if _, err = io.WriteString(c.conn, http2.ClientPreface); err != nil {
		return err
	}
	return c.framer.WriteSettings()
}

// hangs tells a gateway that hangs from one that hangs up.
func hangs(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

func (c *caller) speakH1(q call, tag string) (status int, open bool, err error) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", q.method, q.target)
	for _, host := range q.hosts {
		fmt.Fprintf(&b, "host: %s\r\n", host)
	}
	for i := 0; i < len(q.headers); i += 2 {
		fmt.Fprintf(&b, "%s: %s\r\n", q.headers[i], q.headers[i+1])
	}
	fmt.Fprintf(&b, "authorization: Bearer deny\r\ncontent-type: %s\r\n\r\n", tag)
	if _, err := io.WriteString(c.conn, b.String()); err != nil {
		return 0, false, err
	}
	for {
		res, err := http.ReadResponse(c.reader, &http.Request{Method: q.method})
		if err != nil {
			if hangs(err) {
				return 0, false, err
			}
			return 0, false, nil
		}
		if res.StatusCode == http.StatusContinue {
			continue
		}
		_, err = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		return res.StatusCode, !res.Close && err == nil && q.method != "CONNECT", nil
	}
}

func (c *caller) speakH2(q call, tag string) (status int, open bool, err error) {
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	e.SetMaxDynamicTableSizeLimit(0) // so that each block stands alone
	field := func(name, value string) { _ = e.WriteField(hpack.HeaderField{Name: name, Value: value}) }
	field(":method", q.method)
	if q.method != "CONNECT" {
		field(":scheme", "http")
		field(":path", q.target)
	}
	for i, host := range q.hosts {
		field([...]string{":authority", "host"}[min(i, 1)], host)
	}
	for i := 0; i < len(q.headers); i += 2 {
		field(q.headers[i], q.headers[i+1])
	}
	field("authorization", "Bearer deny")
	field("content-type", tag)
	c.stream += 2
	id := c.stream - 1
	if err := c.writeBlock(id, block.Bytes()); err != nil {
		return 0, false, err
	}
	for {
		frame, err := c.framer.ReadFrame()
		if err != nil {
			if hangs(err) {
				return 0, false, err
			}
			return 0, false, nil
		}
		ended := false
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				err = c.framer.WriteSettingsAck()
			}
		case *http2.MetaHeadersFrame:
			status, _ = strconv.Atoi(frame.PseudoValue("status"))
			ended = frame.StreamEnded()
		case *http2.DataFrame:
			ended = frame.StreamEnded()
			err = c.framer.WriteWindowUpdate(0, max(frame.Length, 1))
		case *http2.RSTStreamFrame:
			ended = frame.StreamID == id
		case *http2.GoAwayFrame:
			return status, false, nil
		}
		if err != nil || ended {
			return status, err == nil, err
		}
	}
}

// writeBlock writes a request's headers, in as many frames as they need.
func (c *caller) writeBlock(id uint32, block []byte) error {
	const most = 16 << 10
	first := block[:min(len(block), most)]
	block = block[len(first):]
	err := c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: first, EndStream: true, EndHeaders: len(block) == 0})
	for err == nil && len(block) > 0 {
		next := block[:min(len(block), most)]
		block = block[len(next):]
		err = c.framer.WriteContinuation(id, len(block) == 0, next)
	}
	return err
}

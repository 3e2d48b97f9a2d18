package serve

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/credentials"
)

// refusalEvery is the least time between two lines about refused handshakes on a port.
const refusalEvery = time.Second

// refusals are the TLS handshakes on one port that failed: somebody whom we do not let in,
// or an Envoy that does not believe us. All are counted, some are logged.
type refusals struct {
	count prometheus.Counter
	log   *slog.Logger

	mu sync.Mutex
	// said is when the log was last told, untold what it has not been told of since.
	said   time.Time
	untold int
}

// counting returns c with its refusals counted.
func (r *refusals) counting(c credentials.TransportCredentials) credentials.TransportCredentials {
	return &countedHandshakes{c, r}
}

type countedHandshakes struct {
	credentials.TransportCredentials
	refusals *refusals
}

// ServerHandshake implements credentials.TransportCredentials.
func (c *countedHandshakes) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	secured, info, err := c.TransportCredentials.ServerHandshake(conn)
	// Who leaves without a word is no client: a probe of the port.
	if err != nil && !errors.Is(err, io.EOF) {
		c.refusals.add(conn.RemoteAddr(), err)
	}
	return secured, info, err
}

// Clone implements credentials.TransportCredentials.
func (c *countedHandshakes) Clone() credentials.TransportCredentials {
	return &countedHandshakes{c.TransportCredentials.Clone(), c.refusals}
}

func (r *refusals) add(peer net.Addr, err error) {
	r.count.Inc()
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.said) < refusalEvery {
		r.untold++
		return
	}
	r.log.Warn("a TLS handshake was refused", "peer", peer.String(), "error", cut(err.Error()), "others_since", r.untold)
	r.said, r.untold = time.Now(), 0
}

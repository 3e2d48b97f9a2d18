package okta_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The lines of the log, as they begin.
const (
	readAgain = "INFO the client's secret or key was read again"
	unread    = "ERROR the client's secret or key cannot be read"
	refusing  = "ERROR the server refuses our client credentials"
	accepting = "INFO the server accepts our client credentials again"
	differing = "WARN the server's clock and ours differ"
	agreeing  = "INFO the server's clock and ours agree again"
)

// journal is a log that tests read.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(j, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// mustBe wants just these lines, each naming the server.
func (j *journal) mustBe(t *testing.T, beginnings ...string) {
	t.Helper()
	var got []string
	for line := range strings.Lines(j.String()) {
		line = strings.NewReplacer("level=", "", `msg="`, "").Replace(line)
		for _, known := range []string{readAgain, unread, refusing, accepting, differing, agreeing} {
			if strings.HasPrefix(line, known) && strings.Contains(line, "authorization_server=main") {
				line = known
			}
		}
		got = append(got, line)
	}
	if diff := cmp.Diff(beginnings, got); diff != "" {
		t.Errorf("the log differs (-want +got):\n%s", diff)
	}
}

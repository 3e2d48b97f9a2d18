package serve

import (
	"io"
	"sync"
	"sync/atomic"
)

// logQueue is how many lines may wait for their writer; lines have some 600 bytes.
const logQueue = 4096

// LogWriter hands lines to another writer without ever waiting for it: a decision must not
// hang on a full disk or on a pipe that nobody reads. What does not fit, or cannot be
// written, is counted by Dropped and lost. Writes are safe for concurrent use.
type LogWriter struct {
	lines   chan []byte
	dropped atomic.Uint64
	done    chan struct{}

	mu     sync.RWMutex
	closed bool
}

// NewLogWriter starts to write to w. Close must be called.
func NewLogWriter(w io.Writer) *LogWriter {
	l := &LogWriter{lines: make(chan []byte, logQueue), done: make(chan struct{})}
	go func() {
		defer close(l.done)
		for line := range l.lines {
			if _, err := w.Write(line); err != nil {
				l.dropped.Add(1)
			}
		}
	}()
	return l
}

// Write takes a copy of p, or drops it. It never fails: nobody could be told.
func (l *LogWriter) Write(p []byte) (int, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.closed {
		l.dropped.Add(1)
		return len(p), nil
	}
	select {
	case l.lines <- append([]byte(nil), p...):
	default:
		l.dropped.Add(1)
	}
	return len(p), nil
}

// Dropped counts the lines that were lost.
func (l *LogWriter) Dropped() uint64 { return l.dropped.Load() }

// Close takes no more lines. Done closes when those taken are written, which a writer that
// hangs may keep from ever happening: whoever waits needs a deadline.
func (l *LogWriter) Close() (done <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.closed = true
		close(l.lines)
	}
	return l.done
}

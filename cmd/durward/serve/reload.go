package serve

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/catalog/source"
)

const (
	// writingAgain is the pause before another look at a file that is being written, and
	// failedAgain before another attempt where what is wrong is not in the files that are
	// watched: a secret, a certificate, a missing configuration.
	writingAgain = 100 * time.Millisecond
	failedAgain  = time.Second
)

// Reload reads the configuration again, changed or not. On an error the old one goes on
// serving.
func (s *Server) Reload(ctx context.Context) error {
	s.reading.Lock()
	defer s.reading.Unlock()
	s.told = "" // who asks is told again
	text, err := s.reader.Read(ctx)
	if err == nil {
		err = s.judge(ctx, text)
	}
	return s.settle(err)
}

// look reads the configuration and serves it if its text is another than the one judged
// last. It returns when it wants to look again whatever happens, zero for never.
func (s *Server) look(ctx context.Context) (again time.Duration) {
	s.reading.Lock()
	defer s.reading.Unlock()
	text, err := s.reader.Read(ctx)
	switch {
	case ctx.Err() != nil || err == nil && text.Hash == s.judged:
		return 0
	case err == nil:
		err = s.judge(ctx, text)
	default:
		s.judged = "" // the same text may come back
	}
	if err != nil && ctx.Err() != nil {
		return 0 // we end, whatever the text
	}
	err = s.settle(err)
	var unsettled *source.UnsettledError
	switch {
	case errors.As(err, &unsettled):
		return writingAgain
	case err != nil && s.judged == "":
		return failedAgain
	}
	return 0
}

// judge serves text if it is good. A text that is not good by itself is not tried again.
func (s *Server) judge(ctx context.Context, text source.Text) error {
	s.judged = ""
	cat, findings, err := compile(s.reader, text)
	if err != nil {
		s.judged = text.Hash
		return err
	}
	if err := s.replace(ctx, cat, text.Hash, findings); err != nil {
		return err
	}
	s.keep(text) // whoever waits for reloading does not wait for the disk
	if moved(cat.Listeners, s.configured) {
		s.log.Warn("listeners changed; address, mode and whether they speak TLS change when durward is started again")
	}
	s.log.Info("configuration reloaded", "revision", cat.Revision, "apis", len(cat.APIs))
	return nil
}

// replace serves cat, compiled from the text of that hash, in place of the old catalogue.
func (s *Server) replace(ctx context.Context, cat *catalog.Catalogue, hash string, findings []catalog.Finding) error {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	next := bound(cat, s.listeners.check.Addr(), s.listeners.xds.Addr())
	next.Listeners.Check = staying(next.Listeners.Check, s.cat.Listeners.Check)
	next.Listeners.XDS = staying(next.Listeners.XDS, s.cat.Listeners.XDS)
	old := s.cat
	if err := s.apply(ctx, next); err != nil {
		return err
	}
	s.cat, s.judged = next, hash
	s.accepted(old, findings)
	return nil
}

// accepted writes down that s.cat serves now. old is nil at the start.
func (s *Server) accepted(old *catalog.Catalogue, findings []catalog.Finding) {
	if old == nil || old.Hash != s.cat.Hash {
		logChange(s.log, old, s.cat)
	}
	for _, f := range findings {
		s.log.Warn("configuration finding", "finding", f.String(), "fix", f.Fix)
	}
}

// keep copies text where the last good configuration is kept, if anywhere. The caller holds
// reading, or does not serve yet: copies come in the order of what they are of.
func (s *Server) keep(text source.Text) {
	if s.lastGood == nil {
		return
	}
	err := s.lastGood.keep(text)
	if err != nil {
		s.log.Error("the last good configuration cannot be kept; a restart would find an older one or none",
			"error", err.Error(), "fix", "see that durward, and nobody else, can write to the directory of --last-good")
	}
	s.state.kept(err)
}

// settle tells of a rejection, once for as long as it is the same, and returns it.
func (s *Server) settle(err error) error {
	if err == nil {
		s.told = ""
		return nil
	}
	s.state.reject(err)
	if s.told != err.Error() {
		s.told = err.Error()
		s.logRejected(err)
	}
	return err
}

func (s *Server) logRejected(err error) {
	for _, what := range reasons(err) {
		s.log.Error("configuration rejected; the old one goes on serving", what.key, what.told, "fix", what.fix)
	}
}

// reason is one thing that is wrong with a configuration, by its key in the log.
type reason struct{ key, told, fix string }

func reasons(err error) (all []reason) {
	var config *ConfigError
	var unsettled *source.UnsettledError
	switch {
	case errors.As(err, &config):
		for _, f := range config.Findings {
			all = append(all, reason{"finding", f.String(), f.Fix})
		}
		return all
	case errors.As(err, &unsettled):
		return []reason{{"error", err.Error(), "let whoever writes to the file close it; better, write a new file and rename it"}}
	case errors.Is(err, fs.ErrNotExist):
		return []reason{{"error", err.Error(), "put the configuration back; to end what it says, remove it from the configuration"}}
	}
	return []reason{{"error", err.Error(), ""}}
}

package okta

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	// maxSecretFile is the longest secret or key file, in bytes.
	maxSecretFile = 64 << 10
	pollInterval  = time.Second
)

// credentials are the credential in use and the one before it. While a secret is being
// rotated the server may know the one, the other or both.
type credentials struct {
	mu      sync.Mutex
	current *credential
	// other is the previous credential, or the next one if the server refused it.
	other *credential
	// text is what was last read from the file.
	text string
	// refused says that the server refuses all there are; stale, that the file is bad.
	refused, stale bool
	alarm          alarm // that they are refused
}

func (c *credentials) get() *credential {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current
}

// instead returns what to try when used was refused, nil where there is nothing.
func (c *credentials) instead(used *credential) *credential {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != used {
		return c.current
	}
	return c.other
}

// accepted makes used the one in use.
func (c *credentials) accepted(used *credential) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused = false
	if used == c.other {
		c.current, c.other = c.other, c.current
	}
}

func (c *credentials) reject() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused = true
}

// replace puts a new credential before the one in use.
func (c *credentials) replace(fresh *credential, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current, c.other, c.text = fresh, c.current, text
}

func (c *credentials) isLatest(text string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text == text
}

func (c *credentials) setStale(stale bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stale = stale
}

func (c *credentials) alarms() (refused, stale bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refused, c.stale
}

// watched is a file that Run reads again.
type watched struct {
	reload func() (changed bool, err error)
	stale  func(bool)
	// again and unread are what the log is told of a reading and of a failure, said the
	// failure that it was told of last.
	again, unread, said string
}

// Run reads the secret or key file and the CA file again every second until ctx ends, and
// then returns nil. A new secret is used from then on; the one before is tried once where
// the server refuses the new one, and the other way round. New authorities alone are
// believed from the next request on. A file that is gone or bad changes nothing but the
// alarm: what was read last stays in use. Without a file Run only waits.
func (c *Client) Run(ctx context.Context) error {
	var files []*watched
	if file := c.config.file(); file != "" {
		files = append(files, &watched{
			reload: func() (bool, error) { return c.reload(file) }, stale: c.credentials.setStale,
			again:  "the client's secret or key was read again",
			unread: "the client's secret or key cannot be read; the old one stays in use",
		})
	}
	if c.trusted != nil {
		files = append(files, &watched{
			reload: c.trusted.reload, stale: c.trusted.stale.Store,
			again:  "the server's CA file was read again",
			unread: "the server's CA file cannot be used; the old authorities stay in use",
		})
	}
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	if len(files) == 0 {
		ticker.Stop()
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		for _, f := range files {
			f.look(c.log)
		}
	}
}

// look reads the file once, and tells of what is new.
func (f *watched) look(log *slog.Logger) {
	changed, err := f.reload()
	f.stale(err != nil)
	now := ""
	if err != nil {
		now = err.Error()
	}
	switch {
	case err != nil && now != f.said:
		log.Error(f.unread, "error", now)
	case err == nil && (changed || f.said != ""):
		log.Info(f.again)
	}
	f.said = now
}

// reload reads the file, whatever its times and size say: it is small.
func (c *Client) reload(file string) (changed bool, err error) {
	text, err := readSecret(file)
	if err != nil {
		return false, err
	}
	if c.credentials.isLatest(text) {
		return false, nil
	}
	fresh, err := newCredential(c.config, text)
	if err != nil {
		return false, fmt.Errorf("okta: %s: %w", file, err)
	}
	c.credentials.replace(fresh, text)
	return true, nil
}

// readSecret returns a file's text without the line end that editors add. Its errors
// never show what was read.
func readSecret(file string) (string, error) {
	// Before opening: to open a pipe could wait for ever.
	if stat, err := os.Stat(file); err != nil {
		return "", fmt.Errorf("okta: client secret: %w", err)
	} else if !stat.Mode().IsRegular() {
		return "", fmt.Errorf("okta: client secret: %s is not a regular file", file)
	}
	f, err := os.Open(file)
	if err != nil {
		return "", fmt.Errorf("okta: client secret: %w", err)
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	if err != nil {
		return "", fmt.Errorf("okta: client secret: %w", err)
	}
	if len(text) > maxSecretFile {
		return "", fmt.Errorf("okta: client secret: %s has over %d bytes", file, maxSecretFile)
	}
	secret := strings.TrimRight(string(text), "\r\n")
	if secret == "" {
		return "", fmt.Errorf("okta: client secret: %s is empty", file)
	}
	return secret, nil
}

// file is where the credential is read from, empty where it is not.
func (c Config) file() string { return cmp.Or(c.SecretFile, c.KeyFile) }

// newCredentials returns the first credential of a client.
func newCredentials(c Config) (*credentials, error) {
	switch {
	case c.ClientSecret != "" && c.SecretFile != "":
		return nil, errors.New("okta: both a client secret and a file of one")
	case c.Auth == Public && c.ClientSecret+c.file() != "":
		return nil, errors.New("okta: a public client has no secret")
	case c.Auth == PrivateKeyJWT && (c.KeyFile == "" || c.ClientSecret+c.SecretFile != ""):
		return nil, fmt.Errorf("okta: %s needs a key file and no secret", c.Auth)
	case c.Auth != PrivateKeyJWT && c.KeyFile+c.KeyID != "":
		return nil, fmt.Errorf("okta: %s has no key", c.Auth)
	}
	text := c.ClientSecret
	if file := c.file(); file != "" {
		var err error
		if text, err = readSecret(file); err != nil {
			return nil, err
		}
	}
	first, err := newCredential(c, text)
	if err != nil {
		return nil, fmt.Errorf("okta: %w", err)
	}
	return &credentials{current: first, text: text}, nil
}

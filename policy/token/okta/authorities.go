package okta

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"sync/atomic"
)

// maxCAFile is the largest PEM bundle read; the system's has some 250 KiB.
const maxCAFile = 1 << 20

// authorities sends requests to a server that proves itself by the authorities in a file,
// as it was read last. No connection outlives the reading that it was made by, but for
// the request that is under way.
type authorities struct {
	file   string
	bundle []byte // what was read last; reload's alone
	stale  atomic.Bool
	now    atomic.Pointer[http.Transport]
}

func newAuthorities(file string) (*authorities, error) {
	a := &authorities{file: file}
	_, err := a.reload()
	return a, err
}

// RoundTrip implements http.RoundTripper.
func (a *authorities) RoundTrip(r *http.Request) (*http.Response, error) {
	return a.now.Load().RoundTrip(r)
}

// CloseIdleConnections is what http.Client looks for.
func (a *authorities) CloseIdleConnections() { a.now.Load().CloseIdleConnections() }

// reload reads the file, whatever its times and size say. It is not for two at a time.
func (a *authorities) reload() (changed bool, err error) {
	bundle, err := readBundle(a.file)
	if err != nil {
		return false, err
	}
	if bytes.Equal(bundle, a.bundle) {
		return false, nil
	}
	pool, err := poolOf(bundle)
	if err != nil {
		return false, fmt.Errorf("okta: CA file %s: %w", a.file, err)
	}
	a.bundle = bundle
	if old := a.now.Swap(newTransport(pool)); old != nil {
		old.CloseIdleConnections()
	}
	return true, nil
}

func readBundle(file string) ([]byte, error) {
	// Before opening: to open a pipe could wait for ever.
	stat, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("okta: CA file: %w", err)
	}
	if !stat.Mode().IsRegular() || stat.Size() > maxCAFile {
		return nil, fmt.Errorf("okta: CA file %s is not a regular file of at most %d bytes", file, maxCAFile)
	}
	bundle, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("okta: CA file: %w", err)
	}
	return bundle, nil
}

// poolOf takes all the certificates of a bundle or none: one that is half written would be
// left out in silence.
func poolOf(bundle []byte) (*x509.CertPool, error) {
	pool, n := x509.NewCertPool(), 0
	for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		n++
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", n, err)
		}
		pool.AddCert(cert)
	}
	if begun := bytes.Count(bundle, []byte("-----BEGIN CERTIFICATE-----")); n == 0 || begun != n {
		return nil, fmt.Errorf("%d certificates begin in it, and %d are whole PEM", begun, n)
	}
	return pool, nil
}

package source

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/durward/durward/policy/catalog"
	"github.com/durward/durward/policy/clientkey"
)

// maxBundleBytes is the size of the largest certificate file that is read; the bundle of
// a system has some 250 KiB.
const maxBundleBytes = 1 << 20

// CheckFiles reads the files that a catalogue names for us, and reports those that
// cannot be used: secrets and keys, and certificates whose PEM does not parse or whose key
// is another. A file that is absent, or not ours to read, is an error where needed says
// that this is the machine that serves, and elsewhere a warning. Dates and names in
// certificates are not looked at.
func CheckFiles(cat *catalog.Catalogue, needed bool) (findings []catalog.Finding) {
	for i, s := range cat.Servers {
		path := fmt.Sprintf("authorization_servers[%d]", i)
		_, found := readSecret(path, s, needed)
		findings = append(findings, found...)
		_, found = named{path + ".ca_file", s.CAFile, s.At}.certificates(needed)
		findings = append(findings, found...)
	}
	findings = append(findings, checkListenerTLS("listeners.check.tls", cat.Listeners.Check.TLS, needed)...)
	return append(findings, checkListenerTLS("listeners.xds.tls", cat.Listeners.XDS.TLS, needed)...)
}

func checkListenerTLS(path string, t *catalog.ListenerTLS, needed bool) []catalog.Finding {
	if t == nil {
		return nil
	}
	_, findings := readListener(path, t, needed)
	return findings
}

// Listener is what a port with TLS needs: who we are, and whom we believe.
type Listener struct {
	// Chain begins with our certificate; Key is its private key.
	Chain []*x509.Certificate
	Key   crypto.Signer
	// ClientCAs is empty where no client is asked for a certificate.
	ClientCAs []*x509.Certificate
}

// ReadListener reads the files of a port with TLS; name is check or xds. One of the
// findings is an error where CheckFiles reports one, and the Listener is zero then. Dates
// and names are not looked at.
func ReadListener(name string, t *catalog.ListenerTLS) (Listener, []catalog.Finding) {
	l, findings := readListener("listeners."+name+".tls", t, true)
	if catalog.HasErrors(findings) {
		return Listener{}, findings
	}
	return l, findings
}

func readListener(path string, t *catalog.ListenerTLS, needed bool) (l Listener, findings []catalog.Finding) {
	l.ClientCAs, findings = named{path + ".client_ca_file", t.ClientCAFile, t.At}.certificates(needed)
	cert := named{path + ".cert_file", t.CertFile, t.At}
	chain, found := cert.certificates(needed)
	l.Chain, findings = chain, append(findings, found...)
	private := named{path + ".key_file", t.KeyFile, t.At}
	text, found := private.private(maxKeyBytes, needed)
	findings = append(findings, found...)
	if text == "" {
		return l, findings
	}
	key, err := clientkey.ParsePEM([]byte(text))
	if err != nil {
		f := private.finding(badKey, fmt.Sprintf("%s: %s", t.KeyFile, err))
		f.Fix = "write the private key of cert_file to the file, in PEM and without a password"
		return l, append(findings, f)
	}
	l.Key = key
	if len(chain) > 0 && !isKeyOf(chain[0], key) {
		f := cert.finding(badCertificate, fmt.Sprintf("%s: the first certificate is not of the key in key_file", t.CertFile))
		f.Fix = "put the certificate of that key first in cert_file, or name its own key_file"
		findings = append(findings, f)
	}
	return l, findings
}

// isKeyOf reports whether a certificate is of a private key.
func isKeyOf(cert *x509.Certificate, key crypto.Signer) bool {
	public, ok := cert.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(key.Public())
}

// certificates reads a PEM file that its owner alone can change. There are none if the
// file cannot be used, and where none is named.
func (n named) certificates(needed bool) ([]*x509.Certificate, []catalog.Finding) {
	if n.file == "" {
		return nil, nil
	}
	text, _, err := readGuarded(n.file, maxBundleBytes)
	if err != nil {
		return nil, []catalog.Finding{n.unusable(badCertificate, err, needed)}
	}
	certs, err := parseCertificates([]byte(text))
	if err != nil {
		return nil, []catalog.Finding{n.finding(badCertificate, fmt.Sprintf("%s: %s", n.file, err))}
	}
	return certs, nil
}

// parseCertificates takes every certificate of a PEM text. One that does not parse
// would be left out by TLS in silence.
func parseCertificates(text []byte) (certs []*x509.Certificate, err error) {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d of the file does not parse", len(certs)+1)
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		return nil, errors.New("the file holds no certificate in PEM")
	}
	return certs, nil
}

package source_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// material is what cases write <NAME> for: keys and certificates, made once per run so
// that no key is in the repository.
var material = sync.OnceValue(func() []string {
	p256, p384 := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	long, short := must(rsa.GenerateKey(rand.Reader, 2048)), must(rsa.GenerateKey(rand.Reader, 1024))
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	sec1 := must(x509.MarshalECPrivateKey(p256))
	return []string{
		"<BEGIN>", "-----BEGIN PRIVATE KEY-----",
		"<RSA>", pkcs8(long),
		"<RSA-PKCS1>", inPEM("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(long)),
		"<RSA-1024>", pkcs8(short),
		"<P256>", inPEM("EC PRIVATE KEY", sec1),
		"<P256-PARAMETERS>", inPEM("EC PARAMETERS", []byte{6, 8, 42, 134, 72, 206, 61, 3, 1, 7}),
		"<P384>", pkcs8(p384),
		"<ED25519>", pkcs8(edwards),
		"<LOCKED>", inPEM("ENCRYPTED PRIVATE KEY", sec1),
		"<CUT>", inPEM("EC PRIVATE KEY", sec1[:20]),
		"<JWK>", inJWK(jose.JSONWebKey{Key: p256, KeyID: "k1"}),
		"<JWK-PUBLIC>", inJWK(jose.JSONWebKey{Key: p256.Public(), KeyID: "k1"}),
		"<JWK-ES384>", inJWK(jose.JSONWebKey{Key: p256, Algorithm: "ES384"}),
		"<P256-CERT>", certificateOf(p256),
		"<P384-CERT>", certificateOf(p384),
		"<BROKEN-CERT>", inPEM("CERTIFICATE", sec1),
	}
})

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func inPEM(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func pkcs8(key any) string { return inPEM("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(key))) }

func inJWK(key jose.JSONWebKey) string { return string(must(json.Marshal(key))) }

func certificateOf(key crypto.Signer) string {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "durward"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	return inPEM("CERTIFICATE", must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)))
}

package dpop

import (
	"cmp"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/durward/durward/policy/token"
)

// Defaults and bounds of a Config.
const (
	defaultWindow       = time.Minute
	defaultLeeway       = 30 * time.Second
	longestTime         = 5 * time.Minute
	defaultProofs       = 1_000_000
	defaultProofsPerKey = 100_000
)

// Config says how proofs are checked. The zero Config is good but for Now.
type Config struct {
	// Window is how old a proof may be: 0 for a minute, at most 5 minutes.
	Window time.Duration
	// Leeway is how far a client's clock may be ahead: 0 for 30 s, at most 5 minutes.
	Leeway time.Duration
	// MaxProofs bounds how many used proofs are remembered: 0 for 1,000,000, which take
	// less than 128 MiB. A proof is remembered for Window and Leeway at most.
	MaxProofs int
	// MaxProofsPerKey bounds those of one key, so that one client cannot make all others
	// wait: 0 for 100,000, which is 1,100 requests each second.
	MaxProofsPerKey int
	// Now tells the time.
	Now func() time.Time
	// Metrics is where they are registered, nil for nowhere.
	Metrics prometheus.Registerer
}

// Checker checks proofs and remembers those that were used. It is safe for concurrent
// use. The zero Checker and a nil one refuse all as Overloaded.
type Checker struct {
	window, leeway time.Duration
	now            func() time.Time
	used           *memory
	metrics        *metrics
}

// NewChecker starts nothing. The error names the value that is out of its bounds.
func NewChecker(c Config) (*Checker, error) {
	if c.Now == nil {
		return nil, errors.New("dpop: no clock")
	}
	for _, d := range []*time.Duration{&c.Window, &c.Leeway} {
		if *d < 0 || *d > longestTime {
			return nil, fmt.Errorf("dpop: window or leeway of %s is not between 0 and %s", *d, longestTime)
		}
	}
	if c.MaxProofs < 0 || c.MaxProofsPerKey < 0 {
		return nil, errors.New("dpop: a bound on proofs is negative")
	}
	k := &Checker{now: c.Now, window: cmp.Or(c.Window, defaultWindow), leeway: cmp.Or(c.Leeway, defaultLeeway)}
	k.used = newMemory(k.window, cmp.Or(c.MaxProofs, defaultProofs), cmp.Or(c.MaxProofsPerKey, defaultProofsPerKey))
	k.metrics = newMetrics(c.Metrics, func() float64 { return float64(k.used.size(c.Now())) })
	return k, nil
}

// Check returns nil once for each good proof (RFC 9449 sections 4.3 and 7.1): the one
// header holds one proof, well formed and of an algorithm that we verify, by the very key
// that the token is bound to, about this method, URL and token, and made just now. Any
// number of concurrent calls with one proof give one nil. Nothing is remembered of a proof
// that is refused.
//
// The error is a *token.Error: BindingMismatch where the key is another than the token's,
// Overloaded with RetryAfter where no more proofs can be remembered or after Close, else
// ProofInvalid. Whether the token is good, and whether Proof.URLs are ours, is for the
// caller to know.
func (k *Checker) Check(p token.Proof) error {
	if k == nil || k.used == nil {
		return &token.Error{Failure: token.Overloaded, Cause: errors.New("no proofs are checked here")}
	}
	r, err := k.check(p)
	k.metrics.count(r)
	return err
}

func (k *Checker) check(p token.Proof) (result, error) {
	proof, err := parse(p.Headers)
	if err != nil {
		return malformed, invalid(err)
	}
	// Before anything is believed to be signed: the key is the caller's own choice.
	if subtle.ConstantTimeCompare([]byte(proof.thumbprint), []byte(p.KeyThumbprint)) != 1 {
		return otherKey, &token.Error{Failure: token.BindingMismatch, Cause: errors.New("the proof is by another key")}
	}
	now := k.now()
	if r, err := k.judge(proof, p, now); err != nil {
		return r, invalid(err)
	}
	if !proof.signed.Verify(proof.algorithm, proof.public) {
		return badSignature, invalid(errors.New("signature does not match"))
	}
	return k.use(proof, now)
}

// judge compares what the proof says with the request.
func (k *Checker) judge(proof proof, p token.Proof, now time.Time) (result, error) {
	switch {
	case proof.method != p.Method:
		return otherMethod, errors.New("htm is another method")
	case !matchesAny(proof.url, p.URLs):
		return otherURL, errors.New("htu is another URL")
	case p.Token.Reveal() == "" || subtle.ConstantTimeCompare([]byte(proof.tokenHash), []byte(tokenHash(p.Token))) != 1:
		return otherToken, errors.New("ath is of another token")
	case now.Sub(proof.issuedAt) > k.window:
		return stale, fmt.Errorf("iat is more than %s ago", k.window)
	case proof.issuedAt.Sub(now) > k.leeway:
		return stale, fmt.Errorf("iat is more than %s ahead", k.leeway)
	}
	return accepted, nil
}

// use remembers the proof unless it was there.
func (k *Checker) use(proof proof, now time.Time) (result, error) {
	wait, err := k.used.add(proof.thumbprint, proof.id, proof.issuedAt, now)
	switch {
	case err == nil:
		return accepted, nil
	case errors.Is(err, errUsed):
		return replayed, invalid(err)
	default:
		return full, &token.Error{Failure: token.Overloaded, RetryAfter: wait, Cause: err}
	}
}

// Close forgets all proofs; from then on every Check fails with Overloaded.
func (k *Checker) Close() {
	if k != nil && k.used != nil {
		k.used.close()
	}
}

func invalid(cause error) error {
	return &token.Error{Failure: token.ProofInvalid, Cause: cause}
}

// matchesAny compares a proof's URL with those that the request may have.
func matchesAny(htu string, urls []string) bool {
	// The usual client writes what the configuration says.
	if slices.Contains(urls, htu) {
		return true
	}
	normal, err := normalize(htu)
	return err == nil && slices.ContainsFunc(urls, func(u string) bool {
		ours, err := normalize(u)
		return err == nil && ours == normal
	})
}

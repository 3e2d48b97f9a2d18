package token

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

const (
	// DefaultLeeway is the clock skew allowed for `nbf` and `iat`. `exp` has none.
	DefaultLeeway = 30 * time.Second
	// maxLeeway is far more than clocks differ; a greater one is a mistake.
	maxLeeway = 5 * time.Minute
)

// Mode is how a token is verified. The zero Mode is refused.
type Mode string

// The modes.
const (
	// ByIntrospection asks the server. Where its tokens are JWTs, one that could not be
	// active for us costs no question.
	ByIntrospection Mode = "introspection"
	// ByJWT checks the signature by the server's keys and never learns of a revocation.
	ByJWT Mode = "jwt"
	// ByBoth drops what is not signed by the server, then asks it.
	ByBoth Mode = "both"
)

// Demand is what a token policy asks of a fact.
type Demand struct {
	Mode Mode
	// MaxAge is how old what the server said may be when the fact is used. With 0 the
	// server is asked after the check arrived, always. It says nothing of ByJWT.
	MaxAge time.Duration
}

// Config says which tokens of one authorization server are for us.
type Config struct {
	// Issuers lists the exact `iss` values of the server; at least one.
	Issuers []string
	// Audience must be among a token's `aud`; never empty.
	Audience string
	// Leeway is for `nbf` and `iat`, at most 5 minutes; zero means none.
	Leeway time.Duration
	// Opaque says that the server's tokens are not JWTs to us, or are encrypted ones:
	// nothing is read from them, and only ByIntrospection can verify them.
	Opaque bool
	// MaxBytes bounds the cache of live tokens, roughly; zero means 256 MiB. Run takes from
	// it while memory is short.
	MaxBytes int64
}

// Fact is what was learned about a token, and when. Its lists are shared with other
// facts and must not be changed.
type Fact struct {
	// Claims has its times in whole seconds.
	Claims Claims
	// Mode names how it was learned.
	Mode Mode
	// Age is how old it is: the time since the question that taught it was sent. It is
	// 0 under ByJWT, where nobody is asked.
	Age time.Duration
	// Took is how long the server needed, where it was asked for this check.
	Took time.Duration
}

// Verifier believes or refuses tokens of one authorization server. It is safe for
// concurrent use and outlives configurations in which its server did not change.
type Verifier struct {
	config  Config
	server  Introspector
	reader  Reader
	now     func() time.Time
	metrics *Metrics

	live     *liveFacts
	refused  *refusals
	families *families
	seen     *memory
	desk     *desk
	// binding guards the bound of live.
	binding sync.Mutex
}

// Parts are what a Verifier works with.
type Parts struct {
	// Server answers questions about tokens. It is needed for all modes but ByJWT.
	Server Introspector
	// Reader reads the server's JWTs. It is needed unless Config.Opaque.
	Reader Reader
	// Now is the clock; it should carry monotonic readings, as time.Now does.
	Now func() time.Time
	// Metrics counts; nil counts nothing.
	Metrics *Metrics
}

// NewVerifier refuses a Config without issuer or audience, a leeway out of bounds, and
// missing parts. Close ends what the Verifier starts.
func NewVerifier(c Config, p Parts) (*Verifier, error) {
	switch {
	case len(c.Issuers) == 0 || slices.Contains(c.Issuers, ""):
		return nil, errors.New("token: verifier without issuer")
	case c.Audience == "":
		return nil, errors.New("token: verifier without audience")
	case c.Leeway < 0 || c.Leeway > maxLeeway:
		return nil, fmt.Errorf("token: leeway %s is not between 0 and %s", c.Leeway, maxLeeway)
	case p.Server == nil || p.Now == nil:
		return nil, errors.New("token: verifier without server or clock")
	case p.Reader == nil && !c.Opaque:
		return nil, errors.New("token: verifier of JWTs without a reader")
	}
	live, err := newLiveFacts(c.MaxBytes)
	if err != nil {
		return nil, fmt.Errorf("token: cache of live facts: %w", err)
	}
	refused, err := newRefusals()
	if err != nil {
		live.close()
		return nil, fmt.Errorf("token: cache of refusals: %w", err)
	}
	v := &Verifier{
		config: c, server: p.Server, reader: p.Reader, now: p.Now, metrics: p.Metrics,
		live: live, refused: refused, families: newFamilies(), seen: newMemory(),
	}
	v.desk = newDesk(v.ask, v.recall, p.Now)
	v.metrics.bind(int64(live.most))
	return v, nil
}

// Close ends the questions under way, waits for them and forgets everything. Checks
// that are waiting get an error, and so do later ones.
func (v *Verifier) Close() {
	v.desk.close()
	v.binding.Lock()
	v.bind(0)
	v.binding.Unlock()
	v.live.close()
	v.refused.close()
}

// arrival is when a check came in. Questions with a later turn were sent after it,
// whatever the clock did in between.
type arrival struct {
	turn uint64
	at   time.Time
}

// Verify says what is believed about t under d. The Fact holds claims that were in
// force when Verify returned, and that are no older than d allows, or were asked for
// after the call of Verify; it is zero whenever the error, always a *Error, is not nil.
// The end of ctx ends the wait, not the question: its answer is kept for the next check.
func (v *Verifier) Verify(ctx context.Context, t Token, d Demand) (Fact, error) {
	if v == nil || t == (Token{}) {
		return Fact{}, refuse(Malformed, "no token")
	}
	d.MaxAge = min(d.MaxAge, Ceiling)
	e, took, err := v.verify(ctx, t, d)
	now := v.now()
	if err == nil && e.dead(now) {
		err = refuse(Expired, "on the way")
	}
	if err != nil {
		return Fact{}, asError(err, t)
	}
	f := Fact{Claims: e.claims(), Mode: d.Mode, Took: took}
	if d.Mode != ByJWT {
		f.Age = e.age(now)
	}
	return f, nil
}

func (v *Verifier) verify(ctx context.Context, t Token, d Demand) (*entry, time.Duration, error) {
	if v.desk.ctx.Err() != nil {
		return nil, 0, errClosed
	}
	arrived := arrival{v.desk.turn.Load(), v.now()}
	k, err := v.keyOf(t, d.Mode)
	if err != nil {
		return nil, 0, err
	}
	switch e, err := v.recall(k, d, arrived); {
	case e != nil:
		v.metrics.count(hit)
		v.refreshAhead(k, t, e, d, arrived.at)
		return e, 0, nil
	case err != nil:
		v.metrics.count(refused)
		return nil, 0, err
	}
	said, prove, err := v.read(t, d.Mode)
	if err != nil {
		return nil, 0, err
	}
	if d.Mode == ByJWT {
		e, err := v.byProof(ctx, k, said, prove, arrived)
		return e, 0, err
	}
	if d.Mode == ByBoth {
		if err := proveEarly(ctx, prove); isVerdict(err) {
			return nil, 0, err
		}
	}
	return v.byAnswer(ctx, k, t, said, d, arrived)
}

// recall returns what is known already and good enough, or the refusal that holds; or
// neither.
func (v *Verifier) recall(k key, d Demand, a arrival) (*entry, error) {
	// A token has no live fact while it is refused, so a hit needs no second look-up.
	switch e := v.live.get(k, a.at); {
	case e == nil:
	case d.Mode == ByJWT && e.turn == v.reader.Generation():
		return e, nil
	case d.Mode != ByJWT && (e.turn > a.turn || d.MaxAge > 0 && e.age(a.at) <= d.MaxAge):
		return e, nil
	}
	return nil, v.refused.get(k, a.at)
}

// read looks at what a JWT says of itself before anybody is asked. Claims and prove are
// zero for opaque tokens.
func (v *Verifier) read(t Token, mode Mode) (said Claims, prove func(context.Context) error, err error) {
	if v.config.Opaque {
		if mode != ByIntrospection {
			return Claims{}, nil, Unavailablef("nothing but introspection can verify an opaque token")
		}
		return Claims{}, nil, nil
	}
	said, prove, err = v.reader.Read(t)
	if err == nil {
		err = v.believe(said)
	}
	return said, prove, err
}

// proveEarly spends at most half of the time left on keys that may not come, so that the
// server can still be asked.
func proveEarly(ctx context.Context, prove func(context.Context) error) error {
	patience := longestQuestion / 2
	if deadline, ok := ctx.Deadline(); ok {
		patience = time.Until(deadline) / 2
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return prove(ctx)
}

// byProof believes a signature. What was proven is kept until the token expires or the
// keys change.
func (v *Verifier) byProof(ctx context.Context, k key, said Claims, prove func(context.Context) error, arrived arrival) (*entry, error) {
	v.metrics.count(miss)
	e := v.newEntry(said)
	e.asked, e.turn = arrived.at, v.reader.Generation()
	if err := prove(ctx); err != nil {
		return nil, err
	}
	now := v.now()
	v.desk.mu.Lock()
	defer v.desk.mu.Unlock()
	if err := v.refused.get(k, now); err != nil {
		return nil, err
	}
	if !v.desk.closed {
		v.live.put(k, e, now)
	}
	return e, nil
}

// byAnswer asks the server, or shares an answer to a question that is young enough.
func (v *Verifier) byAnswer(ctx context.Context, k key, t Token, said Claims, d Demand, arrived arrival) (*entry, time.Duration, error) {
	priority := v.priority(k)
	for {
		own := newQuestion(k, t, said, priority)
		q, joined := v.desk.join(own, d, arrived.turn)
		if joined {
			v.metrics.count(coalesced)
		} else {
			v.metrics.count(miss)
		}
		select {
		case <-q.done:
		case <-ctx.Done():
			return nil, 0, Unavailablef("waiting for the server: %w", ctx.Err())
		}
		switch {
		case q.err != nil && joined && q.priority < priority && !isVerdict(q.err):
			continue // it was not worth asking for its own sake; for ours it may be
		case q.err != nil:
			return nil, 0, q.err
		case q.turn <= arrived.turn && q.entry.age(v.now()) > d.MaxAge:
			continue // it was young enough when we joined, and is not any more
		case joined:
			return q.entry, 0, nil
		}
		return q.entry, q.took, nil
	}
}

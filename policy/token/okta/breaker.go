package okta

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"

	"github.com/durward/durward/policy/token"
)

// The breaker opens when at least half of at least 10 calls in 10 s broke, tries again
// after 1 to 3 s, and closes after two calls in a row that did not.
const (
	breakRate   = 0.5
	breakCalls  = 10
	breakPeriod = 10 * time.Second
	breakDelay  = 2 * time.Second
	breakJitter = 0.5
	closeCalls  = 2
)

// outcome is what a call says of the server's health.
type outcome int

const (
	// unknown: the caller went away before the server could answer.
	unknown outcome = iota
	// alive: a complete answer, whatever it says of token, client or rate.
	alive
	// broken: no connection, no answer in time, a 5xx, or one that is not readable.
	broken
)

// breaker keeps calls away from a server that does not answer. It adds to the library's
// that a call sent in one state says nothing in another.
type breaker struct {
	mu      sync.Mutex
	circuit circuitbreaker.CircuitBreaker[any]
	// states counts changes of state.
	states int
}

// permit is a call that the breaker let pass.
type permit struct {
	states int
	probe  bool
}

func newBreaker() *breaker {
	b := &breaker{}
	b.circuit = circuitbreaker.NewBuilder[any]().
		WithFailureRateThreshold(breakRate, breakCalls, breakPeriod).
		WithSuccessThreshold(closeCalls).
		WithDelay(breakDelay).WithJitterFactor(breakJitter).
		OnStateChanged(func(circuitbreaker.StateChangedEvent) { b.states++ }). // mu is held
		Build()
	return b
}

// check refuses while the breaker is open, and takes no permit.
func (b *breaker) check() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if wait := b.circuit.RemainingDelay(); wait > 0 {
		return refusedFor(wait)
	}
	return nil
}

// acquire lets a call pass, whose end must be recorded.
func (b *breaker) acquire() (permit, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.circuit.TryAcquirePermit() {
		return permit{}, refusedFor(b.circuit.RemainingDelay())
	}
	return permit{states: b.states, probe: b.circuit.IsHalfOpen()}, nil
}

func refusedFor(wait time.Duration) error {
	return &token.Error{
		Failure: token.Unavailable, RetryAfter: max(wait, time.Second),
		Cause: errors.New("not asked: the server was out of order a moment ago"),
	}
}

// record ends a call. A probe without a result counts as broken, for it has to end
// somehow and proved nothing.
func (b *breaker) record(p permit, o outcome) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case p.states != b.states:
	case o == alive:
		b.circuit.RecordSuccess()
	case o == broken || p.probe:
		b.circuit.RecordFailure()
	}
}

// state is 0 for closed, 1 for half-open and 2 for open.
func (b *breaker) state() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch b.circuit.State() {
	case circuitbreaker.OpenState:
		return 2
	case circuitbreaker.HalfOpenState:
		return 1
	default:
		return 0
	}
}

const (
	maxFlying = 64
	maxGuests = maxFlying / 2
	// maxSlotWait is how long to wait for one of the calls under way to end.
	maxSlotWait = 500 * time.Millisecond
)

// enter waits a moment for a slot. Half of the slots are out of reach for tokens that
// are not known. leave must be called.
func (b *Budget) enter(ctx context.Context, p token.Priority) (leave func(), err error) {
	if p < token.Known {
		if err := b.guests.AcquirePermitWithMaxWait(ctx, maxSlotWait); err != nil {
			return nil, full(err)
		}
	}
	if err := b.slots.AcquirePermitWithMaxWait(ctx, maxSlotWait); err != nil {
		if p < token.Known {
			b.guests.ReleasePermit()
		}
		return nil, full(err)
	}
	return func() {
		b.slots.ReleasePermit()
		if p < token.Known {
			b.guests.ReleasePermit()
		}
	}, nil
}

func full(err error) error {
	if !errors.Is(err, bulkhead.ErrFull) {
		return token.Unavailablef("waiting for other calls: %w", err)
	}
	return &token.Error{Failure: token.Overloaded, RetryAfter: time.Second, Cause: fmt.Errorf("%d calls under way", maxFlying)}
}

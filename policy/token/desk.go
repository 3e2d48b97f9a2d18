package token

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxQuestions bounds the questions under way; more are refused at once. Questions
	// about unseen tokens may take half of the places, early refreshes a quarter.
	maxQuestions = 4096
	// longestQuestion bounds one question, retry included.
	longestQuestion = 10 * time.Second
)

var (
	errClosed     = Unavailablef("the verifier is closed")
	errUnanswered = Unavailablef("the question was dropped without an answer")
)

// question is one question to the server. What it is about is set when it is made, the
// answer when done is closed, and what is between under the desk's mu.
type question struct {
	key   key
	token Token
	said  Claims

	priority Priority
	// asked is when it was sent and turn its place among all questions; zero while it
	// waits for the one before it.
	asked time.Time
	turn  uint64
	// stale says that something was learned since, which its answer may not know of: the
	// answer is not kept, nor shared with checks to come.
	stale bool
	// overruled is a refusal of the same token that was asked for later.
	overruled *Error

	done  chan struct{}
	entry *entry
	took  time.Duration
	err   error
}

func newQuestion(k key, t Token, said Claims, p Priority) *question {
	return &question{key: k, token: t, said: said, priority: p, done: make(chan struct{}), err: errUnanswered}
}

// desk sees to it that one token is asked about once at a time, however many checks
// want to know, and that no check ends a question that others wait for. At most one
// question about a token and mode is under way, and at most one waits for it to end: the
// one that all checks share which may not use an answer to the first.
type desk struct {
	ask    func(context.Context, *question)
	recall func(key, Demand, arrival) (*entry, error)
	now    func() time.Time
	// turn counts the questions sent, and so orders them and the checks between them.
	turn atomic.Uint64

	ctx   context.Context // of all questions; ended by close
	end   context.CancelFunc
	tasks sync.WaitGroup

	// mu orders what is asked, learned and invalidated.
	mu      sync.Mutex
	closed  bool
	current map[key]*question
	next    map[key]*question
}

func newDesk(ask func(context.Context, *question), recall func(key, Demand, arrival) (*entry, error), now func() time.Time) *desk {
	ctx, end := context.WithCancel(context.Background())
	return &desk{
		ask: ask, recall: recall, now: now, ctx: ctx, end: end,
		current: make(map[key]*question), next: make(map[key]*question),
	}
}

// join returns a question whose answer serves a check that arrived after a turn: one sent
// since, one that is young enough yet, or else q. joined says that another's serves.
func (d *desk) join(q *question, want Demand, arrived uint64) (serving *question, joined bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	// What the check did not find when it looked may have been learned by now.
	if e, err := d.recall(q.key, want, arrival{arrived, now}); e != nil || err != nil {
		if e != nil {
			q.entry, q.turn = e, e.turn
		}
		q.settle(err)
		return q, true
	}
	current, next := d.current[q.key], d.next[q.key]
	if current != nil && !current.stale &&
		(current.turn > arrived || want.MaxAge > 0 && elapsed(current.asked, now) <= want.MaxAge) {
		return current, true
	}
	if next != nil {
		next.priority = max(next.priority, q.priority)
		return next, true
	}
	switch {
	case d.closed:
		q.settle(errClosed)
	case !d.hasPlace(q.priority):
		q.settle(&Error{Failure: Overloaded})
	case current != nil:
		d.next[q.key] = q
	default:
		d.start(q)
	}
	return q, false
}

// startIdle asks q unless the token is being asked about already.
func (d *desk) startIdle(q *question) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || d.current[q.key] != nil || !d.hasPlace(q.priority) {
		return false
	}
	d.start(q)
	return true
}

// hasPlace keeps places for what is worth more, so that a flood of junk does not keep
// live users from being asked about. It needs mu.
func (d *desk) hasPlace(p Priority) bool {
	return len(d.current)+len(d.next) < maxQuestions>>(Known-p)
}

// settle answers a question that is not sent.
func (q *question) settle(err error) {
	q.err = err
	close(q.done)
}

// start needs mu.
func (d *desk) start(q *question) {
	d.current[q.key] = q
	q.asked, q.turn = d.now(), d.turn.Add(1)
	d.tasks.Go(func() { d.run(q) })
}

func (d *desk) run(q *question) {
	ctx, cancel := context.WithTimeout(d.ctx, longestQuestion)
	defer cancel()
	defer d.finish(q)
	d.ask(ctx, q)
}

func (d *desk) finish(q *question) {
	defer close(q.done) // last: whoever asks again must not find this one
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.current, q.key)
	if after := d.next[q.key]; after != nil {
		delete(d.next, q.key)
		d.start(after)
	}
}

// overrule tells the older questions about q's token that q was refused. It needs mu.
func (d *desk) overrule(q *question, err *Error) {
	for m := range modes {
		if other := d.current[q.key.in(m)]; other != nil && other.turn < q.turn {
			other.stale, other.overruled = true, err
		}
	}
}

// spoil keeps the answers to questions under way from being kept or shared, where they
// may be about what i names.
func (d *desk) spoil(i Invalidation) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, q := range d.current {
		if i.mayName(q.said) {
			q.stale = true
		}
	}
}

// close waits for all questions. Those that were not sent are dropped.
func (d *desk) close() {
	d.mu.Lock()
	d.closed = true
	for k, q := range d.next {
		delete(d.next, k)
		q.settle(errClosed)
	}
	d.mu.Unlock()
	d.end()
	d.tasks.Wait()
}

package token

import (
	"context"
	"time"
)

// ask asks the server and keeps what it learns. It sets q's answer.
func (v *Verifier) ask(ctx context.Context, q *question) {
	defer func() {
		if p := recover(); p != nil {
			// One broken answer must not end the process; its value may hold the token.
			q.entry, q.err = nil, Unavailablef("the answer could not be handled")
		}
	}()
	answer, err := v.server.Introspect(ctx, q.token, q.priority)
	if err == nil {
		err = v.judge(q, answer)
	}
	q.took = answer.Took
	q.err = nil
	if err != nil {
		q.err = asError(err, q.token)
	}
	v.learn(q, answer.Claims)
}

func (v *Verifier) judge(q *question, answer Introspection) error {
	if !answer.Active {
		return &Error{Failure: Inactive}
	}
	if err := agree(q.said, answer.Claims); err != nil {
		// Answers may have been mixed up on the way: what comes next would be too.
		if server, ok := v.server.(interface{ DropConnections() }); ok {
			server.DropConnections()
		}
		return err
	}
	return v.believe(answer.Claims)
}

// learn keeps q's answer. Newer knowledge wins: a refusal drops what was believed before
// under every policy, and an answer that was asked for before a refusal does not undo
// it. A refusal is never outdated: what was revoked once does not come back.
func (v *Verifier) learn(q *question, c Claims) {
	v.desk.mu.Lock()
	defer v.desk.mu.Unlock()
	if q.err != nil {
		if isVerdict(q.err) {
			v.forget(q)
		}
		return
	}
	if q.overruled != nil {
		q.err = q.overruled
		return
	}
	q.entry = v.newEntry(complete(c, q.said))
	q.entry.asked, q.entry.turn = q.asked, q.turn
	if q.stale {
		return
	}
	v.refused.forget(q.key)
	v.seen.add(q.key)
	v.live.put(q.key, q.entry, v.now())
}

// forget needs the desk's mu.
func (v *Verifier) forget(q *question) {
	err := asError(q.err, q.token)
	v.live.forget(q.key)
	v.seen.remove(q.key)
	v.refused.put(q.key, err, q.asked)
	v.desk.overrule(q, err)
}

// refreshAhead asks again about a fact in use before it is too old, so that no check has
// to wait for the answer. The point is jittered by the token, and the server's budget may
// refuse.
func (v *Verifier) refreshAhead(k key, t Token, e *entry, d Demand, now time.Time) {
	if d.MaxAge <= 0 || d.Mode == ByJWT {
		return
	}
	if !e.used.Load() {
		e.used.Store(true)
		return
	}
	// From 75 to 94 percent of the age allowed.
	due := d.MaxAge*3/4 + d.MaxAge*time.Duration(k[0]%20)/100
	if e.age(now) < due || e.left(now) <= time.Second || e.ahead.Load() || !e.ahead.CompareAndSwap(false, true) {
		return
	}
	said, _, err := v.read(t, d.Mode)
	if err == nil && v.desk.startIdle(newQuestion(k, t, said, Ahead)) {
		v.metrics.count(refreshed)
	}
}

// Keep says how long facts are worth their memory: the longest max_age among the
// policies of this server, at most Ceiling. Facts there are keep what they have.
func (v *Verifier) Keep(longest time.Duration) {
	v.live.keep.Store(int64(min(max(longest, 0), Ceiling)))
}

package dpop

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/durward/durward/policy/token"
)

// TestOneProofOnce: however many use a proof at once, one of them passes.
func TestOneProofOnce(t *testing.T) {
	t.Parallel()
	k, _ := checker(t, Config{})
	proof := usual(signed(t, noon))
	var passed atomic.Int64
	var all sync.WaitGroup
	start := make(chan struct{})
	for range 1000 {
		all.Go(func() {
			<-start
			if err := k.Check(proof); err == nil {
				passed.Add(1)
			} else if failure(t, err) != token.ProofInvalid {
				t.Error(err)
			}
		})
	}
	close(start)
	all.Wait()
	if n := passed.Load(); n != 1 {
		t.Errorf("%d passed", n)
	}
}

// TestReplayUntilStale: a proof is good once from its first instant to its last, and the
// memory of it ends only behind that.
func TestReplayUntilStale(t *testing.T) {
	t.Parallel()
	for offset := range 2 * int(span/time.Second) {
		k, clock := checker(t, Config{})
		at := noon.Add(time.Duration(offset) * time.Second)
		clock.set(at.Add(-30 * time.Second))
		proof := usual(signed(t, at))
		if err := k.Check(proof); err != nil {
			t.Fatal(err)
		}
		for now := at.Add(-30 * time.Second); now.Before(at.Add(3 * time.Minute)); now = now.Add(900 * time.Millisecond) {
			clock.set(now)
			if err := k.Check(proof); failure(t, err) != token.ProofInvalid {
				t.Fatalf("%s after: %v", now.Sub(at), err)
			}
		}
		if n := k.used.size(clock.now()); n != 0 {
			t.Errorf("%d remembered when too old", n)
		}
	}
}

// TestClockSetBack: proofs that were forgotten, or could have been, are not good again when
// the clock says so; those of the time since are.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	k, clock := checker(t, Config{})
	used := make([]token.Proof, 20)
	for i := range used {
		clock.set(noon.Add(time.Duration(i) * 5 * time.Second))
		used[i] = usual(signed(t, clock.now()))
		if err := k.Check(used[i]); err != nil {
			t.Fatal(err)
		}
	}
	for _, jump := range []time.Duration{0, time.Hour, -time.Hour, 40 * time.Second, 24 * time.Hour, 0} {
		clock.set(noon.Add(jump))
		_ = k.used.size(clock.now()) // a scrape forgets, too
		for i, p := range used {
			for _, back := range []time.Duration{-40 * time.Second, 0, time.Minute, 2 * time.Minute} {
				clock.set(noon.Add(back))
				if err := k.Check(p); failure(t, err) != token.ProofInvalid {
					t.Fatalf("proof %d, after a jump by %s, at %s: %v", i, jump, back, err)
				}
			}
		}
	}
	// A clock that was wrong for a moment keeps nobody out for long.
	clock.set(noon.Add(20*5*time.Second + span))
	if err := k.Check(usual(signed(t, clock.now()))); err != nil {
		t.Errorf("a new proof when the clock is right again: %v", err)
	}
}

// TestFullRefusesNewProofs: nothing that could be used again is forgotten to make room, and
// the refusal says when there is room.
func TestFullRefusesNewProofs(t *testing.T) {
	t.Parallel()
	k, clock := checker(t, Config{MaxProofs: 5, MaxProofsPerKey: 5})
	var used []token.Proof
	for range 5 {
		p := usual(signed(t, noon))
		if err := k.Check(p); err != nil {
			t.Fatal(err)
		}
		used = append(used, p)
	}
	err := k.Check(usual(signed(t, noon)))
	var known *token.Error
	if !errors.As(err, &known) || known.Failure != token.Overloaded || known.RetryAfter < time.Second || known.RetryAfter > 2*time.Minute {
		t.Fatalf("%v", err)
	}
	for _, p := range used {
		if err := k.Check(p); failure(t, err) != token.ProofInvalid {
			t.Errorf("a used proof while full: %v", err)
		}
	}
	clock.set(noon.Add(known.RetryAfter + 1))
	if err := k.Check(usual(signed(t, clock.now()))); err != nil {
		t.Errorf("after %s: %v", known.RetryAfter, err)
	}
}

// TestOneKeyFillsItsPartAlone: a client with too many proofs waits, others do not.
func TestOneKeyFillsItsPartAlone(t *testing.T) {
	t.Parallel()
	m := newMemory(time.Minute, 100, 10)
	for i := range 20 {
		at := noon.Add(time.Duration(i-10) * 3 * time.Second) // over several buckets
		_, err := m.add("greedy", strconv.Itoa(i), at, noon)
		if want := i >= 10; errors.Is(err, errFull) != want {
			t.Errorf("proof %d: %v", i, err)
		}
	}
	for i := range 90 {
		if _, err := m.add("modest"+strconv.Itoa(i%9), strconv.Itoa(i), noon, noon); err != nil {
			t.Errorf("proof %d of others: %v", i, err)
		}
	}
	if wait, err := m.add("late", "x", noon, noon); !errors.Is(err, errFull) || wait < time.Second {
		t.Errorf("%s, %v", wait, err)
	}
	if n := m.size(noon); n != 100 {
		t.Errorf("%d remembered", n)
	}
}

// TestNamesDoNotRunTogether: ids of other keys, and texts cut elsewhere, are other proofs.
func TestNamesDoNotRunTogether(t *testing.T) {
	t.Parallel()
	m := newMemory(time.Minute, 100, 100)
	for _, p := range [][2]string{{"ab", "c"}, {"a", "bc"}, {"", "abc"}, {"abc", ""}, {"a", "b"}, {"b", "a"}} {
		if _, err := m.add(p[0], p[1], noon, noon); err != nil {
			t.Errorf("%q: %v", p, err)
		}
		if _, err := m.add(p[0], p[1], noon, noon); !errors.Is(err, errUsed) {
			t.Errorf("%q again: %v", p, err)
		}
	}
}

// TestMillionProofs: a million proofs, each by another key, fit in what Config promises, no
// more than that are ever there, and all of them go.
func TestMillionProofs(t *testing.T) {
	const promised = 128 << 20
	million := 1_000_000
	if raced {
		million /= 10
	}
	m := newMemory(defaultWindow, million, defaultProofsPerKey)
	before := heap()
	full, start := 0, time.Now()
	for i := range million + 100_000 {
		// The clients' clocks are all over the window.
		at := noon.Add(time.Duration(rand.IntN(90)-60) * time.Second)
		if _, err := m.add("key "+strconv.Itoa(i), "id", at, noon); errors.Is(err, errFull) {
			full++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	each := time.Since(start) / time.Duration(million+100_000)
	if n := m.size(noon); n != million || full != 100_000 {
		t.Errorf("%d remembered, %d refused", n, full)
	}
	grown := heap() - before
	t.Logf("%d proofs: %d MiB, %s each", million, grown>>20, each)
	if grown > promised {
		t.Errorf("%d bytes", grown)
	}
	if n := m.size(noon.Add(2 * time.Minute)); n != 0 {
		t.Errorf("%d left", n)
	}
	if left := heap() - before; left > 1<<20 {
		t.Errorf("%d bytes left", left)
	}
	runtime.KeepAlive(m)
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

func ExampleChecker() {
	now := func() time.Time { return noon }
	proofs, err := NewChecker(Config{Now: now})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer proofs.Close()
	proof, err := Sign(p256(), Statement{Method: method, URL: url, Token: accessToken, IssuedAt: now()})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(proofs.Check(usual(proof)))
	fmt.Println(proofs.Check(usual(proof)))
	// Output:
	// <nil>
	// token: proof invalid: used before
}

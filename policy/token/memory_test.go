package token

import (
	"encoding/binary"
	"testing"
)

// TestMemoryForgetsTheOlderHalf, and that only when it is full.
func TestMemoryForgetsTheOlderHalf(t *testing.T) {
	t.Parallel()
	name := func(i int) (k key) {
		binary.BigEndian.PutUint64(k[:], uint64(i))
		return k
	}
	m := newMemory()
	for i := range maxSeen {
		m.add(name(i))
	}
	if len(m.young) != maxSeen || len(m.old) != 0 {
		t.Fatalf("%d and %d of %d tokens", len(m.young), len(m.old), maxSeen)
	}
	m.add(name(maxSeen))
	if len(m.young) != 1 || len(m.old) != maxSeen {
		t.Errorf("%d and %d tokens after one more", len(m.young), len(m.old))
	}
	for _, i := range []int{0, maxSeen - 1, maxSeen} {
		if !m.has(name(i)) {
			t.Errorf("token %d is forgotten", i)
		}
		if m.remove(name(i)); m.has(name(i)) {
			t.Errorf("token %d is remembered after its refusal", i)
		}
	}
	if m.has(name(maxSeen + 1)) {
		t.Error("a token that was never active is known")
	}
}

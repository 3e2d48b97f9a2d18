package oktatest

import (
	"strconv"
	"testing"
)

func TestBoundedForgetsTheOldest(t *testing.T) {
	t.Parallel()
	b := newBounded[int](3)
	for i := 1; i <= 5; i++ {
		b.put(strconv.Itoa(i), i)
	}
	if len(b.items) != 3 || len(b.order) != 3 || b.get("2") != 0 || b.get("3") != 3 || b.get("5") != 5 {
		t.Errorf("items %v, order %v", b.items, b.order)
	}
}

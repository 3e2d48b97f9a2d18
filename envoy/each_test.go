package envoy

import (
	"errors"
	"fmt"
	"slices"
	"testing"
)

func TestEach(t *testing.T) {
	t.Parallel()
	list := make([]int, 1000)
	for i := range list {
		list[i] = i
	}
	same, err := each(list, func(i int) (int, error) { return i, nil })
	if err != nil || !slices.Equal(list, same) {
		t.Errorf("results %v, error %v", same, err)
	}
	first := errors.New("of 7")
	got, err := each(list, func(i int) (int, error) {
		switch {
		case i == 7:
			return 0, first
		case i > 7:
			return 0, fmt.Errorf("of %d", i)
		}
		return i, nil
	})
	if !errors.Is(err, first) || got != nil {
		t.Errorf("results %v, error %v", got, err)
	}
	if none, err := each(nil, func(int) (int, error) { return 0, first }); len(none) != 0 || err != nil {
		t.Errorf("of nothing: %v, error %v", none, err)
	}
}

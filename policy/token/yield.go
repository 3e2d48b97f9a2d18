package token

import (
	"context"
	"math"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// yieldEvery is how often the heap is looked at.
	yieldEvery = 100 * time.Millisecond
	// The cache gives way when what lives on the heap is more than shortPart of the
	// memory limit, and gets room back below plentyPart. Beyond the first the garbage
	// collector would run ever more often.
	shortPart  = 0.6
	plentyPart = 0.4
	// minPart of its bound the cache never gives up.
	minPart = 1.0 / 64
)

// heap is what the garbage collector found last.
type heap struct {
	// live is what is in use and limit the process's, see debug.SetMemoryLimit; in bytes.
	live, limit uint64
	// cycle numbers the collections: of one it is enough to learn once.
	cycle uint64
}

func readHeap() heap {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/cycles/total:gc-cycles"}}
	metrics.Read(samples)
	return heap{live: samples[0].Value.Uint64(), cycle: samples[1].Value.Uint64(), limit: uint64(max(debug.SetMemoryLimit(-1), 0))}
}

// Run lets the cache of live facts give way while the process is short of memory, by its
// GOMEMLIMIT, until ctx ends; then it returns nil. Without a limit it changes nothing.
// What is evicted costs questions, and no token is refused for it.
func (v *Verifier) Run(ctx context.Context) error {
	tick := time.NewTicker(yieldEvery)
	defer tick.Stop()
	var last uint64
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if h := readHeap(); h.cycle != last {
			last = h.cycle
			v.yield(h)
		}
	}
}

// yield takes a third of what the cache holds, or gives it half as much again.
func (v *Verifier) yield(h heap) {
	v.binding.Lock()
	defer v.binding.Unlock()
	if v.desk.ctx.Err() != nil {
		return // closed
	}
	bound := v.live.bound()
	switch part := float64(h.live) / float64(h.limit); {
	case h.limit == math.MaxInt64 || part < plentyPart:
		v.bind(min(bound+bound/2, v.live.most))
	case part > shortPart:
		least := uint64(float64(v.live.most) * minPart)
		v.bind(max(min(bound, v.live.cache.WeightedSize())*2/3, least))
	}
}

// bind sets how many bytes the cache of live facts may hold. It needs binding.
func (v *Verifier) bind(bytes uint64) {
	if was := v.live.bound(); was != bytes {
		v.live.cache.SetMaximum(bytes)
		v.metrics.bind(int64(bytes) - int64(was))
	}
}

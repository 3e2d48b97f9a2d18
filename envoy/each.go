package envoy

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// each makes one result of every element, on all processors: callers of a new API wait
// for that. The results are in the order of the list; of several errors it returns the
// one of the first element.
func each[T, R any](list []T, do func(T) (R, error)) ([]R, error) {
	results, errs := make([]R, len(list)), make([]error, len(list))
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(list)) {
		workers.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(list)); i = next.Add(1) - 1 {
				results[i], errs[i] = do(list[i])
			}
		})
	}
	workers.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return results, nil
}

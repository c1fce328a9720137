package tensor

import (
	"sync/atomic"
	"testing"
)

func TestParallelCallsEachOnce(t *testing.T) {
	for _, threads := range []int{-1, 0, 1, 2, 7, 100} {
		for _, n := range []int{0, 1, 2, 50} {
			calls := make([]atomic.Int32, n)
			Parallel(threads, n, func(i int) { calls[i].Add(1) })
			for i := range calls {
				if c := calls[i].Load(); c != 1 {
					t.Errorf("threads %d: call %d of %d was made %d times", threads, i, n, c)
				}
			}
		}
	}
}

func TestParallelPassesPanicsOn(t *testing.T) {
	for _, threads := range []int{1, 4} {
		func() {
			defer func() {
				if v := recover(); v != "boom" {
					t.Errorf("threads %d: recovered %v", threads, v)
				}
			}()
			Parallel(threads, 10, func(i int) {
				if i == 3 {
					panic("boom")
				}
			})
		}()
	}
}

package compile

import (
	"context"
	"fmt"
	"testing"
	"time"
)

func BenchmarkFile(b *testing.B) {
	for _, n := range []int{10, 1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			file := bigFile(b, n)
			for b.Loop() {
				if _, err := File(context.Background(), file, Options{MaxTime: time.Minute}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

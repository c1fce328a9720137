//go:build !amd64 || purego

package kernel

func machineBF16Tiles() []*BF16Tile { return nil }

func pairsFast([]uint32, []float32, int) (done int) { return 0 }

func pairLinesFast([]uint32, []float32, []float32) (done int) { return 0 }

func pairStoredFast([]uint32, []byte, []byte) (done int) { return 0 }

func splitFast(_, _, _ []uint32) (done int) { return 0 }

// AMXPeak returns 0: nothing here uses AMX.
func AMXPeak(int) (flops float64) { return 0 }

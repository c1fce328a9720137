//go:build !amd64 || purego

package quant

func packFast([]byte, []float32, *fourBitCode, float32) (done int) { return 0 }

func maxAbsFast([]float32) (largest uint32, done int) { return 0, 0 }

func unpack4Fast([]float32, []byte, *[16]float32, []float32, int) bool { return false }

func q8CodesFast([]byte, []float32, float32) (done int) { return 0 }

func unpack8Fast([]float32, []byte, []float32, int) bool { return false }

package quant

// fp4 is bitsandbytes' four-bit float: a sign, two bits of exponent and one of
// mantissa, in twelfths. Zero has two codes; as in bitsandbytes 0.50, values
// rounded to it take code 8 when they are positive, else 0.
func fp4() *fourBitCode {
	table := [16]float32{0, 0.0625, 8, 12, 4, 6, 2, 3, 0, -0.0625, -8, -12, -4, -6, -2, -3}
	for i, v := range table {
		table[i] = v / 12
	}
	order := [16]byte{11, 10, 13, 12, 15, 14, 9, 0, 8, 1, 6, 7, 4, 5, 2, 3}
	var thresholds [15]float32
	for i := range thresholds {
		thresholds[i] = (table[order[i]] + table[order[i+1]]) / 2
	}
	return newFourBitCode(table, order, thresholds)
}

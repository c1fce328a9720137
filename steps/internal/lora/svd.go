package lora

import (
	"context"
	"math"

	"github.com/pipe-run/pipe/steps/internal/kernel"
	"github.com/pipe-run/pipe/steps/internal/tensor"
)

// The principal directions of a matrix are found by subspace iteration (Halko,
// Martinsson and Tropp, Finding structure with randomness, 2011, algorithm 4.4)
// over a few more directions than are wanted.
const (
	oversampling = 16
	iterations   = 12
	sweeps       = 12 // of Jacobi rotations; matrices of this size need about 6
)

// principal returns the r largest singular values s of w [m, n], and the left
// and right singular vectors that belong to them as rows, u [r, m] and v [r, n].
// Equal seeds give equal bits; the only error is that of ctx. Where w has a rank below r, the rest is zero.
func principal(ctx context.Context, threads int, seed *kernel.Stream, w []float32, m, n, r int) (s []float64, u, v []float32, err error) {
	k := min(r+oversampling, m, n)
	q, z := make([]float32, k*m), make([]float32, k*n)
	for i := range z {
		z[i] = seed.Normal()
	}
	for range iterations {
		if err := ctx.Err(); err != nil {
			return nil, nil, nil, err
		}
		tensor.GemmNT(threads, k, m, n, z, w, q, false)
		orthonormalise(q, k, m)
		tensor.GemmNN(threads, k, n, m, q, w, z, false)
		orthonormalise(z, k, n)
	}
	tensor.GemmNT(threads, k, m, n, z, w, q, false)
	orthonormalise(q, k, m)
	tensor.GemmNN(threads, k, n, m, q, w, z, false) // w ≈ qᵀ·z
	gram := make([]float64, k*k)
	for i := range k {
		for j := range k {
			gram[i*k+j] = kernel.Dot64(z[i*n:][:n], z[j*n:][:n])
		}
	}
	values, vectors := eigen(gram, k)
	s, u, v = make([]float64, r), make([]float32, r*m), make([]float32, r*n)
	for i := range min(r, k) {
		s[i] = math.Sqrt(max(0, values[i]))
		for j := range k {
			c := float32(vectors[i*k+j])
			kernel.AddScaled(u[i*m:][:m], q[j*m:][:m], c)
			kernel.AddScaled(v[i*n:][:n], z[j*n:][:n], c)
		}
		if s[i] > 0 {
			kernel.Scale(v[i*n:][:n], float32(1/s[i]))
		}
	}
	return s, u, v, nil
}

// orthonormalise makes the k rows of x [k, n] orthogonal and of length 1, twice
// over, which leaves rounding errors only. A row that depends on those before it
// becomes zero.
func orthonormalise(x []float32, k, n int) {
	for range 2 {
		for i := range k {
			row := x[i*n:][:n]
			before := kernel.SumSquares(row)
			for j := range i {
				other := x[j*n:][:n]
				kernel.AddScaled(row, other, -float32(kernel.Dot64(row, other)))
			}
			after := kernel.SumSquares(row)
			if after <= 1e-10*before {
				clear(row)
				continue
			}
			kernel.Scale(row, float32(1/math.Sqrt(after)))
		}
	}
}

// eigen returns the eigenvalues of a symmetric matrix a [k, k], the largest
// first, and its eigenvectors as rows, by cyclic Jacobi rotations. It overwrites a.
func eigen(a []float64, k int) (values, vectors []float64) {
	vectors = make([]float64, k*k)
	for i := range k {
		vectors[i*k+i] = 1
	}
	for range sweeps {
		for p := range k {
			for q := p + 1; q < k; q++ {
				rotate(a, vectors, k, p, q)
			}
		}
	}
	values = make([]float64, k)
	for i := range k {
		values[i] = a[i*k+i]
	}
	for i := range k { // selection sort: the first of equals stays first
		best := i
		for j := i + 1; j < k; j++ {
			if values[j] > values[best] {
				best = j
			}
		}
		values[i], values[best] = values[best], values[i]
		for j := range k {
			vectors[i*k+j], vectors[best*k+j] = vectors[best*k+j], vectors[i*k+j]
		}
	}
	return values, vectors
}

// rotate makes a[p, q] zero (Golub and Van Loan, Matrix Computations, 8.5.2).
func rotate(a, vectors []float64, k, p, q int) {
	apq := a[p*k+q]
	if apq == 0 {
		return
	}
	theta := (a[q*k+q] - a[p*k+p]) / (2 * apq)
	t := 1 / (math.Abs(theta) + math.Sqrt(float64(theta*theta)+1))
	if theta < 0 {
		t = -t
	}
	c := 1 / math.Sqrt(float64(t*t)+1)
	s := float64(t * c)
	turn := func(x, y *float64) {
		*x, *y = float64(c**x)-float64(s**y), float64(s**x)+float64(c**y)
	}
	for i := range k {
		turn(&a[i*k+p], &a[i*k+q])
	}
	for i := range k {
		turn(&a[p*k+i], &a[q*k+i])
		turn(&vectors[p*k+i], &vectors[q*k+i])
	}
	a[p*k+q], a[q*k+p] = 0, 0
}

// A peer for gemmbench: for each line "how threads m n k" it prints the
// seconds of one OpenBLAS product C = A * W^T, the best of a tenth of a second.
#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

void openblas_set_num_threads(int);

static double now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static float *fill(size_t n) {
	float *v = malloc(n * sizeof *v);
	for (size_t i = 0; i < n; i++) v[i] = (float)rand() / RAND_MAX - 0.5f;
	return v;
}

int main(void) {
	char how[16];
	int threads, m, n, k, pm = 0, pn = 0, pk = 0;
	float *a = 0, *w = 0, *c = 0;
	while (scanf("%15s %d %d %d %d", how, &threads, &m, &n, &k) == 5) {
		if (m != pm || n != pn || k != pk) {
			free(a), free(w), free(c);
			a = fill((size_t)m * k), w = fill((size_t)n * k), c = fill((size_t)m * n);
			pm = m, pn = n, pk = k;
		}
		openblas_set_num_threads(threads);
		double best = 0, total = 0;
		for (int i = 0; i < 3 || total < 0.1; i++) {
			double t = now();
			cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, k, 1, a, k, w, k, 0, c, n);
			t = now() - t;
			total += t;
			if (best == 0 || t < best) best = t;
		}
		printf("%.9f\n", best);
		fflush(stdout);
	}
	return 0;
}

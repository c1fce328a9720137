// A peer for gemmbench: for each line "how threads m n k" it prints the
// seconds of one OpenBLAS product, the best of a few hundredths of a second:
// C = A^T * B if how is "tn", else C = A * B^T. It answers when its threads are
// at rest: OpenBLAS lets them spin for a tenth of a second after a product,
// which would take a core from the program whose turn is next.
#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void openblas_set_num_threads(int);

static double now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

// rest returns when the process has used next to no time for a while.
static void rest(void) {
	struct timespec pause = {.tv_nsec = 20000000};
	for (int i = 0; i < 50; i++) {
		clock_t before = clock();
		nanosleep(&pause, 0);
		if (clock() - before < CLOCKS_PER_SEC / 1000) return;
	}
}

static float *fill(size_t n) {
	float *v = malloc(n * sizeof *v);
	for (size_t i = 0; i < n; i++) v[i] = (float)rand() / RAND_MAX - 0.5f;
	return v;
}

int main(void) {
	char how[16];
	int threads, m, n, k, pm = 0, pn = 0, pk = 0;
	float *a = 0, *b = 0, *c = 0;
	while (scanf("%15s %d %d %d %d", how, &threads, &m, &n, &k) == 5) {
		if (m != pm || n != pn || k != pk) {
			free(a), free(b), free(c);
			a = fill((size_t)m * k), b = fill((size_t)n * k), c = fill((size_t)m * n);
			pm = m, pn = n, pk = k;
		}
		openblas_set_num_threads(threads);
		double best = 0, total = 0;
		while (total < 0.02) {
			double t = now();
			if (strcmp(how, "tn") == 0)
				cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, m, n, k, 1, a, m, b, n, 0, c, n);
			else
				cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, k, 1, a, k, b, k, 0, c, n);
			t = now() - t;
			total += t;
			if (best == 0 || t < best) best = t;
		}
		if (threads > 1) rest();
		printf("%.9f\n", best);
		fflush(stdout);
	}
	return 0;
}

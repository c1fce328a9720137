"""Finds near-duplicates in JSON Lines of texts with datasketch: MinHash of five-word n-grams, and LSH.

    python near_duplicates.py THRESHOLD PERMUTATIONS NGRAM

Each line of standard input is a path; it is answered with the seconds it took. "count PATH" is answered with how many texts
are like one before them that stays. Starting the interpreter and importing the library do not count.
"""

import json
import sys
import time

import datasketch

THRESHOLD, PERMUTATIONS, NGRAM = float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])


def near_duplicates(path):
    lsh = datasketch.MinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS)
    found = 0
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines):
            words = json.loads(line)["text"].lower().split()
            ngrams = {" ".join(words[i : i + NGRAM]).encode() for i in range(max(1, len(words) - NGRAM + 1))}
            sketch = datasketch.MinHash(num_perm=PERMUTATIONS)
            sketch.update_batch(list(ngrams))
            if lsh.query(sketch):
                found += 1
            else:
                lsh.insert(number, sketch)
    return found


def main():
    for line in sys.stdin:
        path = line.strip().removeprefix("count ")
        start = time.perf_counter()
        found = near_duplicates(path)
        seconds = time.perf_counter() - start
        print(found if line.startswith("count ") else seconds, flush=True)


main()

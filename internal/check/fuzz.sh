#!/bin/sh
# fuzz.sh — runs every fuzz target for $FUZZTIME.
set -eu
GO=${GO:-go}
git ls-files -co --exclude-standard '*_test.go' | xargs grep -l '^func Fuzz' | sort | while read -r file; do
	sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file" | while read -r target; do
		printf '== %s %s\n' "$(dirname "$file")" "$target"
		$GO test "./$(dirname "$file")" -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-60s}" -fuzzminimizetime 10x
	done
done

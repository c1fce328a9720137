#!/bin/sh
# What CI does with a pipeline, whatever system calls it: sh pipe.sh FILE.
# Takes over the results of earlier runs from $ARCHIVE if it is there, runs,
# and leaves the results in $ARCHIVE and a JUnit file in $REPORT. Ends with
# the exit code of pipe run.
set -eu
file=$1
archive=${ARCHIVE:-pipe-results.pipe}
report=${REPORT:-junit.xml}

pipe vet "$file"
if [ -f "$archive" ]; then
	pipe cache import "$archive" || echo "starting without earlier results" >&2
fi

code=0
pipe run "$file" --locked --junit "$report" || code=$?

# What finished is kept even when something failed.
if [ "$code" -ne 2 ]; then
	pipe cache export "$file" -o "$archive" || echo "no results to keep" >&2
fi
exit "$code"

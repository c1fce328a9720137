#!/bin/sh
# check.sh PLATFORM… — everything that must hold before a change lands.
set -eu
GO=${GO:-go}
say() { printf '== %s\n' "$*"; }

say gofmt
unformatted=$(git ls-files -co --exclude-standard '*.go' | xargs gofmt -l)
[ -z "$unformatted" ] || { printf 'gofmt would change:\n%s\n' "$unformatted"; exit 1; }

say vet
$GO vet ./...

say staticcheck
STATICCHECK=$(command -v staticcheck || echo "$($GO env GOPATH)/bin/staticcheck")
[ -x "$STATICCHECK" ] || $GO install honnef.co/go/tools/cmd/staticcheck@v0.7.0 ||
	$GO install honnef.co/go/tools/cmd/staticcheck@latest
"$STATICCHECK" ./...

for platform in "$@"; do
	say "build $platform"
	os=${platform%/*} arch=${platform#*/}
	GOOS=$os GOARCH=$arch CGO_ENABLED=0 $GO build -o "build/pipe-$os-$arch" ./cmd/pipe
done

say 'equal bytes on arm64, emulated'
GO=$GO ./internal/check/arm64.sh

say 'generated files and goldens are up to date'
before=$(git status --porcelain)
$GO generate ./...
[ "$before" = "$(git status --porcelain)" ] || { git status --short; git diff | head -50; echo 'go generate changed files'; exit 1; }

say 'race detector'
if command -v gcc >/dev/null; then
	# Without the option every process that a test starts sleeps for a second at its end.
	GORACE=atexit_sleep_ms=0 CGO_ENABLED=1 $GO test -short -race ./...
else
	echo 'SKIPPED: -race needs gcc'
fi

say 'plain Go kernels (-tags purego)'
$GO test -short -tags purego ./...

say govulncheck
if $GO run golang.org/x/vuln/cmd/govulncheck@latest ./... >build/govulncheck.txt 2>&1; then
	echo 'no known vulnerability is reachable'
elif grep -q 'Vulnerability #' build/govulncheck.txt; then
	cat build/govulncheck.txt
	exit 1
else
	echo 'SKIPPED: the vulnerability database cannot be reached'
fi

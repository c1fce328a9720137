# make build     the static binary, build/pipe
# make test      every test
# make check     format, vet, staticcheck, race, purego, cross-builds, goldens, vulnerabilities
# make bench     every budget of ARCHITECTURE.md, measured beside its peer; build/bench.json
# make fuzz      every fuzz target for a minute (FUZZTIME=10s for less)
# make interop   checks against Python peers, in a virtual environment of their own; build/interop.json

GO       ?= go
FUZZTIME ?= 60s
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS   = -s -w -X github.com/pipe-run/pipe/cmd/pipe/internal/cli.version=$(VERSION)
PLATFORMS = linux/amd64 linux/arm64 darwin/amd64 darwin/arm64

.PHONY: build test check bench fuzz interop clean

build: build/pipe

build/pipe: FORCE
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $@ ./cmd/pipe
FORCE:

test:
	@$(GO) build -o build/testsummary ./internal/testsummary
	@$(GO) test -json ./... | build/testsummary

check:
	GO=$(GO) ./internal/check/check.sh $(PLATFORMS)

bench: build
	$(GO) run ./internal/bench

fuzz:
	GO=$(GO) FUZZTIME=$(FUZZTIME) ./internal/check/fuzz.sh

interop: build
	./interop/run.sh

clean:
	rm -rf build

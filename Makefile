# The targets are short: what takes more than a line is a script in scripts/.

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT := $(shell git rev-parse HEAD 2>/dev/null)

# The Google Cloud client brings a second, gRPC transport that nothing here uses: without it the binary is a fifth
# smaller and an idle process 8 MiB.
export GOFLAGS := $(GOFLAGS) -tags=disable_grpc_modules

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 8

build: ## compile bin/olympus
	go build -trimpath -buildvcs=false -ldflags '-X main.version=$(VERSION) -X main.commit=$(COMMIT)' -o bin/olympus .

run: ## serve on PORT (3000), with a private Postgres under .data/ unless DATABASE_URL is set
	@scripts/run.sh

dev: ## the same, rebuilt and restarted whenever a file changes
	@scripts/run.sh dev

demo: build ## three deployments that replicate to each other; KEEP=1 leaves them running
	@KEEP=$(KEEP) scripts/demo.sh

test: ## every check and every test
	@scripts/test.sh

bench: ## the benchmarks
	@scripts/bench.sh

faults: ## seeded chaos on three deployments; ARGS="-duration 30m -seed 7"
	@scripts/faults.sh $(ARGS)

release: ## dist/: binaries for all platforms, their bills of materials and checksums
	@scripts/release.sh '$(VERSION)' '$(COMMIT)'

clean: ## remove what was built and all local data, the development database included
	@for dir in .data/*postgres; do [ ! -d "$$dir" ] || scripts/postgres.sh remove "$$dir"; done
	rm -rf bin dist tmp .data

.PHONY: help build run dev demo test bench faults release clean

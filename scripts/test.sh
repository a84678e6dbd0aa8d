#!/usr/bin/env bash
# make test: every check, the fast ones first. The integration tests use the Postgres of
# TEST_DATABASE_URL, else a private one that is stopped in the end.
set -euo pipefail
cd "$(dirname "$0")/.."

# The version comes from the Makefile; asking git for it fails in a clone that belongs to another user.
export GOFLAGS="${GOFLAGS:-} -buildvcs=false"

step() { printf '== %s\n' "$*" >&2; }

step gofmt
unformatted=$(find . -name '*.go' -not -path './vendor/*' -not -path './.data/*' -not -path '*/node_modules/*' -exec gofmt -l {} +)
if [ -n "$unformatted" ]; then
  printf 'not formatted:\n%s\n' "$unformatted" >&2
  exit 1
fi
step go vet
go vet ./...
step staticcheck
go tool staticcheck ./...
step build
"${MAKE:-make}" --no-print-directory -s build
step browser
scripts/browser.sh
step axe
scripts/axe.sh
step pgbouncer
scripts/program.sh pgbouncer pgbouncer
step promtool
scripts/program.sh promtool prometheus

cluster=.data/test-postgres
started=
finish() {
  trap '' INT TERM HUP
  if [ -n "$started" ]; then
    scripts/postgres.sh stop "$started"
  fi
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

if [ -z "${TEST_DATABASE_URL:-}" ]; then
  step postgres
  scripts/postgres.sh status "$cluster" 2>/dev/null || started=$cluster
  # Without fsync an acknowledged commit still survives kill -9 of Postgres, which the tests do; only a
  # crash of the machine would lose it. Tests of processes at all crash points at once take some hundred connections.
  TEST_DATABASE_URL=$(scripts/postgres.sh start "$cluster" 0 fsync=off full_page_writes=off max_connections=1000)
  export TEST_DATABASE_URL
fi
step "go test -race"
# Most of the tests wait for processes and databases rather than compute.
go test -race -timeout 20m -parallel 3 "$@" ./...

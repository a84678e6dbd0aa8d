#!/usr/bin/env bash
# make bench: the benchmarks, on a private Postgres that commits durably, unless TEST_DATABASE_URL
# names another.
set -euo pipefail
cd "$(dirname "$0")/.."

cluster=.data/bench-postgres
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
  scripts/postgres.sh status "$cluster" 2>/dev/null || started=$cluster
  TEST_DATABASE_URL=$(scripts/postgres.sh start "$cluster")
  export TEST_DATABASE_URL
fi
go test -run '^$' -bench . -benchmem -timeout 30m "$@" ./...

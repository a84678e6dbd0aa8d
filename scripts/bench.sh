#!/usr/bin/env bash
# make bench: what is promised about speed and memory, each measured beside its reference in one run.
# It uses a private Postgres that commits durably, unless TEST_DATABASE_URL names another. Arguments go
# to the program in bench/: scripts/bench.sh -events 100000 pull runs one measurement, made smaller.
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
make -s build
go run ./bench "$@"

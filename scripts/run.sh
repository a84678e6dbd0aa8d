#!/usr/bin/env bash
# make run, make dev: serve from this directory, with a private Postgres unless DATABASE_URL names one.
# Whatever ends it, it stops what it has started, and nothing else. Its exit status is the server's.
set -euo pipefail
cd "$(dirname "$0")/.."

command=(bin/olympus)
if [ "${1:-}" = dev ]; then
  command=(go tool refresh run -c .buffalo.dev.yml)
fi
cluster=${OLYMPUS_DATA_DIR:-.data}/postgres

group=   # the process group that the server is in
started= # the private Postgres, if it was we who started it

finish() {
  trap '' INT TERM HUP
  if [ -n "$group" ]; then
    kill -TERM -- "-$group" 2>/dev/null || true
    # Up to ten seconds for what the server itself has started.
    for _ in $(seq 100); do
      kill -0 -- "-$group" 2>/dev/null || break
      sleep 0.1
    done
  fi
  if [ -n "$started" ]; then
    scripts/postgres.sh stop "$started"
  fi
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

if [ -z "${DATABASE_URL:-}" ]; then
  scripts/postgres.sh status "$cluster" 2>/dev/null || started=$cluster
  DATABASE_URL=$(scripts/postgres.sh start "$cluster")
  export DATABASE_URL
fi
"${MAKE:-make}" --no-print-directory -s build
bin/olympus migrate

# The server gets a process group of its own. Ctrl-C would otherwise reach it twice, from the terminal
# and from here, and a second signal means: at once.
set -m
"${command[@]}" </dev/null &
group=$!
set +m
interrupted=
trap 'interrupted=yes; kill -TERM -- "-$group" 2>/dev/null || true' INT TERM HUP
status=0
wait "$group" || status=$?
while [ -n "$interrupted" ]; do
  interrupted=
  status=0
  wait "$group" || status=$?
done
exit "$status"

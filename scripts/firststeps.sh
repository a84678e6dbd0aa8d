#!/usr/bin/env bash
# The first steps in the README and in CONTRIBUTING.md, those that are too long for a test: after make test, which is one of them, continuous
# integration takes the others. It fails at the first that does not do what it is for, or that leaves something running.
set -euo pipefail
cd "$(dirname "$0")/.."
export OLYMPUS_DATA_DIR=$PWD/.data/firststeps
unset DATABASE_URL
group= # of processes of a command that serves

die() { printf 'firststeps.sh: %s\n' "$*" >&2; exit 1; }
finish() {
  [ -z "$group" ] || kill -TERM -- "-$group" 2>/dev/null || true
  scripts/postgres.sh remove "$OLYMPUS_DATA_DIR/postgres"
  rm -rf "$OLYMPUS_DATA_DIR"
}
trap finish EXIT

# running: the processes whose directory is in this clone. The shell that asks leaves it first, and so must not be this one.
running() {
  local here=$PWD
  cd /
  find /proc -maxdepth 2 -name cwd \( -lname "$here" -o -lname "$here/*" \) 2>/dev/null | sort || true # others come and go
}

# serves COMMAND: it serves until Ctrl-C, and then nothing of it is left.
serves() {
  local before after port=$((20000 + RANDOM % 12000))
  before=$(running)
  set -m # so that it has a process group, as in a terminal
  PORT=$port env --default-signal=INT,QUIT "$@" & # what was started in the background may ignore Ctrl-C, and what it starts, too
  group=$!
  set +m
  timeout 300 sh -c "until curl -fs http://127.0.0.1:$port/readyz; do kill -0 $group && sleep 0.5 || exit; done" || die "$*: it does not serve"
  kill -INT -- "-$group"
  timeout 60 sh -c "while kill -0 $group; do sleep 0.1; done" 2>/dev/null || die "$*: it does not end"
  wait "$group" || true
  group=
  after=$(running)
  [ -z "$(comm -13 <(echo "$before") <(echo "$after"))" ] || die "$*: it leaves processes running"
  ! scripts/postgres.sh status "$OLYMPUS_DATA_DIR/postgres" || die "$*: it leaves its Postgres running"
}

make help
make demo
serves make run
serves make dev
export TEST_DATABASE_URL=$(scripts/postgres.sh start .data/test-postgres)
go test -race ./models
scripts/postgres.sh stop .data/test-postgres

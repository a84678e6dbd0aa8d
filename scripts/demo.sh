#!/usr/bin/env bash
# make demo: play the scenario with three deployments; see demo/main.go.
#
#   demo.sh         play it; with KEEP=1 the deployments go on running afterwards
#   demo.sh stop    stop them
set -euo pipefail
cd "$(dirname "$0")/.."

go build -buildvcs=false -o bin/demo ./demo
case ${KEEP:-} in
  '' | 0 | no) ;;
  *) [ $# -gt 0 ] || set -- -keep ;;
esac
# In place of this shell, so that signals reach what has to clear up.
exec bin/demo "$@"

#!/usr/bin/env bash
# make faults: disturb three deployments of the built binary, and prove that none breaks a promise; see faults/main.go.
# Arguments go to that program: scripts/faults.sh -duration 30m -seed 7.
set -euo pipefail
cd "$(dirname "$0")/.."

make -s build
go build -buildvcs=false -o bin/faults ./faults
# In place of this shell, so that signals reach what has to clear up.
exec bin/faults "$@"

#!/usr/bin/env bash
# Makes sure that there is axe-core for the browser tests, which it looks at every page with, and fetches it with npm if there is none.
# It is no part of the product, and no code of it is kept here.
set -euo pipefail
cd "$(dirname "$0")/.."

version=4.14.1
sum=29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c
dir=.data/axe
file=$dir/node_modules/axe-core/axe.min.js

die() { printf 'axe.sh: %s\n' "$*" >&2; exit 1; }

right() { [ -e "$file" ] && printf '%s  %s\n' "$sum" "$file" | sha256sum --check --status; }

if right; then
  exit 0
fi
scripts/program.sh npm npm
printf 'fetching axe-core %s\n' "$version" >&2
mkdir -p "$dir"
npm install --prefix "$dir" --no-save --ignore-scripts --no-audit --no-fund --loglevel=error "axe-core@$version" >&2 </dev/null ||
  die "npm could not fetch axe-core $version: see above"
right || die "$file is not axe-core $version: its SHA-256 is not $sum"

#!/usr/bin/env bash
# Makes sure that there is a browser for the browser tests, and installs Debian's Chromium if there is none.
set -euo pipefail

die() { printf 'browser.sh: %s\n' "$*" >&2; exit 1; }

found() {
  local name
  for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null; then
      return 0
    fi
  done
  return 1
}

if found; then
  exit 0
fi
command -v apt-get >/dev/null || die "there is no Chromium for the browser tests, and no apt-get to install it with: put chromium or google-chrome on the PATH"
sudo=()
if [ "$(id -u)" -ne 0 ]; then
  sudo -n true 2>/dev/null || die "there is no Chromium for the browser tests: run 'sudo apt-get install chromium'"
  sudo=(sudo -n)
fi
printf 'installing Chromium\n' >&2
"${sudo[@]}" sh -euc '
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends chromium
' >&2 </dev/null || die "apt-get could not install Chromium: see above, or put chromium or google-chrome on the PATH"
found || die "apt-get has installed no browser for the browser tests: put chromium or google-chrome on the PATH"

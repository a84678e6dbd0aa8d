#!/usr/bin/env bash
# Makes sure that there is a promtool for the tests of the alert rules, and installs Debian's Prometheus, which brings it, if there is none.
# The service that the package brings is neither started nor enabled.
set -euo pipefail

die() { printf 'promtool.sh: %s\n' "$*" >&2; exit 1; }

found() { command -v promtool >/dev/null; }

if found; then
  exit 0
fi
command -v apt-get >/dev/null || die "there is no promtool for the tests, and no apt-get to install it with: put promtool on the PATH"
sudo=()
if [ "$(id -u)" -ne 0 ]; then
  sudo -n true 2>/dev/null || die "there is no promtool for the tests: run 'sudo apt-get install prometheus'"
  sudo=(sudo -n)
fi
printf 'installing promtool\n' >&2
"${sudo[@]}" sh -euc '
  export DEBIAN_FRONTEND=noninteractive
  # Services of packages are started on installation unless this program says otherwise.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    trap "rm -f $policy" EXIT
    printf "#!/bin/sh\nexit 101\n" >"$policy"
    chmod +x "$policy"
  fi
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends prometheus
  if [ -d /run/systemd/system ]; then systemctl disable --now prometheus; else rm -f /etc/systemd/system/multi-user.target.wants/prometheus.service; fi
' >&2 </dev/null || die "apt-get could not install Prometheus: see above, or put promtool on the PATH"
found || die "apt-get has installed no promtool: put it on the PATH"

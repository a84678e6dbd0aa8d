#!/usr/bin/env bash
# Makes sure that there is a PgBouncer for the tests of what stands between Olympus and Postgres, and installs Debian's if there is none.
# The service that the package brings is neither started nor enabled: the tests run the program themselves.
set -euo pipefail

die() { printf 'pgbouncer.sh: %s\n' "$*" >&2; exit 1; }

found() { command -v pgbouncer >/dev/null || [ -x /usr/sbin/pgbouncer ]; }

if found; then
  exit 0
fi
command -v apt-get >/dev/null || die "there is no PgBouncer for the tests, and no apt-get to install it with: put pgbouncer on the PATH"
sudo=()
if [ "$(id -u)" -ne 0 ]; then
  sudo -n true 2>/dev/null || die "there is no PgBouncer for the tests: run 'sudo apt-get install pgbouncer'"
  sudo=(sudo -n)
fi
printf 'installing PgBouncer\n' >&2
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
  apt-get install -y -qq --no-install-recommends pgbouncer
  if [ -d /run/systemd/system ]; then systemctl disable --now pgbouncer; else rm -f /etc/systemd/system/multi-user.target.wants/pgbouncer.service; fi
' >&2 </dev/null || die "apt-get could not install PgBouncer: see above, or put pgbouncer on the PATH"
found || die "apt-get has installed no pgbouncer: put it on the PATH"

#!/usr/bin/env bash
# scripts/program.sh PROGRAM PACKAGE: makes sure that there is a program that the tests run, and installs the Debian package that brings it if
# there is none. A service that comes with the package is neither started nor enabled: the tests run the program themselves.
set -euo pipefail

die() { printf 'program.sh: %s\n' "$*" >&2; exit 1; }

[ $# -eq 2 ] || die "usage: scripts/program.sh PROGRAM PACKAGE"
program=$1 package=$2

found() { command -v "$program" >/dev/null || [ -x "/usr/sbin/$program" ]; }

if found; then
  exit 0
fi
command -v apt-get >/dev/null || die "there is no $program for the tests, and no apt-get to install it with: put $program on the PATH"
sudo=()
if [ "$(id -u)" -ne 0 ]; then
  sudo -n true 2>/dev/null || die "there is no $program for the tests: run 'sudo apt-get install $package'"
  sudo=(sudo -n)
fi
printf 'installing %s\n' "$program" >&2
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
  apt-get install -y -qq --no-install-recommends "$1"
  if [ -d /run/systemd/system ]; then systemctl disable --now "$1"; else rm -f "/etc/systemd/system/multi-user.target.wants/$1.service"; fi
' sh "$package" >&2 </dev/null || die "apt-get could not install $package: see above, or put $program on the PATH"
found || die "$package has brought no $program: put $program on the PATH"

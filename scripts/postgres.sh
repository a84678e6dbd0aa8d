#!/usr/bin/env bash
# A private Postgres for development and tests, apart from any that the machine runs.
#
#   postgres.sh find                              print the directory of Postgres' programs
#   postgres.sh install                           the same, installing Postgres first if there is none
#   postgres.sh start DIR [PORT [NAME=VALUE...]]  start the cluster in DIR, making it and its database
#                                                 olympus if need be, and print the DATABASE_URL; a
#                                                 running one is left as it is. PORT is any free one if
#                                                 absent or 0; NAME=VALUE are settings of Postgres
#   postgres.sh status DIR                        succeed if it runs
#   postgres.sh stop DIR                          stop it
#   postgres.sh remove DIR                        stop it and delete it
#
# It listens on 127.0.0.1 only and asks for no password: it is for a machine whose users trust each
# other. Postgres refuses to run as root, so root runs it as the user postgres.
set -euo pipefail

oldest=13 # major version

say() { printf '%s\n' "$*" >&2; }
die() { say "postgres.sh: $*"; exit 1; }

# major DIR: the major version of the Postgres whose programs are in DIR; fails if they are incomplete.
major() {
  local program
  for program in initdb pg_ctl postgres psql pg_isready; do
    [ -x "$1/$program" ] || return 1
  done
  "$1/postgres" --version | sed -n 's/^postgres (PostgreSQL) \([0-9][0-9]*\).*/\1/p'
}

find_programs() {
  local candidate version
  {
    # Through links: distributions link some of the programs into /usr/bin, but not all.
    if command -v initdb >/dev/null; then dirname "$(readlink -f "$(command -v initdb)")"; fi
    printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV
    pg_config --bindir 2>/dev/null || true
  } | while read -r candidate; do
    version=$(major "$candidate") || continue
    if [ "${version:-0}" -ge "$oldest" ]; then
      printf '%s\n' "$candidate"
      break
    fi
  done
}

install_programs() {
  local found
  found=$(find_programs)
  if [ -z "$found" ]; then
    install_packages
    found=$(find_programs)
  fi
  [ -n "$found" ] || die "there is no Postgres $oldest or later: install one, or set DATABASE_URL"
  printf '%s\n' "$found"
}

install_packages() {
  local sudo=()
  command -v apt-get >/dev/null || die "there is no Postgres and no apt-get to install it with: install Postgres $oldest or later, or set DATABASE_URL"
  if [ "$(id -u)" -ne 0 ]; then
    sudo -n true 2>/dev/null || die "there is no Postgres: run 'sudo apt-get install postgresql', or set DATABASE_URL"
    sudo=(sudo -n)
  fi
  say "installing Postgres"
  # Debian makes and starts a cluster of its own on installation, unless this file says otherwise.
  # It is put back to the package's version afterwards.
  "${sudo[@]}" sh -euc '
    conf=/etc/postgresql-common/createcluster.conf
    default=/usr/share/postgresql-common/createcluster.conf
    if [ ! -e "$conf" ]; then
      mkdir -p "${conf%/*}"
      echo "create_main_cluster = false" >"$conf"
      trap "if [ -e $default ]; then cp $default $conf; else rm -f $conf; fi" EXIT
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends postgresql
  ' >&2 </dev/null || die "apt-get could not install Postgres: see above, or set DATABASE_URL"
}

# as_owner COMMAND...: run as the user that the cluster belongs to.
as_owner() {
  if [ "$owner" = "$(id -un)" ]; then
    "$@"
  else
    runuser -u "$owner" -- "$@"
  fi
}

# locate DIR: set dir (absolute), place (where the cluster is) and owner.
#
# They differ where root works below a directory that the user postgres cannot enter, such as a private home:
# the cluster is then in /var/lib, and DIR/location says so. That file is also how a cluster is
# recognized whose DIR has been deleted since: it belongs to nobody any more.
locate() {
  mkdir -p "$1"
  dir=$(cd "$1" && pwd -P)
  place=$dir
  owner=$(id -un)
  if [ "$owner" = root ]; then
    if [ -d "$dir/data" ]; then
      owner=$(stat -c %U "$dir/data")
    else
      owner=postgres
      getent passwd postgres >/dev/null ||
        useradd --system --no-create-home --shell /usr/sbin/nologin postgres ||
        die "there is no user postgres, and none could be made to run Postgres as"
      if ! runuser -u postgres -- test -x "$dir"; then
        place=/var/lib/olympus-$(printf %s "$dir" | sha256sum | cut -c1-12)
      fi
    fi
  fi
  data=$place/data
  log=$place/log
}

running() { [ -f "$data/postmaster.pid" ] && as_owner "$programs/pg_ctl" -D "$data" status >/dev/null 2>&1; }

healthy() { running && "$programs/pg_isready" -q -h 127.0.0.1 -p "$(port_of_running)" -t 5; }

# The fourth line of the file is the port.
port_of_running() { sed -n 4p "$data/postmaster.pid"; }

halt() {
  local mode
  for mode in fast immediate; do
    running || return 0
    as_owner "$programs/pg_ctl" -D "$data" -m "$mode" -t 30 -w stop >/dev/null 2>&1 || true
  done
  ! running || die "the Postgres in $data does not stop: see $log"
}

prepare() {
  if [ "$place" != "$dir" ]; then
    # Left over from a DIR that was deleted, and with it what belongs to this data.
    if [ -d "$place" ] && [ ! -e "$dir/location" ]; then
      halt
      rm -rf "$place"
    fi
    mkdir -p "$place"
    printf '%s\n' "$place" >"$dir/location"
  fi
  [ "$(id -un)" = "$owner" ] || chown "$owner" "$place"
  as_owner test -w "$place" || die "$place belongs to $(stat -c %U "$place"), and you are $owner: remove it, or work as that user"
  if [ -f "$data/PG_VERSION" ]; then
    local version
    version=$(cat "$data/PG_VERSION")
    [ "$version" = "$(major "$programs")" ] ||
      die "the cluster in $data was made by Postgres $version, and this is $(major "$programs"): move it away, or set DATABASE_URL"
    return
  fi
  # Made under another name, so that an interrupted initdb leaves nothing that looks like a cluster.
  rm -rf "$place/data.new"
  as_owner "$programs/initdb" -D "$place/data.new" -U postgres -A trust -E UTF8 --no-locale >/dev/null 2>"$place/initdb.log" ||
    die "initdb failed: $(tail -n 3 "$place/initdb.log" | tr '\n' ' ')"
  rm -f "$place/initdb.log"
  mv "$place/data.new" "$data"
}

# A pid file survives a crash of the machine. Postgres itself ignores it unless the number now belongs
# to another process of the same user.
drop_stale_pid() {
  local pid
  [ -f "$data/postmaster.pid" ] || return 0
  pid=$(sed -n 1p "$data/postmaster.pid")
  case $(ps -o args= -p "$pid" 2>/dev/null) in
    *postgres*"$data"*) ;;
    *) rm -f "$data/postmaster.pid" ;;
  esac
}

in_use() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Below the range that the kernel takes the ports of outgoing connections from.
random_port() { printf '%s\n' $((20000 + (RANDOM * 32768 + RANDOM) % 12000)); }

# launch PORT: try to start on this port.
launch() {
  local options="-p $1 -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c max_connections=400" setting
  for setting in "${settings[@]}"; do
    options="$options -c $setting"
  done
  as_owner "$programs/pg_ctl" -D "$data" -l "$log" -o "$options" -t 60 -w start >/dev/null 2>&1 </dev/null
}

# ask PORT STATEMENT
ask() { "$programs/psql" -X -h 127.0.0.1 -p "$1" -U postgres -d postgres -Atqc "$2"; }

start() {
  local wanted=${1:-0} port attempt remembered
  settings=("${@:2}")
  prepare
  if running && ! healthy; then
    halt
  fi
  if ! running; then
    drop_stale_pid
    remembered=$(cat "$place/port" 2>/dev/null || true)
    for attempt in 1 2 3 4 5 6 7 8; do
      if [ "$wanted" != 0 ]; then
        port=$wanted
      elif [ "$attempt" -le 2 ] && [ -n "$remembered" ]; then
        port=$remembered
      else
        port=$(random_port)
      fi
      if in_use "$port"; then
        [ "$wanted" = 0 ] || die "port $wanted of 127.0.0.1 is taken"
        continue
      fi
      if launch "$port"; then
        printf '%s\n' "$port" >"$place/port"
        break
      fi
      # After a kill -9 of the server its children take a moment to notice, and until then a new
      # server refuses to start.
      sleep 1
    done
  fi
  healthy || die "Postgres does not start: $(tail -n 2 "$log" 2>/dev/null | tr '\n' ' ')(see $log)"
  port=$(port_of_running)
  if [ -z "$(ask "$port" "SELECT 1 FROM pg_database WHERE datname = 'olympus'")" ]; then
    # Another process may be a moment faster.
    ask "$port" "CREATE DATABASE olympus" >/dev/null 2>&1 || [ -n "$(ask "$port" "SELECT 1 FROM pg_database WHERE datname = 'olympus'")" ]
  fi
  printf 'postgres://postgres@127.0.0.1:%s/olympus?sslmode=disable\n' "$port"
}

command=${1:-}
case $command in
  find)
    programs=$(find_programs)
    [ -n "$programs" ] || die "there is no Postgres $oldest or later"
    printf '%s\n' "$programs"
    ;;
  install) install_programs ;;
  start | status | stop | remove)
    [ -n "${2:-}" ] || die "$command needs a directory"
    if [ "$command" = start ]; then
      programs=$(install_programs)
    else
      [ -d "$2" ] || { [ "$command" != status ]; exit; }
      programs=$(find_programs)
      [ -n "$programs" ] || die "there is no Postgres $oldest or later"
    fi
    locate "$2"
    # The user postgres may not be allowed in the directory that root is in.
    cd /
    case $command in
      start) start "${@:3}" ;;
      status) running ;;
      stop) halt ;;
      remove)
        halt
        rm -rf "$place" "$dir"
        ;;
    esac
    ;;
  *)
    sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac

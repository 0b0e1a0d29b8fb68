# What bin/run and bin/test share: packages, Swift, the user that is not root, throw-away PostgreSQL servers.
# Sourced, not run. Callers have set -euo pipefail.

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
me=$(basename "$0")

say() { printf '%s\n' "$*" >&2; }
die() { say "$me: $*"; exit 1; }
usage_error() { say "$me: $*"; say "Try: bin/$me --help"; exit 2; }

# Packages: name a package, it is installed when missing (as root), or the command to do so is shown.
need_packages() {
  command -v dpkg-query >/dev/null || die "this is not a Debian system: install the equivalents of $* yourself"
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  if [ "$(id -u)" -ne 0 ]; then
    die "missing packages. Install them with:  sudo apt-get install -y ${missing[*]}"
  fi
  say "Installing ${missing[*]} ..."
  export DEBIAN_FRONTEND=noninteractive
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >/dev/null ||
    die "apt-get could not install ${missing[*]}"
}

# Packages that tests can do without: those that cannot be had are named, and their tests skip.
want_packages() {
  (need_packages "$@") || say "$me: going on without"
}

build_packages=(g++ binutils pkg-config libssl-dev libc-ares-dev libldap-dev libpam0g-dev
  zlib1g-dev libxml2 libcurl4 libsqlite3-0 libncurses6)
server_packages=(postgresql)
driver_packages=(libdbd-pg-perl ruby-pg libpostgresql-jdbc-java default-jre-headless ecj haproxy)

# Put swift on PATH, or say where to get it.
need_swift() {
  local folder
  for folder in "" /opt/swift/usr/bin "$HOME/.local/share/swiftly/bin"; do
    [ -n "$folder" ] && [ -x "$folder/swift" ] && ! command -v swift >/dev/null && PATH=$folder:$PATH
  done
  command -v swift >/dev/null ||
    die "no swift on PATH nor in /opt/swift/usr/bin. Install Swift 6.3 for Debian 12 from https://www.swift.org/install/linux/"
}

# Build the release binary; its path is left in $binary. A binary named by $PGLIDO is taken instead.
need_binary() {
  if [ -n "${PGLIDO:-}" ]; then
    [ -x "$PGLIDO" ] || die "PGLIDO=$PGLIDO is not a program"
    binary=$(realpath "$PGLIDO")
    return
  fi
  need_swift
  say "Building pglido (release) ..."
  (cd "$repository" && swift build -c release --product pglido "$@") >&2 || die "the release build failed"
  binary=$repository/.build/release/pglido
}

# The Python that runs the integration tests, with its packages; its path is left in $python.
need_python() {
  local venv=$repository/.build/venv wanted=$repository/Tests/Integration/requirements.txt
  if [ ! -x "$venv/bin/pytest" ] || ! cmp -s "$wanted" "$venv/requirements.txt"; then
    say "== Python packages"
    rm -rf "$venv"
    mkdir -p "$repository/.build"
    /usr/bin/python3 -m venv "$venv"
    "$venv/bin/pip" install -q --disable-pip-version-check -r "$wanted"
    cp "$wanted" "$venv/requirements.txt"
  fi
  python=$venv/bin/python
}

# PostgreSQL and pglido refuse to be root: as root everything of theirs runs as the user postgres.
# "${drop[@]}" before a command does that and leaves the command in the same process.
owner=$(id -un) drop=()
if [ "$(id -u)" -eq 0 ]; then
  owner=postgres
  drop=(setpriv --reuid="$owner" --regid="$owner" --init-groups env HOME=/tmp USER="$owner" LOGNAME="$owner")
fi

as_owner() { "${drop[@]}" "$@"; }

# A temporary folder in $room that the owner may write and everybody may enter.
make_room() {
  room=$(mktemp -d "/tmp/$1.XXXXXX")
  chmod 755 "$room"
  if [ "$(id -u)" -eq 0 ]; then chown "$owner:" "$room"; fi
}

port_is_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

free_port() {
  local port
  for _ in $(seq 200); do
    port=$((20000 + RANDOM % 12000))
    port_is_taken "$port" || { echo "$port"; return; }
  done
  die "no free port"
}

postgres_programs() {
  local folder
  folder=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1)
  [ -n "$folder" ] || die "PostgreSQL's programs are not in /usr/lib/postgresql"
  PATH=$folder:$PATH
}

# start_postgres PORT [SETTING=VALUE ...]: a cluster in $room/data, its socket in $room; no password for the owner.
start_postgres() {
  local port=$1 setting options="-p $1 -k $room -h 127.0.0.1"
  shift
  for setting in "$@"; do options+=" -c $setting"; done
  cd "$room"
  if [ ! -d "$room/data" ]; then
    as_owner initdb -D "$room/data" -U postgres -A trust -N -E UTF8 --locale=C.UTF-8 >"$room/initdb.log" 2>&1 ||
      { cat "$room/initdb.log" >&2; die "initdb failed"; }
  fi
  as_owner pg_ctl -D "$room/data" -l "$room/postgres.log" -o "$options" -w start >/dev/null ||
    { tail -20 "$room/postgres.log" >&2; die "PostgreSQL did not start"; }
}

stop_postgres() {
  if [ -f "$room/data/postmaster.pid" ]; then
    cd "$room" && as_owner pg_ctl -D "$room/data" -m fast -t 5 -w stop >/dev/null 2>&1 ||
      as_owner pg_ctl -D "$room/data" -m immediate -w stop >/dev/null 2>&1 || true
  fi
}

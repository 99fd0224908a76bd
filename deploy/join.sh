#!/bin/sh
# Installs mirrorfleet-agent on this host, joins it to a fleet and starts it: what the line runs that
# "mirrorfleet host invite" prints. As root; the enrolment token comes on standard input. It may be run again:
# it goes on where it was, and changes nothing that is right already.
set -eu
umask 022
LC_ALL=C
export LC_ALL

# The agent's packages that the control plane has: SHA-256, two spaces, name; one a line.
packages='@PACKAGES@'

state=/var/lib/mirrorfleet-agent
settings=/etc/mirrorfleet/agent.conf
unit=mirrorfleet-agent.service
drop_in=/etc/systemd/system/$unit.d/join.conf
default_root=/srv/mirror

control_plane='' roots='' sources='' replace='' changed=''

say() { printf '%s\n' "$*"; }
fail() {
  printf 'mirrorfleet: %s\n' "$*" >&2
  exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }

read_arguments() {
  while [ $# -gt 0 ]; do
    case $1 in
      --control-plane) control_plane=${2:?needs a value} && shift ;;
      --roots) roots=${2:?needs a value} && shift ;;
      --sources) sources=${2?needs a value} && shift ;;
      --replace) replace=--replace ;;
      *) fail "unknown argument $1: run the line as it was printed" ;;
    esac
    shift
  done
  if [ -z "$control_plane" ] || [ -z "$roots" ]; then
    fail 'needs --control-plane and --roots: run the line as it was printed'
  fi
  case $control_plane$roots$sources in
    *[\"\'\`\\\$]*) fail 'addresses and directories must be without quotes, "$" and "\"' ;;
  esac
}

# SHA-256 of a package by its name, and names by a pattern, one a line.
sum_of() { say "$packages" | while read -r sum name; do [ "$name" != "$1" ] || say "$sum"; done; }
named() {
  say "$packages" | while read -r _ name; do
    # shellcheck disable=SC2254 # it is a pattern
    case $name in $1) say "$name" ;; esac
  done
}

version_of() { # NAME of a .deb
  version=${1#mirrorfleet-agent_}
  say "${version%_*}"
}

newest_deb() {
  newest=''
  # Names hold no white space.
  for name in $(named "mirrorfleet-agent_*_$deb.deb"); do
    if [ -z "$newest" ] || dpkg --compare-versions "$(version_of "$name")" gt "$(version_of "$newest")"; then newest=$name; fi
  done
  say "$newest"
}

fetch() { # NAME: puts that package into $work, if it is what was promised
  say "fetching $1"
  url=$control_plane/v1/public/packages/$1
  if has curl; then
    curl -fsS -o "$work/$1" "$url"
  elif has wget; then
    wget -nv -O "$work/$1" "$url"
  else
    fail 'needs curl or wget: install one of them'
  fi || fail "cannot fetch $url (above is why): is this host allowed to reach the control plane?"
  (cd "$work" && printf '%s  %s\n' "$(sum_of "$1")" "$1" | sha256sum -c >/dev/null 2>&1) ||
    fail "$1 is not what the invitation promised: its checksum differs. Were packages replaced since? Then invite the host again; else look for who stands in between. Nothing was installed"
}

find_architecture() {
  case $(uname -m) in
    x86_64) deb=amd64 node=x64 ;;
    aarch64) deb=arm64 node=arm64 ;;
    *) fail "there are no packages for $(uname -m), only for x86_64 and aarch64: run the agent from its sources (README.md)" ;;
  esac
}

install_deb() { # NAME
  version=$(version_of "$1")
  installed=$(dpkg-query -W -f '${Status} ${Version}' mirrorfleet-agent 2>/dev/null || true)
  case $installed in
    'install ok installed '*)
      if dpkg --compare-versions "${installed##* }" ge "$version"; then
        say "mirrorfleet-agent ${installed##* } is installed"
        return
      fi
      ;;
  esac
  fetch "$1"
  DEBIAN_FRONTEND=noninteractive
  export DEBIAN_FRONTEND
  # What an earlier run was interrupted in.
  [ -z "$(dpkg --audit)" ] || dpkg --configure -a
  if has apt-get; then
    chmod 755 "$work"
    # Another one may be at work, as on a machine that was just made.
    set -- -y -o DPkg::Lock::Timeout=120 --no-install-recommends "$work/$1"
    apt-get install "$@" </dev/null || { apt-get update </dev/null && apt-get install "$@" </dev/null; }
  else
    dpkg -i "$work/$1" </dev/null
  fi || fail 'the package could not be installed (above is why). When that is put right, run the same line again'
  changed=yes
}

write_unit() {
  cat <<'END_OF_UNIT'
@UNIT@
END_OF_UNIT
}

# Puts a file in its place, whole or not at all; one that is there keeps its mode and owner.
put() { # FILE PLACE MODE
  if [ -e "$2" ]; then
    cp -p "$2" "$2.new" && cat "$1" >"$2.new" && mv "$2.new" "$2"
  else
    cp "$1" "$2.new" && chmod "$3" "$2.new" && mv "$2.new" "$2"
  fi || fail "cannot write $2 (above is why): make room, then run the same line again"
}

# Where there is no dpkg, as on Fedora and its like: the executable, a user, the unit.
install_executable() { # NAME
  to=/usr/local/bin/mirrorfleet-agent
  if [ -x "$to" ] && printf '%s  %s\n' "$(sum_of "$1")" "$to" | sha256sum -c >/dev/null 2>&1; then
    say "mirrorfleet-agent is installed"
  else
    fetch "$1"
    # In its place at once, also where it runs.
    put "$work/$1" "$to" 755
    changed=yes
  fi
  if ! id mirrorfleet-agent >/dev/null 2>&1; then
    useradd --system --user-group --home-dir "$state" --shell /usr/sbin/nologin mirrorfleet-agent ||
      fail "cannot make the user mirrorfleet-agent (above is why): make it, then run the same line again"
  fi
  [ -d "$state" ] || install -d -m 700 -o mirrorfleet-agent -g mirrorfleet-agent "$state"
  if [ -d /run/systemd/system ]; then
    write_unit | sed "s|^ExecStart=/usr/bin/|ExecStart=/usr/local/bin/|" >"$work/$unit"
    if ! cmp -s "$work/$unit" "/etc/systemd/system/$unit"; then
      put "$work/$unit" "/etc/systemd/system/$unit" 644
      changed=yes
    fi
  fi
}

install_agent() {
  find_architecture
  package=''
  if has dpkg; then
    package=$(newest_deb)
    [ -z "$package" ] || install_deb "$package"
  fi
  [ -n "$package" ] && return
  package=$(named "mirrorfleet-agent-linux-$node")
  [ -n "$package" ] || fail "the control plane has no package for this host ($(uname -m)): put one there, or install mirrorfleet-agent by hand and join with the token"
  install_executable "$package"
}

install_rsync() {
  has rsync && return
  say 'installing rsync'
  if has apt-get; then
    # shellcheck disable=SC2209 # a value, and no command's output
    DEBIAN_FRONTEND=noninteractive apt-get install -y rsync </dev/null
  elif has dnf; then
    dnf install -y rsync </dev/null
  elif has yum; then
    yum install -y rsync </dev/null
  elif has zypper; then
    zypper --non-interactive install rsync </dev/null
  elif has apk; then
    apk add rsync </dev/null
  elif has pacman; then
    pacman -S --noconfirm rsync </dev/null
  else
    false
  fi || fail 'rsync could not be installed: install version 3.2 or newer, then run the same line again'
}

# Whoever owns the agent's state runs it, also where a drop-in names another user.
find_user() {
  [ -d "$state" ] || fail "$state is missing: was mirrorfleet-agent installed whole? Run the same line again"
  user=$(stat -c %U "$state")
  group=$(stat -c %G "$state")
}

as_agent() {
  if has runuser; then
    runuser -u "$user" -- "$@"
  else
    su -s /bin/sh "$user" -c 'exec "$@"' -- sh "$@"
  fi
}

setting() { # NAME VALUE: what there is already stays
  if [ -z "$2" ] || grep -q "^ *$1=" "$work/agent.conf"; then return 0; fi
  printf '%s="%s"\n' "$1" "$2" >>"$work/agent.conf"
}

value_of() { # NAME: as the settings have it
  sed -n "s/^ *$1=//p" "$work/agent.conf" | tail -n 1 | tr -d "\"'"
}

configure() {
  : >"$work/agent.conf"
  [ ! -f "$settings" ] || cat "$settings" >"$work/agent.conf"
  # Without a newline at its end, the first of ours would go on in its last line.
  [ -z "$(tail -c 1 "$work/agent.conf")" ] || printf '\n' >>"$work/agent.conf"
  setting MIRRORFLEET_CONTROL_PLANE "$control_plane"
  setting MIRRORFLEET_MIRROR_ROOTS "$roots"
  setting MIRRORFLEET_SOURCES "$sources"
  roots=$(value_of MIRRORFLEET_MIRROR_ROOTS)
  kept=$(value_of MIRRORFLEET_CONTROL_PLANE)
  [ "${kept%/}" = "${control_plane%/}" ] ||
    fail "$settings names another control plane, $kept: take that line out if this host is to leave it, then run the same line again"
  if ! cmp -s "$work/agent.conf" "$settings"; then
    mkdir -p "${settings%/*}"
    put "$work/agent.conf" "$settings" 644
    changed=yes
  fi
}

# Makes mirror roots that are missing, and lets the service write to those elsewhere than below /srv/mirror.
prepare_roots() {
  writable=''
  # Each of a list with ":" in between, without what a shell makes of the rest.
  set -f
  IFS=:
  for root in $roots; do
    [ -e "$root" ] || install -d -o "$user" -g "$group" "$root"
    case $root in
      "$default_root" | "$default_root"/*) ;;
      *[!A-Za-z0-9/._+@-]*) say "note: name $root in ReadWritePaths= (systemctl edit mirrorfleet-agent)" ;;
      *) writable="${writable}ReadWritePaths=-$root
" ;;
    esac
  done
  unset IFS
  set +f
  if [ -z "$writable" ] || [ ! -d /run/systemd/system ]; then return 0; fi
  printf '# What "mirrorfleet host invite" named as mirror roots.\n[Service]\n%s' "$writable" >"$work/join.conf"
  if ! cmp -s "$work/join.conf" "$drop_in"; then
    mkdir -p "${drop_in%/*}"
    put "$work/join.conf" "$drop_in" 644
    changed=yes
  fi
}

join_fleet() {
  before=$(cksum "$state/identity.json" 2>/dev/null || true)
  # shellcheck disable=SC2086 # one word or none
  printf '%s\n' "$token" | as_agent mirrorfleet-agent join --control-plane "$control_plane" --token-file - $replace ||
    fail 'this host has not joined (above is why)'
  token=''
  [ "$before" = "$(cksum "$state/identity.json")" ] || changed=yes
}

check_host() {
  as_agent mirrorfleet-agent check --before-start </dev/null ||
    fail 'this host has joined, and the agent is not started: put right what says FAIL, then run the same line again, or: systemctl start mirrorfleet-agent'
}

start_agent() {
  if [ ! -d /run/systemd/system ]; then
    say "There is no systemd here: have your init run, as user $user: mirrorfleet-agent run"
    return
  fi
  systemctl daemon-reload
  systemctl --quiet enable "$unit"
  # One that runs, with nothing new, goes on with what it does.
  if [ -n "$changed" ]; then verb=restart; else verb=start; fi
  systemctl "$verb" "$unit" || fail 'the agent does not start: journalctl -u mirrorfleet-agent -n 20 tells why'
  as_agent mirrorfleet-agent check </dev/null >"$work/check" || {
    cat "$work/check"
    fail 'the agent runs; put right what says FAIL'
  }
  say 'The agent runs. At any time: mirrorfleet-agent check'
}

main() {
  read_arguments "$@"
  [ "$(id -u)" = 0 ] || fail 'must run as root: become root (sudo -i, su -), then run the same line again'
  IFS= read -r token || true
  case $token in
    mfe_*.*) ;;
    *) fail 'standard input must be the enrolment token: run the line as it was printed' ;;
  esac
  # The agent's user may not see where root is.
  cd /
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  install_agent
  install_rsync
  find_user
  configure
  prepare_roots
  join_fleet
  check_host
  start_agent
}

main "$@"

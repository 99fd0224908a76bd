#!/bin/sh
# Upgrades the agents of a fleet, one host after the other: gives it no new tasks, waits for those that run,
# upgrades it, waits until its new agent is heard of, and lets it go on. Stops at the first host where that
# fails: it stays drained, and the others are as they were.
#
#   upgrade-hosts.sh 'ssh root@{} "apt-get update && apt-get install -y mirrorfleet-agent"' ftp-nyc ftp-sfo master
#
# {} is the host's name. Name one FTP host first, and the master last. Environment:
#   SOAK         seconds to watch the first host before the next one (default 600)
#   PATIENCE     seconds to wait for running tasks, and for the new agent (default 7200)
#   VERSION      the version that the agents must have afterwards (default: any)
#   MIRRORFLEET  the command line (default mirrorfleet), logged in as an operator
# Needs jq.
set -eu

[ $# -ge 2 ] || { sed -n '2,/^# Needs/s/^# \{0,1\}//p' "$0" >&2; exit 2; }
upgrade=$1
shift
MIRRORFLEET=${MIRRORFLEET:-mirrorfleet}

field() { $MIRRORFLEET host show "$1" --json | jq -r "$2"; }
die() { echo "upgrade-hosts: $1" >&2; exit 1; }

# wait_for SECONDS COMMAND…: until the command succeeds.
wait_for() {
  left=$1
  shift
  until "$@"; do
    [ "$left" -gt 0 ] || return 1
    left=$((left - 2))
    sleep 2
  done
}

is_idle() { [ "$(field "$1" .runningTasks)" = 0 ]; }
# Heard of since the upgrade, by the control plane's own clock, and of the version that was asked for.
is_new() {
  [ "$(field "$1" '.lastSeenAt // ""')" \> "$2" ] &&
    { [ -z "${VERSION:-}" ] || [ "$(field "$1" .agentVersion)" = "$VERSION" ]; }
}

first=yes
for host in "$@"; do
  case $(field "$host" '"\(.state) \(.drained)"') in
    "enrolled false") ;;
    "enrolled true") die "$host is drained already: resume it, or leave it out" ;;
    *) die "$host is not enrolled" ;;
  esac
  echo "$host: drains"
  $MIRRORFLEET host drain "$host" >/dev/null
  wait_for "${PATIENCE:-7200}" is_idle "$host" || die "$host still works; it stays drained"
  seen=$(field "$host" '.lastSeenAt // ""')
  echo "$host: upgrades"
  sh -c "$(printf '%s' "$upgrade" | sed "s/{}/$host/g")" || die "the upgrade of $host failed; it stays drained"
  wait_for "${PATIENCE:-7200}" is_new "$host" "$seen" ||
    die "the new agent of $host was not heard of${VERSION:+ as $VERSION}; it stays drained"
  $MIRRORFLEET host resume "$host" >/dev/null
  echo "$host: done, $(field "$host" .agentVersion)"
  if [ "$first" = yes ] && [ $# -gt 1 ]; then
    first=no
    sleep "${SOAK:-600}"
    [ "$(field "$host" '.lastSeenAt // ""')" \> "$seen" ] || die "$host fell silent; it goes no further"
  fi
done

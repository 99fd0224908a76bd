#!/bin/sh
# Upgrades the agents of a fleet, one host after the other: gives it no new tasks, waits for those that run,
# upgrades it, waits until its new agent is heard of, and lets it go on. Stops at the first host where that
# fails: it stays drained, and the others are as they were. After "mirrorfleet host resume HOST" the same
# command goes on: hosts that have VERSION already are passed over.
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
command -v jq >/dev/null || { echo 'upgrade-hosts: needs jq' >&2; exit 2; }

# Empty where the control plane does not answer.
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
# When it last asked for work, by the control plane's own clock.
last_seen() { field "$1" '.lastSeenAt // ""'; }
is_heard_since() { [ "$(last_seen "$1")" \> "$2" ]; }
has_version() { [ -z "${VERSION:-}" ] || [ "$(field "$1" .agentVersion)" = "$VERSION" ]; }
is_new() { is_heard_since "$1" "$2" && has_version "$1"; }

drained=
trap 'echo "upgrade-hosts: interrupted${drained:+; $drained stays drained}" >&2; exit 130' INT TERM HUP

first=yes
for host in "$@"; do
  case $(field "$host" '"\(.state) \(.drained)"') in
    "enrolled false") ;;
    "enrolled true") die "$host is drained already: resume it, or leave it out" ;;
    "") die "cannot ask for $host" ;;
    *) die "$host is not enrolled" ;;
  esac
  if [ -n "${VERSION:-}" ] && has_version "$host"; then
    echo "$host: has $VERSION already"
    continue
  fi
  echo "$host: drains"
  drained=$host
  $MIRRORFLEET host drain "$host" >/dev/null
  wait_for "${PATIENCE:-7200}" is_idle "$host" || die "$host still works; it stays drained"
  echo "$host: upgrades"
  sh -c "$(printf '%s' "$upgrade" | sed "s/{}/$host/g")" || die "the upgrade of $host failed; it stays drained"
  # Only from now on: until here it was the old agent that was heard of.
  seen=$(last_seen "$host")
  [ -n "$seen" ] || die "cannot ask for $host; it stays drained"
  wait_for "${PATIENCE:-7200}" is_new "$host" "$seen" ||
    die "the new agent of $host was not heard of${VERSION:+ as $VERSION}; it stays drained"
  $MIRRORFLEET host resume "$host" >/dev/null
  drained=
  echo "$host: done, $(field "$host" .agentVersion)"
  if [ "$first" = yes ] && [ $# -gt 1 ]; then
    first=no
    sleep "${SOAK:-600}" &
    wait $!
    # An agent that lives asks again within half a minute.
    wait_for 60 is_heard_since "$host" "$(last_seen "$host")" || die "$host fell silent; it goes no further"
  fi
done

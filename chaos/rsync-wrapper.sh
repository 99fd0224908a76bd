#!/bin/sh
# Stands in for rsync: notes, durably, when each one begins and ends, and whether another is at work on
# its destination. The kernel lets go of the lock when the last process that has it open is gone.
case $1 in --daemon | --server | --version) exec rsync "$@" ;; esac
for destination; do :; done
exec 9>>"@places@/$(printf %s "$destination" | tr '/' '_')"
beside=no
flock -n 9 || beside=yes
note() {
  read -r uptime _ </proc/uptime
  echo "$1 $$ $uptime $2" >>"@log@"
  sync "@log@" 9>&-
}
note start "$beside $destination"
# A handler, not "ignore": rsync must still get the signal.
trap : TERM INT
rsync "$@"
code=$?
note end "$code"
if [ "$code" -gt 128 ]; then
  trap - TERM INT
  kill -s "$((code - 128))" $$
fi
exit "$code"

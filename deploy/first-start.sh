#!/bin/sh
# Makes what the nodes share and nobody should choose by hand. Runs before them at every start and keeps what is there.
set -eu
umask 077
state=/var/lib/ticket-broker

# Written aside and moved into place: a start that is interrupted leaves no half of a secret.
if [ ! -s "$state/secrets/jwt-secret" ]; then
  head -c 48 /dev/urandom | base64 >"$state/secrets/jwt-secret.new"
  mv "$state/secrets/jwt-secret.new" "$state/secrets/jwt-secret"
  echo 'made a secret to sign tokens with'
fi

# A node refuses to start without the files that it is told to read.
if [ ! -e "$state/accounts/users" ]; then
  echo '# username:hash, one a line: ticket-broker users add NAME' >"$state/accounts/users"
fi
if [ ! -e "$state/accounts/service-keys" ]; then
  echo '# name:sha256-of-the-key:scope,scope one a line' >"$state/accounts/service-keys"
fi

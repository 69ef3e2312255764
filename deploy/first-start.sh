#!/bin/sh
# Makes what the services share and nobody should choose by hand. Runs before them at every start and keeps what is there.
# Who may read what is decided by which service has which volume: see docker-compose.yml.
set -eu
# The group is that of the services that are not `node` themselves.
umask 027
state=/var/lib/ticket-broker

# Written aside and moved into place: a start that is interrupted leaves no half of a secret.
put() {
  cat >"$1.new"
  # What came before the pipe may have failed, and an empty list of users would let everybody in.
  [ -s "$1.new" ]
  mv "$1.new" "$1"
}
make_password() {
  if [ ! -s "$1" ]; then openssl rand -hex 32 | put "$1"; fi
}
hash_of() {
  tr -d '\n' <"$1" | sha256sum | cut -d' ' -f1
}

if [ ! -s "$state/secrets/jwt-secret" ]; then
  openssl rand -base64 48 | put "$state/secrets/jwt-secret"
  echo 'made a secret to sign tokens with'
fi

# A node refuses to start without the files that it is told to read.
if [ ! -e "$state/accounts/users" ]; then
  echo '# username:hash, one a line: ticket-broker users add NAME' | put "$state/accounts/users"
fi
if [ ! -e "$state/accounts/service-keys" ]; then
  echo '# name:sha256-of-the-key:scope,scope one a line' | put "$state/accounts/service-keys"
fi

# The passwords stay; what is written with them is written anew, since what a user may do can change with a version.
# The default user is off, and yet may do everything: Redis may read its append-only file as that user, and would leave out
# what our scripts wrote, with no more than a line in its log (https://github.com/redis/redis/issues/14541).
login=$state/redis-login
users=$state/redis-users
make_password "$login/password"
for user in operator replica sentinel; do make_password "$users/$user"; done
for list in users sentinel-users; do
  sed -e "s/#broker/#$(hash_of "$login/password")/" \
    -e "s/#operator/#$(hash_of "$users/operator")/" \
    -e "s/#replica/#$(hash_of "$users/replica")/" \
    -e "s/#sentinel/#$(hash_of "$users/sentinel")/" \
    "redis/$list.acl" | put "$users/$list.acl"
done
password=$(cat "$login/password")
sentinels=sentinel-1:26379,sentinel-2:26379,sentinel-3:26379
echo "redis://broker:$password@redis:6379" | put "$login/redis"
echo "redis+sentinel://broker:$password@$sentinels/tickets?sentinelUsername=broker&sentinelPassword=$password" |
  put "$login/sentinel"

# Ours is replaced a month before its end; a certificate of yours is left alone.
certificate=$state/tls/certificate.pem
is_ours() {
  openssl x509 -in "$certificate" -noout -subject | grep -q 'ticket-broker, self-signed'
}
if [ ! -s "$certificate" ] || { is_ours && ! openssl x509 -in "$certificate" -noout -checkend 2592000 >/dev/null; }; then
  openssl req -x509 -config certificate.cnf -days 397 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
    -keyout "$state/tls/key.pem.new" -out "$certificate.new"
  chmod 640 "$state/tls/key.pem.new"
  mv "$state/tls/key.pem.new" "$state/tls/key.pem"
  mv "$certificate.new" "$certificate"
  echo 'made a certificate for localhost: where it replaces one, docker-compose restart lb takes it up'
fi

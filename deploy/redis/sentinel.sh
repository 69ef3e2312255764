#!/bin/sh
# sentinel.sh NAME: a sentinel, under the name that the others know it by. It keeps what it learns in its configuration file.
set -eu
umask 077
users=/var/lib/ticket-broker/redis-users
mkdir -p "/data/$1"
config=/data/$1/sentinel.conf
if [ ! -e "$config" ]; then
  password=$(cat "$users/sentinel")
  # Names, not addresses: a container comes back under the same name only.
  cat >"$config.new" <<EOF
port 26379
dir /data/$1
aclfile $users/sentinel-users.acl
sentinel resolve-hostnames yes
sentinel announce-hostnames yes
sentinel announce-ip $1
sentinel sentinel-user sentinel
sentinel sentinel-pass $password
sentinel monitor tickets redis 6379 2
sentinel auth-user tickets sentinel
sentinel auth-pass tickets $password
sentinel down-after-milliseconds tickets 2000
sentinel failover-timeout tickets 10000
EOF
  mv "$config.new" "$config"
fi
exec redis-server "$config" --sentinel

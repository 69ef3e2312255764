#!/bin/sh
# start.sh NAME: Redis, under the name that the others know it by.
set -eu
umask 077
users=/var/lib/ticket-broker/redis-users
mkdir -p "/data/$1"
config=/data/$1/redis.conf

# Whom to follow is what the sentinels had Redis write into this file, to come back as what it was. All else is said anew.
if [ -e "$config" ]; then
  following=$(sed -n '/^replicaof /p' "$config")
elif [ "$1" != redis ]; then
  following='replicaof redis 6379'
else
  following=
fi

# Nothing is evicted: a used ticket must be remembered as used. What is written to disk is for revocations and refresh
# tokens; a ticket from before a restart is refused in any case.
cat >"$config.new" <<EOF
dir /data/$1
aclfile $users/users.acl
maxmemory 256mb
maxmemory-policy noeviction
appendonly yes
appendfsync everysec
save ""
masteruser replica
masterauth $(cat "$users/replica")
replica-announce-ip $1
$following
EOF
mv "$config.new" "$config"
exec redis-server "$config"

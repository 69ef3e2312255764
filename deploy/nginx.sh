#!/bin/sh
# nginx reads no environment, and only the operator knows under which port of the host the door is.
set -eu
printf 'map "" $https_port { default %d; }\n' "$HTTPS_PORT" >/tmp/https-port.conf
exec nginx -g 'daemon off;'

#!/usr/bin/env bash
# Makes the database that POSTGRES_USER, POSTGRES_DB and POSTGRES_PASSWORD ask for, where there is none, and serves it to
# the container's network.
set -euo pipefail
data=/var/lib/postgresql/data/cluster
bin=$(printf '%s\n' /usr/lib/postgresql/*/bin | tail -n 1)

if [ ! -e "$data/PG_VERSION" ]; then
    "$bin/initdb" --pgdata="$data" --username="$POSTGRES_USER" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") \
        --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 >/dev/null
    echo 'host all all all scram-sha-256' >>"$data/pg_hba.conf"
    printf 'CREATE DATABASE "%s";\n' "$POSTGRES_DB" |
        "$bin/postgres" --single -D "$data" postgres >/dev/null
fi
exec "$bin/postgres" -D "$data" -c 'listen_addresses=*' -c unix_socket_directories=

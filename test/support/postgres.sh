#!/usr/bin/env bash
# A real PostgreSQL server for tests, in a temporary folder and on a free port of the loopback. It says "ready PORT", then
# takes "start", "stop fast" and "stop immediate", a line each, and says "done" after each. At the end of its input the
# server ends and the folder goes; so nothing is left where the test was killed. The user is carillon, the password
# open sesame@1/2.
set -euo pipefail
trap '' INT # it is for the test, which then closes our input

bin=$(find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)
[ -n "$bin" ] || bin=$(dirname "$(command -v postgres)") || {
    echo "no PostgreSQL here: install the package postgresql"
    exit 1
}

folder=$(mktemp -d "${TMPDIR:-/tmp}/carillon-postgres-XXXXXX")
data=$folder/data

# PostgreSQL does not run as root.
run=()
if [ "$(id -u)" -eq 0 ]; then
    owner=postgres
    id "$owner" >/dev/null 2>&1 || owner=nobody
    run=(setpriv "--reuid=$owner" "--regid=$(id -g "$owner")" --clear-groups)
    chown "$owner" "$folder"
fi
cd "$folder"

quietly() { "${run[@]}" "$@" >>"$folder/tools.log" 2>&1; }
# Whoever starts it must not be kept waiting for the end of our output.
start() { quietly "$bin/pg_ctl" start -D "$data" -l "$folder/server.log" -w -t 60 </dev/null; }
stop() { quietly "$bin/pg_ctl" stop -D "$data" -m "$1" -w -t 60 </dev/null; }

clean_up() {
    [ ! -e "$data/postmaster.pid" ] || stop immediate || true
    rm -rf "$folder"
}
trap clean_up EXIT

touch tools.log server.log pw
chmod 666 tools.log server.log
echo 'open sesame@1/2' >pw
chmod 644 pw
if ! quietly "$bin/initdb" -D "$data" -U carillon --pwfile=pw -A scram-sha-256 -E UTF8 --locale=C.UTF-8 --no-sync; then
    cat tools.log
    exit 1
fi
cat >>"$data/postgresql.conf" <<END
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 60
shared_buffers = 32MB
END

port=
for _ in {1..20}; do
    port=$((20000 + RANDOM % 12000))
    sed -i '/^port = /d' "$data/postgresql.conf"
    echo "port = $port" >>"$data/postgresql.conf"
    start && break
    port=
done
if [ -z "$port" ]; then
    cat tools.log server.log
    exit 1
fi
echo "ready $port"

while read -r what how; do
    case $what in
    start) start ;;
    stop) stop "$how" ;;
    *) false ;;
    esac && echo "done" || echo "failed: $what $how"
done

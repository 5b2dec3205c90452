#!/usr/bin/env bash
# What a stranger does, on a Debian that has nothing but apt: clone, tools/run, tools/test; then the image of the
# Dockerfile, run as hard as it can be. Debian 12, or the release that CARILLON_SUITE names. Wants root, for containers
# of its own; all they leave is in one folder, removed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

if [ "$(id -u)" -ne 0 ]; then
    exec sudo --non-interactive --preserve-env=http_proxy,https_proxy,no_proxy,CARILLON_SUITE bash "$PWD/test/container/container.sh"
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/carillon-container.XXXXXX")
export CONTAINERS_CONF=$work/containers.conf CONTAINERS_STORAGE_CONF=$work/storage.conf BUILDAH_ISOLATION=chroot
suite=${CARILLON_SUITE:-bookworm}
base=localhost/carillon-base:$suite
image=localhost/carillon:test
fresh=fresh-$$
hard=hard-$$
plain=plain-$$
export CARILLON_ADMIN_KEY=an-administrators-key POSTGRES_PASSWORD=secret POSTGRES_IMAGE=localhost/carillon-postgres:test

cleanup() {
    podman rm --all --force --time 0 >/dev/null 2>&1 || true
    podman network prune --force >/dev/null 2>&1 || true
    for point in "$work/storage/overlay" "$work/storage"; do
        ! mountpoint -q "$point" || umount "$point" || true
    done
    rm -rf --one-file-system "$work"
}
trap cleanup EXIT

cat >"$CONTAINERS_CONF" <<CONF
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=8192:8192"]
[network]
network_backend = "netavark"
network_config_dir = "$work/networks"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
tmp_dir = "$work/libpod"
CONF
cat >"$CONTAINERS_STORAGE_CONF" <<CONF
[storage]
driver = "overlay"
graphroot = "$work/storage"
runroot = "$work/run"
CONF

step() {
    printf '== %3ds %s\n' "$SECONDS" "$*"
}

fail() {
    echo "container: $*" >&2
    exit 1
}

# The machine's own sources where they are this release's, so that its mirror is used; else the distribution's. The
# authorities that the machine trusts beyond the usual are trusted as soon as ca-certificates is there, which npm wants.
make_base() {
    local sources=() file own=/usr/local/share/ca-certificates
    for file in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
        if [ ${#sources[@]} -eq 0 ] && grep -Eqs "^[^#]*\\b$suite\\b" "$file"; then
            sources=("$file")
        fi
    done
    apt-config dump | grep -E '^Acquire::(https?::Proxy|Check-)' >"$work/apt.conf" || true
    mkdir -p "$work$own"
    cp "$own"/*.crt "$work$own" 2>/dev/null || true
    mmdebstrap --quiet --variant=minbase --aptopt="$work/apt.conf" \
        --customize-hook="copy-in $work$own /usr/local/share" "$suite" "$work/base.tar" "${sources[@]}"
    podman import --quiet "$work/base.tar" "$base" >/dev/null
    rm "$work/base.tar"
}

# The checkout as a clone of it would be, whatever of it is committed by now.
copy_checkout() {
    mkdir "$work/checkout"
    if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
        git -c safe.directory="$PWD" ls-files --cached --others --exclude-standard -z |
            while IFS= read -r -d '' file; do [ ! -e "$file" ] || printf '%s\0' "$file"; done
    else
        find . -path './build*' -prune -o -name node_modules -prune -o -type f -print0
    fi | tar --create --null --files-from=- | tar --extract --directory="$work/checkout"
}

free_port() {
    local port
    for port in $(shuf -i 20000-32000 -n 50); do
        if ! (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            echo "$port"
            return
        fi
    done
    return 1
}

# wait_for CONTAINER PORT SECONDS: until it answers, or has ended, or time is up.
wait_for() {
    local end=$((SECONDS + $3))
    until curl --silent --output /dev/null --max-time 2 "http://127.0.0.1:$2/livez"; do
        [ "$(podman inspect --format '{{.State.Running}}' "$1")" = true ] || fail "$1 ended: $(podman logs "$1" 2>&1)"
        [ $SECONDS -lt $end ] || fail "$1 does not answer after $3 s: $(podman logs "$1" 2>&1)"
        sleep 0.3
    done
}

# healthy CONTAINER SECONDS: until the image's health check, or the one that compose gave it, says so.
healthy() {
    local end=$((SECONDS + $2))
    until podman healthcheck run "$1" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || fail "$1 is not healthy after $2 s: $(podman logs "$1" 2>&1)"
        sleep 0.3
    done
}

# inside CONTAINER CURL-ARGUMENTS...: asks from within the container's network, which has nothing but the loopback.
inside() {
    nsenter "--net=/proc/$(podman inspect --format '{{.State.Pid}}' "$1")/ns/net" curl --silent --max-time 10 "${@:2}"
}

# compose PROJECT ARGUMENTS...: as podman-compose takes them. The file is the checkout's, but for the ports, which are free,
# and the limit of descriptors, which this machine may not allow. Debian 12's does not know profiles: services are named.
compose() {
    (cd "$work/checkout" && podman-compose -p "$1" "${@:2}") >"$work/compose.log" 2>&1
}

# try_compose PROJECT SERVICE AUTH PORT: brings it up, uses it, takes it down.
try_compose() {
    local project=$1 server=$1_$2_1 auth=$3 port=$4
    compose "$project" up -d --no-build "$2" || fail "podman-compose $project: $(cat "$work/compose.log")"
    healthy "$server" 60
    [ "$(podman exec "$server" id -u)" = 10001 ] || fail "$project: not user 10001"
    podman exec "$server" grep -Eq '^[^ ]+ / [^ ]+ ro[, ]' /proc/mounts || fail "$project: the container's root is writable"
    podman exec "$server" grep -Eq '^CapEff:[[:space:]]*0+$' /proc/1/status || fail "$project: the server has capabilities"
    if [ "$auth" = open ]; then
        post_and_read "$port" "with $project"
    else
        post_with_a_key "$port" "with $project"
    fi
    compose "$project" down -v || fail "podman-compose $project down: $(cat "$work/compose.log")"
}

# post_with_a_key PORT TEXT: the administrator makes a tenant, whose key publishes.
post_with_a_key() {
    local url=http://127.0.0.1:$1 key
    curl --silent --show-error --fail --max-time 10 --header "Authorization: Bearer $CARILLON_ADMIN_KEY" \
        --header 'Content-Type: application/json' --data '{"id":"acme","name":"acme"}' "$url/api/v1/tenants" >"$work/answer"
    key=$(sed -E 's/.*"api_key":"([^"]+)".*/\1/' "$work/answer")
    curl --silent --show-error --fail --max-time 10 --header "X-API-Key: $key" --header 'Content-Type: application/json' \
        --data "{\"message\":\"$2\"}" "$url/events" >/dev/null || fail "no event with the key"
    curl --silent --show-error --fail --max-time 10 --header "X-API-Key: $key" "$url/events" >"$work/answer"
    grep -Fq "\"$2\"" "$work/answer" || fail "GET /events lacks the event: $(cat "$work/answer")"
}

# post_and_read PORT TEXT: one event through the server, there and back.
post_and_read() {
    local url=http://127.0.0.1:$1 status
    status=$(curl --silent --show-error --max-time 10 --output "$work/answer" --write-out '%{http_code}' \
        --header 'Content-Type: application/json' --header 'X-Tenant-ID: tenant_a' \
        --data "{\"message\":\"$2\"}" "$url/events")
    [ "$status" = 201 ] || fail "POST /events: $status $(cat "$work/answer")"
    curl --silent --show-error --fail --max-time 10 --header 'X-Tenant-ID: tenant_a' "$url/api/events" >"$work/answer"
    grep -Fq "\"$2\"" "$work/answer" || fail "GET /api/events lacks the event: $(cat "$work/answer")"
}

# stop_cleanly CONTAINER: SIGTERM has to end it with exit code 0.
stop_cleanly() {
    podman stop --time 20 "$1" >/dev/null
    local code
    code=$(podman inspect --format '{{.State.ExitCode}}' "$1")
    [ "$code" = 0 ] || fail "$1 ended with $code after SIGTERM: $(podman logs "$1" 2>&1)"
}

step "a bare Debian ($suite)"
make_base
copy_checkout

step 'tools/run on it'
port=$(free_port)
podman run --detach --name "$fresh" --network=host --volume "$work/checkout:/carillon" --workdir /carillon \
    "$base" ./tools/run --host 127.0.0.1 --port "$port" --auth open --store memory: >/dev/null
wait_for "$fresh" "$port" 900 # most of it is for packages
post_and_read "$port" 'from a fresh clone'

step 'tools/test unit beside it'
podman exec "$fresh" ./tools/test unit || fail 'tools/test unit failed'
stop_cleanly "$fresh"

step 'the image of the Dockerfile'
buildah bud --quiet --format docker --isolation=chroot --network=host --build-arg "BASE=$base" --tag "$image" "$work/checkout" \
    >"$work/bud.log" 2>&1 || fail "buildah bud: $(cat "$work/bud.log")"

step 'the image: not root, a read-only root, no capability'
port=$(free_port)
podman run --detach --name "$hard" --network=host --read-only --read-only-tmpfs=false --cap-drop=ALL \
    --security-opt=no-new-privileges "$image" \
    --host 127.0.0.1 --port "$port" --auth open --store sqlite:/data/carillon.db >/dev/null
wait_for "$hard" "$port" 20
[ "$(podman exec "$hard" id -u)" = 10001 ] || fail 'the image does not run as user 10001'
! podman exec "$hard" touch /tmp/here 2>/dev/null || fail 'the root of the container is writable'
podman exec "$hard" grep -Eq '^CapEff:[[:space:]]*0+$' /proc/1/status || fail 'the server has capabilities'
post_and_read "$port" 'from the image'
stop_cleanly "$hard"
podman start "$hard" >/dev/null
wait_for "$hard" "$port" 20
curl --silent --show-error --fail --max-time 10 --header 'X-Tenant-ID: tenant_a' "http://127.0.0.1:$port/api/events" \
    >"$work/answer"
grep -Fq '"from the image"' "$work/answer" || fail "the event is gone after a restart: $(cat "$work/answer")"
stop_cleanly "$hard"

step 'the image as it is: --auth key, and its own health check'
podman run --detach --name "$plain" --network=none --read-only --read-only-tmpfs=false --cap-drop=ALL \
    --security-opt=no-new-privileges --env CARILLON_ADMIN_KEY= "$image" >/dev/null
healthy "$plain" 20
[ "$(podman exec "$plain" carillon health --live)" = 'http://127.0.0.1:8080/livez: 200' ] || fail 'carillon health --live'
! podman exec "$plain" carillon health --port 8081 2>/dev/null || fail 'carillon health says that nobody is well'
[ "$(inside "$plain" --header 'X-Tenant-ID: tenant_a' --output /dev/null --write-out '%{http_code}' \
    http://127.0.0.1:8080/events)" = 401 ] || fail 'the image lets in whoever knows a name'
podman logs "$plain" >"$work/said" 2>&1 # and no pipe: whoever has found it would not read on
grep -q 'Set CARILLON_ADMIN_KEY' "$work/said" || fail "nobody says how to administer: $(cat "$work/said")"
stop_cleanly "$plain"

step 'compose'
ports=()
for port in 8080 8081 8082; do
    ports[port]=$(free_port)
    sed -i "s/127.0.0.1:$port:/127.0.0.1:${ports[$port]}:/" "$work/checkout/compose.yaml"
done
sed -i "s/nofile: 65536/nofile: 20000\n    nproc: 8192/" "$work/checkout/compose.yaml"
podman tag "$image" localhost/carillon:latest
try_compose default carillon key "${ports[8080]}"
try_compose demo demo open "${ports[8081]}"

step 'compose, with PostgreSQL'
buildah bud --quiet --isolation=chroot --network=host --build-arg "BASE=$base" --tag "$POSTGRES_IMAGE" \
    test/container/postgres >"$work/bud.log" 2>&1 || fail "buildah bud: $(cat "$work/bud.log")"
# Debian 12's podman-compose starts what is depended on first, and does not wait until it is healthy.
compose postgres up -d --no-build postgres || fail "podman-compose: $(cat "$work/compose.log")"
healthy postgres_postgres_1 60
try_compose postgres carillon-postgres key "${ports[8082]}"

step 'the systemd unit, under systemd'
machine=machine-$$
cp -r test/container/systemd "$work/systemd"
cp tools/deploy/systemd/carillon.service "$work/systemd/"
buildah bud --quiet --isolation=chroot --network=host --build-arg "IMAGE=$image" --tag localhost/carillon-systemd:test \
    "$work/systemd" >"$work/bud.log" 2>&1 || fail "buildah bud: $(cat "$work/bud.log")"
podman run --detach --name "$machine" --network=none --systemd=always --privileged localhost/carillon-systemd:test >/dev/null

# unit PROPERTY: what systemd says of the service.
unit() {
    podman exec "$machine" systemctl show --property "$1" --value carillon 2>/dev/null || true
}

# unit_is PROPERTY VALUE: waits until it is.
unit_is() {
    local end=$((SECONDS + 60))
    until [ "$(unit "$1")" = "$2" ]; do
        [ $SECONDS -lt $end ] || fail "$1 is not $2: $(podman exec "$machine" systemctl status --full --no-pager carillon 2>&1)"
        sleep 0.3
    done
}

unit_is ActiveState active
pid=$(unit MainPID)
for line in 'CapEff:[[:space:]]*0+' 'NoNewPrivs:[[:space:]]*1' 'Seccomp:[[:space:]]*2'; do
    podman exec "$machine" grep -Eq "^$line$" "/proc/$pid/status" || fail "the unit's process is not as /$line/ says"
done
podman exec "$machine" ps -L -o ni= -p "$pid" >"$work/answer"
grep -qw 10 "$work/answer" || fail "the sandbox does not let the upkeep stand back: $(cat "$work/answer")"
inside "$machine" --output "$work/answer" --header 'X-Tenant-ID: tenant_a' --header 'Content-Type: application/json' \
    --data '{"message":"under systemd"}' --fail http://127.0.0.1:8080/events || fail "no event: $(cat "$work/answer")"
podman exec "$machine" systemctl reload carillon || fail 'systemctl reload'
unit_is ActiveState active
[ "$(unit MainPID)" = "$pid" ] || fail 'a reload is no restart'
podman exec "$machine" kill -STOP "$pid"
unit_is NRestarts 1
unit_is ActiveState active
[ "$(unit MainPID)" != "$pid" ] || fail 'one that hangs is started anew'
inside "$machine" --header 'X-Tenant-ID: tenant_a' --fail http://127.0.0.1:8080/events >"$work/answer"
grep -Fq '"under systemd"' "$work/answer" || fail "the event is gone: $(cat "$work/answer")"
podman exec "$machine" systemctl stop carillon
[ "$(unit Result)/$(unit ExecMainStatus)" = success/0 ] || fail 'systemctl stop'
podman rm --force --time 0 "$machine" >/dev/null

step 'done'

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

cleanup() {
    podman rm --force --time 0 "$fresh" "$hard" >/dev/null 2>&1 || true
    for point in "$work/storage/overlay" "$work/storage"; do
        ! mountpoint -q "$point" || umount "$point" || true
    done
    rm -rf --one-file-system "$work"
}
trap cleanup EXIT

cat >"$CONTAINERS_CONF" <<CONF
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=8192:8192"]
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

# The machine's own sources where they are this release's, so that its mirror is used; else the distribution's.
make_base() {
    local sources=() file
    for file in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
        if [ ${#sources[@]} -eq 0 ] && grep -Eqs "^[^#]*\\b$suite\\b" "$file"; then
            sources=("$file")
        fi
    done
    apt-config dump | grep -E '^Acquire::(https?::Proxy|Check-)' >"$work/apt.conf" || true
    mmdebstrap --quiet --variant=minbase --aptopt="$work/apt.conf" "$suite" "$work/base.tar" "${sources[@]}"
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
wait_for "$fresh" "$port" 600
post_and_read "$port" 'from a fresh clone'

step 'tools/test unit beside it'
podman exec "$fresh" ./tools/test unit || fail 'tools/test unit failed'
stop_cleanly "$fresh"

step 'the image of the Dockerfile'
buildah bud --quiet --isolation=chroot --network=host --build-arg "BASE=$base" --tag "$image" "$work/checkout" \
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

step 'done'

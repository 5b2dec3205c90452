# shellcheck shell=bash
# The Debian packages that Carillon wants, by purpose, and the one way to install them. Sourced by the scripts of
# tools/ and by the Dockerfile; nothing else names a package.

# packages_for GROUP: one package a line; a|b is the first of the two that there is.
packages_for() {
    case $1 in
    build)
        # llhttp is a library from Debian 13 on; Debian 12 has its sources inside node-llhttp.
        printf '%s\n' gcc libc6-dev cmake ninja-build pkg-config 'libllhttp-dev|node-llhttp' \
            libuv1-dev libck-dev libdeflate-dev libsqlite3-dev libpq-dev libjansson-dev zlib1g-dev libssl-dev libyaml-dev \
            libjwt-dev
        # It fetches the page's Socket.IO client.
        node_present || printf '%s\n' nodejs npm ca-certificates
        ;;
    race | fuzz) printf '%s\n' libcunit1-dev ;;
    unit) printf '%s\n' libcunit1-dev postgresql ;;
    e2e | tls)
        # systemd: only its systemd-analyze is used, nothing of it is started.
        printf '%s\n' libcunit1-dev openssl postgresql python3 python3-pytest python3-websockets python3-jsonschema \
            python3-yaml python3-kubernetes systemd
        ;;
    # Root can cut connections with nftables; others do without.
    soak) printf '%s\n' libcunit1-dev python3 nftables openssl postgresql ;;
    clients)
        printf '%s\n' libcunit1-dev curl
        node_present || printf '%s\n' nodejs npm
        ;;
    browser)
        printf '%s\n' libcunit1-dev chromium
        node_present || printf '%s\n' nodejs npm
        ;;
    container)
        printf '%s\n' libcunit1-dev buildah podman runc conmon mmdebstrap debian-archive-keyring ca-certificates curl \
            podman-compose netavark aardvark-dns iptables
        ;;
    bench) printf '%s\n' python3 openssl ;;
    peers) node_present || printf '%s\n' nodejs npm ;;
    # Unpacked and not installed (unpack_packages), for installed they would be servers at every boot. Of prometheus the
    # tests want only promtool.
    promtool) printf '%s\n' prometheus ;;
    nchan) printf '%s\n' nginx libnginx-mod-nchan ;;
    check) printf '%s\n' libcunit1-dev git python3 clang-format shellcheck ;;
    tidy) printf '%s\n' libcunit1-dev clang clang-tidy python3 ;;
    sanitize) printf '%s\n' libcunit1-dev clang libclang-rt-dev llvm ;;
    *)
        echo "packages_for: no group '$1'" >&2
        return 1
        ;;
    esac
}

# Any node of 18 or later that comes with npm will do, whoever packaged it.
node_present() {
    local version
    version=$(node --version 2>/dev/null) && command -v npm >/dev/null || return 1
    version=${version#v}
    [ "${version%%.*}" -ge 18 ]
}

# missing_packages GROUP...: what of these groups is not installed, one a line.
missing_packages() {
    local installed
    installed=$(dpkg-query --show --showformat='${db:Status-Status} ${Package}\n' 2>/dev/null) || true
    for group in "$@"; do packages_for "$group"; done | sort -u | awk -v installed="$installed" '
        BEGIN {
            count = split(installed, lines, "\n")
            for (i = 1; i <= count; i++) if (sub(/^installed /, "", lines[i])) have[lines[i]] = 1
        }
        {
            count = split($0, names, "|")
            for (i = 1; i <= count; i++) if (names[i] in have) next
            print
        }'
}

# as_root COMMAND...: by sudo where we are not root.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        echo "carillon: neither root nor sudo here; have this done: $*" >&2
        return 1
    fi
}

# install_packages GROUP...: installs what is missing; quick and silent where nothing is. CARILLON_NO_INSTALL=1 takes it
# that everything is there, for systems with another package manager.
install_packages() {
    local missing=() names=() name
    [ "${CARILLON_NO_INSTALL-}" != 1 ] || return 0
    mapfile -t missing < <(missing_packages "$@")
    [ ${#missing[@]} -gt 0 ] || return 0
    if ! command -v apt-get >/dev/null; then
        echo "carillon: no apt-get here; install what your system calls: ${missing[*]}" >&2
        echo "carillon: then say so with CARILLON_NO_INSTALL=1" >&2
        return 1
    fi
    echo "carillon: installing ${missing[*]}" >&2
    as_root apt-get update --quiet=2 || return 1
    for name in "${missing[@]}"; do
        if [ "$name" != "${name#*|}" ] && apt-cache show "${name%%|*}" >/dev/null 2>&1; then
            name=${name%%|*}
        fi
        names+=("${name#*|}")
    done
    case " ${names[*]} " in *" postgresql "*) want_no_cluster || return 1 ;; esac
    apt_install "${names[@]}"
}

apt_install() {
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install --quiet=2 --yes --no-install-recommends -o Dpkg::Use-Pty=0 "$@"
}

# Installing postgresql would make a database and start its server, at every boot, too; the tests have their own.
want_no_cluster() {
    apt_install postgresql-common &&
        as_root sed -i 's/^#*create_main_cluster *=.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf
}

# unpack_packages FOLDER GROUP: the group's packages unpacked into the folder: no service starts, no file lands elsewhere,
# and it takes no root where apt's lists know the packages. What they depend on has to be there.
unpack_packages() {
    local names=() file
    [ ! -e "$1/unpacked" ] && [ "${CARILLON_NO_INSTALL-}" != 1 ] || return 0
    mapfile -t names < <(packages_for "$2")
    if ! command -v apt-get >/dev/null; then
        echo "carillon: no apt-get here; install what your system calls: ${names[*]}" >&2
        echo "carillon: then say so with CARILLON_NO_INSTALL=1" >&2
        return 1
    fi
    echo "carillon: unpacking ${names[*]}" >&2
    mkdir -p "$1" || return 1
    # Only apt's lists are root's: they are brought up to date where they do not know a package, or know an old one.
    local download=(apt-get download --quiet=2 -o APT::Sandbox::User= "${names[@]}")
    if ! (cd "$1" && "${download[@]}") 2>/dev/null &&
        ! { as_root apt-get update --quiet=2 && (cd "$1" && "${download[@]}"); }; then
        echo "carillon: not downloaded: either apt's lists are out of date (after 'apt-get update' by root this needs" \
            "no root), or there is no network. Or install ${names[*]} and set CARILLON_NO_INSTALL=1" >&2
        return 1
    fi
    for file in "$1"/*.deb; do dpkg-deb --extract "$file" "$1" || return 1; done
    touch "$1/unpacked"
}

# runtime_packages BINARY: the packages of the libraries that a finished binary loads. Their names differ between
# releases, so they are read off the binary.
runtime_packages() {
    ldd "$1" | awk '$3 ~ /^\// { print $3 }' | while read -r library; do
        dpkg-query --search "$(readlink -f "$library")" 2>/dev/null || dpkg-query --search "$library" 2>/dev/null ||
            dpkg-query --search "${library#/usr}" 2>/dev/null || dpkg-query --search "/usr$(readlink -f "$library")"
    done | sed 's/:.*//' | sort -u
}

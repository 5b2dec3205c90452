# shellcheck shell=bash
# What tests written for node need from npm; sourced. No side effects on sourcing.

# install_node_modules FOLDER...: what the folders' lock files say, where it is not there yet.
install_node_modules() {
    local folder
    for folder in "$@"; do
        # npm leaves that file when it is through: younger than the lock file, it says that nothing has changed since.
        if [ "$folder/package-lock.json" -nt "$folder/node_modules/.package-lock.json" ]; then
            (cd "$folder" && npm ci --silent --no-audit --no-fund </dev/null) || return 1
        fi
    done
}

# shellcheck shell=bash
# Building without noise. Sourced by the scripts of tools/, which stand in the root of the checkout by then.

# quietly LOG COMMAND...: the output goes to the log, and is shown when the command fails.
quietly() {
    local log=$1
    shift
    if ! "$@" >>"$log" 2>&1 </dev/null; then
        cat "$log" >&2
        echo "carillon: failed: $*" >&2
        return 1
    fi
}

# configure FOLDER OPTION...: the generator is chosen once; a folder that has been configured keeps its own.
configure() {
    local folder=$1
    shift
    mkdir -p "$folder"
    : >"$folder/build.log"
    local generator=()
    [ -e "$folder/CMakeCache.txt" ] || generator=(-G Ninja)
    quietly "$folder/build.log" cmake -S . -B "$folder" "${generator[@]}" "$@"
}

# build FOLDER [ARGUMENT...]: arguments go to cmake --build.
build() {
    local folder=$1
    shift
    quietly "$folder/build.log" cmake --build "$folder" --parallel "$(nproc)" "$@"
}

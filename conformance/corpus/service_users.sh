# The users' side of service_orders.sh, and how users check what they got.

# users_open NAME WORKDIR: once, before anything else. The service is told to stop however the users end.
users_open() {
    users_name=$1
    users_workdir=$2
    exec 4<>"$2/never"
    trap 'status=$?; trap - EXIT; order stop || true; exit "$status"' EXIT
}

# order WORD: gives an order and waits at most 60 s until it was carried out.
order() {
    local before after tries
    before=$(wc -l <"$users_workdir/orders.done")
    # Opened for reading as well, so that a service that is gone does not block its users.
    printf '%s\n' "$1" 1<>"$users_workdir/orders"
    for ((tries = 0; tries < 1200; tries++)); do
        after=$(wc -l <"$users_workdir/orders.done")
        [ "$after" -gt "$before" ] && return 0
        read -r -t 0.05 -u 4 || true
    done
    fail "order $1 was not carried out"
}

# await COMMAND...: until it succeeds, at most 60 s.
await() {
    local tries
    for ((tries = 0; tries < 600; tries++)); do
        "$@" >/dev/null 2>&1 && return 0
        read -r -t 0.1 -u 4 || true
    done
    fail "never succeeded: $*"
}

# expect WHAT WANTED GOT
expect() {
    [ "$2" = "$3" ] || fail "$1: wanted '$2', got '$3'"
}

fail() {
    printf 'FAILED %s: %s\n' "$users_name" "$1" >&2
    exit 1
}

passed() {
    printf 'ok %s\n' "$users_name"
}

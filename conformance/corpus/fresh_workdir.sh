# What every prepare.sh does first: the same empty directory, owned by the account that runs the service.

# fresh_workdir WORKDIR ACCOUNT
fresh_workdir() {
    case $1 in */quixote-corpus/*) ;; *) echo "refusing to empty $1" >&2; exit 2 ;; esac
    rm -rf -- "$1"
    mkdir -p -m 755 -- "$1"
}

# fresh_orders WORKDIR: the FIFOs of service_orders.sh.
fresh_orders() {
    mkfifo -m 600 -- "$1/orders" "$1/never"
    : >"$1/orders.done"
}

# hand_over WORKDIR ACCOUNT: last; only root can, and needs to.
hand_over() {
    [ "$(id -u)" -ne 0 ] || chown -R -- "$2:" "$1"
}

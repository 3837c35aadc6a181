#!/bin/bash
# WORKDIR: a cluster is made, started, restarted and stopped, as pg_ctl(1) tells.
set -euo pipefail
. "$(dirname "$0")/../service_orders.sh"
workdir=$1
data=$workdir/data
binaries=(/usr/lib/postgresql/*/bin)
PATH=${binaries[-1]}:$PATH
control() { pg_ctl -s -w -D "$data" -l "$workdir/postgresql.log" "$@"; }

orders_open "$workdir"
initdb -D "$data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 >"$workdir/initdb.log"
printf "include '%s'\n" "$workdir/local.conf" >>"$data/postgresql.conf"
control start
trap 'order=stop' TERM INT
order=
while [ "$order" != stop ]; do
    next_order
    case $order in
        restart) control restart -m fast && order_done ;;
        stop) ;;
        *) echo "unknown order: $order" >&2 ;;
    esac
done
control stop -m fast
order_done

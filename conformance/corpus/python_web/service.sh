#!/bin/bash
# WORKDIR: the web service under a supervisor that can restart it.
set -euo pipefail
here=$(dirname "$0")
. "$here/../service_orders.sh"
workdir=$1
# As services of many threads are run. With an arena for each thread glibc now and then gives memory back from
# one, and reads /proc/sys/vm/overcommit_memory before it does: in one run of twenty, as the threads happen to meet.
export MALLOC_ARENA_MAX=1
start() { /usr/bin/python3 "$here/notes_server.py" "$workdir" >>"$workdir/server.log" 2>&1 & server=$!; }
halt() { kill -TERM "$server"; wait "$server" || true; }

orders_open "$workdir"
start
trap 'order=stop' TERM INT
order=
while [ "$order" != stop ]; do
    next_order
    case $order in
        restart) halt; start; order_done ;;
        stop) ;;
        *) echo "unknown order: $order" >&2 ;;
    esac
done
halt
order_done

#!/bin/bash
# WORKDIR: redis-server under a supervisor that can restart it.
set -euo pipefail
. "$(dirname "$0")/../service_orders.sh"
workdir=$1
start() { /usr/bin/redis-server "$workdir/redis.conf" & server=$!; }
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

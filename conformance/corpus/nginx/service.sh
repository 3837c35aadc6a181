#!/bin/bash
# WORKDIR: nginx as its users run it: a daemon, reloaded and stopped by `nginx -s`.
set -euo pipefail
. "$(dirname "$0")/../service_orders.sh"
workdir=$1
nginx() { /usr/sbin/nginx -p "$workdir" -c "$workdir/nginx.conf" -e "$workdir/logs/error.log" "$@"; }

orders_open "$workdir"
nginx -t -q
nginx
trap 'order=stop' TERM INT
order=
while [ "$order" != stop ]; do
    next_order
    case $order in
        reload) nginx -s reload && order_done ;;
        stop) ;;
        *) echo "unknown order: $order" >&2 ;;
    esac
done
nginx -s quit
await_gone "$workdir/nginx.pid"
order_done

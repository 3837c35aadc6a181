#!/bin/bash
# WORKDIR: sshd as a daemon, reloaded by SIGHUP.
set -euo pipefail
. "$(dirname "$0")/../service_orders.sh"
workdir=$1

orders_open "$workdir"
/usr/sbin/sshd -f "$workdir/sshd_config" -E "$workdir/sshd.log"
trap 'order=stop' TERM INT
order=
while [ "$order" != stop ]; do
    next_order
    case $order in
        reload) kill -HUP "$(<"$workdir/sshd.pid")" && order_done ;;
        stop) ;;
        *) echo "unknown order: $order" >&2 ;;
    esac
done
kill -TERM "$(<"$workdir/sshd.pid")"
await_gone "$workdir/sshd.pid"
order_done

#!/bin/bash
# WORKDIR: the vulnerable service and, beside it, a process with a secret.
set -euo pipefail
here=$(dirname "$0")
. "$here/../corpus/service_orders.sh"
workdir=$1

orders_open "$workdir"
"$workdir/bin/sibling" >"$workdir/sibling.address" &
sibling=$!
/usr/bin/python3 -B "$here/victim.py" "$workdir" "$sibling" >>"$workdir/victim.log" 2>&1 &
victim=$!
trap 'order=stop' TERM INT
order=
while [ "$order" != stop ]; do
    next_order
done
kill -TERM "$victim" "$sibling"
wait "$victim" "$sibling" || true
order_done

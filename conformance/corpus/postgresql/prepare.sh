#!/bin/bash
# WORKDIR ACCOUNT: nothing but the directory; initdb belongs to the service.
set -euo pipefail
. "$(dirname "$0")/../fresh_workdir.sh"
workdir=$1 account=$2

fresh_workdir "$workdir" "$account"
fresh_orders "$workdir"
mkdir -m 700 "$workdir/socket"
cat >"$workdir/local.conf" <<CONF
listen_addresses = '127.0.0.1'
port = 15432
unix_socket_directories = '$workdir/socket'
CONF
hand_over "$workdir" "$account"

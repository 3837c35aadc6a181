#!/bin/bash
# WORKDIR ACCOUNT: redis with both ways of persistence.
set -euo pipefail
. "$(dirname "$0")/../fresh_workdir.sh"
workdir=$1 account=$2

fresh_workdir "$workdir" "$account"
fresh_orders "$workdir"
mkdir -m 750 "$workdir/data"
cat >"$workdir/redis.conf" <<CONF
bind 127.0.0.1
port 16379
daemonize no
logfile $workdir/redis.log
dir $workdir/data
dbfilename dump.rdb
save 3600 1
appendonly yes
CONF
hand_over "$workdir" "$account"

#!/bin/bash
# WORKDIR: clients, a benchmark, and an operator who saves, rewrites and restarts.
set -euo pipefail
. "$(dirname "$0")/../service_users.sh"
workdir=$1
cli() { redis-cli -p 16379 "$@"; }
idle() { cli INFO persistence | tr -d '\r' | grep -qx "$1:0"; }

users_open redis "$workdir"
await cli PING

expect SET OK "$(cli SET greeting 'hello world')"
expect GET 'hello world' "$(cli GET greeting)"
expect INCR 2 "$(cli INCR hits >/dev/null; cli INCR hits)"
expect RPUSH 3 "$(cli RPUSH queue a b c)"
expect LRANGE 'a b c' "$(cli LRANGE queue 0 -1 | tr '\n' ' ' | sed 's/ $//')"
expect EVAL 42 "$(cli EVAL 'return 6*7' 0)"

redis-benchmark -p 16379 -q -n 20000 -c 20 -r 1000 -t ping,set,get,incr,lpush,rpop,sadd,hset,mset >"$workdir/benchmark.txt"
expect 'benchmark lines' yes "$(grep -q 'MSET' "$workdir/benchmark.txt" && echo yes)"

expect SAVE OK "$(cli SAVE)"
cli BGSAVE >/dev/null
await idle rdb_bgsave_in_progress
expect 'BGSAVE' ok "$(cli INFO persistence | tr -d '\r' | sed -n 's/^rdb_last_bgsave_status://p')"
cli BGREWRITEAOF >/dev/null
await idle aof_rewrite_in_progress
expect 'BGREWRITEAOF' ok "$(cli INFO persistence | tr -d '\r' | sed -n 's/^aof_last_bgrewrite_status://p')"
expect 'SET after rewrite' OK "$(cli SET late yes)"
size=$(cli DBSIZE)

order restart
await cli PING
await idle loading
expect 'keys after restart' "$size" "$(cli DBSIZE)"
expect 'value after restart' 'hello world' "$(cli GET greeting)"
expect 'late value after restart' yes "$(cli GET late)"

order stop
trap - EXIT
expect 'snapshot' REDIS "$(head -c 5 "$workdir/data/dump.rdb")"
passed

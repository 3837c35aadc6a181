#!/bin/bash
# WORKDIR: psql over TCP and the UNIX socket, pgbench, a dump, and an operator who restarts.
set -euo pipefail
. "$(dirname "$0")/../service_users.sh"
workdir=$1
binaries=(/usr/lib/postgresql/*/bin)
PATH=${binaries[-1]}:$PATH
export PGHOST=127.0.0.1 PGPORT=15432 PGUSER=postgres
query() { psql -X -q -A -t -v ON_ERROR_STOP=1 -d "$1" -c "$2"; }
transactions() { sed -n 's|^number of transactions actually processed: \([0-9]*\).*|\1|p' "$workdir/pgbench.txt"; }

users_open postgresql "$workdir"
await pg_isready

createdb bench
query bench "CREATE TABLE notes (id serial PRIMARY KEY, text text NOT NULL)"
query bench "INSERT INTO notes (text) SELECT 'note ' || n FROM generate_series(1, 500) AS n"
query bench "CREATE INDEX ON notes (text)"
expect 'rows' 500 "$(query bench 'SELECT count(*) FROM notes')"
expect 'rows by socket' 500 "$(PGHOST=$workdir/socket query bench 'SELECT count(*) FROM notes')"
expect 'refused statement' refused "$(query bench 'SELECT * FROM nowhere' 2>/dev/null || echo refused)"

pgbench -i -s 2 -q bench 2>"$workdir/pgbench.init"
pgbench -c 4 -j 2 -t 250 bench >"$workdir/pgbench.txt" 2>&1
expect 'transactions' 1000 "$(transactions)"
expect 'history' 1000 "$(query bench 'SELECT count(*) FROM pgbench_history')"
query bench 'VACUUM ANALYZE'
query bench 'CHECKPOINT'
balance=$(query bench 'SELECT sum(abalance) FROM pgbench_accounts')
expect 'a sort that spills' 200000 "$(query bench "SET work_mem='64kB'; SELECT count(*) FROM (SELECT * FROM pgbench_accounts ORDER BY filler, aid OFFSET 0) AS s")"
expect 'dumped tables' 5 "$(pg_dump bench | grep -c '^CREATE TABLE')"

order restart
await pg_isready
expect 'rows after restart' 500 "$(query bench 'SELECT count(*) FROM notes')"
expect 'balance after restart' "$balance" "$(query bench 'SELECT sum(abalance) FROM pgbench_accounts')"

order stop
trap - EXIT
passed

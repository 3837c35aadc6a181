#!/bin/bash
# WORKDIR ACCOUNT: a site with pages, a large file and a directory, and nginx's configuration.
set -euo pipefail
here=$(dirname "$0")
. "$here/../fresh_workdir.sh"
workdir=$1 account=$2

fresh_workdir "$workdir" "$account"
fresh_orders "$workdir"
mkdir -p "$workdir"/{logs,temp,site/docs}
printf '<!doctype html><title>quixote</title><p>front page\n' >"$workdir/site/index.html"
printf 'body { color: black }\n' >"$workdir/site/style.css"
for n in 1 2 3 4 5; do printf '<p>page %s\n' "$n" >"$workdir/site/docs/$n.html"; done
seq 230000 >"$workdir/site/large.txt"

# Only a master that runs as root may choose the account of its workers.
user_line=
[ "$account" != root ] || user_line='user www-data;'
sed -e "s|@WORKDIR@|$workdir|g" -e "s|@USER@|$user_line|" "$here/nginx.conf.in" >"$workdir/nginx.conf"
hand_over "$workdir" "$account"

#!/bin/bash
# WORKDIR ACCOUNT: a place for the database and two static files.
set -euo pipefail
. "$(dirname "$0")/../fresh_workdir.sh"
workdir=$1 account=$2

fresh_workdir "$workdir" "$account"
fresh_orders "$workdir"
mkdir "$workdir/static"
printf '<!doctype html><h1>Notes</h1>\n' >"$workdir/static/index.html"
printf 'User-agent: *\nDisallow:\n' >"$workdir/static/robots.txt"
hand_over "$workdir" "$account"

#!/bin/bash
# WORKDIR: browsers, a load generator and an administrator who reloads.
set -euo pipefail
. "$(dirname "$0")/../service_users.sh"
workdir=$1
url=http://127.0.0.1:18080
status_of() { curl -s -o /dev/null -w '%{http_code}' --max-time 10 "$@"; }

users_open nginx "$workdir"
await curl -sf "$url/"

expect 'front page' "$(<"$workdir/site/index.html")" "$(curl -sf "$url/")"
expect 'style sheet type' 'text/css' "$(curl -sf -o /dev/null -w '%{content_type}' "$url/style.css")"
expect 'large file' "$(sha256sum <"$workdir/site/large.txt")" "$(curl -sf "$url/large.txt" | sha256sum)"
expect 'range' "$(head -c 10 "$workdir/site/large.txt")" "$(curl -sf -r 0-9 "$url/large.txt")"
expect 'gzip' "$(sha256sum <"$workdir/site/index.html")" "$(curl -sf --compressed "$url/" | sha256sum)"
for n in 1 2 3 4 5; do expect "page $n" "<p>page $n" "$(curl -sf "$url/docs/$n.html")"; done
expect 'listing' 5 "$(curl -sf "$url/docs/" | grep -c '\.html')"
expect 'not found' 404 "$(status_of "$url/missing.html")"
expect 'not allowed' 405 "$(status_of -X POST -d x "$url/")"
expect 'HEAD' 200 "$(status_of -I "$url/")"

wrk -t2 -c16 -d2s "$url/" >"$workdir/wrk.txt"
wrk -t2 -c16 -d1s "$url/docs/3.html" >>"$workdir/wrk.txt"
expect 'errors under load' 0 "$(grep -cE 'Non-2xx|Socket errors' "$workdir/wrk.txt" || true)"

before=$(pgrep -P "$(<"$workdir/nginx.pid")" | sort | head -1)
sed -i 's|# marker: reload|add_header X-Reloaded yes;|' "$workdir/nginx.conf"
order reload
await sh -c "curl -sfI $url/ | grep -q 'X-Reloaded: yes'"
await sh -c "! kill -0 $before"
expect 'page after reload' "$(<"$workdir/site/index.html")" "$(curl -sf "$url/")"
wrk -t2 -c8 -d1s "$url/" >"$workdir/wrk.txt"
expect 'errors after reload' 0 "$(grep -cE 'Non-2xx|Socket errors' "$workdir/wrk.txt" || true)"

order stop
trap - EXIT
expect 'answer after the end' 000 "$(status_of "$url/" || true)"
passed

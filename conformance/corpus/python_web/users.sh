#!/bin/bash
# WORKDIR: browsers and API clients, some at once.
set -euo pipefail
. "$(dirname "$0")/../service_users.sh"
workdir=$1
url=http://127.0.0.1:18081
add() { curl -sf --max-time 30 -o /dev/null -H 'Content-Type: application/json' -d "{\"text\": \"$1\"}" "$url/notes"; }
count() { curl -sf "$url/notes" | grep -o '"id"' | wc -l; }
status_of() { curl -s -o /dev/null -w '%{http_code}' --max-time 10 "$@"; }

users_open python_web "$workdir"
await curl -sf "$url/"

expect 'front page' "$(<"$workdir/static/index.html")" "$(curl -sf "$url/")"
expect 'robots' "$(<"$workdir/static/robots.txt")" "$(curl -sf "$url/robots.txt")"
expect 'no notes' 0 "$(count)"
for n in $(seq 20); do add "note $n"; done
expect 'notes' 20 "$(count)"
expect 'note 7' '[{"id": 7, "text": "note 7"}]' "$(curl -sf "$url/notes/7")"
expect 'delete' 200 "$(status_of -X DELETE "$url/notes/7")"
expect 'deleted' 404 "$(status_of "$url/notes/7")"
expect 'missing page' 404 "$(status_of "$url/missing")"

writers=()
for n in 1 2 3 4; do
    (for m in $(seq 10); do add "writer $n note $m"; done) &
    writers+=($!)
done
for writer in "${writers[@]}"; do wait "$writer"; done
expect 'notes of four writers' 59 "$(count)"

order restart
await curl -sf "$url/"
expect 'notes after restart' 59 "$(count)"

order stop
trap - EXIT
expect 'answer after the end' 000 "$(status_of "$url/" || true)"
passed

#!/bin/bash
# WORKDIR: the good behaviour of the victim, which is what its model is learned from.
set -euo pipefail
. "$(dirname "$0")/../corpus/service_users.sh"
workdir=$1
url=http://127.0.0.1:18082
fetch() { curl -sf --max-time 20 "$@"; }

users_open attacks "$workdir"
await fetch "$url/"

for round in 1 2; do
    expect 'front page' 'nothing to see' "$(fetch "$url/")"
    expect 'page a' "$(<"$workdir/data/a.txt")" "$(fetch "$url/page?file=a.txt")"
    expect 'page b' "$(<"$workdir/data/b.txt")" "$(fetch "$url/page?file=b.txt")"
    expect 'count' 3 "$(fetch "$url/count?file=a.txt")"
    expect 'report' 'tool version A, plugin version A' "$(fetch "$url/report")"
    expect 'script' 'script under sh' "$(fetch "$url/script")"
    expect 'upload' stored "$(fetch --data-binary 'a note' "$url/upload?name=note.txt")"
    expect 'binary upload' stored "$(fetch --data-binary 'a plugin' "$url/upload?name=plugin.bin")"
    expect 'calculation' 42 "$(fetch --data-binary '{"code": "result = 6 * 7", "parameters": {}}' "$url/eval")"
    expect 'uploaded' 'a note' "$(<"$workdir/uploads/note.txt")"
done

order stop
trap - EXIT
passed

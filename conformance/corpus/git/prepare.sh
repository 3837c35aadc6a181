#!/bin/bash
# WORKDIR ACCOUNT: files for the first commits.
set -euo pipefail
. "$(dirname "$0")/../fresh_workdir.sh"
workdir=$1 account=$2

fresh_workdir "$workdir" "$account"
mkdir -p "$workdir/material/src"
for n in 1 2 3 4 5 6 7 8; do seq "$((n * 50))" >"$workdir/material/src/file$n.txt"; done
printf 'A project.\n' >"$workdir/material/README"
printf 'Licence 524\n' >"$workdir/material/LICENCE"
hand_over "$workdir" "$account"

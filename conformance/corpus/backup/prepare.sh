#!/bin/bash
# WORKDIR ACCOUNT: a home directory's worth of files, links and one old backup that is due to go.
set -euo pipefail
. "$(dirname "$0")/../fresh_workdir.sh"
workdir=$1 account=$2

fresh_workdir "$workdir" "$account"
mkdir -p "$workdir"/{backups,mirror,data/documents/letters,data/pictures,data/cache}
for n in $(seq 12); do seq "$((n * 300))" >"$workdir/data/documents/letters/letter$n.txt"; done
for n in 1 2 3; do head -c 200000 /dev/urandom >"$workdir/data/pictures/picture$n.raw"; done
printf 'to be left out\n' >"$workdir/data/cache/scratch.tmp"
ln -s documents/letters "$workdir/data/letters"
ln "$workdir/data/pictures/picture1.raw" "$workdir/data/pictures/favourite.raw"
chmod 600 "$workdir/data/documents/letters/letter1.txt"
# Nobody's home was made in the second of the backup: rsync would find times equal, or not.
find "$workdir/data" -depth -exec touch --no-dereference -d '2 days ago' {} +
printf 'stale\n' >"$workdir/mirror/stale.txt"
printf 'old\n' >"$workdir/backups/home-old.tar.gz"
touch -d '30 days ago' "$workdir/backups/home-old.tar.gz"
hand_over "$workdir" "$account"

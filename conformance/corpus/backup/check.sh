#!/bin/bash
# WORKDIR: the archive unpacks to what was there, the mirror equals the data, the old archive is gone.
set -euo pipefail
workdir=$1

archives=("$workdir"/backups/home-*.tar.gz)
[ "${#archives[@]}" = 1 ]
(cd "$workdir/backups" && sha256sum --check --status ./*.sha256)
rm -rf "$workdir/restored"
mkdir "$workdir/restored"
tar -xzf "${archives[0]}" -C "$workdir/restored"
cmp "$workdir/restored/pictures/picture2.raw" "$workdir/data/pictures/picture2.raw"
[ "$(readlink "$workdir/restored/letters")" = documents/letters ]
diff -r --exclude='*.tmp' "$workdir/data" "$workdir/mirror"
[ ! -e "$workdir/mirror/stale.txt" ] && [ ! -e "$workdir/mirror/cache/scratch.tmp" ]
[ "$(stat -c %i "$workdir/mirror/pictures/picture1.raw")" = "$(stat -c %i "$workdir/mirror/pictures/favourite.raw")" ]
[ "$(sed -n 2p "$workdir/report")" = 16 ]
echo 'ok backup'

#!/bin/bash
# WORKDIR: the nightly script: an archive named after the time, its digest, old ones removed, a mirror, a report.
set -euo pipefail
workdir=$1
archive=$workdir/backups/home-$(date +%Y%m%d-%H%M%S).tar.gz

cd "$workdir/data"
find . -type f -name '*.tmp' -print0 | sort -z >"$workdir/left_out"
tar --create --null --exclude-from="$workdir/left_out" --file=- . | gzip -6 >"$archive.part"
gzip -t "$archive.part"
mv "$archive.part" "$archive"
(cd "$workdir/backups" && sha256sum "$(basename "$archive")" >"$(basename "$archive").sha256")
find "$workdir/backups" -name '*.tar.gz' -mtime +14 -delete

rsync --archive --hard-links --delete --exclude='*.tmp' "$workdir/data/" "$workdir/mirror/"
printf 'changed since\n' >>documents/letters/letter2.txt
rsync --archive --hard-links --delete --exclude='*.tmp' "$workdir/data/" "$workdir/mirror/"

{
    du -s --apparent-size "$workdir/mirror" | cut -f1
    find "$workdir/mirror" -type f | wc -l
} >"$workdir/report"
logged=$(mktemp "${TMPDIR:-/tmp}/backup.XXXXXXXX")
tee "$logged" <"$workdir/report"
rm -f "$logged"

#!/bin/bash
# WORKDIR ACCOUNT: the sources of bzip2, a real project with its own Makefile and tests, from Debian.
#
# Fetched once into QUIXOTE_CORPUS_CACHE and told by its digest, so that later runs need no network. With --fetch it does this alone,
# for a virtual machine without one.
set -euo pipefail
. "$(dirname "$0")/../fresh_workdir.sh"
workdir=$1 account=${2-}
cache=${QUIXOTE_CORPUS_CACHE:-/var/cache/quixote-corpus}
archive=bzip2_1.0.8.orig.tar.gz
digest=ab5a03176ee106d3f0fa90e381da478ddae405918153cca248e682cd0c4a2269

fetch() {
    local state=$cache/apt
    mkdir -p "$state/sources" "$state/lists"
    cat >"$state/sources/source.sources" <<SOURCE
Types: deb-src
URIs: http://deb.debian.org/debian
Suites: bookworm
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
SOURCE
    local options=(-qq -o Acquire::Retries=5 -o APT::Sandbox::User=root -o Dir::Etc::sourcelist=/dev/null
        -o Dir::Etc::sourceparts="$state/sources" -o Dir::State::lists="$state/lists")
    (cd "$cache" && apt-get "${options[@]}" update --error-on=any && apt-get "${options[@]}" source --download-only bzip2)
}

check() { printf '%s  %s\n' "$digest" "$cache/$archive" | sha256sum --check --status; }

check 2>/dev/null || fetch
check || { echo "$cache/$archive has not the digest it should have" >&2; exit 1; }
[ "$workdir" != --fetch ] || exit 0
fresh_workdir "$workdir" "$account"
tar -xzf "$cache/$archive" -C "$workdir"
hand_over "$workdir" "$account"

#!/bin/bash
# WORKDIR: make -j4 of bzip2, its own tests, and an incremental build.
set -euo pipefail
workdir=$1
cd "$workdir"/bzip2-*

/usr/bin/make -j4 CC=/usr/bin/gcc >"$workdir/build.log" 2>&1
/usr/bin/make test >"$workdir/test.log" 2>&1
touch blocksort.c
/usr/bin/make -j4 CC=/usr/bin/gcc libbz2.a bzip2 >>"$workdir/build.log" 2>&1
